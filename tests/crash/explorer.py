"""What a job does with checkpoints, and what must hold of them at every instant (S27, S28)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from eventtime.clock import ManualClock
from eventtime.state.checkpoints import CheckpointStore
from eventtime.state.manifest import Name
from eventtime.state.saved import list_checkpoints
from eventtime.state.storage import LocalStorage
from eventtime.testing.simulation.disk import WRITES, SimulatedDisk, nothing

if TYPE_CHECKING:
    from eventtime.state.saved import Checkpoint

__all__ = (
    "FIRST",
    "PLACE",
    "Job",
    "State",
    "Told",
    "Wrong",
    "check_nothing_leaked",
    "check_whole",
    "explore",
    "look_at_all",
    "open_store",
    "recover",
    "run",
    "states_after",
    "storage_of",
)

PLACE: Final = "/checkpoints"
FIRST: Final = Name(0, 0)
PARTS: Final = range(4)

Told = Callable[[Name], None]
K = TypeVar("K")
State = tuple[SimulatedDisk, Name]
"""A disk, and the newest checkpoint that was acknowledged before."""


class Wrong(AssertionError):  # noqa: N818 - what a mutant must lead to
    """Something that must never be."""


def storage_of(disk: SimulatedDisk) -> LocalStorage:
    return LocalStorage(PLACE, disk)


def open_store(disk: SimulatedDisk, nonces: str = "a", *, keep: int) -> CheckpointStore:
    """Open as a process does; nonces are its own."""
    numbers = itertools.count()
    return CheckpointStore.open(
        storage_of(disk), keep=keep, clock=ManualClock(), nonce=lambda: f"{nonces}{next(numbers)}"
    )


def contents(checkpoint: Checkpoint) -> dict[str, int]:
    """Version of each part, as its block says."""
    return {
        str(block.entry.about["at"]): block.batch().column(0)[0].as_py()
        for block in checkpoint.blocks
    }


def check_whole(checkpoint: Checkpoint) -> None:
    """Its blocks hold what its head says."""
    found, said = contents(checkpoint), checkpoint.head["versions"]
    if found != said:
        msg = f"{checkpoint.name} holds {found}, not {said}"
        raise Wrong(msg)


@dataclass
class Job:
    """A process that counts: part i changes in every checkpoint that i + 1 divides."""

    store: CheckpointStore
    acknowledged: Name = FIRST
    versions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        newest = self.store.newest()
        if newest is not None:
            check_whole(newest)
            self.versions = dict(newest.head["versions"])

    def write(self) -> Checkpoint:
        step = self.versions.get("0", 0) + 1
        versions = {str(i): self.versions.get(str(i), 0) if step % (i + 1) else step for i in PARTS}
        parts = self.store.parts()
        for at, version in versions.items():
            if not parts.keep(version, at=at):
                parts.add(partial(_rows, version), version, at=at)
        written = self.store.write({"versions": versions}, parts.blocks)
        self.acknowledged, self.versions = written.name, versions
        return written


def _rows(version: int) -> pa.RecordBatch:
    return pa.record_batch({"version": pa.array([version], pa.int64())})


def run(disk: SimulatedDisk, told: Told, *, checkpoints: int, keep: int) -> None:
    """Start, and write checkpoints."""
    job = Job(open_store(disk, keep=keep))
    for _ in range(checkpoints):
        told(job.write().name)


def states_after(
    disk: SimulatedDisk,
    work: Callable[[SimulatedDisk, Callable[[K], None]], None],
    acknowledged: K,
    *,
    kills: bool = False,
) -> list[tuple[SimulatedDisk, K]]:
    """Do some work; return what may be found if it crashes, at each of its system calls.

    Args:
        disk: to work on.
        work: gets the disk, and a function to be told what is acknowledged.
        acknowledged: before.
        kills: also what is found if only the process dies: nothing is lost, nor made durable.
    """
    instants = [(disk.copy(), acknowledged)]

    def told(name: K) -> None:
        instants.append((disk.copy(), name))

    def see(call: str, *_: object) -> None:
        if call in WRITES:
            instants.append((disk.copy(), instants[-1][1]))

    disk.after = see
    work(disk, told)
    disk.after = nothing
    found = {
        (name, frozenset(state.contents().items())): (state, name)
        for instant, name in instants
        for state in instant.crashed()
    }
    return [*found.values(), *(instants if kills else [])]


def recover(disk: SimulatedDisk, told: Told, acknowledged: Name, *, keep: int) -> None:
    """Start after a crash, go on, and look at everything."""
    look_at_all(disk)
    job = Job(open_store(disk, "b", keep=keep))
    newest = job.store.newest()
    if (FIRST if newest is None else newest.name) < acknowledged:
        msg = f"{acknowledged} was acknowledged, and is lost"
        raise Wrong(msg)
    told(job.write().name)
    look_at_all(disk)
    check_nothing_leaked(disk, keep)


def explore(checkpoints: int, keep: int, every: int = 1) -> tuple[int, int]:
    """Crash everywhere; from all that may be found then recover, and crash everywhere again.

    Args:
        checkpoints: written before.
        keep: so many stay.
        every: of the second crashes only so many-th are gone into.

    Returns:
        How many states were recovered from: after one crash, after two.
    """
    work = partial(run, checkpoints=checkpoints, keep=keep)
    states = states_after(SimulatedDisk(), work, FIRST)
    for state, name in states:
        recover(state.copy(), lambda _: None, name, keep=keep)
    again: dict[Any, State] = {}
    for state, name in states:
        work = partial(recover, acknowledged=name, keep=keep)
        for second, known in states_after(state, work, name):
            again[known, frozenset(second.contents().items())] = second, known
    chosen = list(again.values())[::every]
    for state, name in chosen:
        recover(state, lambda _: None, name, keep=keep)
    return len(states), len(chosen)


def look_at_all(disk: SimulatedDisk) -> None:
    """Every checkpoint that shows can be restored."""
    for found in list_checkpoints(storage_of(disk)):
        if found.checkpoint is None:
            msg = f"{found.name} shows, and cannot be restored: {found.damage}"
            raise Wrong(msg)
        check_whole(found.checkpoint)


def check_nothing_leaked(disk: SimulatedDisk, keep: int) -> None:
    """Files are those of the checkpoints that stay, and one claim."""
    checkpoints = [found.checkpoint for found in list_checkpoints(storage_of(disk))]
    packs = {f"packs/{pack.name}" for it in checkpoints if it for pack in it.manifest.packs}
    manifests = {f"manifests/{it.name}" for it in checkpoints if it}
    there = {path[len(PLACE) + 1 :] for path, data in disk.contents().items() if data is not None}
    claims = {file for file in there if file.startswith("claims/")}
    leaked = there - claims - packs - manifests
    if leaked or len(claims) != 1 or len(manifests) > keep:
        msg = f"leaked: {sorted(leaked)}, {sorted(claims)}, {sorted(manifests)}"
        raise Wrong(msg)
