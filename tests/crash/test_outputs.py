"""Every crash point of file sinks and savepoints, and of the recovery from it (S27, S28).

A sample of the second crashes; under HYPOTHESIS_PROFILE=nightly all, of whole runs many.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from crash.explorer import Wrong
from crash.output_slips import SLIPS, slipped
from crash.outputs import SCENARIOS, explore_outputs
from eventtime.errors import EventTimeError

NIGHTLY: Final = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
EVERY: Final = (
    {"one file": 4}
    if NIGHTLY
    else {
        "one file": 32,
        "parts": 3,
        "a whole folder": 4,
        "a whole folder in place of another": 2,
    }
)
LEAST: Final = {"one file": 150, "parts": 150, "parts in place of another job's": 60}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_anywhere_leaves_outputs_whole(name: str) -> None:
    """What was acknowledged is there, what is there is right, and nothing hidden is left."""
    once, twice = explore_outputs(SCENARIOS[name], EVERY.get(name, 1))
    assert once > LEAST.get(name, 20)
    assert twice > 30


@pytest.mark.parametrize(("says", "scenario"), SLIPS)
def test_a_slip_in_publishing_is_noticed(says: str, scenario: str) -> None:
    # A sample may miss the one place where it shows; where it does, the search ends.
    every = EVERY[scenario] if scenario == "one file" else 1
    with slipped(SLIPS[says, scenario]), pytest.raises((Wrong, EventTimeError)):
        explore_outputs(SCENARIOS[scenario], every)
