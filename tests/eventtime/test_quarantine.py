"""Quarantined rows come out in replay order, wherever batches were cut (S10, S12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import CutSource
from windowing import rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

PARTITION = st.lists(st.none() | st.integers(0, 30), max_size=12)


def quarantined(partitions: Mapping[str, Sequence[pa.RecordBatch]]) -> pa.Table:
    stream = et.Stream.read(CutSource(partitions)).watermark(et.ascending())
    run = stream.window(et.tumbling("10s")).aggregate(n=et.count(), i=et.collect("i")).run()
    run.assert_balanced()
    return run.side("quarantine")


def numbered(seconds: Sequence[int | None], first: int) -> pa.RecordBatch:
    return rows(seconds, i=np.arange(first, first + len(seconds)))


def test_a_row_set_aside_comes_right_before_the_next_row_of_its_partition() -> None:
    # a:  0  -  20          b:  0  5  -  -  30
    # The next row is taken from the partition furthest behind, a before b where both are as far:
    # a 0, b 0, (a -) a 20, b 5, (b - -) b 30.
    a, b = numbered([0, None, 20], 0), numbered([0, 5, None, None, 30], 100)
    table = quarantined({"a": [a], "b": [b]})
    assert table.column("i").to_pylist() == [1, 102, 103]
    assert table.column("partition").to_pylist() == ["a", "b", "b"]


def test_rows_behind_the_last_usable_one_come_when_the_partition_ends() -> None:
    table = quarantined({"a": [numbered([0, None, None], 0)], "b": [numbered([None, 0, 1], 10)]})
    # b begins when a is ahead of it: after a's only row.
    assert sorted(table.column("i").to_pylist()) == [1, 2, 10]
    assert table.column("i").to_pylist().index(1) < table.column("i").to_pylist().index(2)


@given(st.tuples(PARTITION, PARTITION, PARTITION), st.integers(1, 5))
def test_their_order_does_not_depend_on_cuts(
    partitions: tuple[list[int | None], ...], width: int
) -> None:
    whole = {
        name: [numbered(p, 100 * i)]
        for i, (name, p) in enumerate(zip("abc", partitions, strict=True))
    }
    if all(s is None for p in partitions for s in p):
        return
    cut = {
        name: [batch.slice(at, width) for at in range(0, max(1, len(batch)), width)]
        for name, (batch,) in whole.items()
    }
    assert quarantined(cut) == quarantined(whole)
