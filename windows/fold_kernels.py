"""Kernels that fold the values of a column into the words of their slots, in row order (S24, S28).

Offsets name the first word of a primitive; a negative one means that nobody asked for it. An
integer sum takes two words, low and carry: together an exact 128-bit integer.

All take `spans`, `starts` and `addresses` of a chunk, the `lane` to fold (its values are in that
column of addresses, its flags in the next), the position of the first row, and `slots`: one for
each row from there on, NO_SLOT for a row that goes nowhere. With `rows` they count the row too.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.kernels import NO_SLOT, ROWS
from eventtime.state.memory_kernels import bytes_at, floats_at, words_at
from eventtime.windows.chunk_kernels import TIME, span_of

__all__ = (
    "add_192",
    "add_decimal",
    "add_float",
    "add_int",
    "add_moments",
    "add_nulls",
    "add_ordered",
    "count_rows",
    "less_128",
)

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


# Indices are unsigned: a signed one costs a test for negative values at each access, which made
# these loops four times slower.
_U = np.uint64


@njit(inline="always", **_options)
def _stretch(spans, starts, s, position, end):  # type: ignore[no-untyped-def]
    """Return block, first row and number of rows of a span from `position` up to `end`."""
    n = _U(min(starts[s + 1], end) - position)
    return spans[s, 0], spans[s, 1] + position - starts[s], n


@njit(inline="always", **_options)
def _flags(addresses, block, lane, first, n):  # type: ignore[no-untyped-def]
    """View the flags of rows, and say whether there are any."""
    address = addresses[block, lane + 1]
    return address != 0, bytes_at(address + first, n)


@njit(**_options)
def count_rows(slots, words):  # type: ignore[no-untyped-def]
    """Count a row for each slot."""
    for i in range(_U(slots.size)):
        if slots[i] != NO_SLOT:
            words[_U(slots[i]), _U(ROWS)] += 1


@njit(**_options)
def add_nulls(spans, starts, addresses, lane, position, slots, rows, words, nulls):  # type: ignore[no-untyped-def]
    """Count the values that are null."""
    if rows:
        count_rows(slots, words)
    at, end, s = _U(0), position + slots.size, span_of(starts, position)
    while position < end:
        block, first, n = _stretch(spans, starts, s, position, end)
        with_nulls, valid = _flags(addresses, block, lane, first, n)
        for i in range(n if with_nulls else _U(0)):
            if valid[i] == 0 and slots[at + i] != NO_SLOT:
                words[_U(slots[at + i]), _U(nulls)] += 1
        position, at, s = position + np.int64(n), at + n, s + 1


@njit(**_options)
def add_int(  # type: ignore[no-untyped-def]
    spans, starts, addresses, lane, position, slots, rows, words, nulls, total, low, high, unsigned
):
    """Fold int64 values; `unsigned` ones carry the bits of uint64 (ordered by a flipped sign)."""
    flip = np.int64(-(2**63)) if unsigned else np.int64(0)
    at_nulls, at_total, at_low, at_high = _U(nulls), _U(total), _U(low), _U(high)
    at, end, s = _U(0), position + slots.size, span_of(starts, position)
    while position < end:
        block, first, n = _stretch(spans, starts, s, position, end)
        values = words_at(addresses[block, lane] + 8 * first, n)
        with_nulls, valid = _flags(addresses, block, lane, first, n)
        for i in range(n):
            if slots[at + i] == NO_SLOT:
                continue
            slot, value = _U(slots[at + i]), values[i]
            if rows:
                words[slot, _U(ROWS)] += 1
            if with_nulls and valid[i] == 0:
                words[slot, at_nulls] += 1
                continue
            if total >= 0:
                before = words[slot, at_total]
                after = before + value
                words[slot, at_total] = after
                if ((before ^ after) & (value ^ after)) < 0:
                    words[slot, at_total + _U(1)] += 1 if value > 0 else -1
                if unsigned and value < 0:
                    words[slot, at_total + _U(1)] += 1
            # Stored whether it changes or not: a branch would be guessed wrong too often.
            if low >= 0:
                words[slot, at_low] = min(words[slot, at_low], value ^ flip)
            if high >= 0:
                words[slot, at_high] = max(words[slot, at_high], value ^ flip)
        position, at, s = position + np.int64(n), at + n, s + 1


# Invariant: an empty low is NaN and an empty high is -inf, so that first values replace them.
# Without a branch, as for integers: what comes out is stored whether it changes or not.
@njit(inline="always", **_options)
def _least(held, value):  # type: ignore[no-untyped-def]
    return held if (held <= value) | (value != value) else value


@njit(inline="always", **_options)
def _greatest(held, value):  # type: ignore[no-untyped-def]
    return value if (value > held) | (value != value) else held


@njit(inline="always", **_options)
def _add_all(values, slots, words, floats, at_total, at_low, at_high):  # type: ignore[no-untyped-def]
    """Fold a span into everything, none of it null: what most do, without asking each time."""
    for i in range(_U(values.size)):
        if slots[i] == NO_SLOT:
            continue
        slot, value = _U(slots[i]), values[i]
        words[slot, _U(ROWS)] += 1
        floats[slot, at_total] += value
        floats[slot, at_low] = _least(floats[slot, at_low], value)
        floats[slot, at_high] = _greatest(floats[slot, at_high], value)


@njit(**_options)
def add_float(  # type: ignore[no-untyped-def]
    spans, starts, addresses, lane, position, slots, rows, words, floats, nulls, total, low, high
):
    """Fold float64 values; NaN is greater than every number (D10)."""
    at_nulls, at_total, at_low, at_high = _U(nulls), _U(total), _U(low), _U(high)
    at, end, s = _U(0), position + slots.size, span_of(starts, position)
    while position < end:
        block, first, n = _stretch(spans, starts, s, position, end)
        values = floats_at(addresses[block, lane] + 8 * first, n)
        with_nulls, valid = _flags(addresses, block, lane, first, n)
        if rows and not with_nulls and total >= 0 and low >= 0 and high >= 0:
            _add_all(values, slots[at : at + n], words, floats, at_total, at_low, at_high)
            position, at, s = position + np.int64(n), at + n, s + 1
            continue
        for i in range(n):
            if slots[at + i] == NO_SLOT:
                continue
            slot, value = _U(slots[at + i]), values[i]
            if rows:
                words[slot, _U(ROWS)] += 1
            if with_nulls and valid[i] == 0:
                words[slot, at_nulls] += 1
                continue
            if total >= 0:
                floats[slot, at_total] += value
            if low >= 0:
                floats[slot, at_low] = _least(floats[slot, at_low], value)
            if high >= 0:
                floats[slot, at_high] = _greatest(floats[slot, at_high], value)
        position, at, s = position + np.int64(n), at + n, s + 1


# How the words of a lane become a number.
SIGNED, UNSIGNED, REAL, WIDE = range(4)


@njit(inline="always", **_options)
def _number(address, kind, i):  # type: ignore[no-untyped-def]
    if kind == REAL:
        return floats_at(address, i + _U(1))[i]
    if kind == WIDE:
        low, high = (
            words_at(address, 2 * i + _U(2))[2 * i],
            words_at(address, 2 * i + _U(2))[2 * i + _U(1)],
        )
        # Small negative ones would cancel between the words.
        if high == low >> 63:
            return np.float64(low)
        return np.float64(high) * 2.0**64 + np.float64(np.uint64(low))
    word = words_at(address, i + _U(1))[i]
    return np.float64(np.uint64(word)) if kind == UNSIGNED else np.float64(word)


@njit(**_options)
def add_moments(  # type: ignore[no-untyped-def]
    spans, starts, addresses, lane, position, slots, kind, words, floats, count
):
    """Fold numbers into the words (count, mean, squared distances) (Welford 1962)."""
    at_count, at_mean, at_squares = _U(count), _U(count + 1), _U(count + 2)
    wide = 16 if kind == WIDE else 8
    at, end, s = _U(0), position + slots.size, span_of(starts, position)
    while position < end:
        block, first, n = _stretch(spans, starts, s, position, end)
        address = addresses[block, lane] + wide * first
        with_nulls, valid = _flags(addresses, block, lane, first, n)
        for i in range(n):
            if slots[at + i] == NO_SLOT or (with_nulls and valid[i] == 0):
                continue
            slot, value = _U(slots[at + i]), _number(address, kind, i)
            words[slot, at_count] += 1
            distance = value - floats[slot, at_mean]
            floats[slot, at_mean] += distance / words[slot, at_count]
            floats[slot, at_squares] += distance * (value - floats[slot, at_mean])
        position, at, s = position + np.int64(n), at + n, s + 1


@njit(**_options)
def add_ordered(  # type: ignore[no-untyped-def]
    spans, starts, addresses, lane, position, slots, words, earliest, latest
):
    """Keep the earliest and the latest value by event time: words are (set, time, value).

    Ties: the first keeps the earliest arrival, the last the latest.
    """
    at, end, s = _U(0), position + slots.size, span_of(starts, position)
    while position < end:
        block, first, n = _stretch(spans, starts, s, position, end)
        values = words_at(addresses[block, lane] + 8 * first, n)
        time = words_at(addresses[block, TIME] + 8 * first, n)
        with_nulls, valid = _flags(addresses, block, lane, first, n)
        for i in range(n):
            if slots[at + i] == NO_SLOT or (with_nulls and valid[i] == 0):
                continue
            held, t = words[_U(slots[at + i])], time[i]
            if earliest >= 0 and (held[_U(earliest)] == 0 or t < held[_U(earliest + 1)]):
                held[_U(earliest)], held[_U(earliest + 1)] = 1, t
                held[_U(earliest + 2)] = values[i]
            if latest >= 0 and (held[_U(latest)] == 0 or t >= held[_U(latest + 1)]):
                held[_U(latest)], held[_U(latest + 1)] = 1, t
                held[_U(latest + 2)] = values[i]
        position, at, s = position + np.int64(n), at + n, s + 1


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
def add_decimal(  # type: ignore[no-untyped-def]
    spans, starts, addresses, lane, position, slots, rows, words, nulls, total, low, high
):
    """Fold decimal128, two words low and high each; extremes are (set, low, high) words."""
    at, end, s = _U(0), position + slots.size, span_of(starts, position)
    while position < end:
        block, first, n = _stretch(spans, starts, s, position, end)
        values = words_at(addresses[block, lane] + 16 * first, _U(2) * n)
        with_nulls, valid = _flags(addresses, block, lane, first, n)
        for i in range(n):
            if slots[at + i] == NO_SLOT:
                continue
            held = words[_U(slots[at + i])]
            if rows:
                held[_U(ROWS)] += 1
            if with_nulls and valid[i] == 0:
                held[_U(nulls)] += 1
                continue
            value_low, value_high = values[_U(2) * i], values[_U(2) * i + _U(1)]
            sign = np.int64(-1) if value_high < 0 else np.int64(0)
            if total >= 0:
                add_192(held, total, value_low, value_high, sign)
            if low >= 0 and (
                held[low] == 0 or less_128(value_high, value_low, held[low + 2], held[low + 1])
            ):
                held[low], held[low + 1], held[low + 2] = 1, value_low, value_high
            if high >= 0 and (
                held[high] == 0 or less_128(held[high + 2], held[high + 1], value_high, value_low)
            ):
                held[high], held[high + 1], held[high + 2] = 1, value_low, value_high
        position, at, s = position + np.int64(n), at + n, s + 1
