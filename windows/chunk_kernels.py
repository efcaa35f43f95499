"""Kernels that find and copy rows of a chunk, which lies in pieces of several buffers."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.memory_kernels import bytes_at, words_at
from eventtime.windows.rises import rise_before

__all__ = (
    "KEYS",
    "LANES",
    "NULLS",
    "N_RISES",
    "RISES",
    "TIME",
    "copy_bytes",
    "copy_rises",
    "copy_words",
    "find_rows",
    "keep_bytes",
    "keep_words",
    "pick_bytes",
    "pick_words",
    "span_of",
)

# Columns of a chunk's addresses (and number of rises); then two a lane: values and valid.
TIME, RISES, N_RISES, KEYS, NULLS, LANES = range(6)

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(inline="always", **_options)
def span_of(starts, position):  # type: ignore[no-untyped-def]
    """Return the span that holds a position; `starts` ends with the number of rows."""
    low, high = np.int64(0), np.int64(starts.size - 1)
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@njit(**_options)
def copy_words(spans, addresses, column, width, out):  # type: ignore[no-untyped-def]
    """Copy the rows of all spans one after another; `width` 8-byte words a row."""
    at = np.uint64(0)
    for s in range(spans.shape[0]):
        n = np.uint64((spans[s, 2] - spans[s, 1]) * width)
        source = words_at(addresses[spans[s, 0], column] + 8 * spans[s, 1] * width, n)
        for i in range(n):
            out[at + i] = source[i]
        at += n


@njit(**_options)
def copy_bytes(spans, addresses, column, absent, out):  # type: ignore[no-untyped-def]
    """Copy flags; a buffer without them has `absent` everywhere."""
    at = np.uint64(0)
    for s in range(spans.shape[0]):
        n = np.uint64(spans[s, 2] - spans[s, 1])
        address = addresses[spans[s, 0], column]
        if address == 0:
            out[at : at + n] = absent
        else:
            out[at : at + n] = bytes_at(address + spans[s, 1], n)
        at += n


@njit(**_options)
def copy_rises(spans, addresses, out):  # type: ignore[no-untyped-def]
    """Write the rises of all spans as of rows one after another; returns how many."""
    n, at, reached = np.uint64(0), np.int64(0), np.int64(0)
    for s in range(spans.shape[0]):
        block, first, last = spans[s, 0], spans[s, 1], spans[s, 2]
        count = addresses[block, N_RISES]
        rises = words_at(addresses[block, RISES], 2 * count)
        row = first
        r = rise_before(rises, count, first)
        while row < last:
            watermark = max(rises[2 * r + 1], spans[s, 3])
            if n == 0 or watermark > reached:
                out[np.uint64(2) * n], out[np.uint64(2) * n + np.uint64(1)] = (
                    at + row - first,
                    watermark,
                )
                reached = watermark
                n += np.uint64(1)
            r += 1
            row = rises[2 * r] if r < count else last
        at += last - first
    return np.int64(n)


@njit(**_options)
def find_rows(positions, starts, spans, addresses, out):  # type: ignore[no-untyped-def]
    """Write block, row, time and watermark of single rows into the four rows of `out`."""
    s, since, until, watermark = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for i in range(positions.size):
        position = positions[i]
        # Ascending positions often fall into the span, and behind the rise, of the one before.
        if position < starts[s] or position >= starts[s + 1]:
            s, until = span_of(starts, position), since
        block, row = spans[s, 0], position - starts[s] + spans[s, 1]
        if row < since or row >= until:
            count = addresses[block, N_RISES]
            rises = words_at(addresses[block, RISES], 2 * count)
            r = rise_before(rises, count, row)
            since, watermark = rises[2 * r], rises[2 * r + 1]
            until = rises[2 * r + 2] if r + 1 < count else spans[s, 2]
        out[0, i], out[1, i] = block, row
        out[2, i] = words_at(addresses[block, TIME] + 8 * row, 1)[0]
        out[3, i] = max(watermark, spans[s, 3])


@njit(**_options)
def pick_words(blocks, rows, addresses, column, width, out):  # type: ignore[no-untyped-def]
    """Copy single rows, `width` 8-byte words each."""
    for i in range(rows.size):
        address = addresses[blocks[i], column] + 8 * rows[i] * width
        source = words_at(address, width)
        for word in range(width):
            out[i * width + word] = source[word]


@njit(**_options)
def pick_bytes(blocks, rows, addresses, column, absent, out):  # type: ignore[no-untyped-def]
    """Copy the flags of single rows."""
    for i in range(rows.size):
        address = addresses[blocks[i], column]
        out[i] = absent if address == 0 else bytes_at(address + rows[i], 1)[0]


@njit(**_options)
def keep_words(spans, starts, addresses, column, width, positions, kept, out):  # type: ignore[no-untyped-def]
    """Copy the rows at ascending positions, those from `kept[s]` on in span s."""
    for s in range(np.uint64(spans.shape[0])):
        at, end = np.uint64(kept[s]), np.uint64(kept[s + np.uint64(1)])
        # As if the buffer began with the chunk: positions are rows then.
        first = spans[s, 1] - starts[s]
        address = addresses[spans[s, 0], column] + 8 * first * width
        source = words_at(address, width * starts[s + np.uint64(1)])
        if width == 1:
            for i in range(at, end):
                out[i] = source[np.uint64(positions[i])]
        else:
            two, one = np.uint64(2), np.uint64(1)
            for i in range(at, end):
                row = two * np.uint64(positions[i])
                out[two * i], out[two * i + one] = source[row], source[row + one]


@njit(**_options)
def keep_bytes(spans, starts, addresses, column, absent, positions, kept, out):  # type: ignore[no-untyped-def]
    """Copy flags as `keep_words` copies words; a buffer without them has `absent` everywhere."""
    for s in range(np.uint64(spans.shape[0])):
        at, end = np.uint64(kept[s]), np.uint64(kept[s + np.uint64(1)])
        address = addresses[spans[s, 0], column]
        if address == 0:
            out[at:end] = absent
            continue
        source = bytes_at(address + spans[s, 1] - starts[s], starts[s + np.uint64(1)])
        for i in range(at, end):
            out[i] = source[np.uint64(positions[i])]
