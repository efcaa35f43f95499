"""What goes between the operators of a run, gathered step by step: each result is a row (S25)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from eventtime.explaining.values import values_of
from eventtime.timestamp import MINUS_INFINITY

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.stages import Handed, Stages
    from eventtime.windows.operator import Produced

__all__ = ("OperatorSeen", "Passed", "Passing")


@dataclass(frozen=True)
class Passed:
    """A result on its way into the next operator.

    Args:
        row: its number among the results of the operator before, from 0.
        values: its columns behind the steps between the two; before them, if a filter left it out.
        time_us: event time.
        judged_us: the watermark before it, of the operator that takes it.
        fate: 'windowed', 'late' or 'filtered'.
    """

    row: int
    values: dict[str, Any]
    time_us: int
    judged_us: int
    fate: str


@dataclass(frozen=True)
class OperatorSeen:
    """What a step was to one operator.

    Args:
        before_us, after_us: its watermark around the step.
        taken: rows that came to it, of an operator that is not the first.
        results: that it made.
    """

    before_us: int = MINUS_INFINITY
    after_us: int = MINUS_INFINITY
    taken: tuple[Passed, ...] = ()
    results: tuple[pa.RecordBatch, ...] = ()


class Passing:
    """Looks on, and tells step by step what it saw.

    Args:
        stages: to look at, with all state in memory.
    """

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        stages.onlooker = self
        n = len(stages.stages)
        self._rows, self._before_us = [0] * n, [MINUS_INFINITY] * n
        self._taken: list[list[Passed]] = [[] for _ in range(n)]
        self._results: list[list[pa.RecordBatch]] = [[] for _ in range(n)]
        # Where in `_taken` the rows stand that an operator was handed last.
        self._handed: list[list[int]] = [[] for _ in range(n)]

    def handed(self, operator: int, handed: Handed) -> None:
        first, n = self._rows[operator], handed.rows.num_rows
        self._rows[operator] += n
        taken, kept = self._taken[operator], handed.kept
        left = range(n) if kept is None else kept.tolist()
        at = dict(zip(left, range(n), strict=False))
        self._handed[operator] = [len(taken) + place for place in left]
        for i in range(n):
            rows, place = (handed.left, at[i]) if i in at else (handed.rows, i)
            time_us, judged_us = int(handed.time_us[i]), int(handed.judged_us[i])
            fate = "windowed" if i in at else "filtered"
            taken.append(Passed(first + i, values_of(rows, place), time_us, judged_us, fate))

    def made(self, operator: int, produced: Produced) -> None:
        results, taken = self._results[operator], self._taken[operator]
        results += [cast("pa.RecordBatch", made.batch) for made in produced.results]
        if operator and produced.late is not None:
            for place in produced.late.rows.tolist():
                i = self._handed[operator][place]
                taken[i] = replace(taken[i], fate="late")

    def step(self) -> tuple[OperatorSeen, ...]:
        """Return what operators have seen since the last call."""
        seen = []
        for i, stage in enumerate(self._stages.stages):
            before_us, after_us = self._before_us[i], stage.operator.watermark_us
            taken, results = tuple(self._taken[i]), tuple(self._results[i])
            seen.append(OperatorSeen(before_us, after_us, taken, results))
            self._before_us[i] = after_us
            self._taken[i].clear()
            self._results[i].clear()
        return tuple(seen)
