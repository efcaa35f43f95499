"""Which windows have expired, and under which lateness, across restorings (S18, S29)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY
from eventtime.windows.expiry import Expiry
from eventtime.windows.grid import Grid

GRID = Grid(60, 20, 7)
EVERYTHING = Grid(0, 0, 0)


def gone_on(before: Expiry, lateness_us: int, watermark_us: int, grid: Grid = GRID) -> Expiry:
    """What was saved at a watermark, restored with a lateness."""
    after = Expiry(grid, lateness_us)
    after.restore(json.loads(json.dumps(before.save())), watermark_us)
    return after


def test_one_lateness_has_no_floor() -> None:
    expiry = gone_on(Expiry(GRID, 5), 5, 1_000)
    assert expiry.floor_us == MINUS_INFINITY
    assert expiry.lateness_of(np.array([7, 1_007])).tolist() == [5, 5]
    assert expiry.save() == {"lateness_us": 5, "expired": []}


@pytest.mark.parametrize(("watermark_us", "floor_us"), [(71, 47), (72, 67), (91, 67), (92, 87)])
def test_the_floor_is_the_last_end_that_had_expired(watermark_us: int, floor_us: int) -> None:
    # Windows end at 7, 27, 47, 67 …; with a lateness of 5 that of 67 expires at 72.
    expiry = gone_on(Expiry(GRID, 5), 50, watermark_us)
    assert expiry.floor_us == floor_us
    assert expiry.lateness_of(np.array([floor_us, floor_us + 20])).tolist() == [5, 50]
    # Up to there under any watermark from now on, and further as soon as the new lateness says so.
    under = np.array([watermark_us, floor_us + 69, floor_us + 70, PLUS_INFINITY])
    assert expiry.last_expired(under)[:3].tolist() == [floor_us, floor_us, floor_us + 20]


def test_windows_keep_the_lateness_of_their_time_over_several_restorings() -> None:
    first = gone_on(Expiry(GRID, 0), 30, 50)
    second = gone_on(first, 100, 117)
    third = gone_on(second, 100, 130)
    assert third.save() == {"lateness_us": 100, "expired": [[47, 0], [87, 30]]}
    ends = np.array([27, 47, 67, 87, 107])
    assert third.lateness_of(ends).tolist() == [0, 0, 30, 30, 100]
    assert third.has_expired(ends, np.full(5, 117)).tolist() == [True] * 4 + [False]
    assert third.has_expired(ends, np.full(5, 96)).tolist() == [True, True, False, False, False]


def test_a_lateness_under_which_nothing_expired_is_forgotten() -> None:
    expiry = gone_on(gone_on(Expiry(GRID, 0), 30, 50), 100, 60)
    assert expiry.save() == {"lateness_us": 100, "expired": [[47, 0]]}


@pytest.mark.parametrize("grid", [GRID, EVERYTHING])
def test_before_the_first_row_nothing_has_expired_and_behind_the_last_everything(
    grid: Grid,
) -> None:
    assert gone_on(Expiry(grid, 0), 9, MINUS_INFINITY, grid).floor_us == MINUS_INFINITY
    assert gone_on(Expiry(grid, 0), 9, PLUS_INFINITY, grid).floor_us == PLUS_INFINITY


def test_the_window_of_all_time_does_not_expire() -> None:
    assert gone_on(Expiry(EVERYTHING, 0), 9, 10**15, EVERYTHING).floor_us == MINUS_INFINITY
