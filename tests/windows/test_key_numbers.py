"""A key has one number, whatever slice it is met in."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eventtime.state.kernels import NULL_FLAG
from eventtime.windows.key_numbers import KeyNumbers

KEYS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20)


@given(st.lists(st.lists(KEYS, unique=True, max_size=300), max_size=4))
def test_numbers_are_equal_where_keys_are(slices: list[list[int | None]]) -> None:
    numbers = KeyNumbers()
    found: dict[int | None, int] = {}
    for keys in slices:
        words = np.array([[k or 0, NULL_FLAG if k is None else 0] for k in keys], np.int64)
        got = numbers.of(np.arange(len(keys)), words.reshape(-1, 2)).tolist()
        for key, number in zip(keys, got, strict=True):
            assert found.setdefault(key, number) == number
    assert len(set(found.values())) == len(found) == numbers.count
    assert all(0 <= number < numbers.bound for number in found.values())
