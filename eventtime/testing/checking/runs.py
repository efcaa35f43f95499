"""One way to run a pipeline over steps, and all that it gives."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.clock import ManualClock
from eventtime.engine import Engine
from eventtime.errors import LedgerError
from eventtime.testing.checking.kept import kept_in_memory
from eventtime.testing.driving import drive
from eventtime.testing.steps import Checkpoint, Crash, Push, Survived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from eventtime.ledger import Ledger
    from eventtime.testing.ready import Ready
    from eventtime.testing.steps import Step, Told

__all__ = ("RESULTS", "Laid", "Moment", "Outcome", "Way", "run")

RESULTS: Final = "results"
"""Beside the tags of side outputs."""
Laid = tuple["Step", "pa.RecordBatch | None"]
"""A step, with its rows as a batch if it has any."""


@dataclass(frozen=True)
class Way:
    """How to run.

    Args:
        pieces: into which batches the rows of a push are cut.
        shards: threads that share the keys; fewer behind a restart, down to one, then all again.
        is_watched: whether to look at everything after each piece.
        has_restarts: whether to save, destroy and restore where the steps say it, to cut
            checkpoints and to crash: that nobody can tell.
    """

    pieces: Callable[[pa.RecordBatch], Iterable[pa.RecordBatch]] = lambda batch: (batch,)
    shards: int = 1
    is_watched: bool = False
    has_restarts: bool = False


@dataclass(frozen=True)
class Moment:
    """What is seen after a step, or after a part of the rows that were pushed.

    Args:
        step: number of the step; is_last: whether it is over.
        watermark_us: the combined one.
        new: what came out since the moment before, by tag; side outputs where a step is over.
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
    may_crash = way.has_restarts and any(isinstance(s, Checkpoint | Crash) for s, _ in steps)
    running = _Running(ready, partitions, start_us, way, may_crash=may_crash)
    try:
        for number, (step, batch) in enumerate(steps):
            running.take(number, step, batch)
        return running.outcome()
    finally:
        running.engine.suspend()


class _Running:
    """One run: engines, one in the place of the other, over one clock.

    What was put in is remembered, as a source keeps it, and with a checkpoint how much of it is
    inside, how much was taken, and what the clock showed: so behind a crash the rest comes again.
    """

    def __init__(
        self,
        ready: Ready,
        partitions: Sequence[str],
        start_us: int,
        way: Way,
        *,
        may_crash: bool,
    ) -> None:
        self._ready, self._way = ready, way
        self._partitions = list(partitions)
        self._clock = ManualClock(start_us)
        self._kept = kept_in_memory() if may_crash else None
        self._lives = 0
        self.engine = self._begun()
        self._out = Outcome()
        self._sides = ready.tags
        self._taken: dict[str, list[pa.Table]] = {name: [] for name in (RESULTS, *self._sides)}
        self._done: list[Laid] = []
        self._cut = 0, self._counts(), start_us

    def take(self, number: int, step: Step, batch: pa.RecordBatch | None) -> None:
        if not isinstance(step, Push):
            if not isinstance(step, Survived):
                self._put(step, None)
            elif self._way.has_restarts:
                self._survive(step)
            self._see(number, is_last=True)
            return
        assert batch is not None
        pieces = list(self._way.pieces(batch)) or [batch]
        for piece in pieces:
            self._put(step, piece)
            self._see(number, is_last=piece is pieces[-1])

    def outcome(self) -> Outcome:
        self._take(self._sides)
        out = self._out
        out.tables = {name: pa.concat_tables(parts) for name, parts in self._taken.items()}
        out.ledger = self.engine.ledger.to_dict()
        out.watermark_us, out.is_empty = self.engine.watermark_us, self.engine.is_empty
        return out

    def _begun(self) -> Engine:
        """Make an engine, which goes on from the last checkpoint if there is one."""
        stream: Any = self._ready.for_one()
        clock, shards, kept = self._clock, self._shards(), self._kept
        return Engine(stream, self._partitions, clock=clock, shards=shards, checkpoint=kept)

    def _shards(self) -> int:
        most, lives = self._way.shards, self._lives
        self._lives += 1
        return most - lives % most

    def _put(self, step: Push | Told, batch: pa.RecordBatch | None) -> None:
        self._done.append((step, batch))
        self._do(step, batch)

    def _do(self, step: Any, batch: pa.RecordBatch | None) -> None:
        if batch is None:
            drive(self.engine, self._clock, step)
        else:
            self.engine.push(step.partition, batch)

    def _survive(self, step: Survived) -> None:
        if self._kept is None:
            self._restart()
            return
        if not isinstance(step, Crash):
            self.engine.checkpoint()
            self._cut = len(self._done), self._counts(), self._clock.now_us()
        if not isinstance(step, Checkpoint):
            self._crash()

    def _crash(self) -> None:
        """Lose the engine, and what came out since the checkpoint; let its input come again."""
        done, taken, now_us = self._cut
        self._clock.advance(now_us + self._ready.downtime_us - self._clock.now_us())
        self.engine.suspend()
        self.engine = self._begun()
        for name, tables in self._taken.items():
            del tables[taken[name] :]
        for step, batch in self._done[done:]:
            self._do(step, batch)
        self._take(self._sides)  # again, and so nothing that is new

    def _restart(self) -> None:
        stream: Any = self._ready.for_one()
        saved = io.BytesIO()
        self.engine.savepoint(saved)
        self.engine.suspend()
        saved.seek(0)
        self._clock.advance(self._ready.downtime_us)
        self.engine = Engine.restore(stream, saved, clock=self._clock, shards=self._shards())

    def _see(self, number: int, *, is_last: bool) -> None:
        if self._way.is_watched:
            new, out = self._take(self._sides if is_last else ()), self._out
            if is_last and not out.imbalance:
                out.imbalance = _imbalance(self.engine.ledger)
            out.moments.append(Moment(number, is_last, self.engine.watermark_us, new))

    def _counts(self) -> dict[str, int]:
        return {name: len(tables) for name, tables in self._taken.items()}

    def _take(self, sides: Sequence[str]) -> dict[str, pa.Table]:
        new = {RESULTS: self.engine.results(), **{tag: self.engine.side(tag) for tag in sides}}
        for name, table in new.items():
            self._taken[name].append(table)
        return new


def _imbalance(ledger: Ledger) -> str:
    try:
        ledger.assert_balanced()
    except LedgerError as error:
        return error.what
    return ""
