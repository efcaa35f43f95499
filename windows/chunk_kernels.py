"""Kernels that find and copy rows of a chunk, which lies in pieces of several buffers."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.pointers import bytes_at, words_at

__all__ = ("copy_bytes", "copy_words", "pick_bytes", "pick_words", "raise_to", "span_of")

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
def raise_to(spans, starts, watermark):  # type: ignore[no-untyped-def]
    """Raise a copied column of watermarks to what each span was judged by at least."""
    for s in range(spans.shape[0]):
        for i in range(np.uint64(starts[s]), np.uint64(starts[s + 1])):
            watermark[i] = max(watermark[i], spans[s, 3])


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
