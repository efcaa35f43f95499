"""Kernels that find the slots of rows as long as all is usual; what is not goes to `assign`."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import (
    COUNT,
    NEXT_SLOT,
    NO_SLOT,
    OUT,
    PAGE_END,
    TAGGED,
    hash_word,
    mixed_word,
    put,
)
from eventtime.state.memory_kernels import prefetch, words_at
from eventtime.windows.chunk_kernels import KEYS, NULLS, TIME
from eventtime.windows.rises import rise_before

__all__ = (
    "ENTRIES",
    "FAR",
    "FIRST",
    "INDEX",
    "IS_DENSE",
    "LAST",
    "LIMIT",
    "LOW",
    "RECENT",
    "RECENT_WIDTH",
    "ROW",
    "WRAP",
    "run_dense",
    "run_hashed",
    "run_spans",
    "run_to_and_fro",
)

# Tables with more entries than this do not stay in the second-level cache.
FAR = 1 << 16
_AHEAD = np.uint64(24)
# Slices seen last, each at its index modulo so many, as rows of the words below.
RECENT = 16
INDEX, LOW, FIRST, LAST, ROW, ENTRIES, WRAP, IS_DENSE, LIMIT = range(9)
RECENT_WIDTH = 9

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(inline="always", **_options)
def _look_ahead(keys, dense, wrap, entries, words, i, n):  # type: ignore[no-untyped-def]
    """Fetch the entry of a row well ahead, and the accumulator of one half as far ahead."""
    if i + _AHEAD < n:
        place = mixed_word(keys[i + _AHEAD], dense) & wrap
        prefetch(np.int64(entries.ctypes.data) + np.int64(place) * 8)
    half = i + _AHEAD // np.uint64(2)
    if half < n:
        slot = (entries[mixed_word(keys[half], dense) & wrap] & 0xFFFFFFFF) - 1
        prefetch(np.int64(words.ctypes.data) + slot * words.shape[1] * 8)


@njit(inline="always", **_options)
def _fresh_slot(row, limit, entries, mixed, wrap, words, key, neutral):  # type: ignore[no-untyped-def]
    """Enter a key at its free place, in the page under way; NO_SLOT if there is no room."""
    if row[COUNT] >= limit or row[NEXT_SLOT] == row[PAGE_END] or row[OUT] != 0:
        return np.int64(NO_SLOT)
    slot = np.uint64(row[NEXT_SLOT])
    row[NEXT_SLOT] += 1
    for word in range(np.uint64(neutral.size)):
        words[slot, word] = neutral[word]
    put(row, entries, np.int64(mixed & wrap), np.int64(slot), words, key, mixed, np.int64(0))
    return np.int64(slot)


@njit(**_options)
def run_spans(spans, starts, addresses, s, position, first, low, g, entries, slots):  # type: ignore[no-untyped-def]
    """Take rows of one slice whose keys are in its dense table, over as many spans as it goes.

    A function of its own, with little to keep in registers: most rows are like that. Returns span
    and position of the first that is not.
    """
    wrap = np.uint64(entries.size - 1)
    end = starts[starts.size - 1]
    while position < end:
        block, row = spans[s, 0], spans[s, 1] + position - starts[s]
        if spans[s, 4] >= first or addresses[block, NULLS] != 0:
            break
        n, at = np.uint64(starts[s + 1] - position), np.uint64(position)
        time = words_at(addresses[block, TIME] + 8 * row, n)
        keys = words_at(addresses[block, KEYS] + 8 * row, n)
        i = np.uint64(0)
        while i < n:
            key = keys[i]
            if np.uint64(time[i] - low) >= np.uint64(g) or np.uint64(key) >= np.uint64(TAGGED):
                break
            entry = entries[np.uint64(key) & wrap]
            if entry >> 32 != key or entry == 0:
                break
            slots[at + i] = (entry & 0xFFFFFFFF) - 1
            i += np.uint64(1)
        position += np.int64(i)
        if i < n:
            break
        s += 1
    return s, position


@njit(inline="always", **_options)
def run_dense(  # type: ignore[no-untyped-def]
    time, keys, i, n, low, g, entries, mask, words, slots, at, dirs, table, limit, neutral, fresh,
    n_fresh,
):  # fmt: skip
    """Take rows as long as all is usual, by entries alone: a tag is the whole key there (TAGGED).

    That is: same slice, key found or its place free at the first look.
    """
    wrap = np.uint64(mask)
    far = mask >= FAR
    while i < n:
        if far and i + _AHEAD < n:
            prefetch(
                np.int64(entries.ctypes.data) + np.int64(np.uint64(keys[i + _AHEAD]) & wrap) * 8
            )
        key = keys[i]
        if np.uint64(time[i] - low) >= np.uint64(g) or np.uint64(key) >= np.uint64(TAGGED):
            break
        entry = entries[np.uint64(key) & wrap]
        if entry == 0:
            mixed = mixed_word(key, np.int64(1))
            slot = _fresh_slot(dirs[table], limit, entries, mixed, wrap, words, key, neutral)
            if slot == NO_SLOT:
                break
            fresh[n_fresh] = slot
            n_fresh += np.uint64(1)
            slots[at + i] = slot
        elif entry >> 32 != key:
            break
        else:
            slots[at + i] = (entry & 0xFFFFFFFF) - 1
        i += np.uint64(1)
    return i, n_fresh


@njit(inline="always", **_options)
def run_hashed(  # type: ignore[no-untyped-def]
    time, keys, i, n, low, g, entries, mask, words, slots, at, dirs, table, limit, neutral, fresh,
    n_fresh,
):  # fmt: skip
    """Take rows as `run_dense` does, where keys are hashed."""
    wrap = np.uint64(mask)
    far = mask >= FAR
    while i < n:
        if far:
            _look_ahead(keys, np.int64(0), wrap, entries, words, i, n)
        if np.uint64(time[i] - low) >= np.uint64(g):
            break
        key = keys[i]
        mixed = hash_word(key)
        entry = entries[mixed & wrap]
        slot = (entry & 0xFFFFFFFF) - 1
        if entry == 0:
            slot = _fresh_slot(dirs[table], limit, entries, mixed, wrap, words, key, neutral)
            if slot == NO_SLOT:
                break
            fresh[n_fresh] = slot
            n_fresh += np.uint64(1)
        # Invariant: the entry of the null key is negative.
        elif entry < 0 or words[np.uint64(slot), np.uint64(0)] != key:
            break
        slots[at + i] = slot
        i += np.uint64(1)
    return i, n_fresh


@njit(inline="always", **_options)
def run_to_and_fro(  # type: ignore[no-untyped-def]
    time, rises, count, first_row, at_least, keys, i, n, offset, g, recent, dirs, words, slots, at,
    neutral, fresh, n_fresh,
):  # fmt: skip
    """Take usual rows of recent slices: a change of slice costs no wrong guess."""
    r = rise_before(rises, count, first_row + np.int64(i))
    watermark = max(rises[2 * r + 1], at_least)
    while i < n:
        while r + 1 < count and rises[2 * r + 2] <= first_row + np.int64(i):
            r += 1
            watermark = max(rises[2 * r + 1], at_least)
        slice_index = (time[i] - offset) // g
        place = np.uint64(slice_index) & np.uint64(RECENT - 1)
        if (
            recent[place, INDEX] != slice_index
            or recent[place, ROW] < 0
            or recent[place, FIRST] <= watermark
        ):
            break
        key, wrap = keys[i], np.uint64(recent[place, WRAP])
        mixed = mixed_word(key, recent[place, IS_DENSE])
        entries = words_at(recent[place, ENTRIES], 1)
        entry = entries[mixed & wrap]
        slot = (entry & 0xFFFFFFFF) - 1
        if entry == 0:
            row, limit = dirs[recent[place, ROW]], recent[place, LIMIT]
            slot = _fresh_slot(row, limit, entries, mixed, wrap, words, key, neutral)
            if slot == NO_SLOT:
                break
            fresh[n_fresh] = slot
            n_fresh += np.uint64(1)
        elif entry < 0 or words[np.uint64(slot), np.uint64(0)] != key:
            break
        slots[at + i] = slot
        i += np.uint64(1)
    return i, n_fresh
