"""The kernel that puts accumulators back into a table, as they were read from a savepoint."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import (
    DENSE,
    KEY_WORD,
    MASK,
    NULL_FLAG,
    ROWS,
    TABLE,
    lookup,
    mixed_word,
    put,
    take_slot,
)
from eventtime.state.memory_kernels import prefetch, words_at

__all__ = ("enter_rows",)


@njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)
def enter_rows(row, places, page_next, free, n_free, words, neutral, out):  # type: ignore[no-untyped-def]
    """Enter accumulators whose keys the table of `row` does not have.

    Word `w` of all of them is the column at the address ``places[w]``. There is room: enough free
    pages, and entries for all keys. Writes the slots, (n,), to `out`; returns the free pages left.
    """
    entries = words_at(row[TABLE], row[MASK] + 1)
    n, width = out.size, np.uint64(places.size)
    keys, counts = words_at(places[KEY_WORD], n), words_at(places[ROWS], n)
    table, mask, ahead = entries.ctypes.data, np.uint64(row[MASK]), np.uint64(16)
    for i in range(np.uint64(n)):
        if i + ahead < np.uint64(n):
            prefetch(table + np.int64(8 * (mixed_word(keys[i + ahead], row[DENSE]) & mask)))
        key, is_null = keys[i], counts[i] & NULL_FLAG != 0
        mixed = mixed_word(key, row[DENSE])
        _, place = lookup(entries, row[MASK], words, key, mixed, is_null)
        slot, n_free = take_slot(row, page_next, free, n_free, words, neutral)
        put(row, entries, place, slot, words, key, mixed, is_null)
        for word in range(np.uint64(ROWS), width):
            words[slot, word] = words_at(places[word], n)[i]
        out[i] = slot
    return n_free
