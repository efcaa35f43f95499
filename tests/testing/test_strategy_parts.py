"""Cuts, turns and restarts leave the rows as they are; pipelines are any, and right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from eventtime.testing import Finish, Harness, Push, Streams, check_oracle
from eventtime.testing import strategies as kit
from eventtime.testing.steps import Survived
from eventtime.testing.values import VALUES

if TYPE_CHECKING:
    from eventtime.testing import Row

SCHEMA = pa.schema(
    {
        "t": pa.timestamp("ms"),
        "key": pa.int64(),
        "name": pa.string(),
        "x": pa.float64(),
        "b": pa.bool_(),
        "mark": pa.timestamp("ms"),
    }
)
MARKED = et.from_arrow(SCHEMA.empty_table(), time="t").watermark(et.bounded_disorder("1m"))
PIPELINE = (
    MARKED.key_by("key")
    .window(et.tumbling("5m"), allowed_lateness="2m")
    .aggregate(n=et.count(), x=et.sum("x"))
)
FEW = settings(max_examples=max(1, settings().max_examples // 8))


def rows_of(streams: Streams) -> dict[str, list[Row]]:
    """Rows by partition, and what else happened as a partition of its own."""
    found: dict[str, list[Row]] = {"": []}
    for step in streams.steps:
        if isinstance(step, Push):
            found.setdefault(step.partition, []).extend(step.rows)
        elif not isinstance(step, Survived):
            found[""].append({"step": step, "rows": {n: len(r) for n, r in found.items() if n}})
    return found


@given(st.data())
@FEW
def test_what_is_recut_and_restarted_is_the_same(data: st.DataObject) -> None:
    """S4, S28: the rows are, and what comes of them."""
    whole = data.draw(kit.streams(PIPELINE, restarts=False, max_rows=10))
    other = data.draw(kit.recut(whole).flatmap(kit.restarted))
    pushed = [step for step in other.steps if isinstance(step, Push)]
    assert {n: r for n, r in rows_of(other).items() if r} == {
        n: r for n, r in rows_of(whole).items() if r
    }
    assert sum(len(step.rows) for step in pushed) == sum(
        len(step.rows) for step in whole.steps if isinstance(step, Push)
    )
    with Harness.of(PIPELINE, whole) as one, Harness.of(PIPELINE, other) as two:
        assert one.all_results.equals(two.all_results)


@given(
    st.dictionaries(st.sampled_from("abc"), st.lists(kit.rows(SCHEMA), max_size=4)).flatmap(
        lambda given: st.tuples(st.just(given), kit.interleaved(given))
    )
)
@FEW
def test_turns_keep_the_order_of_each_partition(
    drawn: tuple[dict[str, list[Row]], Streams],
) -> None:
    partitions, streams = drawn
    taken: dict[str, list[Row]] = {name: [] for name in partitions}
    ended: list[Any] = []
    for step in streams.steps:
        if isinstance(step, Push):
            taken[step.partition] += step.rows
        elif isinstance(step, Finish):
            ended.append(step.partition)
    assert taken == partitions
    assert sorted(ended) == sorted(partitions)


@given(st.data())
@FEW
def test_any_pipeline_gives_what_the_oracle_says(data: st.DataObject) -> None:
    """S1 to S26: schema, pipeline and what happens, all drawn."""
    pipeline = data.draw(kit.pipelines(SCHEMA, time="t"))
    check_oracle(pipeline, data.draw(kit.streams(pipeline, max_rows=12)))


@given(st.data())
@settings(max_examples=max(1, settings().max_examples // 16))
def test_any_schema_goes_through_windows(data: st.DataObject) -> None:
    """S1, S20: nested types too, as values, as keys where they can be, and beside late rows."""
    schema = data.draw(kit.schemas())
    pipeline = data.draw(kit.pipelines(schema, time="t"))
    check_oracle(pipeline, data.draw(kit.streams(pipeline, max_rows=8)))


def test_schemas_have_types_of_every_kind() -> None:
    found: set[str] = set()

    @given(kit.schemas(time="at"))
    @settings(max_examples=150, derandomize=True, database=None)
    def look(schema: pa.Schema) -> None:
        assert schema.field("at").name == schema.names[0]
        found.update(word for field in schema for word in re.findall("[a-z]+", str(field.type)))
        found.update("full" for field in schema if not field.nullable)

    look()
    wanted = {"list", "struct", "map", "dictionary", "decimal", "timestamp", "date", "time"}
    wanted |= {
        "run",
        "view",
        "uuid",
        "duration",
        "binary",
        "string",
        "bool",
        "double",
        "int",
        "uint",
        "full",
    }
    assert not wanted - found


def test_what_cannot_be_counted_by_value_is_refused_when_it_is_declared() -> None:
    schema = pa.schema([("t", pa.timestamp("s")), ("x", pa.list_(pa.int64()))])
    marked = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    pipeline = marked.window(et.tumbling("1m")).aggregate(n=et.count_distinct("x"))
    with pytest.raises(et.AggregateTypeError, match="no meaning for type list"):
        _ = pipeline.schema


def test_all_parts_are_drawn() -> None:
    words: set[str] = set()

    @given(kit.pipelines(SCHEMA, time="t"))
    @settings(max_examples=150, derandomize=True, database=None)
    def look(pipeline: et.Stream) -> None:
        words.update(pipeline.explain().replace("(", " ").replace("=", " ").split())

    look()
    wanted = {"ascending", "bounded_disorder", "punctuated", "tumbling", "sliding", "global_window"}
    wanted |= {"accumulating,", "discarding,", "retracting,", "flush_max", "future", "collect"}
    wanted |= {"count_distinct", "stddev", "any", "first"}
    assert not wanted - words


def test_aggregates_suit_their_columns() -> None:
    schema = pa.schema([(name, VALUES[name].type) for name in ("string", "int32", "list_int")])
    found: set[str] = set()

    @given(kit.aggregates(schema, most=30))
    @settings(max_examples=60, derandomize=True, database=None)
    def look(made: dict[str, et.Aggregate]) -> None:
        found.update(made)

    look()
    assert {"rows", "sum_int32", "min_string", "collect_string"} <= found
    assert not {"sum_string", "any_int32", "mean_list_int"} & found
