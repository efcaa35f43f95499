"""Shares of keys: each row falls to one shard, equal keys to the same, about evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.lanes import NO_NULLS
from eventtime.windows.chunk import Block, Chunk
from eventtime.windows.rises import rises_of
from eventtime.windows.shares import rows_of_shard


def shares(keys: np.ndarray, shards: int) -> list[list[int]]:
    """Rows of each shard, where keys lie in two spans in the other order."""
    none, half = np.zeros(len(keys), np.int64), len(keys) // 2
    block = Block(none, rises_of(none), np.roll(keys, -half), NO_NULLS, [])
    spans = [[0, len(keys) - half, len(keys), 0, 0], [0, 0, len(keys) - half, 0, 0]]
    chunk = Chunk([block], np.array([s for s in spans if s[2] > s[1]], np.int64).reshape(-1, 5), 0)
    found = []
    for shard in range(shards):
        out = np.empty(len(keys) + 1, np.int32)
        n = rows_of_shard(chunk.spans, chunk.addresses, shards, shard, out)
        found.append(out[:n].tolist())
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
