"""The kernel that packs rows of a chunk into rows of words."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.memory_kernels import bytes_at, words_at
from eventtime.windows.chunk_kernels import KEYS, LANES, NULLS, TIME, span_of

__all__ = ("FLAGS", "FLAG_BITS", "HEAD", "KEY", "SLICE", "TIME_US", "pack_rows")

# Words of a packed row; then the flags (bit 0: null key; then one for each lane: null), the lanes.
SLICE, TIME_US, KEY, FLAGS = range(4)
HEAD = 3
FLAG_BITS = 63

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}
_U = np.uint64


@njit(**_options)
def pack_rows(positions, starts, spans, addresses, offset, g, lanes, n_flags, out):  # type: ignore[no-untyped-def]
    """Pack rows at ascending positions.

    ``lanes`` is (lanes, 2): the column of each and its words; ``g`` is 0 for the global window.
    """
    s = np.int64(0)
    for i in range(_U(positions.size)):
        position = np.int64(positions[i])
        if position < starts[s] or position >= starts[s + 1]:
            s = span_of(starts, position)
        block, row = spans[s, 0], position - starts[s] + spans[s, 1]
        time = words_at(addresses[block, TIME] + 8 * row, 1)[0]
        out[i, SLICE] = (time - offset) // g if g > 0 else 0
        out[i, TIME_US] = time
        out[i, KEY] = words_at(addresses[block, KEYS] + 8 * row, 1)[0]
        for word in range(n_flags):
            out[i, FLAGS + word] = 0
        address = addresses[block, NULLS]
        if address != 0 and bytes_at(address + row, 1)[0] != 0:
            out[i, FLAGS] = 1
        at = FLAGS + n_flags
        for lane in range(lanes.shape[0]):
            column, width = LANES + 2 * lanes[lane, 0], lanes[lane, 1]
            values = words_at(addresses[block, column] + 8 * row * width, width)
            for word in range(width):
                out[i, at + word] = values[word]
            at += width
            address = addresses[block, column + 1]
            if address != 0 and bytes_at(address + row, 1)[0] == 0:
                out[i, FLAGS + (lane + 1) // FLAG_BITS] |= np.int64(1) << ((lane + 1) % FLAG_BITS)
