"""Compiled kernels of keyed state: key to slot, and what is done to values in order of rows.

An entry of the table is ``high half of the hash << 32 | slot + 1``, 0 when free. A key is two
words: the key's own, and a tag, which says whether it is null.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import hash_word
from eventtime.state.memory_kernels import prefetch

__all__ = (
    "ADD",
    "ADD_WHOLE",
    "LEAST",
    "MOST",
    "enter_slots",
    "intern_slots",
    "occurrences",
    "reduce",
    "swap",
)

ADD, ADD_WHOLE, LEAST, MOST = range(4)

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}
_BLOCK = np.uint64(64)
_ONE, _ZERO, _HALF = np.uint64(1), np.uint64(0), np.uint64(32)
_SLOT = np.uint64(0xFFFFFFFF)
_LEAST_WORD, _MOST_WORD = np.int64(-(2**63)), np.int64(2**63 - 1)


@njit(inline="always", **_options)
def _hash(word, tag):  # type: ignore[no-untyped-def]
    return hash_word(np.uint64(word) ^ (np.uint64(tag) * np.uint64(0xA0761D6478BD642F)))


@njit(**_options)
def intern_slots(words, tags, start, entries, keys, free, counts, out):  # type: ignore[no-untyped-def]
    """Find or make the slot of each key, from row `start` on.

    `counts` is slots in use and free ones. Returns the row at which it stopped: the end, or where
    there was no free slot, or the table was two thirds full.
    """
    n, mask = np.uint64(words.size), np.uint64(entries.size - 1)
    most = entries.size // 3 * 2
    hashes = np.empty(_BLOCK, np.uint64)
    at, tagged = np.uint64(start), tags.size > 0
    table, store = entries.ctypes.data, keys.ctypes.data
    while at < n:
        block = min(_BLOCK, n - at)
        for i in range(block):
            hashes[i] = _hash(words[at + i], tags[at + i] if tagged else 0)
            prefetch(table + 8 * np.int64(hashes[i] & mask))
        for i in range(block):
            entry = entries[hashes[i] & mask]
            if entry:
                prefetch(store + 16 * np.int64((entry & _SLOT) - _ONE))
        for i in range(block):
            word, tag = words[at + i], tags[at + i] if tagged else np.int64(0)
            place, half = hashes[i] & mask, hashes[i] >> _HALF
            while True:
                entry = entries[place]
                if entry == _ZERO:
                    if counts[1] == 0 or counts[0] >= most:
                        return np.int64(at + i)
                    counts[1] -= 1
                    counts[0] += 1
                    slot = np.uint64(free[counts[1]])
                    keys[slot, _ZERO], keys[slot, _ONE] = word, tag
                    entries[place] = (half << _HALF) | (slot + _ONE)
                    break
                slot = (entry & _SLOT) - _ONE
                if entry >> _HALF == half and keys[slot, _ZERO] == word and keys[slot, _ONE] == tag:
                    break
                place = (place + _ONE) & mask
            out[at + i] = slot
        at += block
    return np.int64(n)


@njit(**_options)
def enter_slots(slots, keys, entries):  # type: ignore[no-untyped-def]
    """Put slots, each with a key of its own, into a table that is empty and large enough."""
    mask = np.uint64(entries.size - 1)
    for i in range(np.uint64(slots.size)):
        slot = np.uint64(slots[i])
        hashed = _hash(keys[slot, _ZERO], keys[slot, _ONE])
        place = hashed & mask
        while entries[place] != _ZERO:
            place = (place + _ONE) & mask
        entries[place] = ((hashed >> _HALF) << _HALF) | (slot + _ONE)


@njit(**_options)
def swap(slots, new, new_valid, values, valid, expires, now_us, until_us, old, old_valid):  # type: ignore[no-untyped-def]
    """Write a value for each row and return what was there before it, row by row.

    `new_valid` and `expires` may be empty: all are valid, nothing expires.
    """
    expiring, nullable = expires.size > 0, new_valid.size > 0
    for i in range(np.uint64(slots.size)):
        slot = np.uint64(slots[i])
        there = valid[slot]
        if there and expiring and expires[slot] <= now_us[i]:
            there = np.uint8(0)
        old_valid[i], old[i] = there, values[slot]
        values[slot], valid[slot] = new[i], new_valid[i] if nullable else np.uint8(1)
        if expiring:
            expires[slot] = until_us[i]


@njit(**_options)
def reduce(how, slots, new, new_valid, values, valid, expires, now_us, until_us, out, out_valid):  # type: ignore[no-untyped-def]
    """Reduce a value for each row into its slot; `out` is what the slot holds after the row.

    A null changes nothing; NaN stays, whatever is reduced with it. Returns the row whose sum
    leaves the type, or -1.
    """
    expiring, nullable = expires.size > 0, new_valid.size > 0
    for i in range(np.uint64(slots.size)):
        slot = np.uint64(slots[i])
        if valid[slot] and expiring and expires[slot] <= now_us[i]:
            valid[slot] = 0
        if not nullable or new_valid[i]:
            x = new[i]
            if not valid[slot]:
                values[slot], valid[slot] = x, 1
            elif how == ADD:
                values[slot] += x
            elif how == ADD_WHOLE:
                held = values[slot]
                if (x > 0 and held > _MOST_WORD - x) or (x < 0 and held < _LEAST_WORD - x):
                    return np.int64(i)
                values[slot] = held + x
            elif x != x or (x < values[slot] if how == LEAST else x > values[slot]):
                values[slot] = x
            if expiring:
                expires[slot] = until_us[i]
        out[i], out_valid[i] = values[slot], valid[slot]
    return np.int64(-1)


@njit(**_options)
def occurrences(slots, seen, out):  # type: ignore[no-untyped-def]
    """Write how often each row's slot came before it; `seen` is zeros by slot, and is so again."""
    most = np.int64(0)
    for i in range(np.uint64(slots.size)):
        slot = np.uint64(slots[i])
        out[i] = seen[slot]
        seen[slot] += 1
        most = max(most, np.int64(seen[slot]))
    for i in range(np.uint64(slots.size)):
        seen[np.uint64(slots[i])] = 0
    return most
