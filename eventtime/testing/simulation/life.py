"""One seed: a live run through crashes and faults, process after process, and what came of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from eventtime.checkpoints import Surroundings, checkpoints
from eventtime.checks import check_whole
from eventtime.compiled import compile_plan
from eventtime.errors import (
    CheckpointError,
    FencedError,
    JournalError,
    SinkError,
    SourceError,
)
from eventtime.journal.file import LocalJournal
from eventtime.live import live
from eventtime.rerun import replay_journal
from eventtime.state.storage import LocalStorage
from eventtime.testing.checking.differences import row_differences
from eventtime.testing.reference.plain import plain_rows
from eventtime.testing.simulation.chance import Chance
from eventtime.testing.simulation.pipelines import pipeline
from eventtime.testing.simulation.sink import SimulatedSink, Store
from eventtime.testing.simulation.source import SimulatedSource
from eventtime.testing.simulation.world import Crash, Deferred, Waits, World
from eventtime.wording import counted

if TYPE_CHECKING:
    from eventtime.checkpoints import Checkpoints
    from eventtime.run import Run

__all__ = ("Broken", "Survived", "simulate")

_TROUBLED_LIVES: Final = 12
"""After so many, nothing fails any more: the run has to come to its end."""

_MOST_LIVES: Final = 16
_MOST_TOLD: Final = 5
_JOURNAL: Final = "/run.journal"
_OUTSIDE: Final = (CheckpointError, JournalError, SinkError, SourceError)
"""What a process may end with after a fault."""


@dataclass(frozen=True)
class Survived:
    """What one seed went through.

    Args:
        seed: of it.
        trace: checksum of everything that happened; the same seed gives the same.
        turns: of the loop.
        rows: that came.
        crashes: processes that were killed, of which `machines` lost what was not durable.
        faults: calls of the disk, the source and the sinks that failed.
        restarts: processes that went on.
        checkpoints: that were begun.
    """

    seed: int
    trace: str
    turns: int = 0
    rows: int = 0
    crashes: int = 0
    machines: int = 0
    faults: int = 0
    restarts: int = 0
    checkpoints: int = 0

    def __str__(self) -> str:
        crashes = f"{self.crashes:,} {'crash' if self.crashes == 1 else 'crashes'}"
        return (
            f"{counted(self.turns, 'step')}, {counted(self.rows, 'row')}, "
            f"{counted(self.checkpoints, 'checkpoint')}, "
            f"{crashes} ({self.machines:,} of the machine), "
            f"{counted(self.faults, 'fault')}, {counted(self.restarts, 'restart')}"
        )


@dataclass(frozen=True)
class Broken:
    """A part that is broken on purpose, to see that the simulation finds it.

    Args:
        sink_forgets: a sink takes an epoch as often as it is given it.
        disk_loses: a disk that says it has synced a file, and has not.
    """

    sink_forgets: bool = False
    disk_loses: bool = False


def simulate(seed: int, broken: Broken = Broken()) -> Survived:
    """Run one seed, and check what came of it.

    A pipeline follows partitions that come, go and are silent, with rows in disorder, on a clock
    that is stepped back at times. Calls of the disk that holds checkpoints and journal fail or are
    torn, so do the source and the sinks; the process is killed anywhere, or the machine fails, and
    another process goes on. In the end each output holds, exactly once, what a run never disturbed
    gives that is told the same (S28); each row is accounted for (S26).

    Args:
        seed: the same gives the same, to the last call.
        broken: what is broken on purpose.

    Raises:
        AssertionError: what was promised and is not so; names the command that shows it again.
        PlanError: the seed is no whole number from 0.
    """
    what, remedy = "a whole number from 0", "such as 7"
    check_whole(seed, least=0, what=what, place="simulate(seed)", remedy=remedy)
    try:
        return _Seed(seed, broken).run()
    except Exception as error:
        again = f"eventtime soak --seed {seed}"
        msg = f"seed {seed}: {type(error).__name__}: {error}\n  again: {again}"
        raise AssertionError(msg) from error


class _Seed:
    def __init__(self, seed: int, broken: Broken) -> None:
        self._seed, chance = seed, Chance(seed)
        self._world = World(chance)
        self._pipeline = pipeline(chance)
        self._stream = self._pipeline.over(SimulatedSource(self._world))
        plan = compile_plan(self._stream.node)
        self._schemas = {"": plan.schema, **plan.side_schemas}
        tags = [*self._schemas, "quarantine"]
        self._stores = {tag: Store(self._world, tag, broken.sink_forgets) for tag in tags}
        self._every_rows = chance.one_of([5, 20, 60])
        self._shards = chance.one_of([1, 1, 1, 2])
        self._disk_loses = broken.disk_loses

    def run(self) -> Survived:
        world = self._world
        ran = None
        while ran is None or not ran.is_finished:
            assert world.counts["lives"] < _MOST_LIVES, "the run does not come to its end"
            world.is_calm = world.counts["lives"] >= _TROUBLED_LIVES
            world.begin_life()
            ran = self._life()
        self._check(ran)
        counts = world.counts
        return Survived(
            self._seed,
            world.trace.digest(),
            turns=counts["turns"],
            rows=sum(len(lane.rows) for lane in world.lanes),
            crashes=counts["crashes"],
            machines=counts["machines"],
            faults=counts["faults"],
            restarts=counts["lives"] - 1,
            checkpoints=counts["checkpoints"],
        )

    def _life(self) -> Run | None:
        """Let one process work; None: it was killed, or gave up because of a fault."""
        world = self._world
        before = world.counts["faults"]
        if self._disk_loses:
            world.disk.sync = lambda handle: None  # type: ignore[method-assign]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "the last .* of the journal", RuntimeWarning)
                return self._work()
        except Crash:
            return None
        except FencedError:
            raise
        except _OUTSIDE as error:
            if world.is_dead or world.counts["faults"] > before:
                return None
            msg = f"nothing failed, and yet: {error}"
            raise AssertionError(msg) from error

    def _work(self) -> Run:
        world, chance = self._world, self._world.chance
        stops_after = chance.between(1, 60) if chance.happens(0.3) and not world.is_calm else None
        turns = 0

        def stop() -> bool:
            nonlocal turns
            turns += 1
            return turns == stops_after

        return self._stream.run(
            SimulatedSink(self._stores[""]),
            sides={tag: SimulatedSink(store) for tag, store in self._stores.items() if tag},
            shards=self._shards,
            checkpoint=self._checkpoints(),
            stop=stop,
            live=live(clock=world.clock, alarm=Waits(world), latency="0s"),
            journal=LocalJournal(_JOURNAL, world.disk),
        )

    def _checkpoints(self) -> Checkpoints:
        world = self._world

        def executor() -> Deferred:
            return Deferred(world)

        storage = LocalStorage("/state", world.disk)
        every = "10s" if self._every_rows == 60 else None
        described = checkpoints("/state", every=every, every_rows=self._every_rows, keep=2)
        return replace(described, within=Surroundings(storage, executor, world.nonce))

    def _check(self, ran: Run) -> None:
        """Compare with a run never disturbed, which is told what counted; and count the rows."""
        world = self._world
        world.is_calm, world.is_dead = True, False
        copy = self._pipeline.over(SimulatedSource(world, is_copy=True))
        wanted = replay_journal(copy, LocalJournal(_JOURNAL, world.disk))
        ran.assert_balanced()
        rows = sum(len(lane.rows) for lane in world.lanes)
        assert ran.ledger.total.rows_in == rows, f"{ran.ledger.total.rows_in} rows in, not {rows}"
        assert wanted.is_finished, "the journal does not tell of the end"
        unlike = f"the ledger\n{ran.ledger}\nis not that of a run never disturbed\n{wanted.ledger}"
        assert ran.ledger == wanted.ledger, unlike
        for tag, store in self._stores.items():
            table = wanted.side(tag) if tag else wanted.table()
            self._same(tag or "results", store.table(table.schema), table)
        for tag, store in self._stores.items():
            numbers = [epoch for epoch, _ in store.epochs]
            assert sorted(set(numbers)) == numbers, f"{tag or 'results'}: epochs {numbers}"
        self._check_ids()

    def _same(self, what: str, got: Any, wanted: Any) -> None:
        if not got.combine_chunks().equals(wanted.combine_chunks()):
            found = row_differences(what, plain_rows(got), plain_rows(wanted))
            lines = found or [f"{what}: equal rows, but not the bytes of a run never disturbed"]
            raise AssertionError("\n  ".join(lines[:_MOST_TOLD]))

    def _check_ids(self) -> None:
        """Of windows that list their rows: each row is in one place, and in no other."""
        if "ids" not in self._schemas[""].names:
            return
        windows: dict[Any, list[int]] = {}
        for row in self._stores[""].table(self._schemas[""]).to_pylist():
            place = row["key"], row["window_start"]
            before = windows.get(place, []) if self._pipeline.mode == "discarding" else []
            if row.get("diff", 1) > 0:
                windows[place] = before + row["ids"]
        found = [n for ids in windows.values() for n in ids]
        for tag in ("late", "quarantine"):
            for _, batches in self._stores[tag].epochs:
                found += [n for batch in batches for n in batch.column("n").to_pylist()]
        wanted = sorted(row["n"] for lane in self._world.lanes for row in lane.rows)
        assert sorted(found) == wanted, f"rows {sorted(found)} are somewhere, not {wanted}"
