"""Two processes that commit epochs to one folder of part files, one call of either at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from crash.explorer import Wrong
from crash.interleaving import Actor, Killed, Turns
from crash.outputs import FOLDER, Parts
from eventtime.errors import FencedError, SinkError
from eventtime.testing.simulation.disk import SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ("Commits", "interleave_commits", "used_folder")

EPOCHS_EACH: Final = 2
PARTS: Final = Parts(EPOCHS_EACH)


@dataclass
class Commits(Actor):
    """One that recovers and commits epochs, whose rows say its token; what became of it."""

    token: int
    acknowledged: set[int] = field(default_factory=set)
    error: SinkError | FencedError | None = None

    def run(self, disk: SimulatedDisk) -> None:
        try:
            writer = PARTS.open(disk, "job")
            last = writer.recover(self.token)
            for epoch in range(last + 1, last + EPOCHS_EACH + 1):
                writer.commit(epoch, [PARTS.rows(epoch, 100 * self.token)], self.token)
                self.acknowledged.add(epoch)
        except (SinkError, FencedError) as error:
            self.error = error
        except Killed:
            pass


def used_folder() -> SimulatedDisk:
    """A folder with the epochs of a process that has ended."""
    disk = SimulatedDisk()
    disk.mkdir(FOLDER)
    disk.sync_folder("/")
    Commits(1).run(disk)
    return disk


def interleave_commits(
    before: SimulatedDisk,
    turns: Sequence[tuple[int, int]],
    *,
    tokens: tuple[int, int],
    to_kill: Collection[int] = (),
    crashes: bool = False,
) -> None:
    """Let two take turns, and look at what became of the folder.

    Args:
        before: the disk they find.
        turns: see `interleave`.
        tokens: of the two; who has the greater one came later.
        to_kill: processes that are killed when their turn is over.
        crashes: whether the machine crashes in the end.

    Raises:
        Wrong: what was acknowledged is lost, or is another process's; an epoch is there in part, or
            twice; a process failed that was neither fenced off nor kept out by a lock.
    """
    disk = before.copy()
    processes = [Commits(token) for token in tokens]
    Turns(disk, processes, turns, to_kill).go()
    for process in processes:
        error = process.error
        if not (error is None or isinstance(error, FencedError) or "another" in error.what):
            raise Wrong(str(error)) from error
    for state in disk.crashed() if crashes else [disk]:
        _check_after(state, processes)


def _check_after(disk: SimulatedDisk, processes: list[Commits]) -> None:
    last = PARTS.open(disk, "job").recover(9)
    by = {epoch: process.token for process in processes for epoch in process.acknowledged}
    if last < max(by, default=EPOCHS_EACH):
        msg = f"epoch {max(by)} was acknowledged, and is lost"
        raise Wrong(msg)
    wanted: dict[str, bytes] = {}
    found = PARTS.found(disk)
    for epoch in range(1, last + 1):
        tokens = [by[epoch]] if epoch in by else [1, *(process.token for process in processes)]
        versions = [PARTS.of_epoch(epoch, 100 * token) for token in tokens]
        wanted |= next((parts for parts in versions if parts.items() <= found.items()), {})
        if not any(parts.items() <= found.items() for parts in versions):
            msg = f"epoch {epoch} of {tokens} is not there: {sorted(found)}"
            raise Wrong(msg)
    if found != wanted:
        msg = f"there is {sorted(found.items() - wanted.items())} beside {last} epochs"
        raise Wrong(msg)
