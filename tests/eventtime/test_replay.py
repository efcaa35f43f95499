"""Replay in the order of watermarks (S10, D1): cuts, empty batches and chunks do not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

import eventtime as et
from engine_runs import CutSource
from eventtime import replay
from windowing import rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def run(partitions: Mapping[str, Sequence[pa.RecordBatch]], **watermark: Any) -> et.Run:
    stream = et.Stream.read(CutSource(partitions)).watermark(et.ascending(), **watermark)
    found = stream.window(et.tumbling("10s")).aggregate(n=et.count(), i=et.collect("i")).run()
    found.assert_balanced()
    return found


def numbered(seconds: Sequence[float | None], first: int = 0) -> pa.RecordBatch:
    return rows(seconds, i=np.arange(first, first + len(seconds)))


def test_rows_are_taken_from_the_partition_furthest_behind() -> None:
    # a: 0 8    b: 1 2 9      a 0, b 1, (a at 0) a 8, (b at 1) b 2, b 9
    table = run({"a": [numbered([0, 8])], "b": [numbered([1, 2, 9], 10)]}).table()
    assert table["i"].to_pylist() == [[0, 10, 1, 11, 12]]


def test_no_row_is_late_because_another_file_is_ahead() -> None:
    one, other = numbered(range(0, 1_000, 7)), numbered(range(100_000, 101_000, 7), 1_000)
    assert run({"a": [other], "b": [one]}).ledger.total.late == 0


def test_a_partition_that_ends_early_holds_nobody_back() -> None:
    found = run({"a": [numbered([0])], "b": [numbered([5, 100, 3], 10)]})
    assert found.side("late")["i"].to_pylist() == [12]


def test_a_partition_without_rows_is_finished_at_once() -> None:
    found = run({"b": [numbered([0, 20, 1])], "c": [numbered([])]})
    assert found.side("late")["i"].to_pylist() == [2]
    assert found.ledger.partitions["c"].rows_in == 0


def test_empty_batches_between_others_mean_nothing() -> None:
    empty = numbered([])
    cut = run({"a": [empty, numbered([0, 20]), empty, empty, numbered([1], 2), empty]})
    assert cut.table() == run({"a": [numbered([0, 20, 1])]}).table()


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_the_size_of_chunks_does_not_show(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    times = {name: (np.arange(60) - rng.integers(0, 15, 60)).tolist() for name in "abc"}
    for seconds in times.values():
        seconds[rng.integers(0, 60)] = None
    partitions = {n: [numbered(t, 100 * k)] for k, (n, t) in enumerate(times.items())}
    whole = run(partitions, max_future="30s")
    monkeypatch.setattr(replay, "CHUNK_ROWS", chunk)
    small = run(partitions, max_future="30s")
    assert small.table() == whole.table()
    assert small.side("late") == whole.side("late")
    assert small.side("quarantine") == whole.side("quarantine")
    assert small.ledger == whole.ledger


@dataclass(frozen=True, eq=False)
class Failing(CutSource):
    """A source whose reader fails after its first batch."""

    def open(self, columns: Sequence[str] | None, batch_rows: int, positions: Any = None) -> Any:
        readers = super().open(columns, batch_rows, positions)
        return [FailingReader(r) for r in readers]


class FailingReader:
    closed = 0

    def __init__(self, inner: Any) -> None:
        self.inner, self.name = inner, inner.name

    def read(self) -> Any:
        answer = self.inner.read()
        if not isinstance(answer, pa.RecordBatch):
            msg = "the cable was cut"
            raise et.SourceError(msg)
        return answer

    def close(self) -> None:
        type(self).closed += 1


def test_what_a_reader_raises_ends_the_run_and_closes_all_readers() -> None:
    source = Failing({"a": [numbered([0])], "b": [numbered([1])]})
    stream = et.Stream.read(source).watermark(et.ascending())
    with pytest.raises(et.SourceError, match="the cable was cut"):
        stream.window(et.tumbling("10s")).aggregate(n=et.count()).run()
    assert FailingReader.closed >= 2
