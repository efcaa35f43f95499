"""Tables are cut at the same rows however the batches came in."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from eventtime.sinks.gather import Gather

SCHEMA = pa.schema([("n", pa.int64())])


def drain(gather: Gather) -> list[list[int]]:
    tables = []
    while gather.rows:
        table = gather.take()
        assert all(column.num_chunks <= 1 for column in table.columns)
        tables.append(table["n"].to_pylist())
    return tables


@given(st.lists(st.integers(0, 30)), st.integers(1, 10))
def test_the_cuts_do_not_depend_on_the_batches(sizes: list[int], rows_max: int) -> None:
    gather = Gather(SCHEMA, rows_max=rows_max, bytes_max=1 << 20)
    tables: list[list[int]] = []
    start = 0
    for size in sizes:
        gather.add(pa.record_batch([range(start, start + size)], schema=SCHEMA))
        start += size
        while gather.full:
            tables.append(gather.take()["n"].to_pylist())
        assert gather.rows < rows_max
    tables += drain(gather)
    assert tables == [list(range(i, min(i + rows_max, start))) for i in range(0, start, rows_max)]
    assert (gather.rows, gather.bytes) == (0, 0)


def test_a_batch_wider_than_the_limit_is_cut() -> None:
    gather = Gather(SCHEMA, rows_max=1_000, bytes_max=80)
    gather.add(pa.record_batch([range(100)], schema=SCHEMA))
    assert gather.full
    assert [len(table) for table in drain(gather)] == [10] * 10


def test_a_batch_without_rows_is_nothing() -> None:
    gather = Gather(SCHEMA, rows_max=10, bytes_max=80)
    gather.add(pa.record_batch([[]], schema=SCHEMA))
    assert not gather.full
    assert drain(gather) == []
