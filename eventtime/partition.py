"""One partition on its way to the windows: door, watermark and ledger (S1, S3, S11, S12)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import lanes_of
from eventtime.ledger import AT_DOOR, PartitionLedger
from eventtime.time_kernels import clamp, future_rows
from eventtime.timestamp import MINUS_INFINITY, to_us
from eventtime.validity import NO_NULLS
from eventtime.windows.chunk import Block, Source
from eventtime.windows.rises import kept_rises

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventtime.clock import Clock
    from eventtime.state.keys import KeyCodec
    from eventtime.transform import Transform
    from eventtime.watermark import RunningGenerator

__all__ = ("NEIGHBOURS", "Intake", "PartitionIntake", "Quarantined", "Ready")

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
NEIGHBOURS = 32


@dataclass(frozen=True)
class Quarantined:
    """Rows set aside, and where in the partition each stood.

    Args:
        rows: (n,) rows with the columns they have (those of the partition, or line and raw).
        reason: 'null_time', 'future' or 'malformed'.
        detail: (n,) text, in words.
        numbers: (n,) int64, ascending: each row's number in its partition.
    """

    rows: pa.RecordBatch
    reason: str
    detail: list[str]
    numbers: Ints


@dataclass(frozen=True)
class Ready:
    """Rows that are ready for windows.

    Args:
        block: the rows, judged by the partition's own watermark before each.
        after_us: its own watermark after the last row read, filtered ones included.
        numbers: (n,) each row's number in its partition.
    """

    block: Block
    after_us: int
    numbers: Ints | range

    def __len__(self) -> int:
        return len(self.block)


@dataclass(frozen=True)
class _Rows:
    """Rows between door and watermark; `numbers` is a range while none was taken out."""

    batch: pa.RecordBatch
    time_us: Ints
    numbers: Ints | range

    def where(self, mask: Bools) -> _Rows:
        numbers = np.asarray(self.numbers)[mask]
        return _Rows(self.batch.filter(pa.array(mask)), self.time_us[mask], numbers)

    def part(self, first: int, last: int) -> _Rows:
        return _Rows(
            self.batch.slice(first, last - first),
            self.time_us[first:last],
            self.numbers[first:last],
        )

    def then(self, rows: _Rows) -> _Rows:
        numbers = np.concatenate([np.asarray(self.numbers), np.asarray(rows.numbers)])
        return _Rows(
            pa.concat_batches([self.batch, rows.batch]),
            np.concatenate([self.time_us, rows.time_us]),
            numbers,
        )


@dataclass(frozen=True)
class Intake:
    """What all partitions of a pipeline share.

    Args:
        time: name of the time column, time_unit: of integers.
        keys: names of key columns.
        columns: names of the aggregates' input columns.
        lanes: whether each of them comes as a lane.
        max_future_us: of the future guard; None: off.
        clock: for the future guard of live runs; None: other rows are the measure.
    """

    time: str
    time_unit: str | None
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    lanes: tuple[bool, ...]
    max_future_us: int | None
    clock: Clock | None = None


@dataclass
class PartitionIntake:
    """The door and the watermark of one partition.

    Rows in: `take`, then `drain` at the end; without any: `raise_to`. Set aside: `quarantined`.
    Account: `balance`. Surviving: `save`, `processed`, `held_rows`, `restore`.

    Args:
        name: of the partition.
        index: of the partition.
        intake: what partitions share.
        before: steps before the watermark; after: steps after it.
        generator: of watermarks.
        codec: of keys.
        watermark_us: own watermark at the start.
    """

    name: str
    index: int
    intake: Intake
    before: Transform
    after: Transform
    generator: RunningGenerator
    codec: KeyCodec
    watermark_us: int = MINUS_INFINITY
    ledger: PartitionLedger = field(default_factory=PartitionLedger)
    quarantined: list[Quarantined] = field(default_factory=list)
    # Rows with smaller numbers were windowed or set aside before a restart: they are read again
    # for what they do to the watermark.
    resume_at: int = 0
    _numbered: int = 0
    _latest_us: int = MINUS_INFINITY
    _seen: bool = False
    _held: _Rows | None = None
    # The balance that was gone on with, if rows are read again.
    _known: PartitionLedger | None = None

    def take(self, batch: pa.RecordBatch) -> Ready | None:
        """Let rows in; None when none of them goes on yet.

        Cost: a few vectorised passes; nothing per row in Python.
        """
        batch, left_out = self.before.apply(batch)
        self.ledger.rows_in += batch.num_rows + max(left_out, 0)
        self.ledger.filtered += max(left_out, 0)
        return self._guarded(self._with_time(batch), last=False)

    def take_malformed(self, rows: pa.RecordBatch) -> None:
        """Account for rows of a text source that do not parse."""
        self.ledger.rows_in += rows.num_rows
        self.ledger.malformed += rows.num_rows
        errors = [str(e) for e in rows.column("error").to_pylist()]
        numbers = np.asarray(self._number(rows.num_rows))
        self._set_aside(rows.select(["line", "raw"]), "malformed", errors, numbers)

    def raise_to(self, time_us: int) -> int:
        """Raise the own watermark without a row; returns it, for it never goes back."""
        self.watermark_us = max(self.watermark_us, time_us)
        return self.watermark_us

    def drain(self) -> Ready | None:
        """Let the rows on that the future guard still held; the partition has ended."""
        if self._held is None:
            return None
        rows, self._held = self._held, None
        self.ledger.waiting -= len(rows.time_us)
        return self._guarded(rows, last=True)

    @property
    def first_held(self) -> int:
        """Number of the first row that has not gone on: one held back, or the next."""
        return self._numbered if self._held is None else int(self._held.numbers[0])

    @property
    def next_number(self) -> int:
        """Number of the next row that comes in."""
        return self._numbered

    @property
    def held_rows(self) -> pa.RecordBatch | None:
        """The rows that the future guard holds back until it knows those behind them."""
        return None if self._held is None else self._held.batch

    def save(self) -> dict[str, Any]:
        """Return what it remembers, for JSON; `held_rows` are beside it."""
        held = [] if self._held is None else np.asarray(self._held.numbers).tolist()
        return {
            "ledger": {**vars(self.ledger)},
            "generator": deepcopy(self.generator.get_state()),
            "watermark_us": self.watermark_us,
            "rows_numbered": self._numbered,
            "rows_before_steps": self.before.rows,
            "rows_behind_watermark": self.after.rows,
            "latest_us": self._latest_us if self._seen else None,
            "held_numbers": held,
        }

    @property
    def balance(self) -> PartitionLedger:
        """Where its rows went, each counted once, though some may be read again."""
        if self._known is None:
            return self.ledger
        told = self.ledger.once(self._known)
        if told == self.ledger:
            self._known = None  # all of them were
        return told

    def processed(self, place: Mapping[str, int]) -> dict[str, dict[str, int]]:
        """Return, for JSON, the balance of rows whose turn has come, and what is read of them.

        Args:
            place: the ledger where reading will go on.
        """
        now = self.balance
        filtered = max(place["filtered"], 0 if self._known is None else self._known.filtered)
        told = replace(now, waiting=0, filtered=filtered)
        for rows in self.quarantined:
            setattr(told, rows.reason, getattr(told, rows.reason) - len(rows.numbers))
        told.rows_in += told.accounted - now.accounted
        return {
            "ledger": asdict(told),
            "read": {name: place[name] for name in ("rows_in", *AT_DOOR)},
        }

    def restore(self, saved: dict[str, Any], held: pa.RecordBatch | None = None) -> None:
        """Go on from what was saved."""
        self.watermark_us = saved["watermark_us"]
        self.ledger = PartitionLedger(**saved["ledger"])
        if "read" in saved:
            self._known = self.ledger
            self.ledger = self._known.read_from(saved["read"])
        self.generator.set_state(saved["generator"])
        self._numbered, self.before.rows = saved["rows_numbered"], saved["rows_before_steps"]
        self.after.rows = saved["rows_behind_watermark"]
        if saved["latest_us"] is not None:
            self._latest_us, self._seen = saved["latest_us"], True
        if held is not None:
            time_us, _ = to_us(held.column(self.intake.time), self.intake.time_unit)
            self._held = _Rows(held, time_us, np.array(saved["held_numbers"]))

    def _number(self, n: int) -> range:
        self._numbered += n
        return range(self._numbered - n, self._numbered)

    def _with_time(self, batch: pa.RecordBatch) -> _Rows:
        column = batch.column(self.intake.time)
        time_us, admitted = to_us(column, self.intake.time_unit)
        rows = _Rows(batch, time_us, self._number(batch.num_rows))
        if admitted is None:
            return rows
        null = column.is_null().to_numpy(zero_copy_only=False)
        self.ledger.null_time += self._quarantine(rows, null, "null_time")
        self.ledger.malformed += self._quarantine(rows, ~admitted & ~null, "malformed")
        return rows.where(admitted)

    def _guarded(self, rows: _Rows, *, last: bool) -> Ready | None:
        guard = self.intake.max_future_us
        if guard is None:
            return self._judged(rows)
        if self.intake.clock is not None:
            future = rows.time_us > self.intake.clock.now_us() + guard
        else:
            rows, future = self._compare_with_neighbours(rows, guard, last=last)
        if future.any():
            self.ledger.future += self._quarantine(rows, future, "future")
            rows = rows.where(~future)
        return self._judged(rows)

    def _compare_with_neighbours(
        self, rows: _Rows, guard: int, *, last: bool
    ) -> tuple[_Rows, Bools]:
        """Judge all rows whose next neighbours are known; hold the rest back."""
        if self._held is not None:
            rows = self._held.then(rows)
        total = len(rows.time_us)
        n = total if last else max(0, total - NEIGHBOURS)
        future = np.zeros(n, np.bool_)
        self._latest_us, self._seen = future_rows(
            rows.time_us, n, self._latest_us, self._seen, guard, NEIGHBOURS, future
        )
        held = rows.part(n, total) if n < total else None
        self.ledger.waiting += (0 if held is None else total - n) - self._n_held
        self._held = held
        return rows.part(0, n), future

    @property
    def _n_held(self) -> int:
        return 0 if self._held is None else len(self._held.time_us)

    def _judged(self, rows: _Rows) -> Ready | None:
        n = len(rows.time_us)
        if not n:
            return None
        raw = self.generator.advance(rows.time_us, rows.batch)
        time_us, numbers, rises = rows.time_us, rows.numbers, np.empty((n + 1, 2), np.int64)
        self.watermark_us, n_rises = clamp(raw, self.generator.lag_us, self.watermark_us, rises)
        rises = rises[:n_rises].copy()
        batch, kept = self.after.apply_keeping_places(rows.batch)
        if kept is not None:
            self.ledger.filtered += n - len(kept)
            time_us, numbers = time_us[kept], np.asarray(numbers)[kept]
            rises = kept_rises(rises, kept)
        self.ledger.waiting += len(time_us)
        return self._ready(_Rows(batch, time_us, numbers), rises)

    def _ready(self, rows: _Rows, rises: Ints) -> Ready:
        done = self._done(rows.numbers)
        if done:
            rows = rows.part(done, len(rows.time_us))
            rises = kept_rises(rises, np.arange(done, done + len(rows.time_us)))
        batch, time_us = rows.batch, rows.time_us
        keys, nulls = self._keys(batch)
        columns = [batch.column(name) for name in self.intake.columns]
        lanes = lanes_of(columns, self.intake.lanes)
        source = Source(batch, columns, partition=self.index)
        block = Block(time_us, rises, keys, nulls, lanes, source)
        return Ready(block, self.watermark_us, rows.numbers)

    def _done(self, numbers: Ints | range) -> int:
        """Count those, of ascending numbers, that were done with before a restart."""
        if not self.resume_at or not len(numbers):
            return 0
        return int(np.searchsorted(np.asarray(numbers), self.resume_at))

    def _keys(self, batch: pa.RecordBatch) -> tuple[Ints, NDArray[np.uint8]]:
        if not self.intake.keys:
            return self.codec.no_key(batch.num_rows), NO_NULLS
        return self.codec.encode([batch.column(name) for name in self.intake.keys])

    def _quarantine(self, rows: _Rows, which: Bools, reason: str) -> int:
        n = int(which.sum())
        if n:
            aside = rows.where(which)
            self._set_aside(aside.batch, reason, [_DETAILS[reason]] * n, np.asarray(aside.numbers))
        return n

    def _set_aside(
        self, rows: pa.RecordBatch, reason: str, detail: list[str], numbers: Ints
    ) -> None:
        done = self._done(numbers)
        if done < len(numbers):
            self.quarantined.append(
                Quarantined(rows.slice(done), reason, detail[done:], numbers[done:])
            )


_DETAILS = {
    "null_time": "event time is null",
    "malformed": "event time is outside the admitted range: 146,000 years around 1970, of "
    "nanoseconds 282",
    "future": "event time is ahead of the rows around it, or of the clock, by more than max_future",
}
