"""Watermarks of consecutive rows, as the rows before which they rise.

``rises`` is (r, 2) int64: a row, and the watermark before it and the rows up to the next; the first
is row 0. Most rows bring no new watermark, so this is short where a number for each row is not.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ("kept_rises", "raised", "rise_before", "rises_of", "watermarks_at")

Ints = NDArray[np.int64]
_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(inline="always", **_options)
def rise_before(rises, count, row):  # type: ignore[no-untyped-def]
    """Return which of `count` rises, flat in memory, holds for a row."""
    low, high = np.int64(0), np.int64(count)
    while high - low > 1:
        middle = (low + high) // 2
        if rises[2 * middle] <= row:
            low = middle
        else:
            high = middle
    return low


def rises_of(watermark_us: Ints) -> Ints:
    """Shorten (n,) watermarks that never go back."""
    if not len(watermark_us):
        return np.empty((0, 2), np.int64)
    rows = np.flatnonzero(np.append([True], watermark_us[1:] != watermark_us[:-1]))
    return np.stack([rows, watermark_us[rows]], axis=1)


def watermarks_at(rises: Ints, rows: Ints) -> Ints:
    """Return the watermark before each of some rows. Cost: O(rows * log rises)."""
    found: Ints = rises[np.searchsorted(rises[:, 0], rows, side="right") - 1, 1]
    return found


def kept_rises(rises: Ints, kept: Ints) -> Ints:
    """Number rises by the rows that a filter left, (m,) ascending."""
    rows = np.searchsorted(kept, rises[:, 0])
    # Of several that fall on one row the last holds; those behind the last row hold nothing.
    last = np.append(rows[1:] != rows[:-1], True) & (rows < len(kept))
    return np.stack([rows[last], rises[last, 1]], axis=1)


@njit(**_options)
def raised(rises, low_us, high_us):  # type: ignore[no-untyped-def]
    """Bound watermarks: no less than `low_us`, else no more than `high_us`."""
    out, n = np.empty_like(rises), 0
    for i in range(len(rises)):
        bounded = max(min(rises[i, 1], high_us), low_us)
        if n == 0 or bounded > out[n - 1, 1]:
            out[n, 0], out[n, 1] = rises[i, 0], bounded
            n += 1
    return out[:n]
