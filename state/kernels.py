"""Compiled kernels of the slot tables: find or insert a key, walk, grow, pair and free.

A *directory row* describes one table (one slice, or one partial merge of slices):
its key, the address of its hash entries, their mask, the number of keys, and its chain of pages.
A hash entry is ``tag << 32 | slot + 1`` (0: empty); the top bit of the tag marks the null key, so
that null is a group of its own whatever value its word holds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.memory_kernels import prefetch, words_at

__all__ = (
    "CHANGED",
    "COUNT",
    "DENSE",
    "FIRST_PAGE",
    "HEAD",
    "KEY",
    "KEY_WORD",
    "LAST_PAGE",
    "MASK",
    "NEXT_SLOT",
    "NO_SLOT",
    "NULL_FLAG",
    "OUT",
    "PAGE_END",
    "PAGE_SLOTS",
    "ROWS",
    "TABLE",
    "TAGGED",
    "TOUCHED",
    "VERSION",
    "WIDTH",
    "find_or_take",
    "find_slots",
    "free_pages_of",
    "hash_word",
    "heads",
    "key_range",
    "lookup",
    "mixed_word",
    "pair_slots",
    "put",
    "read_words",
    "rehash",
    "row_counts",
    "slots_by_entry",
    "slots_of",
    "take_keys",
    "take_slot",
)

PAGE_SLOTS = 256
NO_SLOT = -1

# Columns of a directory row.
KEY, TABLE, MASK, COUNT, FIRST_PAGE, LAST_PAGE, NEXT_SLOT, PAGE_END, DENSE = range(9)
VERSION, OUT, TOUCHED = range(9, 12)
WIDTH = 12
# The version of a table that was changed since the last cut; those of cuts count from 1.
CHANGED = 0
# OUT is not 0 where the keys of a table have left memory: none is entered then.

# The first words of an accumulator: the key, then the rows folded (bit 62: the key is null).
HEAD = 2
KEY_WORD, ROWS = range(2)
NULL_FLAG = 1 << 62

# Keys below it are the whole tag of their entry in a dense table.
TAGGED = (1 << 31) - 1

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(inline="always", **_options)
def hash_word(key):  # type: ignore[no-untyped-def]
    """Mix a key word to 64 well-spread bits."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    return mixed ^ (mixed >> np.uint64(29))


@njit(inline="always", **_options)
def mixed_word(key, dense):  # type: ignore[no-untyped-def]
    """Mix a key for one table: where keys are a dense range, they are their own perfect hash.

    Then the tag of an entry is the whole key, or TAGGED for one that is no less (or negative).
    """
    if dense == 0:
        return hash_word(key)
    tag = min(np.uint64(key), np.uint64(TAGGED))
    return (np.uint64(key) & np.uint64(0x1FFFFFFFF)) | (tag << np.uint64(33))


@njit(inline="always", **_options)
def _tag(mixed, is_null):  # type: ignore[no-untyped-def]
    tag = (mixed >> np.uint64(33)) | (np.uint64(is_null) << np.uint64(31))
    return np.int64(tag << np.uint64(32))


@njit(inline="always", **_options)
def _step(key, mixed):  # type: ignore[no-untyped-def]
    """Return how far the next place to look at is: the neighbour, or for a dense table anywhere.

    Next to a place in a dense table stand the keys of a whole range: who strayed there would have
    to pass them all.
    """
    hashed = hash_word(key)
    return np.uint64(1) if mixed == hashed else hashed | np.uint64(1)


@njit(inline="always", **_options)
def lookup(entries, mask, words, key, mixed, is_null):  # type: ignore[no-untyped-def]
    """Return ``(slot, place)``: the key's slot or NO_SLOT, and the entry where it belongs."""
    tag = _tag(mixed, is_null)
    wrap = np.uint64(mask)
    place = mixed & wrap
    while True:
        entry = entries[place]
        if entry == 0:
            return np.int64(NO_SLOT), np.int64(place)
        if (entry ^ tag) >> 32 == 0:
            slot = np.uint64(entry & 0xFFFFFFFF) - np.uint64(1)
            if words[slot, np.uint64(0)] == key:
                return np.int64(slot), np.int64(place)
        place = (place + _step(key, mixed)) & wrap


@njit(inline="always", **_options)
def take_slot(row, page_next, free, n_free, words, neutral):  # type: ignore[no-untyped-def]
    """Give the table of directory row `row` a fresh slot; NO_SLOT when there is no page for it.

    Returns ``(slot, n_free)``. The slot holds the neutral accumulator.
    """
    slot = row[NEXT_SLOT]
    if slot == row[PAGE_END]:
        if n_free == 0:
            return np.int64(NO_SLOT), n_free
        n_free -= 1
        page = free[n_free]
        page_next[page] = -1
        if row[LAST_PAGE] < 0:
            row[FIRST_PAGE] = page
        else:
            page_next[row[LAST_PAGE]] = page
        row[LAST_PAGE] = page
        slot = page * PAGE_SLOTS
        row[PAGE_END] = slot + PAGE_SLOTS
    row[NEXT_SLOT] = slot + 1
    for word in range(neutral.size):
        words[slot, word] = neutral[word]
    return slot, n_free


@njit(inline="always", **_options)
def put(row, entries, place, slot, words, key, mixed, is_null):  # type: ignore[no-untyped-def]
    """Enter a fresh slot for a key at its place."""
    entries[place] = _tag(mixed, is_null) | (slot + 1)
    words[slot, 0] = key
    if is_null:
        words[slot, ROWS] = NULL_FLAG
    row[COUNT] += 1


@njit(inline="always", **_options)
def find_or_take(row, entries, key, mixed, is_null, page_next, free, n_free, words, neutral):  # type: ignore[no-untyped-def]
    """Find or insert a key where there is room: its slot, whether that is fresh, pages left."""
    slot, place = lookup(entries, row[MASK], words, key, mixed, is_null)
    fresh = slot == NO_SLOT
    if fresh:
        slot, n_free = take_slot(row, page_next, free, n_free, words, neutral)
        put(row, entries, place, slot, words, key, mixed, is_null)
    return slot, fresh, n_free


@njit(**_options)
def key_range(entries, words):  # type: ignore[no-untyped-def]
    """Return the least and the greatest key of a table; null keys count as their word, 0."""
    low, high = np.int64(2**63 - 1), np.int64(-(2**63))
    for i in range(entries.size):
        if entries[i] != 0:
            key = words[(entries[i] & 0xFFFFFFFF) - 1, 0]
            low, high = min(low, key), max(high, key)
    return low, high


@njit(**_options)
def rehash(old, new, words, dense):  # type: ignore[no-untyped-def]
    """Move all entries of a table into a larger, zeroed one, hashed or by their own words."""
    mask = new.size - 1
    for i in range(old.size):
        entry = old[i]
        if entry != 0:
            slot = (entry & 0xFFFFFFFF) - 1
            key = words[slot, 0]
            mixed = mixed_word(key, dense)
            place = mixed & np.uint64(mask)
            while new[place] != 0:
                place = (place + _step(key, mixed)) & np.uint64(mask)
            new[place] = _tag(mixed, (words[slot, ROWS] >> 62) & 1) | (slot + 1)


@njit(**_options)
def slots_of(row, page_next, out):  # type: ignore[no-untyped-def]
    """Write the slots of one table in order of insertion; returns how many."""
    n = 0
    page = row[FIRST_PAGE]
    while page >= 0:
        first = page * PAGE_SLOTS
        last = row[NEXT_SLOT] if page == row[LAST_PAGE] else first + PAGE_SLOTS
        for slot in range(first, last):
            out[n] = slot
            n += 1
        page = page_next[page]
    return n


@njit(**_options)
def slots_by_entry(entries, out):  # type: ignore[no-untyped-def]
    """List the slots of a dense table entry by entry; one more may be written than there are.

    Returns:
        Where in the list keys start over, 0: nowhere; or NO_SLOT, where entries do not tell that
        keys ascend from there round to there: one is no whole tag (TAGGED), null, or out of place.
    """
    n, turn, turns = np.uint64(0), np.uint64(0), 0
    first, previous = np.int64(-1), np.int64(-1)
    for start in range(np.uint64(0), np.uint64(entries.size), np.uint64(8)):
        some = np.int64(0)
        for place in range(start, start + np.uint64(8)):
            some |= entries[place]
        if some == 0:
            continue
        for place in range(start, start + np.uint64(8)):
            entry = entries[place]
            there, tag = entry != 0, entry >> 32
            if there and (tag <= previous or tag == TAGGED):
                if tag < 0 or tag == TAGGED or turns == 1:
                    return np.int64(NO_SLOT)
                turn, turns = n, turns + 1
            first = tag if there and n == 0 else first
            previous = tag if there else previous
            out[n] = (entry & 0xFFFFFFFF) - 1
            n += np.uint64(there)
    if turns == 1 and previous >= first:
        return np.int64(NO_SLOT)
    return np.int64(turn)


@njit(**_options)
def free_pages_of(row, page_next, free, n_free):  # type: ignore[no-untyped-def]
    """Give the pages of a table back; returns the new number of free pages."""
    page = row[FIRST_PAGE]
    while page >= 0:
        free[n_free] = page
        n_free += 1
        page = page_next[page]
    return n_free


@njit(**_options)
def row_counts(slots, words):  # type: ignore[no-untyped-def]
    """Sum the rows folded into the given slots."""
    total = 0
    for i in range(slots.size):
        total += words[slots[i], ROWS] & (NULL_FLAG - 1)
    return total


@njit(**_options)
def find_slots(row, words, keys, nulls, out):  # type: ignore[no-untyped-def]
    """Look keys up in one table without inserting; NO_SLOT where absent."""
    entries = words_at(row[TABLE], row[MASK] + 1)
    for i in range(keys.size):
        slot, _ = lookup(
            entries, row[MASK], words, keys[i], mixed_word(keys[i], row[DENSE]), nulls[i]
        )
        out[i] = slot


@njit(**_options)
def pair_slots(row, source, page_next, free, n_free, words, neutral, out, fresh):  # type: ignore[no-untyped-def]
    """Find or insert the keys of `source` slots in the table of `row`.

    The caller has made room: enough free pages, and entries for all keys.
    Writes the slot of each into `out` and whether it is new into `fresh`; returns the free pages
    left.
    """
    entries = words_at(row[TABLE], row[MASK] + 1)
    for i in range(source.size):
        key = words[source[i], 0]
        is_null = np.int64((words[source[i], ROWS] >> 62) & 1)
        mixed = mixed_word(key, row[DENSE])
        slot, fresh[i], n_free = find_or_take(
            row, entries, key, mixed, is_null, page_next, free, n_free, words, neutral
        )
        out[i] = slot
    return n_free


@njit(**_options)
def take_keys(row, keys, nulls, page_next, free, n_free, words, neutral, out, fresh):  # type: ignore[no-untyped-def]
    """Find or insert keys as `pair_slots` does those of slots; a key may come twice."""
    entries = words_at(row[TABLE], row[MASK] + 1)
    for i in range(keys.size):
        is_null = np.int64(nulls[i]) if nulls.size else np.int64(0)
        mixed = mixed_word(keys[i], row[DENSE])
        out[i], fresh[i], n_free = find_or_take(
            row, entries, keys[i], mixed, is_null, page_next, free, n_free, words, neutral
        )
    return n_free


@njit(**_options)
def heads(words, slots, keys, nulls):  # type: ignore[no-untyped-def]
    """Copy the keys of slots and whether each is the null key."""
    for i in range(np.uint64(slots.size)):
        slot = np.uint64(slots[i])
        keys[i] = words[slot, np.uint64(KEY_WORD)]
        nulls[i] = words[slot, np.uint64(ROWS)] & NULL_FLAG != 0


@njit(**_options)
def read_words(words, slots, places):  # type: ignore[no-untyped-def]
    """Copy accumulators to columns: word `w` of all slots goes to the address ``places[w]``."""
    width = np.uint64(words.shape[1])
    ahead = np.uint64(16)
    n = np.uint64(slots.size)
    base = words.ctypes.data
    for i in range(n):
        if i + ahead < n:
            # An accumulator may lie in two cache lines.
            first = np.int64(base + slots[i + ahead] * np.int64(width) * 8)
            prefetch(first)
            prefetch(first + np.int64(width) * 8 - 8)
        slot = np.uint64(slots[i])
        for word in range(width):
            words_at(places[word], n)[i] = words[slot, word]
