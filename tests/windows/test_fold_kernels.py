"""Folding one column into words: exact 128- and 192-bit sums, order of 128-bit values (S28)."""

from __future__ import annotations

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eventtime.lanes import FLOAT, INT, Lane
from eventtime.validity import NO_NULLS
from eventtime.windows.chunk import Block, Chunk
from eventtime.windows.chunk_kernels import LANES
from eventtime.windows.fold_kernels import (
    REAL,
    add_192,
    add_float,
    add_int,
    add_moments,
    add_nulls,
    add_ordered,
    count_rows,
    less_128,
)
from eventtime.windows.rises import rises_of

SMALLEST, LARGEST = -(2**63), 2**63 - 1
WIDE = st.integers(SMALLEST, LARGEST) | st.sampled_from([SMALLEST, LARGEST, -1, 0, 1])

WITH_ROWS = True


def fold(values: list[int], valid: np.ndarray, *, unsigned: bool = False) -> list[int]:
    """Fold into one slot of words (key, rows, nulls, sum, carry, min, max)."""
    words = np.array([[0, 0, 0, 0, 0, LARGEST, SMALLEST]], np.int64)
    bits = np.array(values, np.uint64 if unsigned else np.int64).view(np.int64)
    slots = np.zeros(len(values), np.int32)
    add_int(*lane(INT, bits, valid), 0, slots, WITH_ROWS, words, 2, 3, 5, 6, unsigned)
    assert words[0, 1] == len(values)
    found: list[int] = words[0].tolist()
    return found


def lane(
    kind: str, values: np.ndarray, valid: np.ndarray, times: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """A chunk of one lane, as kernels take it; of two spans if it has rows enough."""
    n = len(values)
    zeros = np.zeros(n, np.int64)
    block = Block(
        zeros if times is None else times,
        rises_of(zeros),
        zeros,
        NO_NULLS,
        [Lane(kind, values, valid)],
    )
    cuts = sorted({0, n // 2, n})
    spans = [[0, a, b, 0, 0] for a, b in itertools.pairwise(cuts)]
    chunk = Chunk([block], np.array(spans, np.int64).reshape(-1, 5), 0)
    return chunk.spans, chunk.starts, chunk.addresses, LANES


@given(st.lists(WIDE, max_size=50))
def test_an_integer_sum_is_exact_in_two_words(values: list[int]) -> None:
    words = fold(values, NO_NULLS)
    assert words[1:3] == [len(values), 0]
    assert (words[4] << 64) + words[3] == sum(values)
    if values:
        assert words[5:] == [min(values), max(values)]


@given(
    st.lists(
        st.integers(0, 2**64 - 1) | st.sampled_from([2**63 - 1, 2**63]), min_size=1, max_size=50
    )
)
def test_an_unsigned_sum_is_exact_and_ordered_by_value(values: list[int]) -> None:
    words = fold(values, NO_NULLS, unsigned=True)
    assert (words[4] << 64) + words[3] == sum(values)
    assert [w + 2**63 for w in words[5:]] == [min(values), max(values)]


@given(st.lists(st.tuples(WIDE, st.booleans()), max_size=30))
def test_what_stands_under_a_null_is_never_read(rows: list[tuple[int, bool]]) -> None:
    valid = np.array([v for _, v in rows], np.uint8)
    words = fold([v for v, _ in rows], valid)
    kept = [v for v, is_valid in rows if is_valid or not valid.size]
    assert (words[2], (words[4] << 64) + words[3]) == (len(rows) - len(kept), sum(kept))


def split(value: int) -> tuple[int, int]:
    """A 128-bit integer as signed words, low first."""
    low = value & (2**64 - 1)
    return (low - 2**64 if low >= 2**63 else low), value >> 64


VERY_WIDE = st.integers(-(2**127), 2**127 - 1) | st.sampled_from(
    [-(2**127), 2**127 - 1, -1, 0, 2**64, -(2**64)]
)


@given(st.lists(VERY_WIDE, max_size=40))
def test_a_decimal_sum_is_exact_in_three_words(values: list[int]) -> None:
    words = np.zeros(3, np.int64)
    for value in values:
        low, high = split(value)
        add_192(words, 0, low, high, -1 if high < 0 else 0)
    low, middle, top = (int(w) for w in words)
    assert (top << 128) + ((middle % 2**64) << 64) + low % 2**64 == sum(values)


@given(VERY_WIDE, VERY_WIDE)
def test_wide_integers_are_ordered_by_value(a: int, b: int) -> None:
    (a_low, a_high), (b_low, b_high) = split(a), split(b)
    assert less_128(a_high, a_low, b_high, b_low) == (a < b)


def test_equal_times_keep_the_first_arrival_and_the_last() -> None:
    words = np.zeros((1, 6), np.int64)
    slots = np.zeros(4, np.int32)
    values, times = np.array([7, 8, 9, 10]), np.array([5, 5, SMALLEST, 5])
    valid = np.array([1, 1, 0, 1], np.uint8)
    add_ordered(*lane(INT, values, valid, times), 0, slots, words, 0, 3)
    assert words[0].tolist() == [1, 5, 7, 1, 5, 10]


def test_moments_of_one_value_have_no_spread() -> None:
    words = np.zeros((1, 3), np.int64)
    where = lane(FLOAT, np.array([1e300]), NO_NULLS)
    add_moments(*where, 0, np.zeros(1, np.int32), REAL, words, words.view(np.float64), 0)
    assert words[0, 0] == 1
    assert words.view(np.float64)[0, 1:].tolist() == [1e300, 0.0]


FLOATS = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0])


@given(st.lists(FLOATS, min_size=1, max_size=20))
def test_nan_is_greater_than_every_number(values: list[float]) -> None:
    words = np.zeros((1, 6), np.int64)
    floats = words.view(np.float64)
    floats[0, 4:] = math.nan, -math.inf
    where = lane(FLOAT, np.array(values), NO_NULLS)
    add_float(*where, 0, np.zeros(len(values), np.int32), WITH_ROWS, words, floats, 2, 3, 4, 5)
    numbers = [v for v in values if not math.isnan(v)]
    low, high = floats[0, 4:].tolist()
    assert low == min(numbers) if numbers else math.isnan(low)
    assert math.isnan(high) if len(numbers) < len(values) else high == max(numbers)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12), st.data())
def test_a_row_without_a_slot_goes_nowhere(
    rows: list[tuple[bool, bool]], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(rows)))
    slots = np.array([0 if taken else -1 for taken, _ in rows[first:]], np.int32)
    valid = np.array([v for _, v in rows], np.uint8)
    words = np.zeros((1, 3), np.int64)
    where = lane(INT, np.zeros(len(rows), np.int64), valid)
    add_nulls(*where, first, slots, not WITH_ROWS, words, 2)
    count_rows(slots, words)
    taken = [v for t, v in rows[first:] if t]
    assert words[0].tolist() == [0, len(taken), taken.count(False)]
