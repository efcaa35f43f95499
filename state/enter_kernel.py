"""The kernel that puts accumulators back into a table, as they were read from a savepoint."""

from __future__ import annotations

from numba import njit

from eventtime.state.kernels import (
    DENSE,
    MASK,
    NULL_FLAG,
    ROWS,
    TABLE,
    lookup,
    mixed_word,
    put,
    take_slot,
)
from eventtime.state.memory_kernels import words_at

__all__ = ("enter_rows",)


@njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)
def enter_rows(row, rows, page_next, free, n_free, words, out):  # type: ignore[no-untyped-def]
    """Enter accumulators, (n, width) words, whose keys the table of `row` does not have.

    There is room: enough free pages, and entries for all keys. Writes the slots, (n,), to `out`;
    returns the free pages left.
    """
    entries = words_at(row[TABLE], row[MASK] + 1)
    for i in range(rows.shape[0]):
        key, is_null = rows[i, 0], rows[i, ROWS] & NULL_FLAG != 0
        mixed = mixed_word(key, row[DENSE])
        _, place = lookup(entries, row[MASK], words, key, mixed, is_null)
        slot, n_free = take_slot(row, page_next, free, n_free, words, rows[i])
        put(row, entries, place, slot, words, key, mixed, is_null)
        words[slot, ROWS] = rows[i, ROWS]
        out[i] = slot
    return n_free
