"""Event time at the door (S1): units, the admitted range, infinities, narrow types."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from eventtime.errors import TimeColumnError
from eventtime.timestamp import (
    EARLIEST,
    LATEST,
    MINUS_INFINITY,
    PLUS_INFINITY,
    add,
    bounds_type,
    check_time_type,
    from_us,
    to_us,
)

DAY = 86_400_000_000


def stamps(values: list[int | None], unit: str) -> pa.Array:
    return pa.array(values, pa.int64()).view(pa.timestamp(unit))


def test_finer_units_round_down_also_before_1970() -> None:
    time_us, admitted = to_us(stamps([1_999, -1, -1_000, -1_001], "ns"))
    assert time_us.tolist() == [1, -1, -1, -2]
    assert admitted is None


@pytest.mark.parametrize(("unit", "factor"), [("s", 1_000_000), ("ms", 1_000), ("us", 1)])
def test_the_admitted_range_is_the_same_in_every_unit(unit: str, factor: int) -> None:
    edge = LATEST // factor
    time_us, admitted = to_us(stamps([edge, -edge, edge + 1, -edge - 1], unit))
    assert admitted is not None
    assert admitted.tolist() == [True, True, False, False]
    assert time_us.tolist() == [edge * factor, -edge * factor, 0, 0]


def test_two_to_the_62_is_admitted_and_one_more_is_not() -> None:
    _, admitted = to_us(stamps([EARLIEST - 1, EARLIEST, LATEST, LATEST + 1], "us"))
    assert admitted is not None
    assert admitted.tolist() == [False, True, True, False]


def test_the_limits_of_int64_are_not_admitted() -> None:
    time_us, admitted = to_us(stamps([MINUS_INFINITY, PLUS_INFINITY], "us"))
    assert admitted is not None
    assert not admitted.any()
    assert time_us.tolist() == [0, 0]


def test_nulls_are_not_admitted() -> None:
    time_us, admitted = to_us(stamps([7, None], "us"))
    assert time_us.tolist() == [7, 0]
    assert admitted is not None
    assert admitted.tolist() == [True, False]


def test_no_rows_are_no_times() -> None:
    time_us, admitted = to_us(stamps([], "s"))
    assert len(time_us) == 0
    assert admitted is None


def test_dates_are_days_or_milliseconds() -> None:
    days = [dt.date(1969, 12, 31), dt.date(1970, 1, 2)]
    for kind in (pa.date32(), pa.date64()):
        assert to_us(pa.array(days, kind))[0].tolist() == [-DAY, DAY]


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.uint16(), pa.int64(), pa.uint64()])
def test_integers_count_the_unit_that_is_said(kind: pa.DataType) -> None:
    assert to_us(pa.array([0, 2, None], kind), "ms")[0].tolist() == [0, 2_000, 0]


def test_nanoseconds_are_admitted_up_to_ten_years_from_the_end_of_their_type() -> None:
    edge = (2**63 - 1) // 1_000 - 3_650 * DAY
    time_us, admitted = to_us(stamps([edge * 1_000, edge * 1_000 + 1_000, -edge * 1_000 - 1], "ns"))
    assert admitted is not None
    assert admitted.tolist() == [True, False, False]
    assert time_us.tolist() == [edge, 0, 0]


def test_the_upper_half_of_uint64_is_not_admitted() -> None:
    values = pa.array([2**64 - 1, 2**63, None, 5_000], pa.uint64())
    for unit, last in (("ns", 5), ("us", 5_000)):
        time_us, admitted = to_us(values, unit)
        assert admitted is not None
        assert admitted.tolist() == [False, False, False, True]
        assert time_us[3] == last


def test_a_slice_of_a_column_keeps_its_own_rows() -> None:
    assert to_us(stamps([1, None, 3, 4], "us").slice(2))[0].tolist() == [3, 4]


def test_adding_saturates_and_infinities_stay() -> None:
    assert add(PLUS_INFINITY, -5) == PLUS_INFINITY
    assert add(MINUS_INFINITY, 5) == MINUS_INFINITY
    assert add(PLUS_INFINITY - 1, 5) == PLUS_INFINITY
    assert add(MINUS_INFINITY + 1, -5) == MINUS_INFINITY


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.float64(), pa.time64("us"), pa.duration("s"), pa.bool_()]
)
def test_a_type_without_time_is_refused_by_name(kind: pa.DataType) -> None:
    with pytest.raises(TimeColumnError, match=r"'when' is of type .*holds no time"):
        check_time_type("when", kind, None)


def test_integers_without_a_unit_are_refused() -> None:
    with pytest.raises(TimeColumnError, match=r"integers \(int32\) of an unknown unit"):
        check_time_type("when", pa.int32(), None)


def test_an_unknown_unit_is_refused_and_shown() -> None:
    with pytest.raises(TimeColumnError, match="time unit 'h' is unknown"):
        check_time_type("when", pa.int64(), "h")


def test_bounds_keep_the_type_of_the_column_where_it_is_fine_enough() -> None:
    assert bounds_type(pa.timestamp("s", "Asia/Tokyo"), None, 60_000_000) == pa.timestamp(
        "s", "Asia/Tokyo"
    )
    assert bounds_type(pa.date32(), None, DAY, 0) == pa.date32()
    assert bounds_type(pa.timestamp("ns", "UTC"), None, 365 * DAY) == pa.timestamp("ns", "UTC")


def test_bounds_of_integers_are_int64_in_the_unit_of_the_column() -> None:
    for kind in (pa.int64(), pa.int32(), pa.uint8(), pa.uint64()):
        assert bounds_type(kind, "s", 60_000_000) == pa.int64()


def test_bounds_of_nanoseconds_are_microseconds_where_windows_are_longer_than_a_year() -> None:
    assert bounds_type(pa.timestamp("ns", "UTC"), None, 366 * DAY) == pa.timestamp("us", "UTC")
    assert bounds_type(pa.int64(), "ns", 366 * DAY) == pa.timestamp("us")


def test_bounds_are_microseconds_where_the_column_is_too_coarse() -> None:
    assert bounds_type(pa.date32(), None, DAY // 24) == pa.timestamp("us")
    assert bounds_type(pa.date64(), None, 1_000) == pa.timestamp("us")
    assert bounds_type(pa.int64(), "s", 500_000) == pa.timestamp("us")
    assert bounds_type(pa.timestamp("ms", "UTC"), None, 1_500) == pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        (pa.timestamp("s"), None),
        (pa.timestamp("ns", "UTC"), None),
        (pa.date32(), None),
        (pa.date64(), None),
        (pa.int64(), "s"),
        (pa.int64(), "ns"),
    ],
)
def test_times_go_out_as_they_came_in(kind: pa.DataType, unit: str | None) -> None:
    time_us = np.array([0, 5 * DAY], np.int64)
    out = from_us(time_us, kind, unit)
    assert out.type == kind
    assert to_us(out, unit)[0].tolist() == time_us.tolist()


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("ns"), pa.date32(), pa.int64()])
def test_infinities_go_out_as_null(kind: pa.DataType) -> None:
    unit = "s" if pa.types.is_integer(kind) else None
    out = from_us(np.array([MINUS_INFINITY, 0, PLUS_INFINITY]), kind, unit)
    assert out.is_null().to_pylist() == [True, False, True]


def test_what_lies_beyond_the_last_nanosecond_goes_out_as_that_one() -> None:
    last = (2**63 - 1) // 1_000
    out = from_us(np.array([last, last + 1, -last - 2, LATEST]), pa.timestamp("ns"))
    assert out.cast(pa.int64()).to_pylist() == [n * 1_000 for n in (last, last, -last, last)]
