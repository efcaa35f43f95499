"""Every crash point of checkpoints, and every crash point of the recovery from it (S27, S28).

Under HYPOTHESIS_PROFILE=nightly every state after a second crash is gone into, of a longer run.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest

from crash.explorer import explore, open_store, run
from eventtime.testing.simulation.disk import SimulatedDisk

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


@pytest.mark.parametrize("keep", [1, 2])
def test_a_crash_anywhere_loses_nothing_acknowledged_and_leaks_nothing(keep: int) -> None:
    once, twice = explore(10 if NIGHTLY else 5, keep, every=1 if NIGHTLY else 9)
    assert once > 120
    assert twice > (10_000 if NIGHTLY else 500)


class _Killed(BaseException):
    pass


def test_what_the_next_process_goes_on_from_survives_the_machine() -> None:
    """S28: it tells sinks of it, though who wrote it was killed before its name was durable."""
    seen = 0
    for killed_at in itertools.count(1):
        disk = SimulatedDisk()
        calls = itertools.count(1)

        def kill(*call: Any, killed_at: int = killed_at, calls: Any = calls) -> None:
            if next(calls) == killed_at:
                raise _Killed

        disk.before = kill
        try:
            run(disk, lambda _: None, checkpoints=3, keep=2)
        except _Killed:
            disk = disk.copy()
        else:
            break
        found = open_store(disk, "b", keep=2).newest()
        if found is None:
            continue
        seen += 1
        for state in disk.crashed():
            newest = open_store(state, "c", keep=2).newest()
            assert newest is not None
            assert newest.name == found.name
    assert seen > 40
