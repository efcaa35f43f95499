"""Every crash point of checkpoints, and every crash point of the recovery from it (S27, S28).

Under HYPOTHESIS_PROFILE=nightly every state after a second crash is gone into, of a longer run.
"""

from __future__ import annotations

import os

import pytest

from crash.explorer import explore

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


@pytest.mark.parametrize("keep", [1, 2])
def test_a_crash_anywhere_loses_nothing_acknowledged_and_leaks_nothing(keep: int) -> None:
    once, twice = explore(10 if NIGHTLY else 5, keep, every=1 if NIGHTLY else 9)
    assert once > 120
    assert twice > (10_000 if NIGHTLY else 500)
