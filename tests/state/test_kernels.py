"""Kernels of slot tables: order by radix, hashes that spread, words read as columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.state.kernels import (
    NULL_FLAG,
    ROWS,
    hash_word,
    key_range,
    read_words,
    row_counts,
)
from eventtime.state.order_kernels import sorted_order

SMALLEST, LARGEST = -(2**63), 2**63 - 1


def ordered(keys: list[int]) -> list[int]:
    words = np.array(keys, np.int64)
    low, high = min(keys), max(keys)
    order, spare = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    swapped = sorted_order(words, low, (high - low).bit_length(), order, spare)
    return (spare if swapped else order).tolist()


@given(st.lists(st.integers(-5, 5) | st.integers(SMALLEST, LARGEST), min_size=1, max_size=60))
def test_the_radix_order_is_the_stable_order(keys: list[int]) -> None:
    assert ordered(keys) == sorted(range(len(keys)), key=lambda i: keys[i])


@pytest.mark.parametrize("bits", [0, 1, 10, 11, 12, 22, 33, 63])
def test_each_number_of_passes_orders(bits: int) -> None:
    rng = np.random.default_rng(bits)
    keys = rng.integers(0, 2**bits - 1, 500, endpoint=True).tolist()
    assert [keys[i] for i in ordered(keys)] == sorted(keys)


def test_the_whole_range_of_int64_is_ordered() -> None:
    keys = [LARGEST, 0, SMALLEST, -1, 1]
    assert [keys[i] for i in ordered(keys)] == sorted(keys)


@pytest.mark.parametrize("step", [1, 2**20, 2**40, -(2**32)])
def test_hashes_of_regular_keys_spread_over_low_and_high_bits(step: int) -> None:
    hashes = np.array([hash_word(i * step) for i in range(4_096)], np.uint64)
    for bits in (hashes & np.uint64(4_095), hashes >> np.uint64(52)):
        # Of 4,096 keys in 4,096 places about 63 % of the places are taken by chance.
        assert len(set(bits.tolist())) > 2_000


def test_rows_are_counted_without_the_mark_of_the_null_key() -> None:
    words = np.array([[1, 5], [0, NULL_FLAG | 7], [2, 0]], np.int64)
    assert ROWS == 1
    assert row_counts(np.array([0, 1, 2]), words) == 12


def test_words_are_read_as_columns_in_the_order_of_slots() -> None:
    words = np.arange(300, dtype=np.int64).reshape(100, 3)
    slots = np.random.default_rng(1).permutation(100)
    out = np.empty((3, 100), np.int64)
    read_words(words, slots, np.array([column.ctypes.data for column in out]))
    assert np.array_equal(out, words[slots].T)


def test_the_range_of_no_keys_is_empty() -> None:
    low, high = key_range(np.zeros(64, np.int64), np.empty((0, 2), np.int64))
    assert low > high
