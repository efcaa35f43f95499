"""Watermarks as rises: the same as one for each row (S4)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from eventtime.validity import NO_NULLS
from eventtime.windows.chunk import Block, Chunk, Scratch, Source
from eventtime.windows.rises import kept_rises, raised, rises_of, watermarks_at

ASCENDING = st.lists(st.integers(-5, 5), max_size=20).map(sorted)


def each(rises: np.ndarray, n: int) -> list[int]:
    found: list[int] = watermarks_at(rises, np.arange(n)).tolist() if n else []
    return found


@given(ASCENDING)
def test_rises_say_the_watermark_of_each_row(watermarks: list[int]) -> None:
    rises = rises_of(np.array(watermarks, np.int64))
    assert each(rises, len(watermarks)) == watermarks
    assert len(rises) == len(set(watermarks))


@given(ASCENDING, st.data())
def test_a_filter_leaves_each_row_its_watermark(watermarks: list[int], data: st.DataObject) -> None:
    kept = [i for i in range(len(watermarks)) if data.draw(st.booleans())]
    rises = kept_rises(rises_of(np.array(watermarks, np.int64)), np.array(kept, np.int64))
    assert each(rises, len(kept)) == [watermarks[i] for i in kept]


@given(ASCENDING, st.integers(-6, 6), st.integers(-6, 6))
def test_others_bound_the_watermark_and_it_never_goes_back(
    watermarks: list[int], combined: int, others: int
) -> None:
    rises = raised(rises_of(np.array(watermarks, np.int64)), combined, others)
    assert each(rises, len(watermarks)) == [max(combined, min(w, others)) for w in watermarks]


def judged_by(chunk: Chunk) -> list[int]:
    """Read the watermark before each row of a chunk itself, span by span."""
    return [
        max(int(watermarks_at(chunk.blocks[block].rises, np.array([row]))[0]), least)
        for block, first, last, least, _ in chunk.spans.tolist()
        for row in range(first, last)
    ]


def block(partition: int, watermarks: list[int]) -> Block:
    """Rows whose times tell block and row."""
    n = len(watermarks)
    times, batch = 100 * partition + np.arange(n), pa.record_batch({"row": np.arange(n)})
    source = Source(batch, [], None, partition)
    rises = rises_of(np.array(watermarks, np.int64))
    return Block(times, rises, np.zeros(n, np.int64), NO_NULLS, [], source)


@st.composite
def chunks(draw: st.DrawFn) -> tuple[Chunk, list[int]]:
    """A chunk of short spans over two blocks, and the watermark before each of its rows."""
    owns = [draw(ASCENDING), draw(ASCENDING)]
    blocks = [block(i, own) for i, own in enumerate(owns)]
    at, reached = [0, 0], -7
    spans, judged = [], []
    while any(at[b] < len(owns[b]) for b in (0, 1)):
        b = draw(st.sampled_from([b for b in (0, 1) if at[b] < len(owns[b])]))
        n = draw(st.integers(1, len(owns[b]) - at[b]))
        before = [max(reached, w) for w in owns[b][at[b] : at[b] + n]]
        spans.append([b, at[b], at[b] + n, reached, before[-1]])
        judged += before
        at[b], reached = at[b] + n, before[-1]
    return Chunk(blocks, np.array(spans, np.int64).reshape(-1, 5), reached), judged


@given(chunks())
def test_rows_copied_together_keep_their_watermarks(drawn: tuple[Chunk, list[int]]) -> None:
    chunk, judged = drawn
    positions = np.arange(len(chunk))
    if len(chunk):
        together = chunk.together(Scratch())
        assert judged_by(together) == judged_by(chunk) == judged
        assert together.all_times().tolist() == chunk.all_times().tolist()
        assert judged_by(chunk.taken(positions[1::2])) == judged[1::2]


@given(chunks(), st.data())
def test_rows_are_found_wherever_they_were_copied(
    drawn: tuple[Chunk, list[int]], data: st.DataObject
) -> None:
    chunk, judged = drawn
    if not len(chunk):
        return
    every = np.arange(len(chunk))
    chosen = np.array(data.draw(st.lists(st.sampled_from(every.tolist()))), np.int64)
    times_us, expected = chunk.all_times()[chosen].tolist(), [judged[i] for i in chosen]
    kept = np.unique(chosen)
    for copy, positions in (
        (chunk, chosen),
        (chunk.together(Scratch()), chosen),
        (chunk.taken(kept), np.searchsorted(kept, chosen)),
    ):
        found = copy.found(positions)
        assert (found.time_us.tolist(), found.watermark_us.tolist()) == (times_us, expected)
        assert found.own_us.tolist() == expected
        assert (100 * found.partitions + found.rows).tolist() == times_us
        assert found.batch_of.tolist() == found.partitions.tolist()
        assert copy.times(positions).tolist() == times_us
