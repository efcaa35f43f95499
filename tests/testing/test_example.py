"""A failing example prints as a test that does the same again."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

import eventtime as et
from eventtime.testing import Finish, Push, Streams, as_test
from eventtime.testing import strategies as kit
from eventtime.testing.rows import batch_of
from eventtime.testing.values import VALUES

if TYPE_CHECKING:
    from collections.abc import Sequence

TYPES = ("float64", "decimal128", "string", "binary", "duration_ns", "list_float", "struct", "map")
SCHEMA = pa.schema([("t", pa.timestamp("us")), *((name, VALUES[name].type) for name in TYPES)])
STREAM = et.from_arrow(SCHEMA.empty_table(), time="t").watermark(et.ascending())
PIPELINE = STREAM.window(et.tumbling("1h")).aggregate(n=et.count())


class Size(IntEnum):
    SMALL = 1


class Colour(StrEnum):
    RED = "red"


def done(source: str) -> dict[str, Any]:
    """Run the source of a test, and return what it defines."""
    names: dict[str, Any] = {}
    exec(compile(source, "example", "exec"), names)
    return names


def plain(value: Any) -> Any:
    """Make NaN equal to itself."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def assert_same(got: Streams, wanted: Streams) -> None:
    assert (got.partitions, got.start_us) == (wanted.partitions, wanted.start_us)
    assert len(got.steps) == len(wanted.steps)
    for mine, theirs in zip(got.steps, wanted.steps, strict=True):
        if isinstance(mine, Push) and isinstance(theirs, Push):
            assert mine.partition == theirs.partition
            assert plain(mine.rows) == plain(theirs.rows)
        else:
            assert mine == theirs


@given(kit.streams(PIPELINE, extreme_values=True, max_rows=4))
@settings(max_examples=max(1, settings().max_examples // 5))
def test_what_is_printed_is_what_was(streams: Streams) -> None:
    """Rows of every type, and all steps."""
    assert_same(done(as_test(streams, check="timeline"))["STREAMS"], streams)


def test_batches_are_printed_as_rows() -> None:
    columns = {name: VALUES[name].slice(0, 2) for name in TYPES}
    table = pa.table({"t": pa.array([0, 5], pa.timestamp("us")), **columns}, SCHEMA)
    (batch,) = table.to_batches()
    for data in (table, batch):
        given: Any = data
        (push,) = done(as_test(Streams(("a",), (Push("a", given),))))["STREAMS"].steps
        assert batch_of(push.rows, SCHEMA).equals(batch)


ODD: Sequence[Any] = (
    datetime(2024, 3, 31, 2, 30, tzinfo=UTC),
    datetime(2024, 3, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")),
    date(1970, 1, 1),
    timedelta(seconds=-1),
    Decimal("-1.50"),
    UUID(int=5),
    float("nan"),
    -math.inf,
    1e-310,
    "both \" and '",
    "line\nend\\",
    b"\x00'",
    {"a": [(1,), ()]},
    -(2**63),
)


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_values_that_people_write_are_printed_too(value: Any) -> None:
    streams = Streams(("a",), (Push("a", [{"x": value}]),))
    assert_same(done(as_test(streams, check="timeline"))["STREAMS"], streams)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (np.int64(5), 5),
        (np.float64(1.5), 1.5),
        (np.str_("x"), "x"),
        (np.bool_(True), True),  # noqa: FBT003
        ([np.int8(1)], [1]),
        (np.array([[1], [2]]), [[1], [2]]),
        (pa.scalar(5, pa.timestamp("ns")), 5),
        (pa.scalar([Decimal("1.5")]), [Decimal("1.5")]),
        (pa.scalar(None), None),
        (Size.SMALL, 1),
        (Colour.RED, "red"),
    ],
    ids=repr,
)
def test_values_of_numpy_arrow_and_enums_are_printed_as_plain_ones(value: Any, meant: Any) -> None:
    streams, plainly = (Streams(("a",), (Push("a", [{"x": it}]),)) for it in (value, meant))
    assert as_test(streams) == as_test(plainly)


def test_only_what_is_named_is_imported() -> None:
    """Not what a text says."""
    rows: list[dict[str, Any]] = [{"x": "decimal.Decimal"}, {"x": UUID(int=5)}]
    assert as_test(Streams(("a",), (Push("a", rows),))).startswith("import uuid\n\nfrom ")


def test_long_pushes_take_a_line_for_each_row() -> None:
    source = as_test(Streams(("a",), (Push("a", [{"t": 0}, {"t": 10_000}]),)))
    assert '            [\n                {"t": 0},\n                {"t": 10_000},\n' in source


def test_the_test_checks_the_pipeline_that_it_is_told() -> None:
    names = done(as_test(Streams((), ()), "flights.hourly()", check="timeline"))
    calls: list[Any] = []
    names |= {"timeline": lambda *given: calls.append(given)}
    with pytest.raises(NameError, match="flights"):
        names["test_this_example"]()
    names["flights"] = type("Flights", (), {"hourly": staticmethod(lambda: "a pipeline")})
    names["test_this_example"]()
    assert calls == [("a pipeline", Streams((), ()))]


def test_a_pipeline_is_imported_from_the_module_that_has_it() -> None:
    streams = Streams(("a",), (Push("a", [{"t": 5}]), Finish("a")))
    source = as_test(streams, PIPELINE)
    assert f"from {__name__} import PIPELINE\n" in source
    done(source)["test_this_example"]()
    elsewhere = STREAM.window(et.tumbling("1h")).aggregate(n=et.count())
    for pipeline in (elsewhere, "pipeline"):
        assert "# Where is it? from my_module import pipeline\n" in as_test(streams, pipeline)


def test_names_are_names() -> None:
    with pytest.raises(et.PlanError, match="3 is no name"):
        as_test(Streams((), ()), 3)  # type: ignore[arg-type]
