"""Epochs as part files on a disk that crashes, and what must hold at every instant (S28)."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from crash.simulated_disk import FOLDER, WRITES, SimulatedDisk, nothing
from eventtime.sinks.by_day import DaySplitter, by_day
from eventtime.sinks.csv import to_csv
from eventtime.sinks.folders import FolderEpochs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Wrong", "explore_folder")

PLACE: Final = "/out"
EPOCHS: Final = 2
_DAY_S: Final = 86_400
_SCHEMA: Final = pa.schema([("n", pa.int64()), ("window_start", pa.timestamp("s"))])
_VISIBLE: Final = re.compile(rf"{PLACE}/window_day=[^/]*/part-0*(\d+)-\d+\.csv")

State = tuple[SimulatedDisk, int]
"""A disk, and the last epoch that was acknowledged before."""


class Wrong(AssertionError):  # noqa: N818 - what a slip must lead to
    """Something that must never be."""


class WithFolders(SimulatedDisk):
    """A `FolderDisk` that is the same simulated one; its lock dies with its process."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self.__dict__ = disk.__dict__

    def list_folders(self, path: str) -> list[str]:
        if path not in self.folders:
            raise FileNotFoundError(path)
        found = self.folders[path].now().items()
        return sorted(name for name, file in found if file == FOLDER)

    def lock(self, path: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def opened(disk: SimulatedDisk) -> FolderEpochs:
    return FolderEpochs(
        PLACE,
        to_csv("x").format,
        _SCHEMA,
        DaySplitter(by_day(), _SCHEMA),
        job="job",
        overwrite=False,
        disk=WithFolders(disk),
    )


def rows_of(epoch: int) -> pa.RecordBatch:
    """Two rows, of two days."""
    return pa.record_batch([[2 * epoch, 2 * epoch + 1], [0, _DAY_S]], schema=_SCHEMA)


def visible(disk: SimulatedDisk) -> list[int]:
    """Rows that a reader sees."""
    found = []
    for path, data in disk.contents().items():
        match = _VISIBLE.fullmatch(path)
        if match is not None:
            assert data is not None
            epoch, lines = int(match[1]), data.decode("latin-1").split("\n")
            n = 2 * epoch + ("1970-01-02" in path)
            if (
                lines[0] != "n,window_start"
                or not lines[1].startswith(f"{n},1970")
                or lines[2:] != [""]
            ):
                msg = f"{path} shows {data!r}"
                raise Wrong(msg)
            found.append(n)
    return sorted(found)


def check(disk: SimulatedDisk, last: int, when: str) -> None:
    wanted = list(range(2, 2 * last + 2))
    if visible(disk) != wanted:
        msg = f"{when}: {visible(disk)}, not {wanted}"
        raise Wrong(msg)


def recover(
    disk: SimulatedDisk, told: Callable[[int], None], acknowledged: int, token: int
) -> None:
    """Start after a crash, and go on to the last epoch."""
    visible(disk)
    writer = opened(disk)
    last = writer.recover(token)
    if last < acknowledged:
        msg = f"epoch {acknowledged} was acknowledged, and is lost"
        raise Wrong(msg)
    check(disk, last, "recovered")
    for epoch in range(last + 1, EPOCHS + 1):
        writer.commit(epoch, [rows_of(epoch)], token)
        told(epoch)
        check(disk, epoch, "went on")
    hidden = [path for path in disk.contents() if "/.part" in path]
    if hidden:
        msg = f"left: {hidden}"
        raise Wrong(msg)


def states_after(disk: SimulatedDisk, acknowledged: int, token: int) -> list[State]:
    """Run to the end; return what may be found if it crashes, at each of its system calls."""
    instants = [(disk.copy(), acknowledged)]

    def told(epoch: int) -> None:
        instants.append((disk.copy(), epoch))

    def see(call: str, *_: object) -> None:
        if call in WRITES:
            instants.append((disk.copy(), instants[-1][1]))

    disk.after = see
    recover(disk, told, acknowledged, token)
    disk.after = nothing
    found = {
        (known, frozenset(state.contents().items())): (state, known)
        for instant, known in instants
        for state in instant.crashed()
    }
    return list(found.values())


def explore_folder() -> tuple[int, int]:
    """Crash everywhere; recover, and crash everywhere in that again.

    Returns:
        How many states were recovered from: after one crash, after two.
    """
    first = SimulatedDisk()
    states = states_after(first, 0, 1)
    for state, known in states:
        recover(state.copy(), lambda _: None, known, 2)
    again: dict[Any, State] = {}
    for state, known in states:
        for second, then in states_after(state.copy(), known, 2):
            again[then, frozenset(second.contents().items())] = second, then
    for state, known in again.values():
        recover(state, lambda _: None, known, 3)
    return len(states), len(again)
