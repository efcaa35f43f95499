"""Kernels that fold the values of a column into the words of their slots, in row order (S24, S28).

Offsets name the first word of a primitive; a negative one means that nobody asked for it. An
integer
sum takes two words, low and carry: together an exact 128-bit integer. `valid` is empty when no
value is null.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = (
    "add_192",
    "add_decimal",
    "add_float",
    "add_int",
    "add_moments",
    "add_ordered",
    "less_128",
)

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


# Indices are unsigned: a signed one costs a test for negative values at each access, which made
# these loops four times slower.
_U = np.uint64


@njit(**_options)
def add_int(rows, slots, values, valid, words, count, total, low, high, unsigned):  # type: ignore[no-untyped-def]
    """Fold int64 values; `unsigned` ones carry the bits of uint64 (ordered by a flipped sign)."""
    with_nulls = valid.size > 0
    flip = np.int64(-(2**63)) if unsigned else np.int64(0)
    at_count, at_total, at_low, at_high = _U(count), _U(total), _U(low), _U(high)
    for i in range(rows.size):
        row = _U(rows[_U(i)])
        if with_nulls and valid[row] == 0:
            continue
        value = values[row]
        slot = _U(slots[_U(i)])
        words[slot, at_count] += 1
        if total >= 0:
            before = words[slot, at_total]
            after = before + value
            words[slot, at_total] = after
            if ((before ^ after) & (value ^ after)) < 0:
                words[slot, at_total + _U(1)] += 1 if value > 0 else -1
            if unsigned and value < 0:
                words[slot, at_total + _U(1)] += 1
        if low >= 0 and (value ^ flip) < words[slot, at_low]:
            words[slot, at_low] = value ^ flip
        if high >= 0 and (value ^ flip) > words[slot, at_high]:
            words[slot, at_high] = value ^ flip


@njit(**_options)
def add_float(rows, slots, values, valid, words, floats, count, total, low, high):  # type: ignore[no-untyped-def]
    """Fold float64 values; NaN is greater than every number (D10)."""
    with_nulls = valid.size > 0
    at_count, at_total, at_low, at_high = _U(count), _U(total), _U(low), _U(high)
    for i in range(rows.size):
        row = _U(rows[_U(i)])
        if with_nulls and valid[row] == 0:
            continue
        value = values[row]
        slot = _U(slots[_U(i)])
        words[slot, at_count] += 1
        if total >= 0:
            floats[slot, at_total] += value
        # Invariant: an empty low is NaN, an empty high is -inf, so that first values replace them.
        if low >= 0:
            held = floats[slot, at_low]
            if not value >= held and (value == value or held != held):
                floats[slot, at_low] = value
        if high >= 0:
            held = floats[slot, at_high]
            if not value <= held and held == held:
                floats[slot, at_high] = value


@njit(**_options)
def add_moments(rows, slots, values, valid, words, floats, count):  # type: ignore[no-untyped-def]
    """Fold float64 values into the words (count, mean, squared distances) (Welford 1962)."""
    with_nulls = valid.size > 0
    at_count, at_mean, at_squares = _U(count), _U(count + 1), _U(count + 2)
    for i in range(rows.size):
        row = _U(rows[_U(i)])
        if with_nulls and valid[row] == 0:
            continue
        slot = _U(slots[_U(i)])
        words[slot, at_count] += 1
        distance = values[row] - floats[slot, at_mean]
        floats[slot, at_mean] += distance / words[slot, at_count]
        floats[slot, at_squares] += distance * (values[row] - floats[slot, at_mean])


@njit(**_options)
def add_ordered(rows, slots, values, valid, time, words, first, last):  # type: ignore[no-untyped-def]
    """Keep the earliest and the latest value by event time: words are (set, time, value).

    Ties: the first keeps the earliest arrival, the last the latest.
    """
    with_nulls = valid.size > 0
    for i in range(rows.size):
        row = _U(rows[_U(i)])
        if with_nulls and valid[row] == 0:
            continue
        at = words[_U(slots[_U(i)])]
        t = time[row]
        if first >= 0 and (at[_U(first)] == 0 or t < at[_U(first + 1)]):
            at[_U(first)], at[_U(first + 1)], at[_U(first + 2)] = 1, t, values[row]
        if last >= 0 and (at[_U(last)] == 0 or t >= at[_U(last + 1)]):
            at[_U(last)], at[_U(last + 1)], at[_U(last + 2)] = 1, t, values[row]


@njit(inline="always", **_options)
def less_128(high, low, other_high, other_low):  # type: ignore[no-untyped-def]
    """Compare two 128-bit integers given as signed high and unsigned low words."""
    if high != other_high:
        return high < other_high
    return np.uint64(low) < np.uint64(other_low)


@njit(inline="always", **_options)
def add_192(at, total, low, high, top):  # type: ignore[no-untyped-def]
    """Add a sign-extended integer to three words (low, high, top): exact for 2**63 decimals."""
    before = np.uint64(at[total])
    after = before + np.uint64(low)
    carry = np.int64(1) if after < before else np.int64(0)
    at[total] = np.int64(after)
    middle = np.uint64(at[total + 1])
    partial = middle + np.uint64(high)
    over = np.int64(1) if partial < middle else np.int64(0)
    summed = partial + np.uint64(carry)
    over += np.int64(1) if summed < partial else np.int64(0)
    at[total + 1] = np.int64(summed)
    at[total + 2] += top + over


@njit(**_options)
def add_decimal(rows, slots, values, valid, words, count, total, low, high):  # type: ignore[no-untyped-def]
    """Fold decimal128, (n, 2) int64 words low and high; extremes are (set, low, high) words."""
    with_nulls = valid.size > 0
    for i in range(rows.size):
        row = rows[i]
        if with_nulls and valid[row] == 0:
            continue
        at = words[slots[i]]
        value_low, value_high = values[row, 0], values[row, 1]
        if count >= 0:
            at[count] += 1
        if total >= 0:
            add_192(
                at, total, value_low, value_high, np.int64(-1) if value_high < 0 else np.int64(0)
            )
        if low >= 0 and (at[low] == 0 or less_128(value_high, value_low, at[low + 2], at[low + 1])):
            at[low], at[low + 1], at[low + 2] = 1, value_low, value_high
        if high >= 0 and (
            at[high] == 0 or less_128(at[high + 2], at[high + 1], value_high, value_low)
        ):
            at[high], at[high + 1], at[high + 2] = 1, value_low, value_high
