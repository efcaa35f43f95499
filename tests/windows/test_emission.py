"""Result rows: their columns, the types of bounds, and the order of firings (S24)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import eventtime as et
from windowing import pipeline, rows


def test_the_columns_of_a_result_are_keys_bounds_aggregates_and_what_it_is() -> None:
    schema = pipeline(rows([0], k=["a"]), keys=["k"], n=et.count(), m=et.max("t")).schema
    assert schema.names == [
        "k",
        "window_start",
        "window_end",
        "n",
        "m",
        "version",
        "timing",
        "is_final",
    ]
    assert schema.field("version").type == pa.int32()
    assert schema.field("timing").type == pa.dictionary(pa.int8(), pa.string())
    assert schema.field("is_final").type == pa.bool_()


def test_dictionary_keys_come_out_as_values() -> None:
    data = rows([0], k=pa.array(["a"]).dictionary_encode())
    assert pipeline(data, keys=["k"]).schema.field("k").type == pa.string()


@pytest.mark.parametrize(
    ("kind", "size", "bounds"),
    [
        (pa.timestamp("ns", "Europe/Paris"), "1h", pa.timestamp("ns", "Europe/Paris")),
        (pa.timestamp("s"), "500ms", pa.timestamp("us")),
        (pa.date32(), "7d", pa.date32()),
        (pa.date32(), "1h", pa.timestamp("us")),
    ],
    ids=str,
)
def test_bounds_come_in_the_type_of_the_time_column(
    kind: pa.DataType, size: str, bounds: pa.DataType
) -> None:
    stored = pa.int64() if kind.bit_width == 64 else pa.int32()
    data = pa.record_batch({"t": pa.array([0, 1], stored).view(kind)})
    stream = et.from_arrow(data, time="t").watermark(et.ascending())
    table = stream.window(et.tumbling(size)).aggregate(n=et.count()).to_table()
    assert (
        table.schema.field("window_start").type == table.schema.field("window_end").type == bounds
    )
    assert sum(table["n"].to_pylist()) == 2


def test_a_bound_may_leave_the_type_of_an_integer_time_column() -> None:
    data = pa.record_batch({"t": pa.array([2**31 - 1], pa.int32())})
    stream = et.from_arrow(data, time="t", time_unit="s").watermark(et.ascending())
    table = stream.window(et.tumbling("1h")).aggregate(n=et.count()).to_table()
    assert table["window_end"].to_pylist() == [(2**31 // 3600 + 1) * 3600]


def order_of(table: pa.Table) -> list[tuple[Any, ...]]:
    found = table.to_pylist()
    return [(r["window_end"].timestamp(), r["k"], r["version"], r.get("diff")) for r in found]


def test_corrections_come_before_what_fires_at_the_same_point() -> None:
    # The correction of [0, 60) is due when the watermark passes 120, where [60, 120) fires.
    data = rows([0, 61, 5, 130], k=[1, 1, 1, 1])
    window = {"allowed_lateness": "5m"}
    assert order_of(pipeline(data, keys=["k"], window=window).to_table())[:3] == [
        (60, 1, 1, None), (60, 1, 2, None), (120, 1, 1, None),
    ]  # fmt: skip


def test_a_retraction_comes_right_before_the_row_that_replaces_it() -> None:
    data = rows([0, 0, 61, 5, 6, 130], k=[2, 1, 1, 2, 1, 1])
    window = {"allowed_lateness": "5m", "mode": "retracting"}
    found = order_of(pipeline(data, keys=["k"], window=window).to_table())
    assert found[2:6] == [(60, 1, 1, -1), (60, 1, 2, 1), (60, 2, 1, -1), (60, 2, 2, 1)]


def test_many_windows_that_fire_at_once_come_one_after_another() -> None:
    data = rows([float(60 * i) for i in range(500)])
    table = pipeline(data, generator=et.bounded_disorder("10h")).to_table()
    starts = table["window_start"].to_pylist()
    assert starts == sorted(starts)
    assert len(starts) == 500


def test_windows_of_more_and_of_fewer_keys_that_fire_one_by_one_have_their_own_bounds() -> None:
    sizes = [3, 1, 9, 8, 2, 40, 41]
    seconds = [60.0 * window for window, size in enumerate(sizes) for _ in range(size)]
    keys = [key for size in sizes for key in range(size)]
    data = rows(seconds, k=keys)
    engine = et.Engine(pipeline(data, keys=["k"], n=et.count()), ["p"])
    for at in range(len(data)):
        engine.push("p", data.slice(at, 1))
    engine.finish_all()
    table = engine.results()
    starts = table["window_start"].cast(pa.int64()).to_pylist()
    ends = table["window_end"].cast(pa.int64()).to_pylist()
    assert starts == [int(second * 1_000_000) for second in seconds]
    assert ends == [start + 60_000_000 for start in starts]
    assert table["k"].to_pylist() == keys
    assert set(table["version"].to_pylist()) == {1}
