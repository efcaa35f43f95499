"""Calls of a disk that fail, once or until there is space again."""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING, Any, Final

from crash.explorer import FIRST, Job, open_store, recover, states_after
from eventtime.errors import CheckpointError
from eventtime.testing.simulation.disk import SimulatedDisk, nothing

if TYPE_CHECKING:
    from crash.explorer import Told

__all__ = ("KEEP", "Failing", "Full", "crash_after_failures", "work_on")

KEEP: Final = 2
CHECKPOINTS: Final = 4


class Failing:
    """Makes one call of a disk fail.

    Args:
        disk: whose call it is.
        call: its name.
        number: of the calls of that name.
        how: 'before' it did anything, 'torn' after a half, 'after' all of it.
    """

    def __init__(self, disk: SimulatedDisk, call: str, number: int, how: str) -> None:
        self._disk = disk
        self._call = call
        self._left = number
        self._how = how
        self.has_failed = False
        self._seen = disk.after
        disk.before, disk.after = self._before, self._after

    def _before(self, call: str, *arguments: Any) -> None:
        if self._how == "after" or not self._is_due(call):
            return
        if self._how == "torn":
            self._disk.tear(*arguments)
        elif call == "sync":
            self._disk.lose(*arguments)
        raise self._error()

    def _after(self, call: str, *arguments: Any) -> None:
        self._seen(call, *arguments)
        if self._how == "after" and self._is_due(call):
            raise self._error()

    def _is_due(self, call: str) -> bool:
        if call != self._call:
            return False
        self._left -= 1
        return self._left == -1

    def _error(self) -> OSError:
        self.has_failed = True
        number = errno.ENOSPC if self._how == "torn" else errno.EIO
        return OSError(number, os.strerror(number))


class Full:
    """A disk that takes so many bytes and no more."""

    def __init__(self, disk: SimulatedDisk, room: int) -> None:
        self._disk = disk
        self._room = room

    def __call__(self, call: str, *arguments: Any) -> None:
        if call == "write":
            self._room -= len(arguments[1])
            if self._room < 0:
                self._disk.tear(*arguments)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def work_on(disk: SimulatedDisk, told: Told) -> tuple[Job, list[CheckpointError]]:
    """Write checkpoints; what fails is tried once more."""
    errors: list[CheckpointError] = []
    job = None
    while job is None:
        try:
            job = Job(open_store(disk, "ab"[len(errors)], keep=KEEP))
        except CheckpointError as error:
            errors.append(error)
    for _ in range(CHECKPOINTS):
        try:
            told(job.write().name)
        except CheckpointError as error:
            errors.append(error)
            told(job.write().name)
    return job, errors


def crash_after_failures(call: str, *, most: int, every: int = 1) -> int:
    """Let a call fail, each time another one, and the machine crash at any call behind it.

    Args:
        call: which calls are to fail.
        most: of them.
        every: of the states after a crash so many-th is recovered from.

    Returns:
        How many were.
    """
    count = 0
    for number, how in itertools.product(range(most), ("before", "after")):

        def work(disk: SimulatedDisk, told: Told, number: int = number, how: str = how) -> None:
            Failing(disk, call, number, how)
            work_on(disk, told)
            disk.before = nothing

        for state, name in states_after(SimulatedDisk(), work, FIRST)[::every]:
            recover(state, lambda _: None, name, keep=KEEP)
            count += 1
    return count
