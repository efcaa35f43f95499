"""The kernel that judges rows against the watermark and finds their slots (S4, S18–S20)."""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from eventtime.state.kernels import (
    COUNT,
    DENSE,
    MASK,
    NEXT_SLOT,
    NO_SLOT,
    PAGE_END,
    ROWS,
    TABLE,
    address_of,
    hash_word,
    lookup,
    mixed_word,
    prefetch,
    put,
    take_slot,
)

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
    "N_OUT",
    "OFFSET",
    "PAGES",
    "POSITION",
    "SIZE",
    "SLIDE",
    "WHICH",
    "G",
    "assign",
    "enter_slices",
    "rows_of_shard",
    "shard_of",
)

# Why the kernel came back.
DONE, FIRE, NEW_SLICE, GROW, PAGES = range(5)

# Configuration words.
G, OFFSET, SIZE, SLIDE, LATENESS, GLOBAL = range(6)
CONFIG_WIDTH = 6

# Control words, kept between calls: the kernel goes on where it stopped.
POSITION, N_OUT, N_LATE, N_CORRECTIONS, N_FRESH, NEXT_TICK, N_FREE, WHICH = range(8)
CONTROL_WIDTH = 8

# Tables with more entries than this do not stay in the second-level cache.
_FAR = 1 << 16
_AHEAD = np.uint64(24)
_RECENT = 16
# Changing slice more often than once in so many rows counts as to and fro.
_OFTEN = 16

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(inline="always", **_options)
def shard_of(key, shards):  # type: ignore[no-untyped-def]
    """Choose the shard of a key word; cheap, for each shard computes it for all rows."""
    spread = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    return np.int64((spread * np.uint64(shards)) >> np.uint64(32))


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


@njit(**_options)
def rows_of_shard(keys, shards, shard, out):  # type: ignore[no-untyped-def]
    """List the rows whose key falls to a shard; no branch, it would be guessed wrong too often."""
    n = np.uint64(0)
    for i in range(keys.size):
        out[n] = i
        n += np.uint64(shard_of(keys[np.uint64(i)], shards) == shard)
    return np.int64(n)


@njit(inline="always", **_options)
def _look_ahead(keys, mine, sharded, dense, wrap, entries, words, at, end):  # type: ignore[no-untyped-def]
    """Fetch the entry of a row well ahead, and the accumulator of one half as far ahead."""
    if at + _AHEAD < end:
        i = np.uint64(mine[at + _AHEAD]) if sharded else at + _AHEAD
        place = mixed_word(keys[i], dense) & wrap
        prefetch(np.int64(entries.ctypes.data) + np.int64(place) * 8)
    if at + _AHEAD // np.uint64(2) < end:
        i = np.uint64(mine[at + _AHEAD // np.uint64(2)]) if sharded else at + _AHEAD // np.uint64(2)
        slot = (entries[mixed_word(keys[i], dense) & wrap] & 0xFFFFFFFF) - 1
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
def _run(  # type: ignore[no-untyped-def]
    time, watermark, keys, mine, sharded, lo, hi, first, entries, mask, dense, words, at, end,
    out_row, out_slot, n_out,
    row, limit, neutral, fresh, n_fresh,
):  # fmt: skip
    """Take rows as long as all is usual.

    That is: same slice, its windows open, key found or its place free at the first look.
    """
    wrap = np.uint64(mask)
    far = mask >= _FAR
    while at < end:
        i = np.uint64(mine[at]) if sharded else at
        if far:
            _look_ahead(keys, mine, sharded, dense, wrap, entries, words, at, end)
        t = time[i]
        if t < lo or t >= hi or first <= watermark[i]:
            break
        key = keys[i]
        mixed = mixed_word(key, dense)
        entry = entries[mixed & wrap]
        slot = np.uint64(entry & 0xFFFFFFFF) - np.uint64(1)
        if entry == 0:
            if row[COUNT] >= limit or row[NEXT_SLOT] == row[PAGE_END]:
                break
            slot = _fresh_slot(row, entries, mixed, wrap, words, key, neutral)
            fresh[n_fresh] = slot
            n_fresh += np.uint64(1)
        # Invariant: the entry of the null key is negative.
        elif entry < 0 or words[slot, np.uint64(0)] != key:
            break
        words[slot, np.uint64(ROWS)] += 1
        out_row[n_out] = i
        out_slot[n_out] = slot
        n_out += np.uint64(1)
        at += np.uint64(1)
    return at, n_out, n_fresh


@njit(inline="always", **_options)
def _run_to_and_fro(  # type: ignore[no-untyped-def]
    time, watermark, keys, mine, sharded, offset, g, recent, dirs, words, at, end,
    out_row, out_slot, n_out,
    neutral, fresh, n_fresh,
):  # fmt: skip
    """Take usual rows of recent slices: as `_run`, but a change of slice costs no wrong guess."""
    while at < end:
        i = np.uint64(mine[at]) if sharded else at
        slice_index = (time[i] - offset) // g
        place = np.uint64(slice_index) & np.uint64(_RECENT - 1)
        if (
            recent[place, 0] != slice_index
            or recent[place, 4] < 0
            or recent[place, 2] <= watermark[i]
        ):
            break
        key, wrap = keys[i], np.uint64(recent[place, 6])
        mixed = mixed_word(key, recent[place, 7])
        entries = carray(address_of(recent[place, 5]), (1,))
        entry = entries[mixed & wrap]
        slot = np.uint64(entry & 0xFFFFFFFF) - np.uint64(1)
        if entry == 0:
            row = dirs[recent[place, 4]]
            if row[COUNT] >= recent[place, 8] or row[NEXT_SLOT] == row[PAGE_END]:
                break
            slot = _fresh_slot(row, entries, mixed, wrap, words, key, neutral)
            fresh[n_fresh] = slot
            n_fresh += np.uint64(1)
        elif entry < 0 or words[slot, np.uint64(0)] != key:
            break
        words[slot, np.uint64(ROWS)] += 1
        out_row[n_out] = i
        out_slot[n_out] = slot
        n_out += np.uint64(1)
        at += np.uint64(1)
    return at, n_out, n_fresh


@njit(**_options)
def assign(  # type: ignore[no-untyped-def]
    time, watermark, keys, nulls, mine, config, control, dirs, map_rows, page_next, free, words,
    neutral,
    out_row, out_slot, late, corrections, fresh,
):  # fmt: skip
    """Judge rows from `control[POSITION]` on, find slots, and stop where Python must act.

    For a row at t with watermark W before it, and its slice [lo, lo + g): the windows that hold it
    end between ``first`` and ``last``. It missed all when last + L <= W, some when first + L <= W,
    and came after some had closed when first <= W; those of the last sort that are folded all the
    same are listed in `corrections`, as indices into `out_row` and `out_slot`.

    `mine` lists the rows of this shard; empty: all.

    Stops: FIRE before a row that touches a closed window while ends up to W have not fired (so what
    fires never holds a later row); NEW_SLICE, GROW, PAGES for room. Never half-way through a row.
    """
    one = np.uint64(1)
    g, offset, size, slide = config[G], config[OFFSET], config[SIZE], config[SLIDE]
    lateness, everything = config[LATENESS], config[GLOBAL] != 0
    n_out, n_late = np.uint64(control[N_OUT]), np.uint64(control[N_LATE])
    n_corrections, n_fresh = np.uint64(control[N_CORRECTIONS]), np.uint64(control[N_FRESH])
    n_free, next_tick = control[N_FREE], control[NEXT_TICK]
    lo, hi = np.int64(0), np.int64(0)
    first, last = np.int64(0), np.int64(0)
    slice_index = np.int64(0)
    table = np.int64(NO_SLOT)
    status = DONE
    # A view of no entries; replaced as soon as a slice is known.
    entries = carray(address_of(words.ctypes.data), (0,))
    mask = np.int64(0)
    limit = np.int64(0)
    dense = np.int64(0)
    # Disorder moves rows to and fro between a few slices.
    recent = np.full((_RECENT, 9), -1, np.int64)
    changes, start = np.int64(0), np.uint64(control[POSITION])
    plain = nulls.size == 0
    sharded = mine.size > 0
    at, end = np.uint64(control[POSITION]), np.uint64(mine.size if sharded else time.size)
    while at < end:
        if plain and table >= 0 and changes * _OFTEN > np.int64(at - start) + _OFTEN * _OFTEN:
            at, n_out, n_fresh = _run_to_and_fro(
                time, watermark, keys, mine, sharded, offset, g, recent, dirs, words, at, end,
                out_row, out_slot, n_out, neutral, fresh, n_fresh,
            )  # fmt: skip
            # Which slice was the last is not known; the row that stopped finds its own.
            lo, hi = np.int64(0), np.int64(0)
            if at == end:
                break
        elif plain and table >= 0:
            at, n_out, n_fresh = _run(
                time, watermark, keys, mine, sharded, lo, hi, first, entries, mask, dense, words,
                at, end, out_row, out_slot, n_out, dirs[table], limit, neutral, fresh, n_fresh,
            )  # fmt: skip
            if at == end:
                break
        i = np.uint64(mine[at]) if sharded else at
        key = keys[i]
        t = time[i]
        w = watermark[i]
        if t < lo or t >= hi:
            changes += 1
            slice_index = np.int64(0) if everything else (t - offset) // g
            place = np.uint64(slice_index) & np.uint64(_RECENT - 1)
            if recent[place, 0] == slice_index and recent[place, 4] >= 0:
                lo, first, last, table = (
                    recent[place, 1],
                    recent[place, 2],
                    recent[place, 3],
                    recent[place, 4],
                )
                hi = lo + g
            else:
                if everything:
                    lo, hi = np.int64(-(2**63)), np.int64(2**63 - 1)
                    first, last = hi, hi
                else:
                    lo = offset + slice_index * g
                    hi = lo + g
                    last = (lo - offset) // slide * slide + offset + size
                    first = -((size + offset - hi) // slide) * slide + offset + size
                table = _directory_row(slice_index, map_rows, dirs)
                recent[place, 0], recent[place, 1], recent[place, 2] = slice_index, lo, first
                recent[place, 3], recent[place, 4] = last, np.int64(-1) if everything else table
            if table >= 0:
                mask, dense = dirs[table, MASK], dirs[table, DENSE]
                entries = carray(address_of(dirs[table, TABLE]), (mask + 1,))
                limit = (mask + 1) * 3 // 5
                recent[place, 5], recent[place, 6] = dirs[table, TABLE], mask
                recent[place, 7], recent[place, 8] = dense, limit
        if first <= w:
            if (last if everything else last + lateness) <= w:
                late[n_late] = i
                n_late += one
                at += one
                continue
            if next_tick <= w:
                status = FIRE
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
        words[np.uint64(slot), np.uint64(ROWS)] += 1
        out_row[n_out] = i
        out_slot[n_out] = slot
        n_out += one
        if first <= w:
            if first + lateness <= w:
                late[n_late] = i
                n_late += one
            corrections[n_corrections] = n_out - one
            n_corrections += one
        at += one
    control[POSITION] = at
    control[N_OUT], control[N_LATE], control[N_CORRECTIONS] = n_out, n_late, n_corrections
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
