"""Small slips that somebody could make, each of which a test must notice."""

from __future__ import annotations

from dataclasses import dataclass

from mutants.boundary_slips import BOUNDARY_SLIPS
from mutants.late_slips import LATE_SLIPS
from mutants.process_slips import PROCESS_SLIPS
from mutants.state_slips import STATE_SLIPS
from mutants.stream_slips import STREAM_SLIPS
from mutants.window_slips import WINDOW_SLIPS

__all__ = ("MUTANTS", "Mutant")


@dataclass(frozen=True)
class Mutant:
    """One slip: in `file`, `old` stands exactly once, and `new` in its place.

    Args:
        file: below the root.
        name: what is wrong.
        old: what stands there.
        new: what stands there then.
        story: which notices it soonest, as far as is known; `stories` has them.
    """

    file: str
    name: str
    old: str
    new: str
    story: str


MUTANTS = tuple(
    Mutant(file, *slip)
    for slips in (
        BOUNDARY_SLIPS,
        WINDOW_SLIPS,
        LATE_SLIPS,
        STREAM_SLIPS,
        STATE_SLIPS,
        PROCESS_SLIPS,
    )
    for file, those in slips.items()
    for slip in those
)
