"""The oracle reads a pipeline off its plan, and what it cannot compute it refuses."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings

import eventtime as et
from engine_runs import SCHEMA, source_of, stream_of
from eventtime.testing import (
    AddPartition,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
    Restart,
    Streams,
    check,
    oracle,
)
from eventtime.testing.reference import Aggregate, Oracle, Spec
from eventtime.testing.reference.expected import tell
from eventtime.testing.reference.near import Near
from strategies import schedules
from zoo import NOTHING, Lagging, Total

if TYPE_CHECKING:
    from eventtime.stream import Stream
    from eventtime.testing import Row, Step
    from strategies import Schedule

BLANK = dict.fromkeys(SCHEMA.names)


def check_read_off(schedule: Schedule) -> None:
    """A spec, and the plan that was made of it, have the same meaning."""
    spec = replace(schedule.spec, written=lambda t: None if abs(t) == float("inf") else t)
    model = Oracle(spec, schedule.names)
    for step in schedule.steps:
        tell(model, step)
    found = oracle(
        stream_of(source_of({"a": []}), schedule.spec),
        Streams(schedule.names, tuple(schedule.steps)),
    )
    assert str(found.results) == str(model.results)
    assert str(found.late) == str(model.late)
    assert str(found.quarantine) == str(model.quarantine)
    assert found.ledger == {"partitions": model.ledger, "operators": [model.operator.ledger]}
    assert found.watermark == model.operator.watermark


@given(schedules())
@settings(max_examples=60, deadline=None)
def test_a_pipeline_is_read_off_its_plan(schedule: Schedule) -> None:
    check_read_off(schedule)


def one(pipeline: Stream, *steps: Step) -> list[dict[str, object]]:
    """Results over partition a."""
    return oracle(pipeline, Streams(("a",), (*steps, Finish("a")))).results


def summed(column: pa.Array, aggregate: et.Aggregate) -> object:
    """One aggregate over one window."""
    table = pa.table({"t": pa.array([0] * len(column), pa.timestamp("s")), "x": column})
    nothing = et.from_arrow(table.slice(0, 0), time="t").watermark(et.ascending())
    pipeline = nothing.window(et.tumbling("1m")).aggregate(made=aggregate)
    (row,) = one(pipeline, Push("a", table.to_pylist()))
    return row["made"]


def test_sums_of_decimals_are_exact_and_of_their_type() -> None:
    cents = pa.array([Decimal("99999999999999999999.99"), Decimal("0.02")], pa.decimal128(38, 2))
    assert summed(cents, et.sum("x")) == Decimal("100000000000000000000.01")
    largest = pa.array([Decimal(10) ** 37 * 9] * 2, pa.decimal128(38, 0))
    with pytest.raises(et.AggregateOverflowError, match="does not fit"):
        summed(largest, et.sum("x"))


def test_sums_of_integers_that_leave_int64_are_refused() -> None:
    with pytest.raises(et.AggregateOverflowError, match="made = sum"):
        summed(pa.array([2**63 - 1, 1]), et.sum("x"))


def test_a_spread_may_be_rounded_on_the_way_and_no_more() -> None:
    found = summed(pa.array([1e8, 1e8 + 1, 1e8 + 2]), et.var("x"))
    assert isinstance(found, Near)
    assert float(found) == 1.0
    assert found.holds(1 + 1e-9)
    assert not found.holds(1.1)
    assert not found.holds(float("nan"))
    assert str(summed(pa.array([1.0, float("inf")]), et.var("x"))) == "nan"


def test_nanoseconds_are_rounded_down_and_written_as_nanoseconds() -> None:
    schema = pa.schema({"t": pa.timestamp("ns", "UTC")})
    nothing = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    pipeline = nothing.window(et.tumbling("1us")).aggregate(n=et.count())
    rows = [{"t": 1_999}, {"t": -1}, {"t": 2**63 - 1}]
    found = oracle(pipeline, Streams(("a",), (Push("a", rows), Finish("a"))))
    assert [row["window_start"] for row in found.results] == [1_000]
    assert [(row["window_start"], row["watermark"]) for row in found.late] == [(-1_000, 1_000)]
    assert [row["reason"] for row in found.quarantine] == ["malformed"]


def test_a_generator_that_answers_once_for_a_batch_moves_the_watermark_behind_it() -> None:
    class Once:
        def on_batch(self, timestamps_us: object) -> int:
            return 100

    schema = pa.schema({"t": pa.timestamp("us")})
    nothing = et.from_arrow(schema.empty_table(), time="t").watermark(et.custom(Once))
    pipeline = nothing.window(et.tumbling("10us")).aggregate(n=et.count())
    assert [row["n"] for row in one(pipeline, Push("a", [{"t": 1}, {"t": 2}]))] == [2]
    cut = [Push("a", [{"t": 1}]), Push("a", [{"t": 2}])]
    assert [row["n"] for row in one(pipeline, *cut)] == [1]


def test_heartbeats_move_the_watermark_and_restarts_do_nothing() -> None:
    pipeline = stream_of(NOTHING, Spec(size=10, keys=(), aggregates=(Aggregate("n", "count"),)))
    steps = (Push("a", [BLANK | {"t": 1}]), Restart(), Heartbeat("a", 10), Heartbeat("a", 5))
    found = oracle(pipeline, Streams(("a",), steps))
    assert (len(found.results), found.watermark) == (1, 10)
    assert [standing.results for standing in found.after] == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("generator", "watermark"),
    [
        (et.bounded_disorder("15ms"), 10),
        (et.percentile(0.5, initial="15ms"), 10),
        # The second row writes 12 ms, the third a time that none can have.
        (et.punctuated(column="mark"), 12),
        # The second row and the third say their own time, the latter to no avail.
        (et.punctuated(where=pc.field("is_mark") > 0), 25),
    ],
    ids=["bounded", "percentile", "column", "where"],
)
def test_generators_are_read_off_the_plan(generator: Any, watermark: int) -> None:
    # S3: behind rows at 8 and 25 ms those at 0 and 1 ms are late for a window that ended at 10 ms.
    schema = pa.schema({"t": pa.timestamp("us"), "mark": pa.timestamp("ms"), "is_mark": pa.int8()})
    nothing = et.from_arrow(schema.empty_table(), time="t").watermark(generator)
    pipeline = nothing.window(et.tumbling("10ms")).aggregate(n=et.count())
    cells = [(8, None, 0), (25, 12, 1), (0, 2**62, 1), (1, None, None)]
    rows = [{"t": t * 1_000, "mark": mark, "is_mark": flag} for t, mark, flag in cells]
    found = oracle(pipeline, Streams(("a",), (Push("a", rows), Finish("a"))))
    assert [(row["t"], row["watermark"], row["late_by"]) for row in found.late] == [
        (t, watermark * 1_000, (watermark - 10) * 1_000) for t in (0, 1_000)
    ]


def test_expressions_and_objects_of_ones_own_are_computed() -> None:
    nothing = NOTHING.watermark(et.ascending()).window(et.sliding("10s", slide="5s"))
    pipeline = nothing.aggregate(e=et.sum(pc.field("n") + 1), own=et.user(Total(), "x"))
    rows = [BLANK | {"t": t * 1_000_000, "n": t, "x": t / 2} for t in (1, 6, 12)]
    found = [(row["e"], row["own"]) for row in one(pipeline, Push("a", rows))]
    assert found == [(2, 0.5), (9, 3.5), (20, 9.0), (13, 6.0)]


# Beside the engine


def test_a_sum_leaves_its_type_only_where_it_is_emitted() -> None:
    # S21: [0, 10) fires with the greatest of all integers, and again with the 1 that came later.
    schema = pa.schema({"t": pa.timestamp("us"), "x": pa.int64()})
    nothing = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    windows = nothing.window(et.tumbling("10us"), allowed_lateness="1s", mode="discarding")
    rows = [{"t": 1, "x": 2**63 - 1}, {"t": 11, "x": 0}, {"t": 2, "x": 1}]
    streams = Streams(("a",), (Push("a", rows), Finish("a")))
    pipeline = windows.aggregate(x=et.sum("x"))
    assert [row["x"] for row in oracle(pipeline, streams).results] == [2**63 - 1, 1, 0]
    # In another order they come together, of which no check makes anything.
    check(pipeline, streams)


def test_own_columns_may_be_called_as_those_of_side_outputs() -> None:
    # S12, S20: the first row is late, the last has no time.
    names = ("partition", "reason", "detail", "watermark", "window_end")
    schema = pa.schema({"t": pa.timestamp("us"), **dict.fromkeys(names, pa.string())})
    nothing = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    pipeline = nothing.window(et.tumbling("10us")).aggregate(
        **{f"last_{name}": et.last(name) for name in names}
    )
    own = {name: name.upper() for name in names}
    rows: list[Row] = [{"t": t} | own for t in (15, 1, None)]
    streams = Streams(("a",), (Push("a", rows), Finish("a")))
    found = oracle(pipeline, streams)
    assert (found.late[0]["row_reason"], found.late[0]["reason"]) == ("REASON", "beyond_lateness")
    assert (found.quarantine[0]["row_detail"], found.quarantine[0]["detail"]) == ("DETAIL", None)
    check(pipeline, streams)


# What it refuses


def test_process_functions_are_refused() -> None:
    pipeline = (
        NOTHING.watermark(et.ascending())
        .key_by("key")
        .process(lambda ctx, row: None, output=pa.schema({"x": pa.int64()}))
    )
    with pytest.raises(et.PlanError, match="does not compute process functions"):
        one(pipeline)


def test_unions_of_streams_that_differ_are_refused() -> None:
    pipeline = stream_of(et.union(NOTHING, NOTHING.filter(pc.field("b"))), Spec(size=10))
    with pytest.raises(et.PlanError, match="stream 1 and stream 2 of the union differ"):
        one(pipeline)


def test_a_generator_that_serves_all_partitions_is_refused() -> None:
    marked = NOTHING.watermark(et.custom(Lagging()))
    with pytest.raises(et.PlanError, match="one Lagging serves all partitions"):
        one(marked.window(et.tumbling("10s")).aggregate(n=et.count()))


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Push("z", []), "there is no partition 'z'"),
        (Finish("z"), "there is no partition 'z'"),
        (Heartbeat("z", 0), "there is no partition 'z'"),
        (Push("b", []), "partition 'b' has finished"),
        (PollEmpty("b"), "partition 'b' has finished"),
        (AddPartition("a"), "partition 'a' is known already"),
    ],
    ids=repr,
)
def test_partitions_that_there_are_not_or_no_longer_are_refused(step: Step, told: str) -> None:
    with pytest.raises(et.PlanError, match=told):
        oracle(stream_of(NOTHING, Spec(size=10)), Streams(("a", "b"), (Finish("b"), step)))


def test_a_stream_without_windows_is_refused() -> None:
    with pytest.raises(et.PlanError, match="no windows to compute"):
        one(NOTHING.watermark(et.ascending()))
