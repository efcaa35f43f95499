"""A replay, watched: its rows are taken one by one, in replay order (S10)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from eventtime.execution import QUARANTINE, Execution
from eventtime.explaining.passing import Passing
from eventtime.explaining.seen import Seen, Standing, stood
from eventtime.explaining.values import values_of
from eventtime.journal.counting import Counted
from eventtime.journal.wrapped import wrapped
from eventtime.sources.base import MalformedRows, count_of
from eventtime.sources.rebatch import one_by_one
from eventtime.timestamp import MINUS_INFINITY
from eventtime.transform import Transform

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.compiled import CompiledPlan
    from eventtime.engine_look import PartitionLook
    from eventtime.explaining.seen import Watch
    from eventtime.pieces import Piece
    from eventtime.replay import Step
    from eventtime.sources.base import Rows
    from eventtime.sources.feed import AnySource

__all__ = ("watch_replay",)


def watch_replay(plan: CompiledPlan, watch: Watch) -> None:
    """Run a replay to its end, and show each step."""
    for _ in _Watched(plan, watch).execution.results():
        pass


class _Watched:
    def __init__(self, plan: CompiledPlan, watch: Watch) -> None:
        self._watch, self._plan = watch, plan
        self._sides: defaultdict[str, list[pa.RecordBatch]] = defaultdict(list)
        self._late = 0
        # Numbers of the rows that filters before the watermark leave, as they are read.
        self._left: dict[str, list[np.ndarray[Any, np.dtype[np.int64]]]] = {}
        self._read: dict[str, int] = {}
        branches = wrapped(plan, self._counting) if any(b.steps for b in plan.branches) else plan
        self.execution = Execution(
            branches,
            lambda tag, batch: self._sides[tag].append(batch),
            step_rows=1,
            observe=self._see,
        )
        self._passing = Passing(self.execution.stages)

    def _counting(self, source: AnySource, i: int) -> AnySource:
        return Counted(source, i, self._count)

    def _count(self, source: int, name: str, rows: Rows) -> None:
        branch, first = self._plan.branches[source], self._read.get(name, 0)
        numbers = np.arange(first, first + count_of(rows))
        self._read[name] = first + len(numbers)
        if not isinstance(rows, MalformedRows):
            steps = Transform(branch.steps, branch.schema, name)
            kept = steps.apply_keeping_places(rows)[1]
            numbers = numbers if kept is None else numbers[kept]
        self._left.setdefault(name, []).append(numbers)

    def _number(self, partition: str, number: int) -> int:
        """Return the number that the source has for a row: filters leave some out."""
        name = partition if partition in self._left else partition.partition("/")[2]
        for numbers in self._left.get(name, []):
            if number < len(numbers):
                return int(numbers[number])
            number -= len(numbers)
        return number

    def _see(self, step: Step) -> None:
        self._see_aside(step)
        sides = {tag: tuple(rows) for tag, rows in self._sides.items() if rows}
        self._sides.clear()
        more: dict[str, Any] = {}
        what = "the end of all input"
        if step.pieces:
            more = self._about_row(step, step.pieces[0])
            what = f"row {more['row']:,} of partition {more['partition']!r}"
        now, before = stood(self.execution.progress), self._watch.last
        if step.chunk is not None:
            judged = int(step.chunk.all_watermarks()[0])
            partitions = before.partitions or _unheard(now.partitions)
            before = Standing(judged, before.held_by, partitions)
        seen = Seen(
            what,
            before,
            step.watermark_us,
            sides=sides,
            operators=self._passing.step(),
            set_by=self._watch.set_by,
            **more,
        )
        self._watch.show(seen, now)

    def _about_row(self, step: Step, piece: Piece) -> dict[str, Any]:
        at, block = piece.last - 1, piece.ready.block
        partition = self.execution.names[piece.partition]
        late, self._late = self._late, sum(it.late for it in self.execution.balances())
        assert block.source is not None
        return {
            "partition": partition,
            "row": self._number(partition, int(piece.ready.numbers[at])),
            "fate": "late" if self._late > late else "windowed",
            "time_us": int(block.time_us[at]),
            "values": values_of(block.source.batch, at),
        }

    def _see_aside(self, step: Step) -> None:
        """Show rows that were set aside, each by itself."""
        batches = self._sides.pop(QUARANTINE, [])
        before = self._watch.last
        rows = [row for batch in batches for row in one_by_one(batch)]
        places = [
            (place, aside.rank, number, i, aside.partition, aside.rows.reason)
            for i, aside in enumerate(step.aside)
            for place, number in zip(
                aside.places.tolist(), aside.rows.numbers.tolist(), strict=True
            )
        ]
        for row, (_, _, number, _, p, reason) in zip(rows, sorted(places), strict=True):
            partition = self.execution.names[p]
            n = self._number(partition, number)
            seen = Seen(
                f"row {n:,} of partition {partition!r}",
                before,
                before.watermark_us,
                partition=partition,
                row=n,
                fate=reason,
                values=values_of(row, 0),
                sides={QUARANTINE: (row,)},
                set_by=self._watch.set_by,
            )
            self._watch.show(seen, before)


def _unheard(partitions: tuple[PartitionLook, ...]) -> tuple[PartitionLook, ...]:
    """Return partitions as they were before the first row."""
    return tuple(replace(partition, watermark_us=MINUS_INFINITY) for partition in partitions)
