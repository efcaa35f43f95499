"""What is drawn can happen, is what was asked for, reaches what is rare, and shrinks."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import eventtime as et
from eventtime.testing import AdvanceClock, Finish, Harness, Heartbeat, Push, Streams
from eventtime.testing import strategies as kit
from eventtime.testing.steps import Survived, Told
from eventtime.testing.values import VALUES

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.testing import Row

FEW = settings(max_examples=max(1, settings().max_examples // 5))
TIMES = {
    "seconds": (pa.timestamp("s"), None),
    "nanoseconds": (pa.timestamp("ns", "UTC"), None),
    "days": (pa.date32(), None),
    "days of 64 bits": (pa.date64(), None),
    "integers": (pa.int32(), "s"),
    "unsigned": (pa.uint64(), "ms"),
}


def read(kind: pa.DataType = TIMES["seconds"][0], unit: str | None = None) -> et.Stream:
    schema = pa.schema({"t": kind, "key": pa.string(), "x": pa.int64(), "unread": pa.int64()})
    return et.from_arrow(schema.empty_table(), time="t", time_unit=unit)


def hourly(
    stream: et.Stream | None = None, *, bound: str = "30m", lateness: str = "20m", **marks: Any
) -> et.Stream:
    marked = (read() if stream is None else stream).watermark(et.bounded_disorder(bound), **marks)
    window = et.sliding("1h", slide="20m")
    grouped = marked.key_by("key").window(
        window, allowed_lateness=lateness, late_columns=["t", "x"]
    )
    return grouped.aggregate(x=et.sum("x"))


def pushed(streams: Streams) -> list[Row]:
    return [row for step in streams.steps if isinstance(step, Push) for row in step.rows]


def smallest(pipeline: et.Stream, is_so: Callable[[Streams], bool], **options: Any) -> Streams:
    """Find the smallest streams of which something is true."""
    quiet = settings(max_examples=1_000, deadline=None, database=None, derandomize=True)
    return find(kit.streams(pipeline, **options), is_so, settings=quiet)


def totals(pipeline: et.Stream, streams: Streams) -> dict[str, int]:
    with Harness.of(pipeline, streams) as harness:
        total: dict[str, int] = harness.ledger.to_dict()["total"]
        return total


# Values


KINDS = {
    **{name: array.type for name, array in VALUES.items()},
    "uuid": pa.uuid(),
    "json": pa.json_(),
    "tensor": pa.fixed_shape_tensor(pa.int8(), [2]),
    "run ends": pa.run_end_encoded(pa.int32(), pa.string()),
    "list view": pa.list_view(pa.string_view()),
}


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data(), nullable=st.booleans(), extremes=st.booleans())
@settings(max_examples=3)
def test_values_are_of_their_type(
    name: str, data: st.DataObject, *, nullable: bool, extremes: bool
) -> None:
    field = pa.field("x", KINDS[name], nullable=nullable or name == "null")
    drawn = data.draw(st.lists(kit.values(field, extremes=extremes), max_size=5))
    array = pa.array(drawn, field.type)
    assert array.type == field.type
    assert field.nullable or not array.null_count
    assert pa.array(data.draw(st.lists(kit.keys(field))), field.type).type == field.type


@pytest.mark.parametrize(
    "kind", [pa.sparse_union([pa.field("a", pa.int64())]), pa.list_(pa.uuid())], ids=str
)
def test_a_type_of_which_nothing_is_drawn_is_named(kind: pa.DataType) -> None:
    with pytest.raises(et.PlanError, match=rf"values of type {re.escape(str(kind))} are not drawn"):
        kit.values(pa.field("x", kind))


def test_rows_have_the_columns_of_the_schema_and_shrink_to_zeros() -> None:
    schema = pa.schema([("a", pa.int8()), ("b", pa.string()), ("c", pa.list_(pa.float64()))])
    assert find(kit.rows(schema), lambda _: True) == {"a": 0, "b": "a", "c": []}


# Streams


@pytest.mark.parametrize("name", TIMES)
@given(data=st.data())
@settings(max_examples=max(1, settings().max_examples // 25))
def test_all_that_is_drawn_can_happen(name: str, data: st.DataObject) -> None:
    """S1, S26: whatever the time column, nothing is refused and every row is accounted for."""
    pipeline = hourly(read(*TIMES[name]), idle_after="5m", max_future="1d")
    streams = data.draw(kit.streams(pipeline))
    rows = pushed(streams)
    assert all(list(row) == ["t", "key", "x"] for row in rows)
    with Harness.of(pipeline, streams) as harness:
        harness.ledger.assert_balanced()
        assert harness.ledger.to_dict()["total"]["rows_in"] == len(rows)


@given(kit.streams(hourly(), late=False))
@FEW
def test_rows_that_may_not_be_late_are_not(streams: Streams) -> None:
    """S2, S20: over partitions that appear, end, restart and have heartbeats."""
    assert totals(hourly(), streams)["late"] == 0


GENERATORS = {
    "a percentile that learns": et.percentile(0.5, initial="2h", warm_up=2, every=1),
    "a percentile that learns later": et.percentile(0.5, initial="2h", warm_up=21, every=1),
    "a column of marks": et.punctuated(column="mark"),
    "marked rows": et.punctuated(where=pc.field("x") > 0),
}


@pytest.mark.parametrize("name", GENERATORS)
@given(data=st.data())
@settings(max_examples=max(1, settings().max_examples // 10))
def test_no_generator_makes_them_late(name: str, data: st.DataObject) -> None:
    """S3: one that learns its bound may come to a smaller one than it began with."""
    schema = pa.schema({"t": TIMES["seconds"][0], "x": pa.int64(), "mark": pa.timestamp("s")})
    marked = et.from_arrow(schema.empty_table(), time="t").watermark(GENERATORS[name])
    pipeline = marked.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    streams = data.draw(kit.streams(pipeline, late=False))
    assert totals(pipeline, streams)["late"] == 0


def test_what_makes_times_cannot_promise_that_none_is_late() -> None:
    times = read().with_columns(t=pc.field("t"))
    with pytest.raises(et.PlanError, match="make 't', so rows may be late"):
        kit.streams(hourly(times), late=False)
    marks = read().with_columns(mark=pc.field("t")).watermark(et.punctuated(column="mark"))
    pipeline = marks.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    with pytest.raises(et.PlanError, match="make 'mark', so rows may be late"):
        kit.streams(pipeline, late=False)
    kit.streams(pipeline)


def nulls_in(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return sum(map(nulls_in, value))
    return value is None


@given(data=st.data())
@settings(max_examples=max(1, settings().max_examples // 10))
def test_without_nulls_there_are_none_inside_of_others(data: st.DataObject) -> None:
    inner = pa.struct([("n", pa.int8()), ("names", pa.list_(pa.string(), 2))])
    kinds = {"a": pa.list_(inner), "b": pa.map_(pa.string(), pa.large_list(pa.int8())), "c": inner}
    schema = pa.schema({"t": TIMES["seconds"][0]} | kinds)
    marked = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    collected = {name: et.collect(name) for name in kinds}
    pipeline = marked.window(et.tumbling("1m")).aggregate(**collected)
    streams = data.draw(kit.streams(pipeline, nulls=False, max_rows=5))
    assert not any(map(nulls_in, pushed(streams)))
    assert totals(pipeline, streams)["null_time"] == 0


@given(kit.streams(hourly(), nulls=False, ties=False, extreme_times=False, max_rows=10))
@FEW
def test_what_is_not_wanted_does_not_come(streams: Streams) -> None:
    rows = pushed(streams)
    assert len(rows) <= 10
    assert all(value is not None for row in rows for value in row.values())
    assert max(Counter(row["t"] for row in rows).values(), default=0) <= 1


@given(
    kit.streams(
        hourly(),
        partitions=1,
        idle=False,
        heartbeats=False,
        changing=False,
        restarts=False,
        duplicates=False,
    )
)
@FEW
def test_rows_alone_are_rows_alone(streams: Streams) -> None:
    assert streams.partitions == ("a",)
    assert {type(step) for step in streams.steps} <= {Push, Finish}


@pytest.mark.parametrize("disorder", [None, "20m", "0s"])
@given(data=st.data())
@FEW
def test_a_bound_on_disorder_is_kept(disorder: str | None, data: st.DataObject) -> None:
    """S3: behind the latest of its partition by the bound at most, also what comes again."""
    arrival = kit.in_order() if disorder is None else kit.bounded(disorder)
    streams = data.draw(kit.streams(hourly(), disorder=arrival, extreme_times=False, nulls=False))
    bound = {None: 0, "20m": 1_200, "0s": 0}[disorder]
    latest: dict[str, int] = {}
    for step in streams.steps:
        if isinstance(step, Push):
            for row in step.rows:
                before = latest.setdefault(step.partition, row["t"])
                assert row["t"] >= before - bound
                latest[step.partition] = max(before, row["t"])


def test_kinds_of_disorder_are_named_and_others_refused() -> None:
    kinds = [kit.bursty(), kit.heavy_tailed(), kit.heavy_tailed("1m"), kit.adversarial(hourly())]
    words = "[bursty(), heavy_tailed(), heavy_tailed('1m'), adversarial(pipeline)]"
    assert str(kinds) == words
    with pytest.raises(et.PlanError, match="'chaos' is no kind of disorder"):
        kit.streams(hourly(), disorder=["chaos"])  # type: ignore[list-item]
    with pytest.raises(et.DurationError):
        kit.bounded("soon")
    with pytest.raises(et.PlanError, match="0 is not a number above zero"):
        kit.streams(hourly(), max_rows=0)
    nothing: list[kit.Arrival] = []
    for disorder in (nothing, 5):
        with pytest.raises(et.PlanError, match="is no kind of disorder"):
            kit.streams(hourly(), disorder=disorder)  # type: ignore[arg-type]
    for flag in ("late", "idle", "heartbeats", "changing", "restarts", "extreme_times"):
        no: Any = {flag: "no"}
        with pytest.raises(et.PlanError, match=f"'no' is neither True(.|\n)*{flag}="):
            kit.streams(hourly(), **no)
    with pytest.raises(et.PlanError, match="3 is no pipeline"):
        kit.streams(3)  # type: ignore[arg-type]


# What is rare


def seen(pipeline: et.Stream, streams: Streams) -> set[str]:
    """What happened: steps, reasons, timings, and watermarks beside the ends of windows."""
    harness = Harness(pipeline, streams.partitions, start=streams.start_us)
    found = {type(step).__name__ for step in streams.steps}
    for step in streams.steps:
        harness.do(step)
        found |= {"a step back"} if isinstance(step, AdvanceClock) and step.by_us < 0 else set()
        beside = (harness.watermark_us // 1_000_000 + 600) % 1_200 - 600
        found |= {f"end{beside:+}"} if isinstance(step, Push) and abs(beside) <= 1 else set()
    found |= set(harness.late.column("reason").to_pylist())
    found |= set(harness.quarantine.column("reason").to_pylist())
    found |= {f"{timing} firing" for timing in harness.all_results.column("timing").to_pylist()}
    harness.close()
    return found


def test_what_is_rare_comes() -> None:
    """S6, S11, S12, S18, S20, S21: all steps, all reasons, boundaries to the tick."""
    pipeline, found = hourly(idle_after="5m", max_future="1d"), set[str]()

    @given(kit.streams(pipeline))
    @settings(max_examples=800, derandomize=True, database=None)
    def count(streams: Streams) -> None:
        found.update(seen(pipeline, streams))

    count()
    kinds: list[Any] = [*get_args(Told), *get_args(Survived), Push]
    wanted = {kind.__name__ for kind in kinds} | {"a step back", "end-1", "end+0", "end+1"}
    wanted |= {"beyond_lateness", "idle_partition", "null_time", "future", "malformed"}
    wanted |= {"on_time firing", "late firing"}
    missing = wanted - found
    assert not missing


def test_a_failing_example_shrinks_to_a_late_row_and_what_made_it_late() -> None:
    """S20: a row, or a heartbeat."""
    pipeline = hourly(idle_after="5m")
    streams = smallest(pipeline, lambda s: totals(pipeline, s)["late"] > 0, max_rows=8)
    assert len(streams.steps) <= 2
    assert len(pushed(streams)) <= 2
    assert totals(pipeline, streams)["late"] == 1


@pytest.mark.parametrize("is_enough", [lambda n: n > 1, lambda n: n > 2], ids=["two", "three"])
def test_rows_shrink_to_nothing_but_rows(is_enough: Callable[[int], bool]) -> None:
    """Whatever comes with several rows of its own, such as a window's last, is no simpler."""
    streams = smallest(hourly(idle_after="5m"), lambda s: is_enough(len(pushed(s))))
    assert len(streams.steps) == 1


def test_an_example_without_rows_shrinks_to_one_step() -> None:
    """A step in the middle of many shrinks to itself."""

    def is_so(streams: Streams) -> bool:
        return any(isinstance(step, Heartbeat) for step in streams.steps[1:])

    streams = smallest(hourly(), is_so)
    assert len(streams.steps) == 2
    assert len(pushed(streams)) <= 1


def held_back(streams: Streams) -> bool:
    """A row 15 hours behind the one before it."""
    times = [row["t"] for row in pushed(streams) if row["t"] is not None]
    return any(b < a - 15 * 3_600 for a, b in pairwise(times))


def test_batches_without_rows_come_and_are_left_out_where_they_can_be() -> None:
    """S4: sources of users' have them too."""

    def has_empty(streams: Streams) -> bool:
        return any(isinstance(step, Push) and not step.rows for step in streams.steps)

    found = smallest(hourly(), has_empty).steps
    assert [len(step.rows) for step in found if isinstance(step, Push)] == [1, 0, 1]
    assert len(found) == 3
    assert not has_empty(smallest(hourly(), lambda streams: len(pushed(streams)) > 1))


def test_heavy_tails_are_drawn() -> None:
    options = {"duplicates": False, "partitions": 1, "extreme_times": False}
    found = smallest(hourly(), held_back, disorder=kit.heavy_tailed("1h"), **options)
    assert [row["t"] for row in pushed(found)] == [0, -16 * 3_600]


# Installing


def test_without_hypothesis_the_kit_works_and_strategies_say_what_to_install() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import eventtime.testing\n"
        "try: import eventtime.testing.strategies\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs hypothesis, which is not installed" in done.stdout
    assert "fix: pip install 'eventtime[testing]'" in done.stdout


def test_settings_leave_out_what_takes_long_and_says_nothing() -> None:
    """No limit for an example, one failure, no last phase; all else is the profile's."""
    found = kit.settings(max_examples=7)
    assert (found.deadline, found.max_examples) == (None, 7)
    assert kit.settings().max_examples == settings().max_examples
    assert set(settings().phases) - set(found.phases) == {Phase.explain}
    assert kit.settings(phases=[Phase.explicit]).phases == (Phase.explicit,)
    pipeline = hourly()

    @given(kit.streams(pipeline))
    @kit.settings(max_examples=30, derandomize=True, database=None)
    def look(streams: Streams) -> None:
        assert not any(isinstance(step, Push) for step in streams.steps)

    with pytest.raises(AssertionError) as failed:
        look()
    assert "Explanation" not in "".join(failed.value.__notes__)
