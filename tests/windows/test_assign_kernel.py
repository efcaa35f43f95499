"""Shares of keys: each row falls to one shard, equal keys to the same, about evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.windows.assign_kernel import rows_of_shard


def shares(keys: np.ndarray, shards: int) -> list[list[int]]:
    found = []
    for shard in range(shards):
        out = np.empty(len(keys) + 1, np.int32)
        found.append(out[: rows_of_shard(keys, shards, shard, out)].tolist())
    return found


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), max_size=100), st.integers(1, 7)
)
def test_each_row_falls_to_one_shard_and_equal_keys_to_the_same(
    keys: list[int], shards: int
) -> None:
    found = shares(np.array(keys, np.int64), shards)
    assert sorted(i for share in found for i in share) == list(range(len(keys)))
    assert all(share == sorted(share) for share in found)
    owner: dict[int, int] = {}
    for shard, share in enumerate(found):
        for i in share:
            assert owner.setdefault(keys[i], shard) == shard


@pytest.mark.parametrize("shards", [2, 3, 5])
@pytest.mark.parametrize("step", [1, 2**32, 1_000])
def test_regular_keys_are_shared_about_evenly(shards: int, step: int) -> None:
    sizes = [len(share) for share in shares(np.arange(10_000) * step, shards)]
    assert max(sizes) < 1.3 * 10_000 / shards
