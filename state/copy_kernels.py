"""Compiled kernels that copy a table for a cut, and lay the copy out as columns later."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import LAST_PAGE, NEXT_SLOT, PAGE_SLOTS
from eventtime.state.memory_kernels import words_at

__all__ = ("copy_rows", "lay_out_columns")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def copy_rows(row, page_next, words, page, out):  # type: ignore[no-untyped-def]
    """Copy accumulators of the table of `row` in order of insertion, as many as there is room for.

    Args:
        row: directory row; words: of the arena.
        page: where to go on, a whole page; the first time that of FIRST_PAGE.
        out: (n, width) int64, n a multiple of PAGE_SLOTS unless it is the last.

    Returns:
        The page to go on with, -1 at the end.
    """
    at, n = 0, out.shape[0]
    while page >= 0 and at < n:
        # Pages taken one after another lie side by side: one long copy is faster than many.
        first, size = page * PAGE_SLOTS, 0
        while page >= 0 and at + size < n and page * PAGE_SLOTS == first + size:
            size += row[NEXT_SLOT] - page * PAGE_SLOTS if page == row[LAST_PAGE] else PAGE_SLOTS
            page = page_next[page]
        out[at : at + size] = words[first : first + size]
        at += size
    return page


@njit(**_options)
def lay_out_columns(rows, at, n, places):  # type: ignore[no-untyped-def]
    """Write word `w` of rows to the column of `n` at the address ``places[w]``, from `at` on."""
    first = np.uint64(at)
    width = np.uint64(rows.shape[1])
    for i in range(np.uint64(rows.shape[0])):
        for word in range(width):
            words_at(places[word], n)[first + i] = rows[i, word]
