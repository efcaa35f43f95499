"""Plans that cannot run are refused before a row is read; only needed columns are opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from engine_runs import CutReader
from windowing import TIME, pipeline, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.base import PartitionReader


@dataclass(frozen=True, eq=False)
class SpySource:
    """Remembers which columns it was asked for."""

    batch: pa.RecordBatch
    asked: list[list[str] | None] = field(default_factory=list)
    time: str = "t"
    time_unit: str | None = None

    def schema(self) -> pa.Schema:
        return self.batch.schema

    def open(
        self, columns: Sequence[str] | None, batch_rows: int, positions: Any = None
    ) -> list[PartitionReader]:
        self.asked.append(None if columns is None else list(columns))
        return [CutReader("p", [self.batch.select(list(columns or self.batch.schema.names))])]

    def describe(self) -> str:
        return "spy"

    def total_rows(self) -> int | None:
        return None


def spy() -> SpySource:
    return SpySource(rows([0], a=[1], b=[2], c=[3], k=["x"], unused=[9]))


def asked_for(source: SpySource, stream: Any, **window: Any) -> list[str]:
    marked = stream(et.Stream.read(source)).watermark(et.ascending())
    marked.key_by("k").window(et.tumbling("1m"), **window).aggregate(s=et.sum("a")).run()
    (columns,) = source.asked
    assert columns is not None
    return columns


# Pruning


def test_only_time_keys_and_aggregated_columns_are_read_where_late_rows_are_dropped() -> None:
    assert asked_for(spy(), lambda s: s, late=et.DROP) == ["t", "a", "k"]


def test_late_rows_make_all_columns_be_read_unless_some_are_chosen() -> None:
    assert asked_for(spy(), lambda s: s) == ["t", "a", "b", "c", "k", "unused"]
    assert asked_for(spy(), lambda s: s, late_columns=["b"]) == ["t", "a", "b", "k"]
    assert asked_for(spy(), lambda s: s, late_columns=[]) == ["t", "a", "k"]


def test_columns_that_expressions_read_are_read() -> None:
    def steps(stream: et.Stream) -> et.Stream:
        return stream.filter(pc.field("b") > 0).with_columns(
            a=pc.field("c") * 2, extra=pc.field("unused")
        )

    assert asked_for(spy(), steps, late=et.DROP) == ["t", "b", "c", "k"]


def test_a_function_over_batches_is_given_everything() -> None:
    assert (
        asked_for(spy(), lambda s: s.map_batches(lambda b: b), late=et.DROP) == spy().schema().names
    )


def test_a_selection_before_it_limits_what_a_function_is_given() -> None:
    columns = asked_for(
        spy(), lambda s: s.select("t", "k", "a").map_batches(lambda b: b), late=et.DROP
    )
    assert columns == ["t", "a", "k"]


def test_what_the_watermark_reads_is_read() -> None:
    source = SpySource(rows([0], m=pa.array([0]).view(TIME), flag=[True], x=[1]))
    for generator in (et.punctuated(column="m"), et.punctuated(where=pc.field("flag"))):
        marked = et.Stream.read(source).watermark(generator)
        marked.window(et.tumbling("1m"), late=et.DROP).aggregate(n=et.count()).run()
    assert source.asked == [["t", "m"], ["t", "flag"]]


def test_an_expression_in_an_aggregate_is_computed_once_from_what_it_reads() -> None:
    source = spy()
    product = pc.field("a") * pc.field("b")
    marked = et.Stream.read(source).watermark(et.ascending())
    windows = marked.window(et.tumbling("1m"), late=et.DROP)
    row = windows.aggregate(s=et.sum(product), m=et.max(product)).run().table().to_pylist()[0]
    assert source.asked == [["t", "a", "b"]]
    assert (row["s"], row["m"]) == (2, 2)


# Refusals


def stream() -> et.Stream:
    return et.from_arrow(rows([0], x=[1], name=["a"]), time="t")


MINUTE = et.tumbling("1m")


def test_a_window_without_a_watermark_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        et.PlanError, match=r"a window needs a watermark(.|\n)*bounded_disorder(.|\n)*advise"
    ):
        stream().window(MINUTE).aggregate(n=et.count()).explain()


def test_a_stream_without_windows_cannot_be_run() -> None:
    with pytest.raises(et.PlanError, match=r"no windows to compute(.|\n)*\.window\("):
        stream().watermark(et.ascending()).run()


def test_two_watermarks_are_refused() -> None:
    twice = stream().watermark(et.ascending()).watermark(et.ascending())
    with pytest.raises(et.PlanError, match="stands before the watermark"):
        twice.window(MINUTE).aggregate(n=et.count()).explain()


def test_a_function_between_watermark_and_window_is_refused() -> None:
    mapped = stream().watermark(et.ascending()).map_batches(lambda b: b)
    with pytest.raises(
        et.PlanError, match=r"between watermark and window(.|\n)*before \.watermark"
    ):
        mapped.window(MINUTE).aggregate(n=et.count()).explain()


@pytest.mark.parametrize(
    ("keys", "aggregates", "names"),
    [
        (["nme"], {"n": et.count()}, r"no column 'nme'\n  at:  key_by(.|\n)*did you mean 'name'"),
        ([], {"n": et.sum("y")}, r"no column 'y'\n  at:  aggregate\(n=sum\(y\)\)"),
        ([], {"n": et.sum(pc.field("y") + 1)}, r"aggregate\(n=sum\((.|\n)*columns are t, x, name"),
    ],
)
def test_a_column_that_does_not_exist_is_refused_where_it_stands(
    keys: list[str], aggregates: dict[str, et.Aggregate], names: str
) -> None:
    marked: Any = stream().watermark(et.ascending())
    with pytest.raises(et.PlanError, match=names):
        (marked.key_by(*keys) if keys else marked).window(MINUTE).aggregate(**aggregates).explain()


@pytest.mark.parametrize(
    "name", ["window_start", "window_end", "version", "timing", "is_final", "diff", "k"]
)
def test_an_aggregate_is_not_named_like_another_column_of_the_result(name: str) -> None:
    marked = et.from_arrow(rows([0], k=[1]), time="t").watermark(et.ascending())
    with pytest.raises(et.PlanError, match=f"aggregate name {name!r} is taken"):
        marked.key_by("k").window(MINUTE).aggregate(**{name: et.count()}).explain()


def test_a_key_is_not_named_like_a_column_of_the_result() -> None:
    with pytest.raises(et.PlanError, match="key 'version' has the name"):
        pipeline(rows([0], version=[1]), keys=["version"]).explain()


def test_a_time_column_that_does_not_exist_is_refused() -> None:
    with pytest.raises(et.ColumnError, match="no column 'when'"):
        et.from_arrow(rows([0]), time="when").watermark(et.ascending()).window(MINUTE).aggregate(
            n=et.count()
        ).run()


def test_a_time_column_of_text_is_refused() -> None:
    text = et.from_arrow(rows([0], name=["a"]), time="name").watermark(et.ascending())
    with pytest.raises(
        et.TimeColumnError, match=r"'name' is of type string(.|\n)*schema=(.|\n)*strptime"
    ):
        text.window(MINUTE).aggregate(n=et.count()).run()


def test_an_unknown_late_column_is_refused() -> None:
    with pytest.raises(et.ColumnError, match=r"no column 'y'\n  at:  window\(late_columns=…\)"):
        pipeline(rows([0]), window={"late_columns": ["y"]}).explain()


# Union and chains


def united(first: pa.RecordBatch, second: pa.RecordBatch, **times: str) -> et.Stream:
    one = et.from_arrow(first, time="t")
    both = one.union(et.from_arrow(second, time=times.get("time", "t")))
    return both.watermark(et.ascending()).window(MINUTE).aggregate(n=et.count())


def test_united_streams_keep_their_partitions_apart() -> None:
    run = united(rows([0, 120]), rows([5, 200])).run()
    assert run.ledger.total.late == 0
    assert [p.rows_in for p in run.ledger.partitions.values()] == [2, 2]
    assert run.table().column("n").to_pylist() == [2, 1, 1]


def test_united_partitions_of_one_name_are_numbered() -> None:
    run = united(rows([0]), rows([1])).run()
    assert list(run.ledger.partitions) == ["0/memory", "1/memory"]


def test_united_streams_with_different_columns_are_refused_by_column() -> None:
    with pytest.raises(
        et.SchemaError, match="differ: column 'x' is int64 in stream 1, but double in stream 2"
    ) as error:
        united(rows([0], x=[1]), rows([0], x=[1.5])).explain()
    assert error.value.place.startswith("stream 1: arrow in memory")
    assert "; stream 2: arrow in memory" in error.value.place
    with pytest.raises(et.SchemaError, match=r"'y' \(int64\) is in stream 2, but not in stream 1"):
        united(rows([0]), rows([0], y=[1])).explain()


def test_united_streams_with_columns_in_another_order_are_told_the_order() -> None:
    one, two = rows([0], x=[1], y=[2]), rows([0], y=[2], x=[1])
    with pytest.raises(et.SchemaError, match="their order is t, x, y in stream 1, but t, y, x in"):
        united(one, two).explain()
    both = et.from_arrow(one, time="t").union(et.from_arrow(two, time="t").select("t", "x", "y"))
    counted = both.watermark(et.ascending()).window(MINUTE).aggregate(n=et.count())
    assert counted.to_table()["n"].to_pylist() == [2]


def test_united_streams_with_different_time_columns_are_refused() -> None:
    second = pa.record_batch({"t": pa.array([0]).view(TIME), "u": pa.array([0]).view(TIME)})
    with pytest.raises(et.SchemaError, match="times: 't' in stream 1, but 'u' in stream 2"):
        united(second, second, time="u").explain()
    numbers = pa.table({"t": [0]})
    both = et.from_arrow(numbers, time="t", time_unit="s").union(
        et.from_arrow(numbers, time="t", time_unit="ms")
    )
    with pytest.raises(et.SchemaError, match=r"'t' \(s\) in stream 1, but 't' \(ms\) in stream 2"):
        both.watermark(et.ascending()).window(MINUTE).aggregate(n=et.count()).explain()


def hours(**window: Any) -> et.Stream:
    return pipeline(rows([0, 4_000, 1]), window=window)


@pytest.mark.parametrize("mode", ["accumulating", "retracting"])
def test_windows_over_corrected_windows_are_refused_unless_versions_add_up(mode: str) -> None:
    day = hours(allowed_lateness="2h", mode=mode).window(et.tumbling("1d")).aggregate(n=et.sum("n"))
    with pytest.raises(
        et.PlanError, match=f"count corrections twice: the first is {mode}"
    ) as error:
        day.explain()
    assert "mode='discarding'" in str(error.value)
    assert "allowed_lateness='0s'" in str(error.value)


def test_windows_over_windows_run_where_versions_add_up() -> None:
    for window in ({}, {"allowed_lateness": "2h", "mode": "discarding"}):
        day = hours(**window).window(et.tumbling("1d")).aggregate(n=et.sum("n"))
        assert sum(day.to_table().column("n").to_pylist()) == (3 if window else 2)


def test_late_rows_of_two_windows_need_two_tags() -> None:
    day = hours().window(et.tumbling("1d"), late="late").aggregate(n=et.sum("n"))
    with pytest.raises(et.PlanError, match="two operators send rows to 'late'"):
        day.explain()


def test_late_rows_of_the_second_window_are_tagged_late_2() -> None:
    run = hours().window(et.tumbling("1d")).aggregate(n=et.sum("n")).run()
    assert run.tags == ["late", "late_2", "quarantine"]
    assert run.side("late_2").column_names[:2] == ["row_window_start", "row_window_end"]
