"""One way to run a pipeline over steps, and all that it gives."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.clock import ManualClock
from eventtime.engine import Engine
from eventtime.errors import LedgerError
from eventtime.execution import QUARANTINE
from eventtime.testing.driving import drive
from eventtime.testing.steps import AdvanceClock, Push, Restart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from eventtime.compiled import CompiledPlan
    from eventtime.ledger import Ledger
    from eventtime.testing.steps import Step, Told

__all__ = ("RESULTS", "Laid", "Moment", "Outcome", "Ready", "Way", "one_by_one", "run")

RESULTS: Final = "results"
"""Beside the tags of side outputs."""
Laid = tuple["Step", "pa.RecordBatch | None"]
"""A step, with its rows as a batch if it has any."""


@dataclass(frozen=True)
class Ready:
    """A pipeline that was compiled, for many engines; stands where a stream does."""

    node: CompiledPlan

    @property
    def tags(self) -> tuple[str, ...]:
        """Of side outputs."""
        return (*self.node.side_schemas, QUARANTINE)


@dataclass(frozen=True)
class Way:
    """How to run.

    Args:
        pieces: into which batches the rows of a push are cut.
        shards: threads that share the keys.
        is_watched: whether to look at everything after each piece.
        is_restarted: whether to save, destroy and restore after each piece.
        has_restarts: whether to do so where the steps say it; that nobody can tell.
    """

    pieces: Callable[[pa.RecordBatch], Iterable[pa.RecordBatch]] = lambda batch: (batch,)
    shards: int = 1
    is_watched: bool = False
    is_restarted: bool = False
    has_restarts: bool = False


def one_by_one(batch: pa.RecordBatch) -> Iterable[pa.RecordBatch]:
    """Cut rows into pieces of one."""
    return (batch.slice(i, 1) for i in range(batch.num_rows))


@dataclass(frozen=True)
class Moment:
    """What is seen after a step, or after a part of the rows that were pushed.

    Args:
        step: number of the step; is_last: whether it is over.
        watermark_us: the combined one.
        new: what came out since the moment before, by tag.
    """

    step: int
    is_last: bool
    watermark_us: int
    new: dict[str, pa.Table]


@dataclass
class Outcome:
    """All that a run gave.

    Args:
        tables: results and side outputs.
        ledger: the balance at the end.
        watermark_us: at the end.
        is_empty: whether no state was held at the end (S30).
        imbalance: what the ledger said when it did not balance for the first time.
        moments: what was seen on the way, if it was watched.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    watermark_us: int = 0
    is_empty: bool = False
    imbalance: str = ""
    moments: list[Moment] = field(default_factory=list)


def run(
    ready: Ready, partitions: Sequence[str], start_us: int, steps: Sequence[Laid], way: Way
) -> Outcome:
    """Run a pipeline.

    Args:
        ready: the pipeline.
        partitions: known at the start.
        start_us: what the clock shows then.
        steps: what happens.
        way: how.
    """
    running = _Running(ready, partitions, start_us, way)
    try:
        for number, (step, batch) in enumerate(steps):
            running.take(number, step, batch)
        return running.outcome()
    finally:
        running.engine.suspend()


class _Running:
    def __init__(self, ready: Ready, partitions: Sequence[str], start_us: int, way: Way) -> None:
        self._ready, self._way = ready, way
        self._clock = ManualClock(start_us)
        stream: Any = ready
        names = list(partitions)
        self.engine = Engine(stream, names, clock=self._clock, shards=way.shards)
        self._out = Outcome()
        self._taken: dict[str, list[pa.Table]] = {name: [] for name in (RESULTS, *ready.tags)}

    def take(self, number: int, step: Step, batch: pa.RecordBatch | None) -> None:
        if not isinstance(step, Push):
            self._do(step)
            self._see(number, step, is_last=True)
            return
        assert batch is not None
        pieces = list(self._way.pieces(batch)) or [batch]
        for piece in pieces:
            self.engine.push(step.partition, piece)
            self._see(number, step, is_last=piece is pieces[-1])

    def outcome(self) -> Outcome:
        self._take()
        out = self._out
        out.tables = {name: pa.concat_tables(parts) for name, parts in self._taken.items()}
        out.ledger = self.engine.ledger.to_dict()
        out.watermark_us, out.is_empty = self.engine.watermark_us, self.engine.is_empty
        return out

    def _do(self, step: Told | Restart) -> None:
        if not isinstance(step, Restart):
            drive(self.engine, self._clock, step)
        elif self._way.has_restarts:
            self._restart()

    def _restart(self) -> None:
        stream: Any = self._ready
        saved = io.BytesIO()
        self.engine.savepoint(saved)
        self.engine.suspend()
        saved.seek(0)
        self.engine = Engine.restore(stream, saved, clock=self._clock, shards=self._way.shards)

    def _see(self, number: int, step: Step, *, is_last: bool) -> None:
        if self._way.is_watched:
            new, out = self._take(), self._out
            out.imbalance = out.imbalance or _imbalance(self.engine.ledger)
            out.moments.append(Moment(number, is_last, self.engine.watermark_us, new))
        # Since the last one an engine has taken in nothing.
        if self._way.is_restarted and not isinstance(step, AdvanceClock | Restart):
            self._restart()

    def _take(self) -> dict[str, pa.Table]:
        new = {RESULTS: self.engine.results()}
        new |= {tag: self.engine.side(tag) for tag in self._ready.tags}
        for name, table in new.items():
            self._taken[name].append(table)
        return new


def _imbalance(ledger: Ledger) -> str:
    try:
        ledger.assert_balanced()
    except LedgerError as error:
        return error.what
    return ""
