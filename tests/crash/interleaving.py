"""Several processes on one disk, of which one at a time goes on until it is another's turn."""

from __future__ import annotations

import abc
import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from crash.explorer import (
    FIRST,
    Job,
    Wrong,
    check_nothing_leaked,
    look_at_all,
    open_store,
)
from eventtime.errors import CheckpointError, FencedError
from eventtime.testing.simulation.disk import SimulatedDisk, nothing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from eventtime.state.manifest import Name

__all__ = (
    "CHECKPOINTS_EACH",
    "Actor",
    "Killed",
    "Process",
    "Turns",
    "calls_of",
    "interleave",
    "schedules",
)

CHECKPOINTS_EACH: Final = 2
# What these do cannot be seen by another process, so a switch before them is one after them.
UNSEEN: Final = {"write", "sync", "close", "sync_folder"}
_PATIENCE_S: Final = 60


class Killed(BaseException):
    """Ends a process at once."""


@dataclass(kw_only=True)
class Actor(abc.ABC):
    """One that works on a disk or store when it is its turn."""

    calls: int = 0
    slip: BaseException | None = None
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    @abc.abstractmethod
    def run(self, disk: Any) -> None:
        """Do all that it does."""


@dataclass
class Process(Actor):
    """One that opens the checkpoints and writes some; what became of it."""

    nonces: str
    keep: int
    token: int = 0
    adopted: Name = FIRST
    acknowledged: Name = FIRST
    error: CheckpointError | None = None
    is_killed: bool = False

    def run(self, disk: Any) -> None:
        try:
            job = Job(open_store(disk, self.nonces, keep=self.keep))
            self.token = job.store.token
            newest = job.store.newest()
            self.adopted = FIRST if newest is None else newest.name
            for _ in range(CHECKPOINTS_EACH):
                self.acknowledged = job.write().name
        except CheckpointError as error:
            self.error = error
        except Killed:
            self.is_killed = True


class Turns:
    """Hands the turn on before the calls that a schedule says."""

    def __init__(
        self,
        disk: Any,
        processes: Sequence[Actor],
        turns: Sequence[tuple[int, int]],
        to_kill: Collection[int] = (),
    ) -> None:
        self._disk = disk
        self._processes = processes
        last = [(i, -1) for i in range(len(processes))]
        self._turns: Iterator[tuple[int, int]] = iter([*turns, *last])
        self._to_kill = to_kill
        self._left = -1
        self._now = -1
        self._ended: set[int] = set()
        self._over = threading.Event()

    def go(self) -> None:
        self._disk.before = self._before
        threads = [
            threading.Thread(target=self._work, args=(i,), daemon=True)
            for i in range(len(self._processes))
        ]
        for thread in threads:
            thread.start()
        self._hand_on()
        assert self._over.wait(_PATIENCE_S)
        for thread in threads:
            thread.join()
        self._disk.before = nothing
        for process in self._processes:
            if process.slip is not None:
                raise process.slip

    def _work(self, i: int) -> None:
        process = self._processes[i]
        process.turn.acquire()
        try:
            process.run(self._disk)
        except BaseException as slip:  # noqa: BLE001 - raised in the thread of the test
            process.slip = slip
        self._ended.add(i)
        self._hand_on()

    def _before(self, call: str, *_: object) -> None:
        if call in UNSEEN:
            return
        process = self._processes[self._now]
        while self._left == 0:
            if self._now in self._to_kill:
                raise Killed
            self._hand_on()
            process.turn.acquire()
        self._left -= 1
        process.calls += 1

    def _hand_on(self) -> None:
        for i, calls in self._turns:
            if i not in self._ended:
                self._now, self._left = i, calls
                self._processes[i].turn.release()
                return
        self._over.set()


def calls_of(disk: Any, actor: Actor) -> int:
    """How many calls one makes that others can see."""
    Turns(disk.copy(), [actor], []).go()
    return actor.calls


def schedules(calls: int) -> list[list[tuple[int, int]]]:
    """All of two processes with up to two switches: the first, the other, the first to its end."""
    return [
        [(0, first), (1, second), (0, -1)]
        for first, second in itertools.product(range(calls + 1), range(1, calls + 1))
    ]


def interleave(
    before: SimulatedDisk,
    turns: Sequence[tuple[int, int]],
    *,
    count: int = 2,
    keep: int,
    to_kill: Collection[int] = (),
    crashes: bool = False,
) -> None:
    """Let processes take turns, and look at what became of them.

    Args:
        before: the disk they find.
        turns: who makes how many calls; then each goes on to its end, the first one first.
        count: of processes.
        keep: so many checkpoints stay.
        to_kill: processes that are killed when their turn is over.
        crashes: whether the machine crashes in the end.

    Raises:
        Wrong: an acknowledged checkpoint is lost, bytes are wrong, or a process that was not fenced
            off failed.
    """
    disk = before.copy()
    processes = [Process("cdef"[i], keep) for i in range(count)]
    Turns(disk, processes, turns, to_kill).go()
    opened = sorted((it for it in processes if it.token), key=lambda it: it.token)
    for older, newer in itertools.combinations(opened, 2):
        if older.token == newer.token:
            msg = f"two processes have the token {older.token}"
            raise Wrong(msg)
        if older.acknowledged > newer.adopted:
            lost = f"{older.acknowledged} was acknowledged"
            msg = f"{lost}, and process {newer.token} went on from {newer.adopted}"
            raise Wrong(msg)
    for process in processes:
        if process.error is not None and not isinstance(process.error, FencedError):
            raise Wrong(str(process.error)) from process.error
    for state in disk.crashed() if crashes else [disk]:
        _check_after(state, max(it.acknowledged for it in processes), keep)


def _check_after(disk: SimulatedDisk, acknowledged: Name, keep: int) -> None:
    """The newest checkpoint can be restored; another one may have lost its packs to a sweep."""
    job = Job(open_store(disk, "b", keep=keep))
    newest = job.store.newest()
    if (FIRST if newest is None else newest.name) < acknowledged:
        msg = f"{acknowledged} was acknowledged, and is lost"
        raise Wrong(msg)
    job.write()
    look_at_all(disk)
    check_nothing_leaked(disk, keep)
