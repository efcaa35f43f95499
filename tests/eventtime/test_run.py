"""A run and what it leaves: table, side outputs, ledger, progress, memory; nothing if it failed."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from engine_runs import CutReader
from windowing import SECOND, TIME, pipeline, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def test_results_side_outputs_and_ledger_are_left() -> None:
    run = pipeline(rows([0, 61, 1, None])).run()
    assert run.table().column("n").to_pylist() == [1, 1]
    assert run.side("late").num_rows == run.side("quarantine").num_rows == 1
    assert run.tags == ["late", "quarantine"]
    run.assert_balanced()
    assert str(run.ledger).splitlines()[1].split()[:4] == ["memory", "4", "2", "1"]


def test_a_run_is_told_in_a_line_whatever_it_holds() -> None:
    run = pipeline(rows([0, 61, 1, None])).run()
    assert repr(run) == "<Run finished: 4 rows, 2 results, 1 late>"


def test_a_side_output_that_does_not_exist_is_refused_with_those_that_do() -> None:
    run = pipeline(rows([0])).run()
    with pytest.raises(
        et.PlanError, match=r"no side output 'lost'(.|\n)*tags are late, quarantine"
    ):
        run.side("lost")
    with pytest.raises(et.PlanError, match=r"no side output 'lost'\n  at:  run\(sides=…\)"):
        pipeline(rows([0])).run(sides={"lost": "x.parquet"})


def test_dropped_late_rows_are_counted_and_have_no_side_output() -> None:
    run = pipeline(rows([61, 1]), window={"late": et.DROP}).run()
    assert run.tags == ["quarantine"]
    assert run.ledger.total.late == 1


def test_late_rows_have_a_tag_of_ones_own() -> None:
    run = pipeline(rows([61, 1]), window={"late": "stragglers"}).run()
    assert run.side("stragglers").num_rows == 1


def test_what_a_sink_took_is_not_kept(tmp_path: Path) -> None:
    out, late = tmp_path / "out.parquet", tmp_path / "late.csv"
    run = pipeline(rows([0, 61, 1])).run(out, sides={"late": late})
    with pytest.raises(et.PlanError) as error:
        run.table()
    assert str(error.value) == (
        f"the results are not in memory: they went to Parquet file {out}\n"
        "  at:  table()\n"
        "  fix: read them from there, or run it without a sink"
    )
    with pytest.raises(et.PlanError, match=rf"the rows of 'late' are .* CSV file {late}"):
        run.side("late")
    with pytest.raises(et.PlanError, match="not in memory"):
        pa.table(run)
    assert run.side("quarantine").num_rows == 0
    assert run.schema.names[:2] == ["window_start", "window_end"]
    assert et.read_parquet(str(out), time="window_start").schema.names == run.schema.names
    assert late.read_text().count("\n") == 2


def test_a_run_that_fails_leaves_no_output(tmp_path: Path) -> None:
    data = rows([0, 61, 120, 120], x=[1, 2, 2**63 - 1, 1])
    with pytest.raises(et.AggregateOverflowError):
        pipeline(data, s=et.sum("x")).run(
            tmp_path / "out.parquet", sides={"late": tmp_path / "late.parquet"}
        )
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_refused_before_a_row_is_read(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    pipeline(rows([0])).run(out)
    with pytest.raises(et.OutputExistsError, match=r"out\.parquet"):
        pipeline(rows([0, 1])).run(out)
    pipeline(rows([0, 1])).run(out, overwrite=True)


def test_progress_is_reported_and_ends_with_everything() -> None:
    reports: list[et.ProgressReport] = []
    run = pipeline(rows([0, 61, 1, None])).run(progress=reports.append)
    last = reports[-1]
    assert last == run.report
    assert (last.rows, last.total_rows, last.late, last.quarantined, last.results) == (
        4,
        4,
        1,
        1,
        2,
    )
    assert (last.open_windows, last.held_by) == (0, None)
    assert last.latest_us == 61 * SECOND
    rows_seen = [r.rows for r in reports]
    assert rows_seen == sorted(rows_seen)
    watermarks = [r.watermark_us for r in reports]
    assert watermarks == sorted(watermarks)


def test_any_number_of_shards_gives_the_same_run() -> None:
    times = np.random.default_rng(7).integers(0, 3_600, 20_000).astype(float)
    keys = np.random.default_rng(8).integers(0, 500, 20_000)
    data = rows(np.sort(times).tolist(), k=keys, x=keys * 0.1)
    stream = pipeline(data, et.sliding("60s", slide="25s"), keys=["k"], s=et.sum("x"), n=et.count())
    one = stream.run()
    for shards in (2, 3):
        other = stream.run(shards=shards)
        assert other.table().equals(one.table())
        assert other.ledger == one.ledger


def test_an_error_in_a_shard_is_the_error_of_the_run() -> None:
    data = rows([0] * 4, k=[1, 2, 3, 3], x=[1, 1, 2**63 - 1, 1])
    with pytest.raises(et.AggregateOverflowError, match="k=3"):
        pipeline(data, keys=["k"], s=et.sum("x")).run(shards=2)


# Memory


class EndlessReader(CutReader):
    """Batches made when they are asked for."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        super().__init__("endless", [])
        object.__setattr__(self, "batches", batches)

    def read(self) -> Any:
        from eventtime.sources.base import Poll

        return next(self.batches, Poll.END)  # type: ignore[attr-defined]  # set above


class MadeSource:
    """Batches of 40,000 rows over 10 minutes each, with keys that never come back."""

    time, time_unit = "t", None

    def __init__(self, n: int) -> None:
        self.n = n

    def schema(self) -> pa.Schema:
        return pa.schema({"t": TIME, "k": pa.string()})

    def _batches(self) -> Iterator[pa.RecordBatch]:
        endings = pa.array(np.arange(40_000) % 2_000).cast(pa.string())
        for i in range(self.n):
            times = np.linspace(i * 600 * SECOND, (i + 1) * 600 * SECOND, 40_000).astype(np.int64)
            keys = pc.binary_join_element_wise(pa.scalar(f"batch {i}"), endings, " key ")
            yield pa.record_batch({"t": pa.array(times).view(TIME), "k": keys})

    def open(
        self, columns: Sequence[str] | None, batch_rows: int, positions: Any = None
    ) -> list[Any]:
        return [EndlessReader(self._batches())]

    def describe(self) -> str:
        return "made"

    def total_rows(self) -> int | None:
        return None


def peaks(n: int) -> tuple[int, int]:
    """Peak of traced memory and growth of the process over a run of n batches."""
    marked = et.Stream.read(MadeSource(n)).watermark(et.bounded_disorder("10s"))
    stream = (
        marked.key_by("k")
        .window(et.sliding("60s", slide="20s"), late=et.DROP)
        .aggregate(n=et.count())
    )
    process = psutil.Process()
    before = process.memory_info().rss
    tracemalloc.start()
    total = sum(batch.num_rows for batch in stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > n * 2_000
    return peak, process.memory_info().rss - before


def test_memory_is_flat_over_a_stream_ten_times_longer() -> None:
    short, _ = peaks(7)
    long, grown = peaks(70)
    assert long < 1.3 * short
    assert grown < 150_000_000
