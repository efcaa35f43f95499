"""From the index of a slice to the directory row of its table, as the assign kernel reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventtime.state.kernels import hash_word

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("directory_row", "slice_map")

Ints = NDArray[np.int64]
_SMALLEST = 16
_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(inline="always", **_options)
def directory_row(slice_index, map_rows, dirs):  # type: ignore[no-untyped-def]
    """Find the table of a slice in the map of directory rows; NO_SLOT when it has none."""
    mask = map_rows.size - 1
    place = np.int64(hash_word(slice_index) & np.uint64(mask))
    while True:
        row = map_rows[place]
        if row < 0 or dirs[row, 0] == slice_index:
            return row
        place = (place + 1) & mask


def slice_map(
    slices: Mapping[int, int],
    held: Ints | None = None,
    index: int | None = None,
    row: int | None = None,
) -> Ints:
    """Make the map of all slices, or enter one that is new in a map that has room for it.

    Args:
        slices: directory row by index, the new one included.
        held: map of the others; None: there is none.
        index, row: the new one.
    """
    if held is not None and 2 * len(slices) <= len(held):
        _enter(held, np.array([index], np.int64), np.array([row], np.int64))
        return held
    made = np.full(max(_SMALLEST, 1 << (2 * len(slices)).bit_length()), -1, np.int64)
    if slices:
        _enter(made, np.array(list(slices), np.int64), np.array(list(slices.values()), np.int64))
    return made


@njit(**_options)
def _enter(map_rows, indices, rows):  # type: ignore[no-untyped-def]
    """Fill an empty map (all -1, a power of two) with the directory rows of slices."""
    mask = map_rows.size - 1
    for i in range(indices.size):
        place = np.int64(hash_word(indices[i]) & np.uint64(mask))
        while map_rows[place] >= 0:
            place = (place + 1) & mask
        map_rows[place] = rows[i]
