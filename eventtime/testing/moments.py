"""What happens to a pipeline, moment by moment: each row by itself, each other step (S4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, assert_never

import numpy as np

from eventtime.compiled import StagePlan, compile_plan
from eventtime.duration import format_us
from eventtime.testing.harness import Harness
from eventtime.testing.rows import readable, source_of
from eventtime.testing.steps import (
    AddPartition,
    AdvanceClock,
    Checkpoint,
    Crash,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
    Restart,
)
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY, add, to_us
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from eventtime.ledger import PartitionLedger
    from eventtime.stream import Stream
    from eventtime.testing.steps import Step, Streams

__all__ = ("Moment", "Told", "WindowLife", "told")

Bounds: TypeAlias = tuple[int, int]
"""Start and end of a window, int64 microseconds UTC."""
_MOST_WINDOWS_OF_A_ROW: Final = 64
_MOST_ROWS: Final = 2_000
"""Told one by one; of more, each push is one moment."""
_BOUNDS: Final = ("window_start", "window_end")
_FATES = ("late", "null_time", "future", "malformed", "filtered", "windowed")


@dataclass
class Moment:
    """One row, or one other step.

    Args:
        step: its number, from 1.
        what: happened, such as 'push a'.
        combined_us: the combined watermark after it.
        own_us: the partition's own watermark after it; None: no partition was concerned.
        time_us: event time of the row, or of the heartbeat; None: none.
        fate: of the row: 'windowed', 'late', 'null_time', 'future', 'malformed' or 'filtered';
            empty: no row.
        results: that came out: bounds of the window, None where rows do not say it, and the rest.
    """

    step: int
    what: str
    combined_us: int
    own_us: int | None = None
    time_us: int | None = None
    fate: str = ""
    results: list[tuple[Bounds | None, dict[str, Any]]] = field(default_factory=list)


@dataclass
class WindowLife:
    """A window of the first operator; steps by their number.

    Args:
        start_us, end_us: its bounds.
        opened: when its first row came.
        fired: when results of it came out, with their timing.
        expired: when it was gone; None: it is still there.
    """

    start_us: int
    end_us: int
    opened: int
    fired: list[tuple[int, str]] = field(default_factory=list)
    expired: int | None = None


@dataclass
class Told:
    """What happened.

    Args:
        moments: in order.
        windows: of the first operator, by their bounds; none of a process function.
        error: that ended it; empty: none did.
    """

    moments: list[Moment] = field(default_factory=list)
    windows: dict[Bounds, WindowLife] = field(default_factory=dict)
    error: str = ""


def told(pipeline: Stream, streams: Streams, changes: Mapping[int, Stream] | None = None) -> Told:
    """Drive a pipeline through streams, and note what happens; errors too are noted, not raised.

    Args:
        pipeline: that is driven.
        streams: what it goes through.
        changes: pipelines that go on behind a restart, by its number among the steps, from 1.
    """
    story = _Telling(pipeline, streams, changes or {})
    try:
        for number, step in enumerate(streams.steps, 1):
            try:
                story.do(number, step)
            except Exception as error:  # noqa: BLE001 - what ends a story is part of it
                story.told.error = f"step {number}: {type(error).__name__}: {error}"
                break
    finally:
        story.harness.close()
    return story.told


class _Telling:
    def __init__(self, pipeline: Stream, streams: Streams, changes: Mapping[int, Stream]) -> None:
        self.harness = Harness(pipeline, streams.partitions, start=streams.start_us)
        self.told, self._changes = Told(), changes
        self._read(pipeline)
        rows = sum(len(step.rows) for step in streams.steps if isinstance(step, Push))
        self._row_by_row = rows <= _MOST_ROWS

    def _read(self, pipeline: Stream) -> None:
        plan = compile_plan(pipeline.node)
        self._first = plan.stages[0]
        # Elsewhere results are of other windows, or do not say of which.
        self._says_bounds = len(plan.stages) == 1 and set(_BOUNDS) <= set(plan.schema.names)

    def do(self, number: int, step: Step) -> None:
        if isinstance(step, Push) and step.rows:
            self._push(number, step)
            return
        if number in self._changes:
            self._go_on(self._changes[number])
        else:
            self.harness.do(step)
        if isinstance(step, Crash):
            self.harness.results()  # they were told when they came for the first time
        name = getattr(step, "partition", None)
        time_us = step.time_us if isinstance(step, Heartbeat) else None
        self._note(Moment(number, _what(step), 0, time_us=time_us), name)

    def _go_on(self, pipeline: Stream) -> None:
        before = self.harness
        start_us, saved = before.clock.now_us(), before.snapshot()
        before.close()
        self.harness = Harness.restore(pipeline, saved, start=start_us)
        self._read(pipeline)

    def _push(self, number: int, step: Push) -> None:
        harness, name = self.harness, step.partition
        batch = harness.laid_out(name, step.rows)
        if not self._row_by_row:
            self._push_whole(number, step, batch)
            return
        for i, time_us in enumerate(self._times(name, batch)):
            before = harness.ledger.partitions.get(name)
            combined_us = harness.watermark_us
            harness.push(name, batch.slice(i, 1))
            fate = _fate(before, harness.ledger.partitions.get(name))
            if time_us is not None and fate in {"windowed", "late"}:
                self._open(number, time_us, combined_us)
            self._note(Moment(number, _what(step), 0, time_us=time_us, fate=fate), name)

    def _push_whole(self, number: int, step: Push, batch: pa.RecordBatch) -> None:
        combined_us, is_known = self.harness.watermark_us, self._is_known(step.partition)
        for time_us in self._times(step.partition, batch) if is_known else []:
            if time_us is not None:
                self._open(number, time_us, combined_us)
        self.harness.push(step.partition, batch)
        what = f"{_what(step)}, {counted(batch.num_rows, 'row')}"
        self._note(Moment(number, what, 0), step.partition)

    def _is_known(self, name: str) -> bool:
        """Tell whether it is a partition, and no broadcast stream."""
        return any(known.name == name for known in self.harness.look().partitions)

    def _times(self, name: str, batch: pa.RecordBatch) -> list[int | None]:
        """Return event times as they came; None: there is none, or what comes before makes it."""
        source = source_of(self.harness.pipeline, name)
        if source.time not in batch.schema.names:
            return [None] * batch.num_rows
        times_us, valid = to_us(batch.column(source.time), source.time_unit)
        found: list[int | None] = times_us.tolist()
        if valid is None:
            return found
        return [time if is_there else None for time, is_there in zip(found, valid, strict=True)]

    def _note(self, moment: Moment, partition: str | None) -> None:
        look = self.harness.look()
        moment.combined_us = look.watermark_us
        for known in look.partitions:
            if known.name == partition:
                moment.own_us = known.watermark_us
        moment.results = self._results()
        self.told.moments.append(moment)
        self._follow_windows(moment)

    def _open(self, number: int, time_us: int, combined_us: int) -> None:
        for start_us, end_us in self._windows_of(time_us):
            if add(end_us, self._lateness_us) > combined_us:
                life = WindowLife(start_us, end_us, number)
                self.told.windows.setdefault((start_us, end_us), life)

    def _windows_of(self, time_us: int) -> Iterator[tuple[int, int]]:
        if not isinstance(self._first, StagePlan):
            return
        grid, at = self._first.spec.grid, np.array([time_us])
        first, last = int(grid.first_end(at)[0]), int(grid.last_end(at)[0])
        step = max(1, grid.slide_us)
        for end_us in range(first, last + 1, step)[:_MOST_WINDOWS_OF_A_ROW]:
            yield grid.start_of(end_us), end_us

    @property
    def _is_retracting(self) -> bool:
        return isinstance(self._first, StagePlan) and self._first.spec.mode == "retracting"

    @property
    def _lateness_us(self) -> int:
        return self._first.spec.lateness_us if isinstance(self._first, StagePlan) else 0

    def _follow_windows(self, moment: Moment) -> None:
        for bounds, row in moment.results:
            if self._is_retracting and row["diff"] < 0:
                continue  # a firing takes it back, and is told by the row behind it
            firing = (moment.step, row.get("timing", "on_time"))
            life = None if bounds is None else self.told.windows.get(bounds)
            if life is not None and firing not in life.fired:
                life.fired.append(firing)
        for life in self.told.windows.values():
            is_over = add(life.end_us, self._lateness_us) <= moment.combined_us
            if life.expired is None and is_over:
                life.expired = moment.step

    def _results(self) -> list[tuple[Bounds | None, dict[str, Any]]]:
        new = self.harness.results().combine_chunks()
        if not isinstance(self._first, StagePlan) or not self._says_bounds:
            return [(None, row) for row in _readable(new)]
        unit, sides = self._first.time_unit, []
        for name, infinity in zip(_BOUNDS, (MINUS_INFINITY, PLUS_INFINITY), strict=True):
            column = new.column(name).combine_chunks()
            times, valid = to_us(column, unit, latest=PLUS_INFINITY)
            sides.append((times if valid is None else np.where(valid, times, infinity)).tolist())
        rows = _readable(new.drop_columns(list(_BOUNDS)))
        return list(zip(zip(*sides, strict=True), rows, strict=True))


def _readable(table: pa.Table) -> list[dict[str, Any]]:
    columns = [readable(column.combine_chunks()) for column in table.columns]
    rows = zip(*columns, strict=True) if columns else [()] * len(table)
    return [dict(zip(table.column_names, row, strict=True)) for row in rows]


def _fate(before: PartitionLedger | None, after: PartitionLedger | None) -> str:
    """Tell by two balances what became of the row between them."""
    if before is None or after is None:
        return ""
    return next((n for n in _FATES if getattr(after, n) > getattr(before, n)), "")


def _what(step: Step) -> str:
    match step:
        case Push(partition, rows):
            text = f"push {_named(partition)}{'' if rows else ', no rows'}"
        case PollEmpty(partition):
            text = f"poll {_named(partition)}, empty"
        case AdvanceClock(by_us):
            text = f"clock {format_us(by_us) if by_us < 0 else '+' + format_us(by_us)}"
        case Heartbeat(partition, _):
            text = f"heartbeat {_named(partition)}"
        case AddPartition(partition, historical):
            text = f"add {_named(partition)}{', historical' * historical}"
        case Finish(partition):
            text = f"finish {_named(partition)}"
        case Restart():
            text = "restart"
        case Checkpoint():
            text = "checkpoint"
        case Crash():
            text = "crash"
        case _:
            assert_never(step)
    return text


def _named(partition: str) -> str:
    """Return a name in one line."""
    return partition if partition.isprintable() else repr(partition)
