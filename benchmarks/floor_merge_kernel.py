"""The floor's sliding windows: slices merged by key, whatever the overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.floor_kernels import jit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]


@jit
def _merge(into: Floats, other: Floats) -> None:
    """Merge the groups of two slices, key by key: count, sum, min, max."""
    for key in range(into.shape[0]):
        if other[key, 0] > 0.0:
            if into[key, 0] == 0.0:
                into[key, 2] = other[key, 2]
                into[key, 3] = other[key, 3]
            else:
                into[key, 2] = min(into[key, 2], other[key, 2])
                into[key, 3] = max(into[key, 3], other[key, 3])
            into[key, 0] += other[key, 0]
            into[key, 1] += other[key, 1]


@jit
def merge_slices(acc: Floats, overlap: int, out_i: Ints, out_f: Floats) -> int:
    """Merge every ``overlap`` neighbouring slices by key: suffixes of a block meet prefixes.

    Each slice is merged about three times whatever the overlap (van Herk, Gil and Werman). ``acc``
    is overwritten block by block with its suffix merges. Window k of the output covers slices k -
    overlap + 1 to k of ``acc``; slices outside are empty. Returns the number of groups written.
    """
    slices, keys, _ = acc.shape
    empty = np.zeros((keys, 4))
    prefix = np.zeros((keys, 4))
    at = 0
    for k in range(slices + overlap - 1):
        first = k - overlap + 1  # of the window's slices
        if first % overlap == 0 and first >= 0:
            for j in range(min(k, slices) - 1, first - 1, -1):
                if j + 1 < slices:
                    _merge(acc[j], acc[j + 1])
            prefix[:] = 0.0
        elif k < slices:
            _merge(prefix, acc[k])
        suffix = acc[first] if first >= 0 else empty
        for key in range(keys):
            count = suffix[key, 0] + prefix[key, 0]
            if count > 0.0:
                low, high = suffix[key, 2], suffix[key, 3]
                if suffix[key, 0] == 0.0:
                    low, high = prefix[key, 2], prefix[key, 3]
                elif prefix[key, 0] > 0.0:
                    low, high = min(low, prefix[key, 2]), max(high, prefix[key, 3])
                total = suffix[key, 1] + prefix[key, 1]
                out_i[0, at] = k
                out_i[1, at] = key
                out_i[2, at] = np.int64(count)
                out_f[0, at] = total
                out_f[1, at] = low
                out_f[2, at] = high
                out_f[3, at] = total / count
                at += 1
    return at
