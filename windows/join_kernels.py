"""Kernels that plan how slices are joined: which slots become which. They move no accumulator.

Keys go by numbers, and ``held[number]`` is the slot of what is joined so far. A plan is three
arrays of slots for `merge_kernels.combine`: ``into = left + right``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import (
    COUNT,
    DENSE,
    FIRST_PAGE,
    LAST_PAGE,
    MASK,
    NEXT_SLOT,
    NO_SLOT,
    PAGE_END,
    PAGE_SLOTS,
    ROWS,
    TABLE,
    find_or_take,
    lookup,
    mixed_word,
)
from eventtime.state.memory_kernels import words_at

__all__ = (
    "append_slices",
    "find_in_slices",
    "number_keys",
    "pair_halves",
    "push_slices",
    "take_back",
)

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}
_U = np.uint64


@njit(**_options)
def number_keys(slots, words, row, page_next, free, n_free, keys, neutral, numbers):  # type: ignore[no-untyped-def]
    """Write the number of each slot's key: its slot in the table of directory row `row`.

    Args:
        slots: (n,) of accumulators in `words`.
        row: of a table in `keys`, which has room as for `pair_slots`.
        numbers: (n,) int32, written.

    Returns the free pages of `keys` that are left.
    """
    entries = words_at(row[TABLE], row[MASK] + 1)
    dense = row[DENSE]
    for i in range(_U(slots.size)):
        slot = _U(slots[i])
        key, is_null = words[slot, _U(0)], (words[slot, _U(ROWS)] >> 62) & 1
        mixed = mixed_word(key, dense)
        numbers[i], _, n_free = find_or_take(
            row, entries, key, mixed, is_null, page_next, free, n_free, keys, neutral
        )
    return n_free


@njit(**_options)
def find_in_slices(tables, dirs, words, keys, nulls, slots, numbers, ends):  # type: ignore[no-untyped-def]
    """Write the slots of some keys in several tables, one table after another.

    A key has the number of its place among `keys`; what a table does not have is left out. ``ends``
    says where the slots of each table end.
    """
    n = _U(0)
    for t in range(_U(tables.size)):
        row = dirs[_U(tables[t])]
        entries = words_at(row[TABLE], row[MASK] + 1)
        for i in range(_U(keys.size)):
            mixed = mixed_word(keys[i], row[DENSE])
            slot, _ = lookup(entries, row[MASK], words, keys[i], mixed, nulls[i])
            if slot != NO_SLOT:
                slots[n], numbers[n] = slot, i
                n += _U(1)
        ends[t] = n


@njit(inline="always", **_options)
def _chain_page(row, page_next, page):  # type: ignore[no-untyped-def]
    """Give a table one more page; returns its first slot."""
    page_next[page] = -1
    if row[LAST_PAGE] < 0:
        row[FIRST_PAGE] = page
    else:
        page_next[row[LAST_PAGE]] = page
    row[LAST_PAGE] = page
    return page * PAGE_SLOTS


@njit(**_options)
def append_slices(slots, numbers, held, row, page_next, free, n_free, into, left, right):  # type: ignore[no-untyped-def]
    """Plan to merge slices behind what is held, in place; held slots are those of one table.

    The caller has made room for new ones. Returns the free pages left.
    """
    new, page_end, made = row[NEXT_SLOT], row[PAGE_END], 0
    for i in range(_U(slots.size)):
        number = _U(numbers[i])
        slot = held[number]
        left[i], right[i] = slot, slots[i]
        if slot == NO_SLOT:
            if new == page_end:
                n_free -= 1
                new = _chain_page(row, page_next, free[n_free])
                page_end = new + PAGE_SLOTS
            slot, new, made = new, new + 1, made + 1
            held[number] = slot
            left[i], right[i] = slots[i], NO_SLOT
        into[i] = slot
    row[NEXT_SLOT], row[PAGE_END] = new, page_end
    row[COUNT] += made
    return n_free


@njit(**_options)
def push_slices(  # type: ignore[no-untyped-def]
    slots, numbers, ends, held, before, row, page_next, free, n_free, into, left, right, plan_ends
):
    """Plan to merge slices before what is held, one after another, each into new slots.

    Where nothing is held the slot of the slice will do. ``before[i]`` is what was held, for
    `take_back` of the last slice. The plan of slice `s` ends at ``plan_ends[s]``. The caller has
    made room; returns the free pages left.
    """
    new, page_end = row[NEXT_SLOT], row[PAGE_END]
    n, first = _U(0), _U(0)
    for s in range(_U(ends.size)):
        for i in range(first, _U(ends[s])):
            number = _U(numbers[i])
            slot, other = slots[i], held[number]
            before[i] = other
            if other != NO_SLOT:
                if new == page_end:
                    n_free -= 1
                    new = _chain_page(row, page_next, free[n_free])
                    page_end = new + PAGE_SLOTS
                into[n], left[n], right[n] = new, slot, other
                slot = new
                n, new = n + _U(1), new + 1
            held[number] = slot
        first = _U(ends[s])
        plan_ends[s] = n
    row[NEXT_SLOT], row[PAGE_END] = new, page_end
    row[COUNT] += n
    return n_free


@njit(**_options)
def take_back(numbers, before, held):  # type: ignore[no-untyped-def]
    """Make what is held what it was before."""
    for i in range(_U(numbers.size)):
        held[_U(numbers[i])] = before[i]


@njit(**_options)
def pair_halves(first, second, row, page_next, free, n_free, into, left, right):  # type: ignore[no-untyped-def]
    """Plan to merge what is held in `first` with what is held in `second`, (n,) each.

    The caller has made room. Returns how many slots are made, and the free pages left.
    """
    new, page_end = row[NEXT_SLOT], row[PAGE_END]
    n = _U(0)
    for number in range(_U(first.size)):
        a, b = first[number], second[number]
        if a == NO_SLOT:
            if b == NO_SLOT:
                continue
            a, b = b, np.int64(NO_SLOT)
        if new == page_end:
            n_free -= 1
            new = _chain_page(row, page_next, free[n_free])
            page_end = new + PAGE_SLOTS
        into[n], left[n], right[n] = new, a, b
        n, new = n + _U(1), new + 1
    row[NEXT_SLOT], row[PAGE_END] = new, page_end
    row[COUNT] += n
    return np.int64(n), n_free
