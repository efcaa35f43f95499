"""Two processes on one folder, in every order of their calls with up to two switches (S27, S28).

A sample of it; under HYPOTHESIS_PROFILE=nightly all, with a crash of the machine at the end, and
three processes that take turns at random.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

import numpy as np
import pytest

from crash.explorer import run
from crash.interleaving import calls_of, interleave, schedules
from crash.simulated_disk import SimulatedDisk

NIGHTLY: Final = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EVERY: Final = 1 if NIGHTLY else 7


@cache
def used_disk(keep: int) -> SimulatedDisk:
    """A disk with the checkpoints of a process that has ended."""
    disk = SimulatedDisk()
    run(disk, lambda _: None, checkpoints=3, keep=keep)
    return disk


@pytest.mark.parametrize("to_kill", [(), (1,)], ids=["both go on", "the second is killed"])
@pytest.mark.parametrize("keep", [1, 2])
def test_two_processes_lose_nothing_acknowledged(keep: int, to_kill: tuple[int, ...]) -> None:
    disk = used_disk(keep)
    found = schedules(calls_of(disk))
    assert len(found) > 900
    for turns in found[keep - 1 :: EVERY]:
        interleave(disk, turns, keep=keep, to_kill=to_kill, crashes=NIGHTLY)


def test_two_processes_that_start_at_once_have_different_tokens() -> None:
    disk = SimulatedDisk()
    for turns in schedules(calls_of(disk))[::EVERY]:
        interleave(disk, turns, keep=2)


@pytest.mark.parametrize("keep", [1, 2])
def test_three_processes_at_random(keep: int) -> None:
    disk = used_disk(keep)
    rng = np.random.default_rng(keep)
    for _ in range(5_000 if NIGHTLY else 60):
        turns = [(int(rng.integers(3)), int(rng.integers(1, 30))) for _ in range(8)]
        interleave(disk, turns, count=3, keep=keep)
