"""Two processes on one folder, in every order of their calls with up to two switches (S27, S28).

A sample of it; under HYPOTHESIS_PROFILE=nightly all, with a crash of the machine at the end, and
three processes that take turns at random.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import pytest

from crash.explorer import Wrong, run
from crash.interleaving import Process, calls_of, interleave, schedules
from crash.output_interleaving import Commits, interleave_commits, used_folder
from eventtime.sinks import folders
from eventtime.testing.simulation.disk import SimulatedDisk

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
    found = schedules(calls_of(disk, Process("c", keep=1)))
    assert len(found) > 900
    for turns in found[keep - 1 :: EVERY]:
        interleave(disk, turns, keep=keep, to_kill=to_kill, crashes=NIGHTLY)


def test_two_processes_that_start_at_once_have_different_tokens() -> None:
    disk = SimulatedDisk()
    for turns in schedules(calls_of(disk, Process("c", keep=1)))[::EVERY]:
        interleave(disk, turns, keep=2)


@pytest.mark.parametrize("keep", [1, 2])
def test_three_processes_at_random(keep: int) -> None:
    disk = used_disk(keep)
    rng = np.random.default_rng(keep)
    for _ in range(5_000 if NIGHTLY else 60):
        turns = [(int(rng.integers(3)), int(rng.integers(1, 30))) for _ in range(8)]
        interleave(disk, turns, count=3, keep=keep)


@pytest.mark.parametrize("to_kill", [(), (1,)], ids=["both go on", "the second is killed"])
@pytest.mark.parametrize("tokens", [(2, 3), (3, 2)])
def test_two_processes_on_one_folder_of_parts_commit_each_epoch_once(
    tokens: tuple[int, int], to_kill: tuple[int, ...]
) -> None:
    """Also the older one, when it comes back, changes nothing of what the newer one committed."""
    disk = used_folder()
    found = schedules(calls_of(disk, Commits(2)))
    assert len(found) > 900
    for turns in found[tokens[0] % 2 :: EVERY]:
        interleave_commits(disk, turns, tokens=tokens, to_kill=to_kill, crashes=NIGHTLY)


@pytest.mark.parametrize(
    ("target", "name"), [(folders, "check_token"), (SimulatedDisk, "hold")], ids=["tokens", "locks"]
)
def test_tokens_and_locks_are_both_needed(target: Any, name: str) -> None:
    disk = used_folder()

    def all_schedules() -> None:
        for turns in schedules(calls_of(disk, Commits(2))):
            interleave_commits(disk, turns, tokens=(2, 3))

    with patch.object(target, name, lambda *_: None), pytest.raises(Wrong):
        all_schedules()
