"""The grid by floor division (S13, S14): edges, negative times, odd sizes, the ends of int64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.errors import PlanError
from eventtime.timestamp import EARLIEST, LATEST, MINUS_INFINITY, PLUS_INFINITY
from eventtime.windows.grid import Grid

LONGEST = 2**60


def at(*times: int) -> np.ndarray:
    return np.array(times, np.int64)


@st.composite
def grids(draw: st.DrawFn, largest: int = 40) -> Grid:
    size = draw(st.integers(1, largest))
    slide = draw(st.integers(1, size))
    return Grid(size, slide, draw(st.integers(0, slide - 1)))


def windows_of(grid: Grid, t: int) -> list[int]:
    """The ends of the windows that hold t, by trying all starts around it."""
    nearby = range((t - grid.size_us) // grid.slide_us - 2, t // grid.slide_us + 3)
    starts = [grid.offset_us + k * grid.slide_us for k in nearby]
    return [s + grid.size_us for s in starts if s <= t < s + grid.size_us]


@given(grids(), st.integers(-500, 500))
def test_first_and_last_end_are_those_of_the_windows_that_hold_a_time(grid: Grid, t: int) -> None:
    ends = windows_of(grid, t)
    assert grid.first_end(at(t)).tolist() == [ends[0]]
    assert grid.last_end(at(t)).tolist() == [ends[-1]]
    assert grid.ends_in(at(ends[0]), at(ends[-1])).tolist() == [len(ends)]
    assert grid.start_of(ends[0]) == ends[0] - grid.size_us


@given(grids(), st.integers(-500, 500))
def test_every_time_of_a_slice_is_in_the_same_windows(grid: Grid, t: int) -> None:
    start = grid.slice_start(int(grid.slice_of(at(t))[0]))
    assert start <= t < start + grid.slice_us
    assert windows_of(grid, t) == windows_of(grid, start)
    assert grid.first_end_at(start) == windows_of(grid, t)[0]
    assert grid.last_end_at(start) == windows_of(grid, t)[-1]


@given(grids(), st.integers(-500, 500))
def test_the_end_at_or_after_a_time_is_the_next_window_end(grid: Grid, t: int) -> None:
    end = grid.end_from(t)
    assert t <= end < t + grid.slide_us
    assert (end - grid.size_us - grid.offset_us) % grid.slide_us == 0
    assert grid.end_at_or_after(at(t)).tolist() == [end]


@given(grids(), st.integers(-200, 200), st.integers(0, 100))
def test_the_next_tick_is_the_next_slice_edge_or_one_shifted_by_the_lateness(
    grid: Grid, w: int, lateness: int
) -> None:
    g = grid.slice_us
    points = [grid.offset_us + k * g for k in range(-900 // g, 900 // g)]
    points += [p + lateness for p in points]
    assert grid.tick_after(w, lateness) == min(p for p in points if p > w)


def test_a_time_on_the_edge_opens_the_next_window() -> None:
    # [0, 60) [60, 120)
    assert Grid(60, 60, 0).first_end(at(59, 60, 0, -1)).tolist() == [60, 120, 60, 0]


def test_an_offset_shifts_the_grid_before_1970_too() -> None:
    # [-75, -15) [-15, 45)
    assert Grid(60, 60, 45).first_end(at(-16, -15, 44, 45)).tolist() == [-15, 45, 45, 105]


def test_slices_are_as_long_as_size_and_slide_allow() -> None:
    assert (Grid(60, 40, 0).slice_us, Grid(60, 40, 0).slices) == (20, 3)
    assert (Grid(7, 3, 0).slice_us, Grid(7, 3, 0).slices) == (1, 7)
    assert (Grid(60, 60, 0).slice_us, Grid(60, 60, 0).slices) == (60, 1)


@pytest.mark.parametrize("size", [1, 3_600_000_000, LONGEST - 1, LONGEST])
@pytest.mark.parametrize("offset", [0, 1])
def test_nothing_overflows_at_the_ends_of_the_admitted_range(size: int, offset: int) -> None:
    grid = Grid(size, size, offset % size)
    for t in (EARLIEST, EARLIEST + 1, -1, 0, LATEST - 1, LATEST):
        start = (t - grid.offset_us) // size * size + grid.offset_us
        assert grid.first_end(at(t)).tolist() == grid.last_end(at(t)).tolist() == [start + size]
        assert start <= t < start + size
        assert t < grid.tick_after(t, LONGEST) <= t + size


def test_the_next_tick_stays_in_int64_for_a_watermark_near_its_ends() -> None:
    grid = Grid(60, 60, 0)
    assert grid.tick_after(PLUS_INFINITY - 1, 10) == PLUS_INFINITY
    assert grid.tick_after(PLUS_INFINITY, 10) == PLUS_INFINITY
    assert MINUS_INFINITY < grid.tick_after(MINUS_INFINITY + 1, 10) < MINUS_INFINITY + 62


def test_the_global_window_is_all_of_time() -> None:
    grid = Grid(0, 0, 0)
    times = at(EARLIEST, 0, LATEST)
    assert grid.everything
    assert grid.slice_of(times).tolist() == [0, 0, 0]
    assert grid.first_end(times).tolist() == grid.last_end(times).tolist() == [PLUS_INFINITY] * 3
    assert (grid.slice_start(0), grid.start_of(PLUS_INFINITY)) == (MINUS_INFINITY, MINUS_INFINITY)
    assert grid.ends_in(times, times).tolist() == [1, 1, 1]
    assert grid.tick_after(0, 0) == PLUS_INFINITY


def test_no_times_have_no_windows() -> None:
    assert len(Grid(60, 20, 0).first_end(at())) == 0


@pytest.mark.parametrize(
    "given",
    [(10, 20, 0), (10, 5, 7), (10, 5, -1), (10, 0, 0), (-60, 60, 0), (0, 5, 3), (1.5, 1, 0)],
)
def test_windows_that_would_lose_rows_are_no_grid(given: tuple[int, int, int]) -> None:
    """S13, S14: whoever makes it."""
    with pytest.raises(PlanError, match="no grid of windows"):
        Grid(*given)


def test_a_row_is_in_so_many_windows_at_most() -> None:
    """S14: as `sliding` says it."""
    with pytest.raises(PlanError, match="puts each row in 100,001 windows"):
        Grid(100_001, 1, 0)
    assert Grid(100_000, 1, 0).slices == 100_000
