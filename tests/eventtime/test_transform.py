"""Steps between source and window: what they keep, and errors of user functions."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime.transform import Filter, MapBatches, Select, Step, Transform, WithColumns
from windowing import pipeline, rows

SCHEMA = pa.schema({"t": pa.int64(), "x": pa.int64()})


def batch(*xs: int | None) -> pa.RecordBatch:
    return pa.record_batch(
        {"t": pa.array(range(len(xs)), pa.int64()), "x": pa.array(xs, pa.int64())}
    )


def mapped(
    function: Any, schema: pa.Schema | None = None, data: pa.RecordBatch | None = None
) -> et.Run:
    stream = et.from_arrow(rows([0, 1], x=[1, 2]) if data is None else data, time="t")
    stream = stream.map_batches(function, schema=schema).watermark(et.ascending())
    return stream.window(et.tumbling("1m")).aggregate(s=et.sum("x")).run()


def test_a_filter_keeps_what_is_true_and_neither_false_nor_null() -> None:
    transform = Transform([Filter(pc.field("x") > 1)], SCHEMA)
    out, left_out = transform.apply(batch(1, 2, None, 3))
    assert out.column("x").to_pylist() == [2, 3]
    assert left_out == 2


def test_places_of_rows_survive_several_filters() -> None:
    steps: list[Step] = [
        Filter(pc.field("x") > 1),
        WithColumns((("x", pc.field("x") * 2),)),
        Filter(pc.field("x") < 8),
    ]
    out, kept = Transform(steps, SCHEMA).apply_keeping_places(batch(1, 2, 3, 4))
    assert out.column("x").to_pylist() == [4, 6]
    assert kept is not None
    assert kept.tolist() == [1, 2]


def test_where_all_rows_are_left_no_places_are_listed() -> None:
    assert (
        Transform([Filter(pc.field("x") > 0)], SCHEMA).apply_keeping_places(batch(1, 2))[1] is None
    )


def test_a_batch_without_rows_goes_through_all_steps() -> None:
    steps: list[Step] = [
        Filter(pc.field("x") > 1),
        WithColumns((("y", pc.field("x") + 1),)),
        Select(("y",)),
    ]
    out, left_out = Transform(steps, SCHEMA).apply(batch())
    assert out.schema.names == ["y"]
    assert left_out == 0


def test_new_columns_replace_old_ones_in_their_place_and_read_what_was_before() -> None:
    step = WithColumns((("x", pc.field("x") + 10), ("y", pc.field("x") * 2)))
    out, _ = Transform([step], SCHEMA).apply(batch(1))
    assert out.to_pylist() == [{"t": 0, "x": 11, "y": 2}]


def test_select_orders_columns_as_asked() -> None:
    assert Transform([Select(("x", "t"))], SCHEMA).schema.names == ["x", "t"]


def test_a_predicate_that_is_no_boolean_is_refused() -> None:
    with pytest.raises(et.PlanError, match=r"is of type int64, not bool"):
        Transform([Filter(pc.field("x") + 1)], SCHEMA)


def test_an_expression_over_an_unknown_column_is_refused_with_those_there_are() -> None:
    with pytest.raises(et.PlanError, match=r"columns are t, x"):
        Transform([WithColumns((("y", pc.field("z") + 1),))], SCHEMA)


def test_a_selected_column_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(et.ColumnError, match=r"no column 'X'(.|\n)*columns are t, x"):
        Transform([Select(("X",))], SCHEMA)


# map_batches


def test_rows_that_a_function_removes_are_filtered() -> None:
    run = mapped(lambda b: b.slice(1))
    assert (run.ledger.total.rows_in, run.ledger.total.filtered, run.ledger.total.windowed) == (
        2,
        1,
        1,
    )
    run.assert_balanced()


def test_rows_that_a_function_makes_are_rows_that_came_in() -> None:
    run = mapped(lambda b: pa.Table.from_batches([b, b]))
    assert (run.ledger.total.rows_in, run.ledger.total.windowed) == (4, 4)
    assert run.table().column("s").to_pylist() == [6]


def test_a_function_may_change_the_columns_if_it_does_so_always() -> None:
    def renamed(b: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch({"t": b.column("t"), "x": pc.cast(b.column("y"), pa.float64())})

    run = mapped(renamed, data=rows([0, 1], y=[1, 2]))
    assert run.table().column("s").to_pylist() == [3.0]


def test_what_a_function_raises_names_it_the_partition_and_the_rows() -> None:
    def fragile(b: pa.RecordBatch) -> pa.RecordBatch:
        if b.num_rows:
            msg = "no such luck"
            raise KeyError(msg)
        return b

    with pytest.raises(et.UserCodeError) as error:
        mapped(fragile)
    assert "map_batches function fragile raised KeyError: 'no such luck'" in str(error.value)
    assert "partition 'memory', rows 0 to 1" in str(error.value)
    assert isinstance(error.value.__cause__, KeyError)


def test_a_function_that_fails_on_no_rows_is_told_of_it() -> None:
    with pytest.raises(
        et.UserCodeError, match=r"raised IndexError(.|\n)*a batch without rows, to learn the schema"
    ):
        mapped(lambda b: [b.column("x")[0]] and b)


def test_a_declared_schema_saves_the_trial() -> None:
    schema = rows([], x=pa.array([], pa.int64())).schema
    run = mapped(lambda b: [b.column("x")[0]] and b, schema)
    assert run.table().column("s").to_pylist() == [3]


def test_a_function_that_returns_something_else_is_told_of_it() -> None:
    with pytest.raises(
        et.UserCodeError, match=r"returned list(.|\n)*return a pyarrow.RecordBatch or Table"
    ):
        mapped(lambda b: b.to_pylist())


def test_columns_that_differ_from_those_declared_are_shown_beside_them() -> None:
    schema = rows([], x=pa.array([], pa.int64())).schema
    with pytest.raises(et.UserCodeError) as error:
        mapped(lambda b: b.select(["t"]), schema)
    assert "returned columns (t: timestamp[us]), wanted (t: timestamp[us], x: int64)" in str(
        error.value
    )
    assert "rows 0 to 1" in str(error.value)


def test_errors_of_the_library_pass_through_a_function() -> None:
    def picky(b: pa.RecordBatch) -> pa.RecordBatch:
        msg = "mine"
        raise et.SourceError(msg)

    with pytest.raises(et.SourceError, match="mine"):
        mapped(picky)


def test_a_step_is_described_by_its_call() -> None:
    assert MapBatches(len, None).describe() == "map_batches(len)"
    assert Select(("a", "b")).describe() == "select('a', 'b')"
    assert WithColumns((("y", pc.field("x")),)).describe() == "with_columns(y=x)"
    assert Filter(pc.field("x") > 1).describe() == "filter((x > 1))"


def test_map_batches_wants_a_function() -> None:
    with pytest.raises(et.PlanError, match="5 is not a function"):
        et.from_arrow(rows([0]), time="t").map_batches(5)  # type: ignore[arg-type]  # on purpose


LARGE = pc.multiply_checked(pc.field("x"), 2**62)
"""Fits for 0 and 1."""


def place_of(stream: et.Stream, message: str) -> str:
    """Run into a value that an expression fails on; returns where it stands."""
    with pytest.raises(et.UserCodeError) as caught:
        stream.run()
    what, place, remedy = str(caught.value).splitlines()
    assert what == f"{message} failed on a value: overflow"
    assert remedy.startswith("  fix: filter such rows first")
    return place.removeprefix("  at:  ")


def test_an_expression_that_fails_on_a_value_names_the_column_and_the_place() -> None:
    data = rows([0, 1, 2], x=[1, 0, 2])
    stream = et.from_arrow({"a": data}, time="t").filter(pc.field("x") > 0)
    stream = stream.with_columns(one=pc.field("x") > 1, two=LARGE, three=pc.field("x") + 1)
    columns = {name: et.count_distinct(name) for name in ("one", "two", "three")}
    summed = stream.watermark(et.ascending()).window(et.tumbling("1h")).aggregate(**columns)
    message = f"with_columns(two=multiply_checked(x, {2**62}))"
    assert place_of(summed, message) == "partition 'a', rows 0 to 2"


def test_an_expression_of_an_aggregate_that_fails_on_a_value_names_the_aggregate() -> None:
    some = pc.field("x") > 1
    stream = pipeline(rows([0, 1], x=[1, 2]), n=et.count(some), s=et.sum(LARGE), m=et.mean(LARGE))
    message = f"aggregate(s=sum(multiply_checked(x, {2**62})))"
    assert place_of(stream, message) == "partition 'memory', rows 0 to 1"


def test_the_rows_that_an_expression_fails_on_are_counted_over_all_batches() -> None:
    batches = [rows([0, 1], x=[0, 0]), rows([2, 3, 4], x=[1, 0, 2])]
    stream = et.from_arrow(batches[0], time="t").watermark(et.ascending())
    filtered = stream.filter(pc.field("x") > 0).filter(LARGE > 0)
    engine = et.Engine(filtered.window(et.tumbling("1h")).aggregate(n=et.count()), ["a"])
    engine.push("a", batches[0])
    with pytest.raises(et.UserCodeError, match="partition 'a', rows 2 to 4"):
        engine.push("a", batches[1])


def test_an_expression_over_results_that_fails_on_a_value_says_so() -> None:
    first = pipeline(rows([0, 60, 61], x=[1, 1, 1]), x=et.sum("x"))
    message = f"filter((multiply_checked(x, {2**62}) > 0))"
    assert place_of(first.filter(LARGE > 0), message) == "results of the last window, rows 1 to 1"
    chained = first.window(et.tumbling("1h")).aggregate(s=et.sum(LARGE))
    assert place_of(chained, f"aggregate(s=sum(multiply_checked(x, {2**62})))") == (
        "results of window 1, rows 1 to 1"
    )
