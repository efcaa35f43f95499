"""A look at a window operator from outside: what it holds and has done, without touching rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.windows.contents import Contents
    from eventtime.windows.grid import Grid

__all__ = ("Look", "OpenSlice", "look_into")

_MOST_KEYS_COUNTED: Final = 50_000
"""In all slices together: the rows of more are not added up, for that is done key by key."""


class OpenSlice(NamedTuple):
    """A slice of time that holds rows.

    Args:
        start_us: of it; end_us: where it ends.
        last_end_us: end of the last window that it is part of.
        keys: with rows in it.
        rows: in it; None: there are too many keys to add them up.
    """

    start_us: int
    end_us: int
    last_end_us: int
    keys: int
    rows: int | None


@dataclass(frozen=True)
class Look:
    """What an operator holds and has done.

    Args:
        assigned, emitted, missed: (row, window) pairs (S26).
        late_by_idleness: rows since this process began that were late for another partition's
            silence.
        nbytes: of state in memory.
        slices: the first ones that hold rows, by time.
        n_slices: all of them.
    """

    assigned: int = 0
    emitted: int = 0
    missed: int = 0
    late_by_idleness: int = 0
    nbytes: int = 0
    slices: tuple[OpenSlice, ...] = ()
    n_slices: int = 0


def look_into(contents: Sequence[Contents], grid: Grid, most: int) -> tuple[list[OpenSlice], int]:
    """List the slices of all shards of an operator.

    Args:
        contents: of the shards.
        grid: of the windows.
        most: so many slices, the first by time.

    Returns:
        The slices, and how many there are in all. Cost: O(slices shown), and O(keys) while these
        are few.
    """
    indexes = sorted({index for held in contents for index in held.slices.rows})
    shown = indexes[:most]
    keys = dict.fromkeys(shown, 0)
    for held in contents:
        for index in shown:
            if index in held.slices.rows:
                keys[index] += held.accumulators.tables.count(held.slices.rows[index])
    is_cheap = sum(keys.values()) <= _MOST_KEYS_COUNTED
    slices = []
    for index in shown:
        start = grid.slice_start(index)
        mine = [held.slices for held in contents if index in held.slices.rows]
        rows = sum(s.row_count(index) for s in mine) if is_cheap else None
        last = grid.last_end_at(start)
        end = last if grid.everything else start + grid.slice_us
        slices.append(OpenSlice(start, end, last, keys[index], rows))
    return slices, len(indexes)
