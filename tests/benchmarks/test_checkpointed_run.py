"""The benchmark of a run with checkpoints runs, on few rows, and its source can be gone on with."""

from __future__ import annotations

import pytest

from benchmarks.checkpointed_run import Days, measured
from benchmarks.dataset import Dataset
from eventtime.sources import Poll

SMALL = Dataset(rows=2_000, keys=10, partitions=2)


@pytest.fixture(scope="module")
def source() -> Days:
    tables = {f"p{i}": SMALL.partition(i).to_batches(300) for i in range(SMALL.partitions)}
    return Days(tables, 3)


def test_runs_with_and_without_checkpoints_answer_the_same(source: Days) -> None:
    without, with_ = measured(source, None, 1), measured(source, "1ms", 1)
    assert without["answer"] == with_["answer"]
    assert with_["checkpoints"] > without["checkpoints"] == 0


def test_the_source_goes_on_where_it_was_left(source: Days) -> None:
    (first, _) = source.open(None, 300)
    for _ in range(5):
        first.read()
    (again, _) = source.open(None, 300, {"p0": first.position})
    rest = [first.read(), again.read()]
    assert not isinstance(rest[0], Poll)
    assert rest[0] == rest[1]
