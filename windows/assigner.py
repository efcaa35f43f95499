"""Which windows there are: tumbling, sliding, global; the plan holds them, the operator reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from eventtime.duration import DurationLike, format_us, parse_us
from eventtime.errors import PlanError
from eventtime.windows.grid import MOST_WINDOWS, Grid

__all__ = (
    "GlobalWindow",
    "GridAssigner",
    "SlidingWindows",
    "TumblingWindows",
    "WindowAssigner",
    "global_window",
    "sliding",
    "tumbling",
)


class WindowAssigner(Protocol):
    """Describes windows. Immutable and comparable: part of the plan and its fingerprint."""

    def describe(self) -> str:
        """Return the call that makes it, for `explain()`."""
        ...


class GridAssigner(WindowAssigner, Protocol):
    """An assigner whose windows form a grid; the slice operator runs it."""

    @property
    def grid(self) -> Grid:
        """The grid of windows."""
        ...


@dataclass(frozen=True, slots=True)
class TumblingWindows:
    """Windows that follow one another: each row is in exactly one. Made by `tumbling`."""

    size_us: int
    offset_us: int

    @property
    def grid(self) -> Grid:
        """The grid of windows."""
        return Grid(self.size_us, self.size_us, self.offset_us)

    def describe(self) -> str:
        """Return the call that makes it."""
        return f"tumbling({format_us(self.size_us)!r}{_offset(self.offset_us)})"


@dataclass(frozen=True, slots=True)
class SlidingWindows:
    """Windows of one size that start every slide: each row is in size / slide of them.

    Made by `sliding`.
    """

    size_us: int
    slide_us: int
    offset_us: int

    @property
    def grid(self) -> Grid:
        """The grid of windows."""
        return Grid(self.size_us, self.slide_us, self.offset_us)

    def describe(self) -> str:
        """Return the call that makes it."""
        size, slide = format_us(self.size_us), format_us(self.slide_us)
        return f"sliding({size!r}, slide={slide!r}{_offset(self.offset_us)})"


@dataclass(frozen=True, slots=True)
class GlobalWindow:
    """One window that holds all rows and fires at the end of input. Made by `global_window`."""

    @property
    def grid(self) -> Grid:
        """The grid of windows."""
        return Grid(0, 0, 0)

    def describe(self) -> str:
        """Return the call that makes it."""
        return "global_window()"


def tumbling(size: DurationLike, *, offset: DurationLike = "0s") -> TumblingWindows:
    """Describe windows `[offset + k*size, offset + (k+1)*size)` (S13).

    Args:
        size: length of a window, above zero, such as '1h'.
        offset: shift of the grid, taken modulo the size; may be negative.

    Raises:
        DurationError: malformed, zero or negative size; malformed offset.

    >>> tumbling("1h", offset="-15m").describe()
    "tumbling('1h', offset='45m')"
    """
    size_us = parse_us(size, name="size", zero=False)
    return TumblingWindows(size_us, parse_us(offset, name="offset", negative=True) % size_us)


def sliding(
    size: DurationLike, *, slide: DurationLike | None = None, offset: DurationLike = "0s"
) -> SlidingWindows:
    """Describe windows `[offset + k*slide, offset + k*slide + size)` (S14).

    The size need not be a multiple of the slide.

    Args:
        size: length of a window, above zero.
        slide: distance between starts, above zero, at most the size; must be given.
        offset: shift of the grid, taken modulo the slide; may be negative.

    Raises:
        DurationError: malformed, zero or negative duration.
        PlanError: `slide` is missing, or longer than `size`: rows between windows would vanish; or
            so short that a row would be in more than 100,000 windows.

    >>> sliding("1h", slide="1m").grid.slices
    60
    """
    size_us = parse_us(size, name="size", zero=False)
    if slide is None:
        msg = f"sliding windows of {size!r} are given no slide"
        remedy = f"say how far apart they start, or use et.tumbling({size!r})"
        raise PlanError(msg, place="sliding(slide=…)", remedy=remedy)
    slide_us = parse_us(slide, name="slide", zero=False)
    if slide_us > size_us:
        msg = f"slide {slide!r} is longer than size {size!r}: rows between windows would be in none"
        raise PlanError(
            msg,
            place="sliding(slide=…)",
            remedy=f"make slide at most {size!r}, or filter the rows first",
        )
    if size_us // slide_us > MOST_WINDOWS:
        msg = f"size {size!r} by slide {slide!r} puts each row in {size_us // slide_us:,} windows"
        remedy = f"make slide longer: at most {MOST_WINDOWS:,} windows may hold a row"
        raise PlanError(msg, place="sliding(slide=…)", remedy=remedy)
    return SlidingWindows(
        size_us, slide_us, parse_us(offset, name="offset", negative=True) % slide_us
    )


def global_window() -> GlobalWindow:
    """Describe the one window of all time; it fires when the input ends."""
    return GlobalWindow()


def _offset(offset_us: int) -> str:
    return f", offset={format_us(offset_us)!r}" if offset_us else ""
