"""Aggregates as declared: which types they take, what they give, and how they are refused (D10)."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime.windows.aggregate import result_type
from windowing import pipeline, rows

NUMBERS = [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(9, 2)]
TEXT = [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
TIMES = [pa.date32(), pa.timestamp("ns", "UTC"), pa.time64("us")]
NESTED = [pa.list_(pa.int8()), pa.struct({"a": pa.int8()})]


@pytest.mark.parametrize("kind", [*TEXT, *TIMES, *NESTED], ids=str)
@pytest.mark.parametrize("aggregate", [et.sum("x"), et.mean("x"), et.var("x"), et.stddev("x")])
def test_arithmetic_on_what_is_no_number_is_refused_with_function_column_and_type(
    aggregate: et.Aggregate, kind: pa.DataType
) -> None:
    with pytest.raises(et.AggregateTypeError) as error:
        result_type(aggregate, (kind,))
    assert f"{aggregate.describe()} has no meaning for type {kind}" in str(error.value)
    assert "column x" in str(error.value)
    assert "use a column of numbers" in str(error.value)


@pytest.mark.parametrize("kind", [*NUMBERS, *TEXT], ids=str)
@pytest.mark.parametrize("aggregate", [et.any("x"), et.all("x")])
def test_any_and_all_of_what_is_no_boolean_are_refused(
    aggregate: et.Aggregate, kind: pa.DataType
) -> None:
    with pytest.raises(et.AggregateTypeError, match="has no meaning"):
        result_type(aggregate, (kind,))


@pytest.mark.parametrize("kind", NESTED, ids=str)
def test_extremes_of_types_without_an_order_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(et.AggregateTypeError, match="use a type with an order"):
        result_type(et.min("x"), (kind,))


@pytest.mark.parametrize(
    ("aggregate", "kind", "result"),
    [
        (et.sum("x"), pa.uint8(), pa.int64()),
        (et.sum("x"), pa.bool_(), pa.int64()),
        (et.sum("x"), pa.float16(), pa.float64()),
        (et.sum("x"), pa.decimal128(9, 3), pa.decimal128(38, 3)),
        (et.sum("x"), pa.duration("ms"), pa.duration("ms")),
        (et.mean("x"), pa.decimal128(9, 3), pa.float64()),
        (et.min("x"), pa.uint8(), pa.uint8()),
        (et.first("x"), pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (et.collect("x"), pa.date32(), pa.list_(pa.date32())),
        (et.count("x"), pa.list_(pa.int8()), pa.int64()),
        (et.count_distinct("x"), pa.string(), pa.int64()),
    ],
    ids=str,
)
def test_a_result_has_the_type_of_its_function_and_column(
    aggregate: et.Aggregate, kind: pa.DataType, result: pa.DataType
) -> None:
    assert result_type(aggregate, (kind,)) == result


def test_a_type_is_refused_before_anything_is_read() -> None:
    with pytest.raises(et.AggregateTypeError, match=r"sum\(x\) has no meaning for type string"):
        pipeline(rows([0], x=["a"]), n=et.sum("x")).explain()


def test_an_aggregate_is_described_by_its_call() -> None:
    assert et.count().describe() == "count()"
    assert et.sum("x").describe() == "sum(x)"
    assert et.mean(pc.field("x") > 1).describe() == "mean((x > 1))"


def test_aggregates_of_one_column_share_what_they_keep_and_agree() -> None:
    data = rows([0, 0, 0, 0], x=[4, None, -2, 1])
    names = {
        "n": et.count(), "c": et.count("x"), "s": et.sum("x"), "m": et.mean("x"), "lo": et.min("x"),
        "hi": et.max("x"), "v": et.var("x"), "a": et.first("x"), "z": et.last("x"),
        "d": et.count_distinct("x"), "all": et.collect("x"), "twice": et.sum(pc.field("x") * 2),
    }  # fmt: skip
    marked = et.from_arrow(data, time="t").watermark(et.ascending())
    row = marked.window(et.tumbling("1m")).aggregate(**names).to_table().to_pylist()[0]
    assert {n: row[n] for n in names} == {
        "n": 4, "c": 3, "s": 3, "m": 1.0, "lo": -2, "hi": 4, "v": 9.0, "a": 4, "z": 1, "d": 3,
        "all": [4, -2, 1], "twice": 6,
    }  # fmt: skip
