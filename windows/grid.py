"""The grid of windows `[offset + k*slide, offset + k*slide + size)` (S13, S14).

It is cut in slices of gcd(size, slide).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY

__all__ = ("MOST_WINDOWS", "Grid")

MOST_WINDOWS: Final = 100_000
"""That may hold a row."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows of one size at regular starts; a size of zero stands for the one window of all time.

    All arithmetic is floor division on UTC integers, so negative times need no special case (S13).

    Args:
        size_us: length of a window; 0: the global window.
        slide_us: distance of starts, at most `size_us`.
        offset_us: shift of the grid, in [0, slide_us).
        everything: whether this is the global window.
        slice_us: length of a slice; each row is folded into one slice, whatever the overlap.

    Raises:
        PlanError: these are no such windows, or a row would be in more than 100,000 of them.

    >>> grid = Grid(60, 40, 0)
    >>> before_zero = np.array([-1])
    >>> grid.slice_us, grid.first_end(before_zero).tolist(), grid.last_end(before_zero).tolist()
    (20, [20], [20])
    """

    size_us: int
    slide_us: int
    offset_us: int
    everything: bool = field(init=False, repr=False, compare=False)
    slice_us: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "everything", self.size_us == 0)
        object.__setattr__(self, "slice_us", gcd(self.size_us, self.slide_us))

    def _check(self) -> None:
        given: tuple[Any, ...] = (self.size_us, self.slide_us, self.offset_us)
        if given == (0, 0, 0):
            return
        is_whole = all(isinstance(us, int) and not isinstance(us, bool) for us in given)
        size_us, slide_us, offset_us = given
        if not is_whole or not 0 < slide_us <= size_us or not 0 <= offset_us < slide_us:
            msg = f"there is no grid of windows {shown(given)}: of size, slide and offset"
            remedy = "whole microseconds, with 0 < slide <= size and 0 <= offset < slide"
            raise PlanError(msg, place="Grid(...)", remedy=remedy)
        if size_us // slide_us > MOST_WINDOWS:
            msg = f"a grid {given} puts each row in {size_us // slide_us:,} windows"
            remedy = f"make slide longer: at most {MOST_WINDOWS:,} windows may hold a row"
            raise PlanError(msg, place="Grid(...)", remedy=remedy)

    @property
    def slices(self) -> int:
        """Number of slices in a window."""
        return 1 if self.everything else self.size_us // self.slice_us

    def slice_of(self, time_us: Ints) -> Ints:
        """Return the index of the slice of each time, (n,) int64."""
        if self.everything:
            return np.zeros(len(time_us), np.int64)
        return (time_us - self.offset_us) // self.slice_us

    def slice_start(self, index: int) -> int:
        """Return the start of a slice."""
        return MINUS_INFINITY if self.everything else self.offset_us + index * self.slice_us

    def first_end(self, time_us: Ints) -> Ints:
        """Return the smallest end of the windows that hold each time."""
        if self.everything:
            return np.full(len(time_us), PLUS_INFINITY)
        slice_end = self.offset_us + (self.slice_of(time_us) + 1) * self.slice_us
        return self.end_at_or_after(slice_end)

    def last_end(self, time_us: Ints) -> Ints:
        """Return the greatest end of the windows that hold each time."""
        if self.everything:
            return np.full(len(time_us), PLUS_INFINITY)
        start = (time_us - self.offset_us) // self.slide_us * self.slide_us + self.offset_us
        return start + self.size_us

    def end_at_or_after(self, time_us: Ints) -> Ints:
        """Return the smallest window end at or after each time."""
        shift = self.offset_us + self.size_us
        return shift - (shift - time_us) // self.slide_us * self.slide_us

    def end_from(self, time_us: int) -> int:
        """Return the smallest window end at or after one time."""
        shift = self.offset_us + self.size_us
        return shift - (shift - time_us) // self.slide_us * self.slide_us

    def first_end_at(self, slice_start: int) -> int:
        """Return the smallest end of the windows that hold the slice that starts there."""
        return PLUS_INFINITY if self.everything else self.end_from(slice_start + self.slice_us)

    def last_end_at(self, slice_start: int) -> int:
        """Return the greatest end of the windows that hold the slice that starts there."""
        if self.everything:
            return PLUS_INFINITY
        return (
            (slice_start - self.offset_us) // self.slide_us * self.slide_us
            + self.offset_us
            + self.size_us
        )

    def start_of(self, end_us: int) -> int:
        """Return the start of the window that ends at `end_us`."""
        return MINUS_INFINITY if self.everything else end_us - self.size_us

    def ends_in(self, first: Ints, last: Ints) -> Ints:
        """Count the windows whose ends lie in [first, last], both ends of windows."""
        return (
            np.ones(len(first), np.int64)
            if self.everything
            else (last - first) // self.slide_us + 1
        )

    def tick_after(self, watermark_us: int, lateness_us: int) -> int:
        """Return the next point of firing or expiry: a slice boundary, or one plus L (D5)."""
        if self.everything or watermark_us == PLUS_INFINITY:
            return PLUS_INFINITY
        g = self.slice_us
        behind = watermark_us - self.offset_us
        boundary = (behind // g + 1) * g
        expiry = ((behind - lateness_us) // g + 1) * g + lateness_us
        # A generator of the user's may say anything below plus infinity.
        return min(
            PLUS_INFINITY, self.offset_us + (min(boundary, expiry) if lateness_us else boundary)
        )
