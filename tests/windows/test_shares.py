"""Shares of keys: each row falls to one shard, equal keys to the same, about evenly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.lanes import DECIMAL, FLOAT, INT, OBJECT, Lane
from eventtime.validity import NO_NULLS
from eventtime.windows.chunk import Block, Chunk, Scratch
from eventtime.windows.rises import rises_of, watermarks_at
from eventtime.windows.shares import keys_of_shard

NONE = np.empty(0, np.int64)


def chunk_of(keys: np.ndarray) -> Chunk:
    """Rows whose keys lie in two spans in the other order."""
    none, half = np.zeros(len(keys), np.int64), len(keys) // 2
    block = Block(none, rises_of(none), np.roll(keys, -half), NO_NULLS, [])
    spans = [[0, len(keys) - half, len(keys), 0, 0], [0, 0, len(keys) - half, 0, 0]]
    return Chunk([block], np.array([s for s in spans if s[2] > s[1]], np.int64).reshape(-1, 5), 0)


def shares(chunk: Chunk, shards: int) -> list[Chunk]:
    return [chunk.share(shard, shards, Scratch()) for shard in range(shards)]


def chosen(share: Chunk) -> list[int]:
    assert share.chosen is not None
    positions: list[int] = share.chosen.tolist()
    return positions


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), max_size=100), st.integers(1, 7)
)
def test_each_row_falls_to_one_shard_and_equal_keys_to_the_same(
    keys: list[int], shards: int
) -> None:
    found = [chosen(share) for share in shares(chunk_of(np.array(keys, np.int64)), shards)]
    assert sorted(i for share in found for i in share) == list(range(len(keys)))
    assert all(share == sorted(share) for share in found)
    owner: dict[int, int] = {}
    for shard, share in enumerate(found):
        for i in share:
            assert owner.setdefault(keys[i], shard) == shard


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50), st.integers(1, 7))
def test_keys_of_a_savepoint_go_where_their_rows_go(keys: list[int], shards: int) -> None:
    words = np.array(keys, np.int64)
    for shard, share in enumerate(shares(chunk_of(words), shards)):
        positions = np.empty(len(keys) + 1, np.int64)
        n = keys_of_shard(words, shards, shard, positions)
        assert positions[:n].tolist() == chosen(share)


@pytest.mark.parametrize("shards", [2, 3, 5])
@pytest.mark.parametrize("step", [1, 2**32, 1_000])
def test_regular_keys_are_shared_about_evenly(shards: int, step: int) -> None:
    sizes = [len(share) for share in shares(chunk_of(np.arange(10_000) * step), shards)]
    assert max(sizes) < 1.3 * 10_000 / shards


def block_of(draw: st.DrawFn, n: int) -> Block:
    """Rows that differ in every column, some of them null; a block may be without flags."""

    def flags() -> np.ndarray:
        drawn = draw(st.none() | st.lists(st.integers(0, 1), min_size=n, max_size=n))
        return NO_NULLS if drawn is None else np.array(drawn, np.uint8)

    base = draw(st.integers(0, 2**40))
    words = base + np.arange(2 * n)
    lanes = [
        Lane(INT, words[:n] + 1, flags()),
        Lane(DECIMAL, words.reshape(-1, 2) + 2, flags()),
        Lane(FLOAT, words[:n].astype(np.float64) + 0.5, NO_NULLS),
        Lane(OBJECT, NONE, flags()),
    ]
    keys = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    own = sorted(draw(st.lists(st.integers(-5, 5), min_size=n, max_size=n)))
    rises = rises_of(np.array(own, np.int64))
    return Block(words[:n], rises, np.array(keys, np.int64), flags(), lanes)


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    """Spans that take turns over two blocks, each with what the watermark was before its rows."""
    blocks = [block_of(draw, n) for n in draw(st.tuples(st.integers(0, 20), st.integers(0, 20)))]
    at, reached, spans = [0, 0], -7, []
    while left := [b for b in (0, 1) if at[b] < len(blocks[b])]:
        b = draw(st.sampled_from(left))
        last = draw(st.integers(at[b] + 1, len(blocks[b])))
        least = max(reached, draw(st.integers(-7, 6)))
        reached = max(least, *watermarks_at(blocks[b].rises, np.array([last - 1])).tolist())
        spans.append([b, at[b], last, least, reached])
        at[b] = last
    return Chunk(blocks, np.array(spans, np.int64).reshape(-1, 5), reached)


def flags_at(flags: np.ndarray, row: int, absent: int) -> int:
    return int(flags[row]) if flags.size else absent


def rows_of(chunk: Chunk) -> list[object]:
    """All that a chunk says of each row, read one by one."""
    return [
        (
            block.time_us[row].item(),
            max(int(watermarks_at(block.rises, np.array([row]))[0]), least),
            block.keys[row].item(),
            flags_at(block.key_nulls, row, 0),
            [
                (lane.kind, lane.values[row].tolist() if lane.values.size else None,
                 flags_at(lane.valid, row, 1)) for lane in block.lanes
            ],
        )
        for b, first, last, least, _ in chunk.spans.tolist()
        for block in [chunk.blocks[b]]
        for row in range(first, last)
    ]  # fmt: skip


@given(chunks(), chunks(), st.integers(1, 4))
def test_a_share_says_of_its_rows_what_the_chunk_says(
    before: Chunk, chunk: Chunk, shards: int
) -> None:
    rows = rows_of(chunk)
    for shard in range(shards):
        scratch = Scratch()
        before.share(shard, shards, scratch)
        share = chunk.share(shard, shards, scratch)
        assert rows_of(share) == [rows[i] for i in chosen(share)]
        assert share.watermark_after_us == chunk.watermark_after_us
        # At most: the watermark before the last row.
        assert (
            share.spans[:, 4].tolist()
            == watermarks_at(share.blocks[0].rises, np.arange(len(share)))[-1:].tolist()
        )


def test_a_share_may_be_empty() -> None:
    sizes = [len(share) for share in shares(chunk_of(np.full(5, 7)), 3)]
    assert sorted(sizes) == [0, 0, 5]
    assert [len(share) for share in shares(chunk_of(NONE), 3)] == [0, 0, 0]


def test_scratch_is_written_again_from_chunk_to_chunk() -> None:
    scratch = Scratch()
    first = chunk_of(np.arange(100)).share(0, 2, scratch)
    second = chunk_of(np.arange(50)).share(0, 2, scratch)
    assert np.shares_memory(first.blocks[0].keys, second.blocks[0].keys)
