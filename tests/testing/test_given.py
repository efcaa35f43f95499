"""What is no pipeline, no streams, no schema is refused at the door of the kit, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime.testing import (
    AdvanceClock,
    Harness,
    Push,
    Step,
    Streams,
    as_test,
    check,
    check_assigner,
    check_function,
    oracle,
    strategies,
    timeline,
)
from eventtime.testing.transcripts import load, run_transcript

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = pa.schema({"t": pa.timestamp("s"), "x": pa.int64()})
MARKED = et.from_arrow(SCHEMA.empty_table(), time="t").watermark(et.ascending())
PIPELINE = MARKED.window(et.tumbling("1m")).aggregate(n=et.count())
STREAMS = Streams(("a",), (Push("a", [{"t": 0}]),))

OF_STREAMS: dict[str, Callable[[Any], object]] = {
    "check(…, streams)": lambda it: check(PIPELINE, it),
    "oracle(…, streams)": lambda it: oracle(PIPELINE, it),
    "timeline(…, streams)": lambda it: timeline(PIPELINE, it),
    "as_test(streams)": as_test,
    "Harness.of(…, streams)": lambda it: Harness.of(PIPELINE, it),
    "recut(streams)": strategies.recut,
    "restarted(streams)": strategies.restarted,
}
OF_PIPELINES: dict[str, Callable[[Any], object]] = {
    "check(pipeline, …)": lambda it: check(it, STREAMS),
    "oracle(pipeline, …)": lambda it: oracle(it, STREAMS),
    "timeline(pipeline, …)": lambda it: timeline(it, STREAMS),
    "Harness(pipeline)": Harness,
    "streams(pipeline)": strategies.streams,
}
OF_SCHEMAS: dict[str, Callable[[Any], object]] = {
    "rows(schema)": strategies.rows,
    "aggregates(schema)": strategies.aggregates,
    "pipelines(schema)": lambda it: strategies.pipelines(it, time="t"),
    "check_function(…, schema)": lambda it: check_function(
        print, it, time="t", keys=["x"], output=SCHEMA
    ),
}


@pytest.mark.parametrize("wrong", [None, 3, "a", [], object(), Streams])
@pytest.mark.parametrize("place", OF_STREAMS)
def test_what_does_not_say_what_happens_is_refused(place: str, wrong: object) -> None:
    with pytest.raises(et.PlanError, match="does not say what happens") as refused:
        OF_STREAMS[place](wrong)
    assert refused.value.place == place


@pytest.mark.parametrize("wrong", [None, 3, "a", STREAMS])
@pytest.mark.parametrize("place", OF_PIPELINES)
def test_what_is_no_pipeline_is_refused(place: str, wrong: object) -> None:
    with pytest.raises(et.PlanError, match="is no pipeline") as refused:
        OF_PIPELINES[place](wrong)
    assert refused.value.place == place


@pytest.mark.parametrize("wrong", [None, 3, "a", {"t": pa.int64()}])
@pytest.mark.parametrize("place", OF_SCHEMAS)
def test_what_is_no_schema_is_refused(place: str, wrong: object) -> None:
    with pytest.raises(et.PlanError, match="is no schema") as refused:
        OF_SCHEMAS[place](wrong)
    assert refused.value.place == place


@pytest.mark.parametrize("draw", [strategies.values, strategies.keys])
def test_a_type_is_no_field(draw: Any) -> None:
    with pytest.raises(et.PlanError, match=r"double is no field(.|\n)*pa.field\('x', pa.float64"):
        draw(pa.float64())
    with pytest.raises(et.PlanError, match="None is no field"):
        draw(None)


def test_pipelines_are_drawn_of_a_column_that_holds_times() -> None:
    """S1: said when it is asked for, not when it is drawn."""
    with pytest.raises(et.PlanError, match=r"'nope'(.|\n)*columns are t, x"):
        strategies.pipelines(SCHEMA, time="nope")
    with pytest.raises(et.TimeColumnError, match="'x' holds integers"):
        strategies.pipelines(SCHEMA, time="x")
    with pytest.raises(et.PlanError, match="'nope'"):
        strategies.aggregates(SCHEMA, columns=["x", "nope"])


@pytest.mark.parametrize("wrong", [None, 3, "a", [{"t": 0}]])
def test_rows_to_interleave_are_named_by_partition(wrong: Any) -> None:
    with pytest.raises(et.PlanError, match=r"no rows by partition\n  at:  interleaved"):
        strategies.interleaved(wrong)


def test_restarts_are_so_many() -> None:
    with pytest.raises(et.PlanError, match=r"-1 is not a number of steps"):
        strategies.restarted(STREAMS, most=-1)


@pytest.mark.parametrize("wrong", [None, 3, object()])
def test_a_harness_plays_steps_and_has_named_partitions(wrong: Any) -> None:
    with Harness(PIPELINE) as harness, pytest.raises(et.PlanError, match="not say what happens"):
        harness.play(wrong)
    with pytest.raises(et.PlanError, match="partition"):
        Harness(PIPELINE, wrong)


@pytest.mark.parametrize("read", [load, run_transcript])
def test_a_transcript_that_is_not_there_is_told(read: Any, tmp_path: Any) -> None:
    with pytest.raises(et.PlanError, match="None is no path of a transcript"):
        read(None)
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(et.PlanError, match="cannot be read") as refused:
            read(path)
        assert refused.value.place == str(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Push(None, [{"t": 0}]), "None is no name of a partition"),  # type: ignore[arg-type]
        (lambda: Push("a", None), "None are no rows"),  # type: ignore[arg-type]
        (lambda: AdvanceClock(10**30), "is no whole number of µs"),
    ],
)
def test_a_step_has_what_can_be(make: Callable[[], Step], says: str) -> None:
    with pytest.raises(et.PlanError, match=says):
        Streams(("a",), (make(),))


@pytest.mark.parametrize("start", ["x", 1.5, None, 10**30])
def test_streams_begin_at_whole_microseconds(start: Any) -> None:
    with pytest.raises(et.PlanError, match=r"is no whole number of µs\n  at:  Streams\(start_us\)"):
        Streams(("a",), (), start)


@pytest.mark.parametrize("many", [0, -1, "x", True, None])
def test_contracts_look_at_a_number_of_examples(many: Any) -> None:
    with pytest.raises(et.PlanError, match="is not a number of examples"):
        check_assigner(et.tumbling("1m"), max_examples=many)
