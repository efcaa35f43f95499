"""Kernels that merge whole accumulators by a program: one step for what is kept of one column."""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from eventtime.state.kernels import (
    DENSE,
    MASK,
    NO_SLOT,
    NULL_FLAG,
    ROWS,
    TABLE,
    address_of,
    lookup,
    mixed_word,
    prefetch,
    put,
    take_slot,
)
from eventtime.windows.fold_kernels import add_192, less_128

__all__ = (
    "DECIMAL_STATS",
    "FLOAT_STATS",
    "INT_STATS",
    "MOMENTS",
    "ORDERED",
    "absorb",
    "merge_words",
)

# A step is (kind, then the first words of count, sum, min, max; or of first, last; or of
# moments); -1: not kept.
INT_STATS, FLOAT_STATS, DECIMAL_STATS, MOMENTS, ORDERED = range(5)

_AHEAD = 8
_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def merge_words(into, source, words, floats, program):  # type: ignore[no-untyped-def]
    """Merge accumulators: ``into = into + source``, where all of `into` came before `source`."""
    for i in range(into.size):
        _merge_slots(np.uint64(into[i]), np.uint64(source[i]), words, floats, program)


@njit(**_options)
def absorb(row, source, page_next, free, n_free, words, floats, neutral, program):  # type: ignore[no-untyped-def]
    """Merge accumulators into the table of a directory row, key by key; new keys are copied.

    The caller has made room, as for `pair_slots`. Returns the free pages left.
    """
    entries = carray(address_of(row[TABLE]), (row[MASK] + 1,))
    width = np.uint64(words.shape[1])
    base, stride, wrap = (
        np.int64(words.ctypes.data),
        np.int64(words.shape[1] * 8),
        np.uint64(row[MASK]),
    )
    for i in range(source.size):
        if i + _AHEAD < source.size:
            later = mixed_word(words[np.uint64(source[i + _AHEAD]), np.uint64(0)], row[DENSE])
            prefetch(base + ((entries[later & wrap] & 0xFFFFFFFF) - 1) * stride)
        b = np.uint64(source[i])
        key = words[b, np.uint64(0)]
        is_null = np.int64((words[b, np.uint64(ROWS)] >> 62) & 1)
        mixed = mixed_word(key, row[DENSE])
        slot, place = lookup(entries, row[MASK], words, key, mixed, is_null)
        if slot != NO_SLOT:
            _merge_slots(np.uint64(slot), b, words, floats, program)
            continue
        slot, n_free = take_slot(row, page_next, free, n_free, words, neutral)
        put(row, entries, place, slot, words, key, mixed, is_null)
        for word in range(width):
            words[np.uint64(slot), word] = words[b, word]
    return n_free


@njit(inline="always", **_options)
def _merge_slots(a, b, words, floats, program):  # type: ignore[no-untyped-def]
    words[a, np.uint64(ROWS)] += words[b, np.uint64(ROWS)] & (NULL_FLAG - 1)
    for step in range(np.uint64(program.shape[0])):
        kind = program[step, np.uint64(0)]
        if kind == FLOAT_STATS:
            _merge_floats(program[step], a, b, words, floats)
        elif kind == INT_STATS:
            _merge_ints(program[step], a, b, words)
        elif kind == DECIMAL_STATS:
            _merge_decimals(program[step], a, b, words)
        elif kind == MOMENTS:
            _merge_moments(program[step, 1], np.int64(a), np.int64(b), words, floats)
        else:
            _merge_ordered(program[step], a, b, words)


@njit(inline="always", **_options)
def _merge_floats(step, a, b, words, floats):  # type: ignore[no-untyped-def]
    if words[b, np.uint64(step[1])] == 0:
        return
    words[a, np.uint64(step[1])] += words[b, np.uint64(step[1])]
    if step[2] >= 0:
        floats[a, np.uint64(step[2])] += floats[b, np.uint64(step[2])]
    if step[3] >= 0:
        held, value = floats[a, np.uint64(step[3])], floats[b, np.uint64(step[3])]
        if not value >= held and (value == value or held != held):
            floats[a, np.uint64(step[3])] = value
    if step[4] >= 0:
        held, value = floats[a, np.uint64(step[4])], floats[b, np.uint64(step[4])]
        if not value <= held and held == held:
            floats[a, np.uint64(step[4])] = value


@njit(inline="always", **_options)
def _merge_ints(step, a, b, words):  # type: ignore[no-untyped-def]
    words[a, np.uint64(step[1])] += words[b, np.uint64(step[1])]
    if step[2] >= 0:
        at, carry = np.uint64(step[2]), np.uint64(step[2] + 1)
        before, value = words[a, at], words[b, at]
        after = before + value
        words[a, at] = after
        words[a, carry] += words[b, carry]
        if ((before ^ after) & (value ^ after)) < 0:
            words[a, carry] += 1 if value > 0 else -1
    if step[3] >= 0:
        words[a, np.uint64(step[3])] = min(
            words[a, np.uint64(step[3])], words[b, np.uint64(step[3])]
        )
    if step[4] >= 0:
        words[a, np.uint64(step[4])] = max(
            words[a, np.uint64(step[4])], words[b, np.uint64(step[4])]
        )


@njit(**_options)
def _merge_decimals(step, a, b, words):  # type: ignore[no-untyped-def]
    words[a, step[1]] += words[b, step[1]]
    into, source = words[a], words[b]
    if step[2] >= 0:
        add_192(into, step[2], source[step[2]], source[step[2] + 1], source[step[2] + 2])
    low, high = step[3], step[4]
    if (
        low >= 0
        and source[low] != 0
        and (
            into[low] == 0
            or less_128(source[low + 2], source[low + 1], into[low + 2], into[low + 1])
        )
    ):
        into[low], into[low + 1], into[low + 2] = 1, source[low + 1], source[low + 2]
    if (
        high >= 0
        and source[high] != 0
        and (
            into[high] == 0
            or less_128(into[high + 2], into[high + 1], source[high + 2], source[high + 1])
        )
    ):
        into[high], into[high + 1], into[high + 2] = 1, source[high + 1], source[high + 2]


@njit(**_options)
def _merge_ordered(step, a, b, words):  # type: ignore[no-untyped-def]
    into, source = words[a], words[b]
    first, last = step[1], step[2]
    if (
        first >= 0
        and source[first] != 0
        and (into[first] == 0 or source[first + 1] < into[first + 1])
    ):
        into[first], into[first + 1], into[first + 2] = 1, source[first + 1], source[first + 2]
    if last >= 0 and source[last] != 0 and (into[last] == 0 or source[last + 1] >= into[last + 1]):
        into[last], into[last + 1], into[last + 2] = 1, source[last + 1], source[last + 2]


@njit(**_options)
def _merge_moments(at, a, b, words, floats):  # type: ignore[no-untyped-def]
    """Chan, Golub, LeVeque 1979: words are (count, mean, squared distances)."""
    n_a, n_b = words[a, at], words[b, at]
    if n_b == 0:
        return
    # Invariant: neutral + x is x, bit for bit.
    if n_a == 0:
        words[a, at] = n_b
        floats[a, at + 1], floats[a, at + 2] = floats[b, at + 1], floats[b, at + 2]
        return
    distance = floats[b, at + 1] - floats[a, at + 1]
    n = n_a + n_b
    words[a, at] = n
    floats[a, at + 1] += distance * n_b / n
    floats[a, at + 2] += floats[b, at + 2] + distance * distance * (n_a * (n_b / n))
