"""The kernel that judges rows against the watermark and finds their slots (S4, S18–S20)."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import (
    CHANGED,
    COUNT,
    DENSE,
    MASK,
    NEXT_SLOT,
    NO_SLOT,
    OUT,
    PAGE_END,
    TABLE,
    TOUCHED,
    VERSION,
    lookup,
    mixed_word,
    put,
    take_slot,
)
from eventtime.state.memory_kernels import bytes_at, words_at
from eventtime.windows.chunk_kernels import KEYS, N_RISES, NULLS, RISES, TIME, span_of
from eventtime.windows.rises import rise_before
from eventtime.windows.run_kernels import (
    ENTRIES,
    FAR,
    FIRST,
    INDEX,
    IS_DENSE,
    LAST,
    LIMIT,
    LOW,
    RECENT,
    RECENT_WIDTH,
    ROW,
    WRAP,
    run_dense,
    run_hashed,
    run_spans,
    run_to_and_fro,
)
from eventtime.windows.slice_map import directory_row

__all__ = (
    "CONFIG_WIDTH",
    "CONTROL_WIDTH",
    "DONE",
    "FIRE",
    "FLOOR",
    "GLOBAL",
    "GROW",
    "LATENESS",
    "LOAD",
    "LOADS",
    "NEW_SLICE",
    "NEXT_TICK",
    "NOW",
    "N_ASIDE",
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
)

# Why the kernel came back.
DONE, FIRE, NEW_SLICE, GROW, PAGES, LOAD = range(6)

# Configuration words.
G, OFFSET, SIZE, SLIDE, LATENESS, GLOBAL, FLOOR = range(7)
CONFIG_WIDTH = 7

# Control words, kept between calls: the kernel goes on where it stopped.
# NOW is a number for the chunk; LOADS says that a slice must be brought back for a row of it.
POSITION, N_LATE, N_CORRECTIONS, N_FRESH, NEXT_TICK, N_FREE, WHICH, N_ASIDE, NOW, LOADS = range(10)
CONTROL_WIDTH = 10

# Changing slice more often than once in so many rows counts as to and fro.
_OFTEN = 16

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


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
def _bounds(slice_index, config):  # type: ignore[no-untyped-def]
    """Return start and width of a slice, and the first and last end of windows that hold it."""
    g, offset, size, slide = config[G], config[OFFSET], config[SIZE], config[SLIDE]
    if config[GLOBAL] != 0:
        # As wide as unsigned numbers go, less one: times are far from both ends.
        end = np.int64(2**63 - 1)
        return np.int64(-(2**63)), np.int64(-1), end, end
    lo = offset + slice_index * g
    first = -((size + offset - lo - g) // slide) * slide + offset + size
    return lo, g, first, (lo - offset) // slide * slide + offset + size


@njit(**_options)
def assign(  # type: ignore[no-untyped-def]
    spans, starts, addresses, config, control, dirs, map_rows, page_next, free, words, neutral,
    slots, late, corrections, fresh, aside,
):  # fmt: skip
    """Judge rows from `control[POSITION]` on, find slots, and stop where Python must act.

    For a row at t with watermark W before it, and its slice [lo, lo + g): the windows that hold it
    end between ``first`` and ``last``. It missed all when last + L <= W or last <= FLOOR <= W, some
    when first does so, and came after some had closed when first <= W; those of the last sort that
    are folded all the same are listed in `corrections`. A row that missed all has NO_SLOT in
    `slots`, and so has one whose key has left memory with its slice, which is listed in `aside`.
    Rows are named by their positions in the chunk.

    Stops: FIRE before a row that touches a closed window while ends up to W (then in
    `control[WHICH]`) have not fired, so what fires never holds a later row; NEW_SLICE, GROW, PAGES
    for room; LOAD. Never half-way through a row.
    """
    one = np.uint64(1)
    g, offset = config[G], config[OFFSET]
    lateness, everything = config[LATENESS], config[GLOBAL] != 0
    n_late = np.uint64(control[N_LATE])
    n_corrections, n_fresh = np.uint64(control[N_CORRECTIONS]), np.uint64(control[N_FRESH])
    n_free, next_tick, n_aside = control[N_FREE], control[NEXT_TICK], np.uint64(control[N_ASIDE])
    # The slice under way; a width of 0 holds no row.
    lo, width = np.int64(0), np.int64(0)
    first, last = np.int64(0), np.int64(0)
    slice_index, table = np.int64(0), np.int64(NO_SLOT)
    status = DONE
    # A view of no entries; replaced as soon as a slice is known.
    entries = words_at(words.ctypes.data, 0)
    mask, limit, dense = np.int64(0), np.int64(0), np.int64(0)
    # Disorder moves rows to and fro between a few slices.
    recent = np.full((RECENT, RECENT_WIDTH), -1, np.int64)
    changes, start = np.int64(0), control[POSITION]
    position, end = control[POSITION], starts[starts.size - 1]
    s = span_of(starts, position)
    while position < end and status == DONE:
        if dense != 0 and width != 0 and mask < FAR:
            s, position = run_spans(
                spans, starts, addresses, s, position, first, lo, width, entries, slots
            )
            if position == end:
                break
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
                    i, n_fresh = run_to_and_fro(
                        time, rises, count, first_row, at_least, keys, i, n, offset, g, recent,
                        dirs, words, slots, at, neutral, fresh, n_fresh,
                    )  # fmt: skip
                    # Which slice was the last is not known; the row that stopped finds its own.
                    width = np.int64(0)
                elif at_least < first:
                    till = n if at_most < first else _before(rises, count, n, first_row, first)
                    if dense != 0:
                        i, n_fresh = run_dense(
                            time, keys, i, till, lo, width, entries, mask, words, slots, at,
                            dirs, table, limit, neutral, fresh, n_fresh,
                        )  # fmt: skip
                    else:
                        i, n_fresh = run_hashed(
                            time, keys, i, till, lo, width, entries, mask, words, slots, at,
                            dirs, table, limit, neutral, fresh, n_fresh,
                        )  # fmt: skip
                if i == n:
                    break
            key, t = keys[i], time[i]
            if np.uint64(t - lo) >= np.uint64(width):
                changes += 1
                slice_index = np.int64(0) if everything else (t - offset) // g
                place = np.uint64(slice_index) & np.uint64(RECENT - 1)
                if recent[place, INDEX] == slice_index and recent[place, ROW] >= 0:
                    lo, width = recent[place, LOW], g
                    first, last = recent[place, FIRST], recent[place, LAST]
                    table = recent[place, ROW]
                else:
                    lo, width, first, last = _bounds(slice_index, config)
                    table = directory_row(slice_index, map_rows, dirs)
                    recent[place, INDEX], recent[place, LOW] = slice_index, lo
                    recent[place, FIRST], recent[place, LAST] = first, last
                    recent[place, ROW] = np.int64(-1) if everything else table
                if table >= 0:
                    dirs[table, VERSION] = CHANGED
                    dirs[table, TOUCHED] = control[NOW]
                    mask, dense = dirs[table, MASK], dirs[table, DENSE]
                    entries = words_at(dirs[table, TABLE], mask + 1)
                    limit = (mask + 1) * 3 // 5
                    recent[place, ENTRIES], recent[place, WRAP] = dirs[table, TABLE], mask
                    recent[place, IS_DENSE], recent[place, LIMIT] = dense, limit
            # Rows that are on time whatever holds within the span need no look at its rises.
            w = at_least
            if first <= at_most:
                w = max(w, rises[2 * rise_before(rises, count, first_row + np.int64(i)) + 1])
            if first <= w:
                if (last if everything else last + lateness) <= w or last <= config[FLOOR]:
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
            if slot == NO_SLOT and dirs[table, OUT] != 0:
                if control[LOADS] != 0:
                    status = LOAD
                    control[WHICH] = slice_index
                    break
                aside[n_aside] = position + np.int64(i)
                n_aside += one
            elif slot == NO_SLOT:
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
                if first + lateness <= w or first <= config[FLOOR]:
                    late[n_late] = position + np.int64(i)
                    n_late += one
                corrections[n_corrections] = position + np.int64(i)
                n_corrections += one
            i += one
        position += np.int64(i)
        s += 1
    control[POSITION] = position
    control[N_LATE], control[N_CORRECTIONS] = n_late, n_corrections
    control[N_FRESH], control[N_FREE], control[N_ASIDE] = n_fresh, n_free, n_aside
    return status
