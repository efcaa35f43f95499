"""Every slip in the protocol of checkpoints is noticed: the explorers see what they should."""

from __future__ import annotations

import pytest

from crash.explorer import Wrong, explore, run
from crash.failing import crash_after_failures
from crash.interleaving import interleave, schedules
from crash.slips import CRASHES, FAILURES, INTERLEAVINGS, SLIPS, slipped
from eventtime.errors import CheckpointError
from eventtime.testing.simulation.disk import WRITES, SimulatedDisk


def look(where: str) -> None:
    """Explore, what is quick first."""
    for keep in (1, 2):
        if where == CRASHES:
            explore(4, keep, every=10)
        elif where == INTERLEAVINGS:
            disk = SimulatedDisk()
            run(disk, lambda _: None, checkpoints=3, keep=keep)
            for turns in schedules(30)[::3]:
                interleave(disk, turns, keep=keep)
    for call in sorted(WRITES) if where == FAILURES else ():
        crash_after_failures(call, most=8, every=5)


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_noticed(name: str) -> None:
    with slipped(name), pytest.raises((Wrong, CheckpointError)):
        look(SLIPS[name].seen_in)
