"""Every system call of checkpoints fails once: nothing is lost, and the next attempt succeeds.

Under HYPOTHESIS_PROFILE=nightly the machine crashes as well, after each call behind the failure.
"""

from __future__ import annotations

import errno
import itertools
import os
from typing import Final

import pytest

from crash.explorer import (
    FIRST,
    PLACE,
    Job,
    check_nothing_leaked,
    look_at_all,
    open_store,
    recover,
)
from crash.failing import KEEP, Failing, Full, crash_after_failures, work_on
from eventtime.errors import CheckpointError
from eventtime.testing.simulation.disk import WRITES, SimulatedDisk, nothing

NIGHTLY: Final = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
# Checkpoints remove no folder.
CALLS: Final = sorted({*WRITES, "close", "read", "list"} - {"rmdir"})


@pytest.mark.parametrize(
    ("call", "how"),
    [
        *itertools.product(CALLS, ("before", "after")),
        ("write", "torn"),
    ],
)
def test_a_call_that_fails_costs_nothing_but_another_attempt(call: str, how: str) -> None:
    number = 0
    for number in itertools.count():
        disk = SimulatedDisk()
        failing = Failing(disk, call, number, how)
        job, errors = work_on(disk, lambda _: None)
        disk.before = disk.after = nothing
        if not failing.has_failed:
            break
        assert all("cannot " in error.what and error.remedy for error in errors)
        look_at_all(disk)
        job.write()  # and the sweep takes what is left
        look_at_all(disk)
        check_nothing_leaked(disk, KEEP)
    assert number > 1


@pytest.mark.parametrize("call", sorted(WRITES))
def test_a_crash_after_a_failure_loses_nothing_either(call: str) -> None:
    assert crash_after_failures(call, most=40 if NIGHTLY else 12, every=1 if NIGHTLY else 23)


def test_a_full_disk_takes_nothing_away_and_is_no_matter_once_there_is_space() -> None:
    """However long it lasts, and whatever was written of the attempts."""
    for room in range(0, 6_000, 150):
        disk = SimulatedDisk()
        job = Job(open_store(disk, keep=KEEP))
        job.write()
        held = disk.contents()
        disk.before = Full(disk, room)
        errors = []
        for _ in range(3):
            try:
                job.write()
            except CheckpointError as error:
                errors.append(error)
        disk.before = nothing
        assert all("No space left on device" in error.what for error in errors)
        assert all("free space" in error.remedy for error in errors)
        if len(errors) == 3:  # of the attempts nothing is left that takes space
            assert disk.contents() == held
        look_at_all(disk)
        job.write()
        look_at_all(disk)
        check_nothing_leaked(disk, KEEP)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, f"make {PLACE!r} writable"),
        (errno.EACCES, f"allow reading and writing in {PLACE!r}"),
        (errno.EDQUOT, "raise the quota"),
    ],
)
def test_a_folder_that_takes_nothing_any_more_keeps_what_it_has(number: int, remedy: str) -> None:
    disk = SimulatedDisk()
    job = Job(open_store(disk, keep=KEEP))
    name = job.write().name

    def refuse(call: str, *_: object) -> None:
        if call in WRITES:
            raise OSError(number, os.strerror(number))

    disk.before = refuse
    with pytest.raises(CheckpointError, match=f"cannot write the checkpoint 1-2 in '{PLACE}'") as e:
        job.write()
    assert remedy in e.value.remedy
    with pytest.raises(CheckpointError, match=f"cannot claim the checkpoints in '{PLACE}'") as e:
        open_store(disk, keep=KEEP)
    assert remedy in e.value.remedy
    look_at_all(disk)
    disk.before = nothing
    recover(disk, lambda _: None, max(name, FIRST), keep=KEEP)
