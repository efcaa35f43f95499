"""How far time goes on, and for how long nobody is heard: around what the pipeline looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from eventtime.testing.reads import Reads

__all__ = ("leap", "paces", "waits")


def leap(read: Reads) -> int:
    """Return how far time goes on until all that is open now has expired."""
    furthest = [w.size_us + w.lateness_us for w in read.windows]
    return read.bound_us + max(furthest, default=read.unit_us)


def paces(read: Reads) -> st.SearchStrategy[int]:
    """Draw how far time goes on from one row to the next."""
    unit, slides = read.unit_us, [w.slide_us for w in read.windows if w.slide_us]
    return st.sampled_from([0, 0, 0, unit, unit, 2 * unit, 3 * unit, *slides, leap(read)])


def waits(read: Reads) -> list[int]:
    """List for how long the clock goes on: also just until somebody silent is idle (S6)."""
    unit, idle = read.unit_us, read.idle_after_us
    told = [] if idle is None else [idle + 1, idle, idle + 1, idle - 1, idle, idle]
    return [unit, 2 * unit, 4 * unit, *told]
