"""The kernel that judges rows against the watermark and finds their slots (S4, S18–S20)."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import (
    COUNT,
    DENSE,
    MASK,
    NEXT_SLOT,
    NO_SLOT,
    PAGE_END,
    TABLE,
    TAGGED,
    hash_word,
    lookup,
    mixed_word,
    put,
    take_slot,
)
from eventtime.state.pointers import bytes_at, prefetch, words_at
from eventtime.windows.chunk_kernels import KEYS, N_RISES, NULLS, RISES, TIME, span_of
from eventtime.windows.rises import rise_before

__all__ = (
    "CONFIG_WIDTH",
    "CONTROL_WIDTH",
    "DONE",
    "FIRE",
    "GLOBAL",
    "GROW",
    "LATENESS",
    "NEW_SLICE",
    "NEXT_TICK",
    "N_CORRECTIONS",
    "N_FREE",
    "N_FRESH",
    "N_LATE",
    "OFFSET",
    "PAGES",
    "POSITION",
    "SIZE",
    "SLIDE",
    "WHICH",
    "G",
    "assign",
    "enter_slices",
)

# Why the kernel came back.
DONE, FIRE, NEW_SLICE, GROW, PAGES = range(5)

# Configuration words.
G, OFFSET, SIZE, SLIDE, LATENESS, GLOBAL = range(6)
CONFIG_WIDTH = 6

# Control words, kept between calls: the kernel goes on where it stopped.
POSITION, N_LATE, N_CORRECTIONS, N_FRESH, NEXT_TICK, N_FREE, WHICH = range(7)
CONTROL_WIDTH = 7

# Tables with more entries than this do not stay in the second-level cache.
_FAR = 1 << 16
_AHEAD = np.uint64(24)
# Slices seen last, each at its index modulo so many, as rows of the words below.
_RECENT = 16
_INDEX, _LOW, _FIRST, _LAST, _ROW, _TABLE, _MASK, _DENSE, _LIMIT = range(9)
# Changing slice more often than once in so many rows counts as to and fro.
_OFTEN = 16

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(inline="always", **_options)
def _directory_row(slice_index, map_rows, dirs):  # type: ignore[no-untyped-def]
    """Find the table of a slice in the map of directory rows; NO_SLOT when it has none."""
    mask = map_rows.size - 1
    place = np.int64(hash_word(slice_index) & np.uint64(mask))
    while True:
        row = map_rows[place]
        if row < 0 or dirs[row, 0] == slice_index:
            return row
        place = (place + 1) & mask


@njit(inline="always", **_options)
def _before(rises, count, n, first_row, point):  # type: ignore[no-untyped-def]
    """Return how many of `n` rows from `first_row` on are judged by less than `point`."""
    low, high = np.int64(0), count
    while low < high:
        middle = (low + high) // 2
        if rises[2 * middle + 1] < point:
            low = middle + 1
        else:
            high = middle
    return n if low == count else np.uint64(min(max(rises[2 * low] - first_row, 0), np.int64(n)))


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
def _fresh_slot(row, entries, mixed, wrap, words, key, neutral):  # type: ignore[no-untyped-def]
    """Enter a key at its free place, in the page under way."""
    slot = np.uint64(row[NEXT_SLOT])
    row[NEXT_SLOT] += 1
    for word in range(np.uint64(neutral.size)):
        words[slot, word] = neutral[word]
    put(row, entries, np.int64(mixed & wrap), np.int64(slot), words, key, mixed, np.int64(0))
    return slot


@njit(inline="always", **_options)
def _run_dense(  # type: ignore[no-untyped-def]
    time,
    keys,
    i,
    n,
    low,
    g,
    entries,
    mask,
    words,
    slots,
    at,
    dirs,
    table,
    limit,
    neutral,
    fresh,
    n_fresh,
):
    """Take rows as long as all is usual, by entries alone: a tag is the whole key there (TAGGED).

    That is: same slice, key found or its place free at the first look.
    """
    wrap = np.uint64(mask)
    far = mask >= _FAR
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
            row = dirs[table]
            if row[COUNT] >= limit or row[NEXT_SLOT] == row[PAGE_END]:
                break
            mixed = mixed_word(key, np.int64(1))
            slot = np.int64(_fresh_slot(row, entries, mixed, wrap, words, key, neutral))
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
def _run_hashed(  # type: ignore[no-untyped-def]
    time,
    keys,
    i,
    n,
    low,
    g,
    entries,
    mask,
    words,
    slots,
    at,
    dirs,
    table,
    limit,
    neutral,
    fresh,
    n_fresh,
):
    """Take rows as `_run_dense` does, where keys are hashed."""
    wrap = np.uint64(mask)
    far = mask >= _FAR
    while i < n:
        if far:
            _look_ahead(keys, np.int64(0), wrap, entries, words, i, n)
        if np.uint64(time[i] - low) >= np.uint64(g):
            break
        key = keys[i]
        mixed = hash_word(key)
        entry = entries[mixed & wrap]
        slot = np.uint64(entry & 0xFFFFFFFF) - np.uint64(1)
        if entry == 0:
            row = dirs[table]
            if row[COUNT] >= limit or row[NEXT_SLOT] == row[PAGE_END]:
                break
            slot = _fresh_slot(row, entries, mixed, wrap, words, key, neutral)
            fresh[n_fresh] = slot
            n_fresh += np.uint64(1)
        # Invariant: the entry of the null key is negative.
        elif entry < 0 or words[slot, np.uint64(0)] != key:
            break
        slots[at + i] = slot
        i += np.uint64(1)
    return i, n_fresh


@njit(inline="always", **_options)
def _run_to_and_fro(  # type: ignore[no-untyped-def]
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
        place = np.uint64(slice_index) & np.uint64(_RECENT - 1)
        if (
            recent[place, _INDEX] != slice_index
            or recent[place, _ROW] < 0
            or recent[place, _FIRST] <= watermark
        ):
            break
        key, wrap = keys[i], np.uint64(recent[place, _MASK])
        mixed = mixed_word(key, recent[place, _DENSE])
        entries = words_at(recent[place, _TABLE], 1)
        entry = entries[mixed & wrap]
        slot = np.uint64(entry & 0xFFFFFFFF) - np.uint64(1)
        if entry == 0:
            row = dirs[recent[place, _ROW]]
            if row[COUNT] >= recent[place, _LIMIT] or row[NEXT_SLOT] == row[PAGE_END]:
                break
            slot = _fresh_slot(row, entries, mixed, wrap, words, key, neutral)
            fresh[n_fresh] = slot
            n_fresh += np.uint64(1)
        elif entry < 0 or words[slot, np.uint64(0)] != key:
            break
        slots[at + i] = slot
        i += np.uint64(1)
    return i, n_fresh


@njit(**_options)
def assign(  # type: ignore[no-untyped-def]
    spans, starts, addresses, config, control, dirs, map_rows, page_next, free, words, neutral,
    slots, late, corrections, fresh,
):  # fmt: skip
    """Judge rows from `control[POSITION]` on, find slots, and stop where Python must act.

    For a row at t with watermark W before it, and its slice [lo, lo + g): the windows that hold it
    end between ``first`` and ``last``. It missed all when last + L <= W, some when first + L <= W,
    and came after some had closed when first <= W; those of the last sort that are folded all the
    same are listed in `corrections`. A row that missed all has NO_SLOT in `slots`. Rows are named
    by their positions in the chunk.

    Stops: FIRE before a row that touches a closed window while ends up to W (then in
    `control[WHICH]`) have not fired, so what fires never holds a later row; NEW_SLICE, GROW, PAGES
    for room. Never half-way through a row.
    """
    one = np.uint64(1)
    g, offset, size, slide = config[G], config[OFFSET], config[SIZE], config[SLIDE]
    lateness, everything = config[LATENESS], config[GLOBAL] != 0
    n_late = np.uint64(control[N_LATE])
    n_corrections, n_fresh = np.uint64(control[N_CORRECTIONS]), np.uint64(control[N_FRESH])
    n_free, next_tick = control[N_FREE], control[NEXT_TICK]
    # The slice under way; a width of 0 holds no row.
    lo, width = np.int64(0), np.int64(0)
    first, last = np.int64(0), np.int64(0)
    slice_index = np.int64(0)
    table = np.int64(NO_SLOT)
    status = DONE
    # A view of no entries; replaced as soon as a slice is known.
    entries = words_at(words.ctypes.data, 0)
    mask = np.int64(0)
    limit = np.int64(0)
    dense = np.int64(0)
    # Disorder moves rows to and fro between a few slices.
    recent = np.full((_RECENT, 9), -1, np.int64)
    changes, start = np.int64(0), control[POSITION]
    position, end = control[POSITION], starts[starts.size - 1]
    s = span_of(starts, position)
    while position < end and status == DONE:
        block, first_row = spans[s, 0], spans[s, 1] + position - starts[s]
        at_least, at_most = spans[s, 3], spans[s, 4]
        n = np.uint64(starts[s + 1] - position)
        time = words_at(addresses[block, TIME] + 8 * first_row, n)
        keys = words_at(addresses[block, KEYS] + 8 * first_row, n)
        count = addresses[block, N_RISES]
        rises = words_at(addresses[block, RISES], 2 * count)
        plain = addresses[block, NULLS] == 0
        nulls = bytes_at(addresses[block, NULLS] + first_row, n)
        at, i = np.uint64(position), np.uint64(0)
        while i < n:
            if plain and table >= 0:
                if changes * _OFTEN > position + np.int64(i) - start + _OFTEN * _OFTEN:
                    i, n_fresh = _run_to_and_fro(
                        time, rises, count, first_row, at_least, keys, i, n, offset, g, recent,
                        dirs, words, slots, at, neutral, fresh, n_fresh,
                    )  # fmt: skip
                    # Which slice was the last is not known; the row that stopped finds its own.
                    width = np.int64(0)
                elif at_least < first:
                    till = n if at_most < first else _before(rises, count, n, first_row, first)
                    if dense != 0:
                        i, n_fresh = _run_dense(
                            time, keys, i, till, lo, width, entries, mask, words, slots, at,
                            dirs, table, limit, neutral, fresh, n_fresh,
                        )  # fmt: skip
                    else:
                        i, n_fresh = _run_hashed(
                            time, keys, i, till, lo, width, entries, mask, words, slots, at,
                            dirs, table, limit, neutral, fresh, n_fresh,
                        )  # fmt: skip
                if i == n:
                    break
            key, t = keys[i], time[i]
            if np.uint64(t - lo) >= np.uint64(width):
                changes += 1
                slice_index = np.int64(0) if everything else (t - offset) // g
                place = np.uint64(slice_index) & np.uint64(_RECENT - 1)
                if recent[place, _INDEX] == slice_index and recent[place, _ROW] >= 0:
                    lo, width = recent[place, _LOW], g
                    first, last = recent[place, _FIRST], recent[place, _LAST]
                    table = recent[place, _ROW]
                else:
                    if everything:
                        # As wide as unsigned numbers go, less one: times are far from both ends.
                        lo, width = np.int64(-(2**63)), np.int64(-1)
                        first, last = np.int64(2**63 - 1), np.int64(2**63 - 1)
                    else:
                        lo, width = offset + slice_index * g, g
                        last = (lo - offset) // slide * slide + offset + size
                        first = -((size + offset - lo - g) // slide) * slide + offset + size
                    table = _directory_row(slice_index, map_rows, dirs)
                    recent[place, _INDEX], recent[place, _LOW] = slice_index, lo
                    recent[place, _FIRST], recent[place, _LAST] = first, last
                    recent[place, _ROW] = np.int64(-1) if everything else table
                if table >= 0:
                    mask, dense = dirs[table, MASK], dirs[table, DENSE]
                    entries = words_at(dirs[table, TABLE], mask + 1)
                    limit = (mask + 1) * 3 // 5
                    recent[place, _TABLE], recent[place, _MASK] = dirs[table, TABLE], mask
                    recent[place, _DENSE], recent[place, _LIMIT] = dense, limit
            # Rows that are on time whatever holds within the span need no look at its rises.
            w = at_least
            if first <= at_most:
                w = max(w, rises[2 * rise_before(rises, count, first_row + np.int64(i)) + 1])
            if first <= w:
                if (last if everything else last + lateness) <= w:
                    late[n_late] = position + np.int64(i)
                    n_late += one
                    slots[at + i] = NO_SLOT
                    i += one
                    continue
                if next_tick <= w:
                    status = FIRE
                    control[WHICH] = w
                    break
            if table < 0:
                status = NEW_SLICE
                control[WHICH] = slice_index
                break
            is_null = np.int64(0) if plain else np.int64(nulls[i])
            mixed = mixed_word(key, dense)
            slot, place = lookup(entries, mask, words, key, mixed, is_null)
            if slot == NO_SLOT:
                if dirs[table, COUNT] >= limit:
                    status = GROW
                    control[WHICH] = table
                    break
                if dirs[table, NEXT_SLOT] == dirs[table, PAGE_END] and n_free == 0:
                    status = PAGES
                    break
                slot, n_free = take_slot(dirs[table], page_next, free, n_free, words, neutral)
                put(dirs[table], entries, place, slot, words, key, mixed, is_null)
                fresh[n_fresh] = slot
                n_fresh += one
            slots[at + i] = slot
            if first <= w:
                if first + lateness <= w:
                    late[n_late] = position + np.int64(i)
                    n_late += one
                corrections[n_corrections] = position + np.int64(i)
                n_corrections += one
            i += one
        position += np.int64(i)
        s += 1
    control[POSITION] = position
    control[N_LATE], control[N_CORRECTIONS] = n_late, n_corrections
    control[N_FRESH], control[N_FREE] = n_fresh, n_free
    return status


@njit(**_options)
def enter_slices(map_rows, indices, rows):  # type: ignore[no-untyped-def]
    """Fill an empty map (all -1, a power of two) with the directory rows of slices."""
    mask = map_rows.size - 1
    for i in range(indices.size):
        place = np.int64(hash_word(indices[i]) & np.uint64(mask))
        while map_rows[place] >= 0:
            place = (place + 1) & mask
        map_rows[place] = rows[i]
