"""Kernels that merge whole accumulators by a program: one step for what is kept of one column."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import NO_SLOT, NULL_FLAG, ROWS
from eventtime.windows.fold_kernels import add_192, less_128

__all__ = (
    "DECIMAL_STATS",
    "FLOAT_STATS",
    "INT_STATS",
    "MOMENTS",
    "ORDERED",
    "combine",
)

# A step is (kind, then the first words of nulls, sum, min, max; or of first, last; or of
# moments); -1: not kept.
INT_STATS, FLOAT_STATS, DECIMAL_STATS, MOMENTS, ORDERED = range(5)

_PIECE = 256
_U = np.uint64
_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def combine(into, left, right, words, floats, program):  # type: ignore[no-untyped-def]
    """Write ``into = left + right``, where all of `left` came before; NO_SLOT adds nothing.

    Slots of `into` may be those of `left`; fresh ones need not hold anything.
    """
    # In pieces that stay in the cache, and step by step: one loop over all kinds of steps took six
    # times as long.
    for first in range(_U(0), _U(into.size), _U(_PIECE)):
        end = min(first + _U(_PIECE), _U(into.size))
        piece = into[first:end], left[first:end], right[first:end]
        _combine_heads(*piece, words)
        for step in range(_U(program.shape[0])):
            kind, at = program[step, _U(0)], program[step, 1:]
            if kind == FLOAT_STATS:
                _combine_floats(*piece, words, floats, at[0], at[1], at[2], at[3])
            elif kind == INT_STATS:
                _combine_ints(*piece, words, at[0], at[1], at[2], at[3])
            elif kind == DECIMAL_STATS:
                _combine_decimals(*piece, words, at)
            elif kind == MOMENTS:
                _combine_moments(*piece, words, floats, at[0])
            else:
                _combine_ordered(*piece, words, at)


@njit(**_options)
def _combine_heads(into, left, right, words):  # type: ignore[no-untyped-def]
    for i in range(_U(into.size)):
        a, b = _U(into[i]), _U(left[i])
        words[a, _U(0)] = words[b, _U(0)]
        rows = words[b, _U(ROWS)]
        if right[i] != NO_SLOT:
            rows += words[_U(right[i]), _U(ROWS)] & (NULL_FLAG - 1)
        words[a, _U(ROWS)] = rows


@njit(**_options)
def _combine_floats(into, left, right, words, floats, nulls, total, low, high):  # type: ignore[no-untyped-def]
    at_nulls, at_total, at_low, at_high = _U(nulls), _U(total), _U(low), _U(high)
    for i in range(_U(into.size)):
        a, b, c = _U(into[i]), _U(left[i]), _U(right[i])
        without = words[c, at_nulls] if right[i] != NO_SLOT else 0
        n = (words[c, _U(ROWS)] & (NULL_FLAG - 1)) - without if right[i] != NO_SLOT else 0
        if n == 0:
            c = b
        words[a, at_nulls] = words[b, at_nulls] + without
        if total >= 0:
            floats[a, at_total] = (
                floats[b, at_total] + floats[c, at_total] if n else floats[b, at_total]
            )
        # Without a branch: which of two is less is anybody's guess.
        if low >= 0:
            held, value = floats[b, at_low], floats[c, at_low]
            less = (not value >= held) & ((value == value) | (held != held))
            floats[a, at_low] = value if less else held
        if high >= 0:
            held, value = floats[b, at_high], floats[c, at_high]
            floats[a, at_high] = value if (not value <= held) & (held == held) else held


@njit(**_options)
def _combine_ints(into, left, right, words, nulls, total, low, high):  # type: ignore[no-untyped-def]
    at_nulls, at_total, at_low, at_high = _U(nulls), _U(total), _U(low), _U(high)
    for i in range(_U(into.size)):
        a, b, c = _U(into[i]), _U(left[i]), _U(right[i])
        alone = right[i] == NO_SLOT
        if alone:
            c = b
        words[a, at_nulls] = words[b, at_nulls] + (0 if alone else words[c, at_nulls])
        if total >= 0:
            before, value = words[b, at_total], 0 if alone else words[c, at_total]
            carry = words[b, at_total + _U(1)] + (0 if alone else words[c, at_total + _U(1)])
            after = before + value
            if ((before ^ after) & (value ^ after)) < 0:
                carry += 1 if value > 0 else -1
            words[a, at_total], words[a, at_total + _U(1)] = after, carry
        if low >= 0:
            words[a, at_low] = min(words[b, at_low], words[c, at_low])
        if high >= 0:
            words[a, at_high] = max(words[b, at_high], words[c, at_high])


@njit(**_options)
def _combine_decimals(into, left, right, words, at):  # type: ignore[no-untyped-def]
    for i in range(_U(into.size)):
        a, b = _U(into[i]), _U(left[i])
        words[a, at[0]] = words[b, at[0]]
        for part in range(1, 4):
            _copy(words, a, b, at[part])
        if right[i] != NO_SLOT:
            _merge_decimals(at, words[a], words[_U(right[i])])


@njit(**_options)
def _combine_ordered(into, left, right, words, at):  # type: ignore[no-untyped-def]
    for i in range(_U(into.size)):
        a, b = _U(into[i]), _U(left[i])
        for part in range(2):
            _copy(words, a, b, at[part])
        if right[i] != NO_SLOT:
            _merge_ordered(at, words[a], words[_U(right[i])])


@njit(**_options)
def _combine_moments(into, left, right, words, floats, at):  # type: ignore[no-untyped-def]
    for i in range(_U(into.size)):
        a, b = _U(into[i]), _U(left[i])
        _copy(words, a, b, at)
        if right[i] != NO_SLOT:
            _merge_moments(at, np.int64(a), np.int64(right[i]), words, floats)


@njit(inline="always", **_options)
def _copy(words, into, source, at):  # type: ignore[no-untyped-def]
    """Copy a primitive of three words; a negative place means that it is not kept."""
    if at >= 0:
        for word in range(_U(at), _U(at + 3)):
            words[into, word] = words[source, word]


@njit(**_options)
def _merge_decimals(at, into, source):  # type: ignore[no-untyped-def]
    into[at[0]] += source[at[0]]
    total, low, high = at[1], at[2], at[3]
    if total >= 0:
        add_192(into, total, source[total], source[total + 1], source[total + 2])
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
def _merge_ordered(at, into, source):  # type: ignore[no-untyped-def]
    first, last = at[0], at[1]
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
