"""The semantics once more, row by row in plain Python: slow, obvious, apart from the engine.

Times are integers (µs); the two infinities are floats, which Python compares exactly with integers.
The rules cited (S1 …) are those of docs/semantics.md, the decisions (D1 …) those of docs/decisions.
No cleverness is allowed here: a reader checks this file against the rules, and the property tests
check the engine against this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from oracle_aggregates import aggregate
from oracle_spec import (
    TIME_LIMIT,
    Aggregate,
    Ascending,
    Bounded,
    Custom,
    PunctuatedColumn,
    PunctuatedWhere,
    Row,
    Spec,
    Time,
    Window,
    generate,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = (
    "TIME_LIMIT",
    "Aggregate",
    "Ascending",
    "Bounded",
    "Custom",
    "Operator",
    "Oracle",
    "PunctuatedColumn",
    "PunctuatedWhere",
    "Row",
    "Spec",
    "future_rows",
    "replay",
    "windows_of",
)

INFINITY = math.inf
LOOK_AHEAD = 32


def windows_of(t: Time, spec: Spec) -> list[Window]:
    """All windows [s, e) with s = offset + k * slide that hold t, ascending (S13, S14)."""
    if spec.size is None:
        return [(-INFINITY, INFINITY)]
    start = t - (t - spec.offset) % spec.step
    found: list[Window] = []
    while start + spec.size > t:
        found.append((start, start + spec.size))
        start -= spec.step
    return found[::-1]


@dataclass
class Contents:
    """What one (key, window) holds: all rows, those in no result yet, and the last result."""

    rows: list[Row] = field(default_factory=list)
    fresh: list[Row] = field(default_factory=list)
    version: int = 0
    last: Row = field(default_factory=dict)


class Operator:
    """Windows, lateness and firing under one combined watermark (D4 to D6)."""

    def __init__(self, spec: Spec, downstream: Operator | None = None) -> None:
        self.spec = spec
        self.downstream = downstream
        self.watermark: Time = -INFINITY
        self.state: dict[tuple[tuple[Any, ...], Window], Contents] = {}
        self.results: list[Row] = []
        self.late: list[Row] = []
        self.ledger = {"assigned": 0, "emitted": 0, "open": 0, "missed": 0}
        self.before: list[tuple[int, Time]] = []

    def lengthen(self, lateness: int) -> None:
        """Restored with another lateness: what has expired stays so (S29)."""
        self.before.append((self.spec.lateness, self.watermark))
        self.spec = replace(self.spec, lateness=lateness)

    def lateness_of(self, end: Time) -> int:
        """The lateness under which a window expired, otherwise that of now."""
        for lateness, watermark in self.before:
            if end + lateness <= watermark:
                return lateness
        return self.spec.lateness

    def missed(self, windows: Iterable[Window], watermark: Time) -> list[Window]:
        """Those expired under a watermark: e + L <= W (S18)."""
        return [w for w in windows if w[1] + self.lateness_of(w[1]) <= watermark]

    def take(self, row: Row, partition: str, own: Time) -> bool:
        """Fold a row into its windows that are not expired; True when it missed none (D4)."""
        windows = windows_of(row[self.spec.time], self.spec)
        missed = self.missed(windows, self.watermark)
        for window in windows:
            if window not in missed:
                key = tuple(row[name] for name in self.spec.keys)
                contents = self.state.setdefault((key, window), Contents())
                contents.rows.append(row)
                contents.fresh.append(row)
        self.ledger["assigned"] += len(windows)
        self.ledger["missed"] += len(missed)
        self.ledger["open"] += len(windows) - len(missed)
        if missed:
            start, end = missed[-1]
            blameless = not self.missed(windows, own)
            self.late.append(
                row
                | {
                    "window_start": start,
                    "window_end": end,
                    "windows_missed": len(missed),
                    "windows_total": len(windows),
                    "watermark": self.watermark,
                    "late_by": self.watermark - (end + self.lateness_of(end)),
                    "partition": partition,
                    "reason": "idle_partition" if blameless else "beyond_lateness",
                }
            )
        return not missed

    def advance(self, to: Time) -> None:
        """Move the watermark and fire at each point passed, in ascending order (D5)."""
        assert to >= self.watermark
        while True:
            due = [self._point(w[1]) for (_, w), c in self.state.items() if c.fresh]
            if not due or min(due) > to:
                break
            point = min(due)
            emitted = self._fire(point, is_end=to == INFINITY)
            self._move(point)
            self._send(emitted)
        self._move(to)
        self._send([])

    def _point(self, end: Time) -> Time:
        """Where a window with fresh rows fires: its end while open, else the next point."""
        if end > self.watermark:
            return end
        spec = self.spec
        assert spec.size is not None
        grid = math.gcd(spec.size, spec.step)
        bases = {spec.offset, spec.offset + spec.lateness}
        return min(base + ((self.watermark - base) // grid + 1) * grid for base in bases)

    def _fire(self, point: Time, *, is_end: bool) -> list[Row]:
        """All result rows of one point: by window end, window start and key, nulls last (D6)."""
        due = [
            (w[1], w[0], tuple((value is None, value) for value in key), key, w, c)
            for (key, w), c in self.state.items()
            if c.fresh and w[1] <= point
        ]
        emitted: list[Row] = []
        for end, _, _, key, window, contents in sorted(due, key=lambda item: item[:3]):
            timing = "on_time" if end == point else "late"
            is_final = is_end or end + self.spec.lateness <= point
            emitted += self._emit(key, window, contents, timing=timing, is_final=is_final)
        self.results += emitted
        return emitted

    def _emit(
        self,
        key: tuple[Any, ...],
        window: Window,
        contents: Contents,
        *,
        timing: str,
        is_final: bool,
    ) -> list[Row]:
        """The row of one firing, and before it in retracting mode the row it takes back (S21)."""
        spec = self.spec
        rows = contents.fresh if spec.mode == "discarding" else contents.rows
        contents.version += 1
        result: Row = dict(zip(spec.keys, key, strict=True))
        result |= {"window_start": window[0], "window_end": window[1]}
        for wanted in spec.aggregates:
            result[wanted.name] = aggregate(wanted.function, wanted.column, rows, window, spec)
        result |= {"version": contents.version, "timing": timing, "is_final": is_final}
        self.ledger["emitted"] += len(contents.fresh)
        self.ledger["open"] -= len(contents.fresh)
        before, contents.last, contents.fresh = contents.last, result, []
        if spec.mode != "retracting":
            return [result]
        taken_back = [before | {"diff": -1}] if before else []
        return [*taken_back, result | {"diff": 1}]

    def _move(self, to: Time) -> None:
        """Set the watermark; windows that expired are gone (S18, S30)."""
        self.watermark = to
        for key, window in list(self.state):
            if self.missed([window], to):
                assert not self.state.pop((key, window)).fresh, (
                    "a window expired with rows in no result"
                )

    def _send(self, emitted: list[Row]) -> None:
        """Hand result rows on; W is the start of the earliest window yet to fire on time (D12)."""
        if self.downstream is None:
            return
        for row in emitted:
            as_input = row | {self.downstream.spec.time: row["window_start"]}
            self.downstream.take(as_input, "", self.downstream.watermark)
        to = self.watermark
        if math.isfinite(to):
            assert self.spec.size is not None
            to = windows_of(to - self.spec.size, self.spec)[-1][0] + self.spec.step
        self.downstream.advance(max(to, self.downstream.watermark))


@dataclass
class Partition:
    """One partition: its own watermark, and whether it takes part in the minimum."""

    name: str
    generate: Callable[[Row], Time | None]
    watermark: Time = -INFINITY
    is_finished: bool = False
    is_idle: bool = False
    empty_since: int | None = None
    idle_for: int = 0


class Oracle:
    """Partitions, combined watermark, quarantine and one window operator; driven row by row."""

    def __init__(
        self, spec: Spec, names: Iterable[str], downstream: Operator | None = None, by: Any = None
    ) -> None:
        self.spec = spec
        self.operator = by or Operator(spec, downstream)
        self.partitions: dict[str, Partition] = {}
        self.quarantine: list[Row] = []
        self.ledger: dict[str, dict[str, int]] = {}
        self.now = 0
        for name in names:
            self.add_partition(name, historical=True)

    @property
    def results(self) -> list[Row]:
        """Result rows so far, in the total order D6."""
        return self.operator.results

    @property
    def late(self) -> list[Row]:
        """Late rows so far, in the order they were read."""
        return self.operator.late

    def add_partition(self, name: str, *, historical: bool = False) -> None:
        """A partition found now starts at the combined watermark, unless historical (S8)."""
        start = -INFINITY if historical else self.operator.watermark
        self.partitions[name] = Partition(name, generate(self.spec), start)
        reasons = ("rows_in", "windowed", "late", "null_time", "future", "malformed", "filtered")
        self.ledger[name] = dict.fromkeys(reasons, 0)

    def push(self, name: str, rows: Sequence[Row]) -> None:
        """Rows of a live partition; the future guard looks at the clock (S11)."""
        limit = None if self.spec.max_future is None else self.now + self.spec.max_future
        for row in rows:
            t = row[self.spec.time]
            self.row(name, row, is_future=limit is not None and t is not None and t > limit)

    def poll_empty(self, name: str) -> None:
        """A poll that had nothing; only time between two such polls in a row counts (S6)."""
        partition = self.partitions[name]
        if partition.empty_since is not None:
            partition.idle_for += self.now - partition.empty_since
        partition.empty_since = self.now
        if self.spec.idle_after is not None and partition.idle_for > self.spec.idle_after:
            partition.is_idle = True
        self._combine()

    def finish(self, name: str) -> None:
        """The partition leaves the minimum; after the last one W is plus infinity (S9)."""
        self.partitions[name].is_finished = True
        self._combine()

    def advance_clock(self, by: int) -> None:
        """Move the injected clock; by itself this changes nothing."""
        self.now += by

    def row(self, name: str, row: Row, *, is_future: bool) -> None:
        """One row: door, judgement by W before it, then its partition's watermark (D2, D3)."""
        partition, counts = self.partitions[name], self.ledger[name]
        partition.is_idle, partition.empty_since, partition.idle_for = False, None, 0
        self._combine()
        counts["rows_in"] += 1
        reason = _quarantine_reason(row[self.spec.time], is_future=is_future)
        if reason:
            counts[reason] += 1
            self.quarantine.append(row | {"partition": name, "reason": reason})
            return
        if self.spec.where is not None and not row[self.spec.where]:
            counts["filtered"] += 1
        else:
            missed = not self.operator.take(row, name, partition.watermark)
            counts["late" if missed else "windowed"] += 1
        proposed = partition.generate(row)
        if proposed is not None:
            partition.watermark = max(partition.watermark, proposed)
        self._combine()

    def _combine(self) -> None:
        """Minimum over partitions not idle, not finished; never back (S5, S6, S7, S9)."""
        unfinished = [p for p in self.partitions.values() if not p.is_finished]
        active = [p.watermark for p in unfinished if not p.is_idle]
        combined = self.operator.watermark
        if active:
            combined = min(active)
        elif not unfinished and self.partitions:
            combined = INFINITY
        elif unfinished and self.spec.all_idle == "flush_max":
            combined = max(p.watermark for p in unfinished)
        self.operator.advance(max(combined, self.operator.watermark))


def _quarantine_reason(t: int | None, *, is_future: bool) -> str:
    """Why a row cannot be admitted, or nothing (S11, S12, D3)."""
    if t is None:
        return "null_time"
    if not -TIME_LIMIT <= t <= TIME_LIMIT:
        return "malformed"
    return "future" if is_future else ""


def future_rows(times: Sequence[int | None], max_future: int | None) -> list[bool]:
    """Which rows of a replayed partition lie too far ahead of the other rows (D8)."""
    readable = [t is not None and -TIME_LIMIT <= t <= TIME_LIMIT for t in times]
    largest: Time = -INFINITY
    flags = []
    for i, t in enumerate(times):
        after = [
            u
            for u, ok in zip(times[i + 1 :], readable[i + 1 :], strict=True)
            if ok and u is not None
        ]
        after = sorted(after[:LOOK_AHEAD])
        median: Time = after[(len(after) - 1) // 2] if after else -INFINITY
        reference = max(largest, median)
        is_future = False
        if t is not None and readable[i]:
            is_future = (
                max_future is not None and reference > -INFINITY and t > max_future + reference
            )
            largest = largest if is_future else max(largest, t)
        flags.append(is_future)
    return flags


def replay(
    partitions: Mapping[str, Sequence[Row]],
    spec: Spec,
    downstream: Any = None,
    by: Any = None,
    between: Callable[[Oracle], None] = lambda _: None,
) -> Oracle:
    """Bounded partitions to their end: always the next row of the one furthest behind (S10, D1)."""
    names = sorted(partitions)
    oracle = Oracle(spec, names, downstream, by)
    rest = {
        name: list(
            zip(rows, future_rows([r[spec.time] for r in rows], spec.max_future), strict=True)
        )
        for name, rows in partitions.items()
    }
    unfinished = set(names)
    while unfinished:
        between(oracle)
        name = min(unfinished, key=lambda n: (oracle.partitions[n].watermark, n))
        if rest[name]:
            row, is_future = rest[name].pop(0)
            oracle.row(name, row, is_future=is_future)
        else:
            # Its end is found as a row is: when it is furthest behind and asked for more.
            unfinished.remove(name)
            oracle.finish(name)
    if not names:
        oracle.operator.advance(INFINITY)
    return oracle
