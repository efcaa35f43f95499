"""The kernel that puts keys in order, by radix."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ("sorted_order",)

_RADIX_BITS = 12

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def sorted_order(keys, low, bits, order, spare):  # type: ignore[no-untyped-def]
    """Write the stable order of keys, by radix over ``keys - low``, which has `bits` bits.

    `order` and `spare` are (n,) int64; returns whether the order is in `spare`.
    """
    n = np.uint64(keys.size)
    low_word = np.uint64(low)
    passes = max((bits + _RADIX_BITS - 1) // _RADIX_BITS, 1)
    width = np.uint64((bits + passes - 1) // passes)
    digits = (np.uint64(1) << width) - np.uint64(1)
    places = _places(keys, low_word, passes, width, digits)
    # Where a key and its row fit into one word together, passes move words and look nothing up.
    row_bits = np.uint64(0)
    while np.uint64(1) << row_bits < n:
        row_bits += np.uint64(1)
    if np.uint64(bits) + row_bits > np.uint64(64):
        return _order_by_look_up(keys, low_word, places, width, digits, order, spare)
    rows = (np.uint64(1) << row_bits) - np.uint64(1)
    counts = places[0]
    for i in range(n):
        key = np.uint64(keys[i]) - low_word
        place = counts[key & digits]
        spare[place] = np.int64(i if passes == 1 else key << row_bits | i)
        counts[key & digits] = place + np.uint64(1)
    for turn in range(1, passes):
        order, spare = spare, order
        counts, shift = places[turn], row_bits + np.uint64(turn) * width
        last = turn == passes - 1
        for i in range(n):
            packed = np.uint64(order[i])
            digit = packed >> shift & digits
            place = counts[digit]
            spare[place] = np.int64(packed & rows if last else packed)
            counts[digit] = place + np.uint64(1)
    return passes % 2 == 1


@njit(inline="always", **_options)
def _places(keys, low, passes, width, digits):  # type: ignore[no-untyped-def]
    """Return, for each pass, where the first key of each digit goes."""
    counts = np.zeros((passes, np.int64(digits) + 1), np.uint64)
    for i in range(np.uint64(keys.size)):
        key = np.uint64(keys[i]) - low
        for turn in range(np.uint64(passes)):
            counts[turn, key & digits] += np.uint64(1)
            key >>= width
    for turn in range(passes):
        total = np.uint64(0)
        for digit in range(counts.shape[1]):
            counts[turn, digit], total = total, total + counts[turn, digit]
    return counts


@njit(**_options)
def _order_by_look_up(keys, low, places, width, digits, order, spare):  # type: ignore[no-untyped-def]
    """Sort rows, looking the key of each up in each pass."""
    n = np.uint64(keys.size)
    for i in range(n):
        order[i] = i
    for turn in range(places.shape[0]):
        counts, shift = places[turn], np.uint64(turn) * width
        for i in range(n):
            row = np.uint64(order[i])
            digit = (np.uint64(keys[row]) - low) >> shift & digits
            place = counts[digit]
            spare[place] = np.int64(row)
            counts[digit] = place + np.uint64(1)
        order, spare = spare, order
    return places.shape[0] % 2 == 1
