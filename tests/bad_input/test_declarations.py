"""Columns, types and durations that cannot work are refused before anything is computed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from refusals import SECONDS, Refused, counted, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = seconds(origin=["a", "b", "c"], delay=[1.0, 2.0, 3.0])


def flights(table: pa.Table = ROWS, time: str = "t", **how: Any) -> et.Stream:
    return et.from_arrow(table, time=time, **how)


def test_a_time_column_that_is_missing(refused: Refused) -> None:
    with refused(
        et.ColumnError, "'orign'", "time=", "did you mean 'origin'? columns are t, origin"
    ):
        counted(flights(time="orign")).run()


@pytest.mark.parametrize(("column", "kind"), [("origin", "string"), ("delay", "double")])
def test_a_time_column_of_a_type_that_holds_no_time(
    column: str, kind: str, refused: Refused
) -> None:
    with refused(
        et.TimeColumnError, f"{column!r} is of type {kind}", f"{column!r}", "use a timestamp"
    ):
        counted(flights(time=column)).run()


def test_integers_without_a_unit(refused: Refused) -> None:
    table = pa.table({"t": [1, 2]})
    with refused(et.TimeColumnError, "'t' holds integers (int64)", "'t'", "time_unit='s'"):
        counted(flights(table)).run()
    with refused(et.TimeColumnError, "'minutes'", "'t'", "'ms'"):
        counted(flights(table, time_unit="minutes")).run()


def test_a_time_column_that_is_null_in_every_row(refused: Refused) -> None:
    table = pa.table({"t": pa.nulls(4, SECONDS)})
    with refused(et.TimeColumnError, "'t' is null in all 4 rows", "4 rows", "name the column"):
        counted(flights(table)).run()


def test_columns_of_one_name(refused: Refused) -> None:
    table = pa.table([ROWS["t"], ROWS["delay"], ROWS["delay"]], names=["t", "delay", "delay"])
    for time in ("t", "delay"):
        with refused(et.SchemaError, "2 columns are named 'delay'", "arrow in memory", "rename"):
            counted(flights(table, time=time)).run()


def test_an_unknown_key(refused: Refused) -> None:
    with refused(
        et.ColumnError, "'orgin'", "key_by", "did you mean 'origin'? columns are t, origin"
    ):
        counted(flights(), "orgin").run()


@pytest.mark.parametrize("make", [et.sum, et.count, et.first, et.count_distinct])
def test_an_unknown_aggregate_column(make: Callable[[str], et.Aggregate], refused: Refused) -> None:
    with refused(et.ColumnError, "'dealy'", "aggregate(x=", "did you mean 'delay'?"):
        counted(flights(), x=make("dealy")).run()


def test_an_expression_over_an_unknown_column(refused: Refused) -> None:
    with refused(et.ColumnError, "'dealy'", "aggregate(x=", "did you mean 'delay'?"):
        counted(flights(), x=et.sum(pc.field("dealy") * 2)).run()  # type: ignore[arg-type,unused-ignore]


@pytest.mark.parametrize("make", [et.sum, et.mean, et.var, et.stddev, et.any, et.all])
def test_an_aggregate_on_a_type_that_has_no_such_thing(
    make: Callable[[str], et.Aggregate], refused: Refused
) -> None:
    name = make("origin").describe()
    with refused(
        et.AggregateTypeError, f"{name} has no meaning for type string", "column origin", ""
    ):
        counted(flights(), x=make("origin")).run()


def test_a_key_of_a_type_that_cannot_be_one(refused: Refused) -> None:
    with refused(et.PlanError, "'delay' of type double", "key_by", "cast it"):
        counted(flights(), "delay").run()


def test_a_name_of_the_result_that_is_taken(refused: Refused) -> None:
    taken = seconds(window_start=["a", "b", "c"])
    with refused(et.PlanError, "'window_start'", "key_by", "rename"):
        counted(flights(taken), "window_start").run()
    with refused(et.PlanError, "'origin'", "aggregate(origin=", "another name"):
        counted(flights(), "origin", origin=et.count()).run()


NONSENSE = ["1 hour", "", "h", "1h30", "0.0000001s", "1e3s", 5, 1.5, True, None]


@pytest.mark.parametrize("size", NONSENSE)
def test_a_duration_that_cannot_be_read(size: Any, refused: Refused) -> None:
    shown = f"{size!r} is not a duration"
    with refused(et.DurationError, shown, "size=", "write it with units"):
        et.tumbling(size)
    with refused(et.DurationError, shown, "offset=", "write it with units"):
        et.tumbling("1h", offset=size)
    with refused(et.DurationError, shown, "bound=", "write it with units"):
        et.bounded_disorder(size)
    if size is not None:
        with refused(et.DurationError, shown, "slide=", "write it with units"):
            et.sliding("1h", slide=size)


def test_sizes_of_nothing_and_less(refused: Refused) -> None:
    with refused(et.DurationError, "'0s' is zero", "size=", "above zero"):
        et.tumbling("0s")
    with refused(et.DurationError, "'-1h' is negative", "size=", "above zero"):
        et.tumbling("-1h")
    with refused(et.DurationError, "is negative", "size=", "above zero"):
        et.sliding(timedelta(hours=-1), slide="1h")
    with refused(et.DurationError, "'0s' is zero", "slide=", "above zero"):
        et.sliding("1h", slide="0s")
    with refused(et.DurationError, "36,500 years", "size=", "shorter"):
        et.tumbling("99999999w")


def test_windows_with_gaps_between(refused: Refused) -> None:
    with refused(et.PlanError, "'2h' is longer than size '1h'", "slide=", "at most '1h'"):
        et.sliding("1h", slide="2h")


def test_negative_lateness_and_disorder(refused: Refused) -> None:
    stream = flights().watermark(et.ascending())
    with refused(et.DurationError, "'-1s' is negative", "allowed_lateness=", "zero or more"):
        stream.window(et.tumbling("1s"), allowed_lateness="-1s")
    with refused(et.DurationError, "'-1s' is negative", "bound=", "zero or more"):
        et.bounded_disorder("-1s")
    with refused(et.DurationError, "'-1s' is negative", "max_future=", "zero or more"):
        flights().watermark(et.ascending(), max_future="-1s")


def test_a_window_without_a_watermark(refused: Refused) -> None:
    stream = flights().window(et.tumbling("1s")).aggregate(n=et.count())
    with refused(et.PlanError, "needs a watermark", "tumbling('1s')", "bounded_disorder"):
        stream.run()


@pytest.mark.parametrize("kind", [pa.uint8(), pa.int8(), pa.uint64()])
def test_windows_of_integer_times_end_after_the_last_of_them(kind: pa.DataType) -> None:
    table = pa.table({"t": pa.array([0, 5, 127], kind)})
    windows = counted(flights(table, time_unit="s")).run().table()
    assert windows.schema.field("window_end").type == pa.int64()
    assert windows["window_end"].to_pylist() == [10, 130]


def test_a_time_at_the_end_of_nanoseconds_is_set_aside() -> None:
    times = pa.array([0, 2**63 - 1, -(2**63), 10**9], pa.int64())
    run = counted(flights(pa.table({"t": times.view(pa.timestamp("ns"))}))).run()
    run.assert_balanced()
    assert sum(run.table()["n"].to_pylist()) == 2
    aside = run.side("quarantine")
    assert aside["t"].cast(pa.int64()).to_pylist() == [2**63 - 1, -(2**63)]
    assert {*aside["reason"].to_pylist()} == {"malformed"}
    assert all("of nanoseconds 282" in text for text in aside["detail"].to_pylist())
