"""The fluent face: what is refused at once, explain, Arrow for others, running more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import eventtime as et
from windowing import pipeline, rows

if TYPE_CHECKING:
    from pathlib import Path

NOT_ONE: Any = object()


def stream() -> et.Stream:
    return et.from_arrow(rows([0], x=[1]), time="t")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.filter("x > 1"), "'x > 1' is no expression"),
        (lambda s: s.with_columns(y=3), "3 is no expression"),
        (lambda s: s.watermark("4h"), "'4h' is no watermark generator"),
        (lambda s: s.watermark(et.ascending(), idle_after="soon"), "'soon' is not a duration"),
        (lambda s: s.watermark(et.ascending(), max_future="-1s"), "'-1s' is negative"),
        (
            lambda s: s.watermark(et.ascending(), all_idle="wait"),
            "all-idle policy 'wait' is unknown",
        ),
        (lambda s: s.key_by(), "are not one or more different column names"),
        (lambda s: s.key_by("x", "x"), "are not one or more different column names"),
        (lambda s: s.window("1h"), "'1h' describes no windows"),
        (lambda s: s.window(et.tumbling("1h"), allowed_lateness="-1h"), "'-1h' is negative"),
        (
            lambda s: s.window(et.tumbling("1h"), mode="replacing"),
            "accumulation mode 'replacing' is unknown",
        ),
        (lambda s: s.window(et.tumbling("1h"), late="quarantine"), "tag 'quarantine' is taken"),
        (lambda s: s.window(et.tumbling("1h")).aggregate(), "no aggregate is given"),
        (lambda s: s.window(et.tumbling("1h")).aggregate(n="count"), "'count' is not an aggregate"),
        (lambda s: et.union(), "union of no streams"),
        (lambda s: et.sum(3), "3 names no column"),
        (lambda s: et.var("x", ddof=-1), "-1 is not a number of zero or more"),
        (lambda s: et.user(NOT_ONE, "x"), "object lacks create, add, merge, result, result_type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_argument_that_cannot_work_is_refused_at_once(call: Any, message: str) -> None:
    with pytest.raises(et.PlanError) as error:
        call(stream())
    assert message in str(error.value)
    assert "\n  at:  " in str(error.value)
    assert "\n  fix: " in str(error.value)


def test_nothing_is_read_before_a_stream_is_run() -> None:
    def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise AssertionError

    stream().map_batches(fail, schema=rows([], x=pa.array([], pa.int64())).schema).watermark(
        et.ascending()
    )


def test_the_plan_is_printed_sources_first_with_the_columns_that_are_read() -> None:
    lines = (
        stream()
        .filter(pc.field("x") > 0)
        .watermark(et.bounded_disorder("4h"), idle_after="5m", max_future="1d")
        .key_by("x")
        .window(et.sliding("1h", slide="5m"), allowed_lateness="2h", late=et.DROP)
        .aggregate(n=et.count(), m=et.mean("x"))
        .explain()
        .splitlines()
    )
    assert lines[0].startswith("read ")
    assert lines[0].endswith("event time 't'; reads t, x")
    assert lines[1] == "-> filter((x > 0))"
    assert "bounded_disorder('4h')" in lines[2]
    assert "idle after 5m (live only), all idle: hold" in lines[2]
    assert "future beyond 1d" in lines[2]
    assert lines[3] == "-> key by x"
    assert lines[4].startswith("-> window sliding('1h', slide='5m'), allowed lateness 2h, accumul")
    assert lines[4].endswith("late rows counted only")
    assert lines[5] == "-> aggregate n=count(), m=mean(x)"


def test_a_union_is_printed_as_a_tree() -> None:
    both = stream().union(stream()).watermark(et.ascending()).window(et.tumbling("1h"))
    lines = both.aggregate(n=et.count()).explain().splitlines()
    assert [line.startswith("  read ") for line in lines[:2]] == [True, True]
    assert lines[2] == "-> union of 2 streams"


def test_the_schema_is_known_at_every_step() -> None:
    marked = stream().with_columns(y=pc.field("x") + 0.5).watermark(et.ascending())
    assert marked.schema.names == ["t", "x", "y"]
    result = (
        marked.key_by("x").window(et.tumbling("1h"), mode="retracting").aggregate(m=et.max("y"))
    )
    assert result.schema.names == [
        "x", "window_start", "window_end", "m", "version", "timing", "is_final", "diff",
    ]  # fmt: skip
    assert result.to_table().schema.equals(result.schema)


def test_no_rows_give_no_results_of_the_right_schema() -> None:
    empty = pipeline(rows([], x=pa.array([], pa.int64())), s=et.sum("x"))
    assert empty.to_table().schema.equals(empty.schema)
    assert empty.to_table().num_rows == 0


def test_a_stream_is_run_as_often_as_one_likes() -> None:
    minutes = pipeline(rows([0, 60, 61]))
    assert minutes.to_table().equals(minutes.to_table())
    assert pa.Table.from_batches(list(minutes)).equals(minutes.to_table())


def test_leaving_a_loop_over_results_stops_the_run() -> None:
    for batch in pipeline(rows([float(60 * i) for i in range(100)])):
        assert batch.num_rows
        break


def test_polars_and_duckdb_and_pyarrow_read_a_stream_as_it_is() -> None:
    minutes = pipeline(rows([0, 1, 61], k=["a", None, "a"]), keys=["k"])
    wanted = minutes.to_table()
    frame = pl.from_arrow(pa.table(minutes))
    assert isinstance(frame, pl.DataFrame)
    assert frame["n"].to_list() == wanted.column("n").to_pylist()
    assert pl.DataFrame(minutes)["k"].to_list() == wanted.column("k").to_pylist()
    database = duckdb.connect()
    database.register("minutes", pa.RecordBatchReader.from_stream(minutes))
    assert database.sql("select sum(n), count(*) from minutes").fetchall() == [(3, 3)]
    assert pa.table(minutes).equals(wanted)


def test_a_stream_and_its_run_are_handed_over_alike() -> None:
    data = rows([0, 1, 61, 62], k=["a", None, "a", "b"], x=[1, 2, 3, 4])
    stream = pipeline(data, keys=["k"], n=et.count(), x=et.collect("x"), f=et.first("k"))
    wanted = stream.to_table().select(["n", "x", "f"]).to_pydict()
    for handed in (stream, stream.run()):
        frame = pd.DataFrame.from_arrow(handed)
        assert frame["n"].tolist() == wanted["n"]
        assert [list(values) for values in frame["x"]] == wanted["x"]
        assert pl.DataFrame(handed).select("n", "x", "f").to_dict(as_series=False) == wanted
        by_duckdb = duckdb.connect().execute("select n, x, f from handed").fetchall()
        assert by_duckdb == list(zip(*wanted.values(), strict=True))
        assert duckdb.from_arrow(handed).aggregate("sum(n)").fetchall() == [(4,)]


def test_windows_over_polars_frames_are_windows_over_arrow() -> None:
    frame = pl.DataFrame(pa.table(rows([0, 1, 61])))
    assert pipeline(frame).to_table().column("n").to_pylist() == [2, 1]


def test_an_error_while_another_library_reads_is_not_swallowed() -> None:
    big = pipeline(rows([0, 0], x=[2**63 - 1, 1]), s=et.sum("x"))
    with pytest.raises(Exception, match="does not fit int64"):
        pa.table(big)


def test_explain_names_the_tag_of_each_window() -> None:
    """Windows over windows have late rows of their own (S20, S25)."""
    table = pa.table({"t": pa.array([1], pa.timestamp("s"))})
    hourly = et.from_arrow(table, time="t").watermark(et.ascending()).window(et.tumbling("1h"))
    daily = hourly.aggregate(n=et.count()).window(et.tumbling("1d")).aggregate(n=et.sum("n"))
    assert "late rows to 'late'" in daily.explain()
    assert "late rows to 'late_2'" in daily.explain()
    assert daily.run().tags == ["late", "late_2", "quarantine"]


def test_an_output_is_never_an_input(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"t": pa.array([1], pa.timestamp("s"))}), path)
    stream = et.read_parquet(str(path), time="t").watermark(et.ascending())
    counted = stream.window(et.tumbling("1h")).aggregate(n=et.count())
    with pytest.raises(et.SinkError, match="is an input of the same run"):
        counted.run(path, overwrite=True)
    assert pq.read_table(path).num_rows == 1
