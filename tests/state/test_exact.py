"""Values that would be cut to fit a type are refused: nothing is lost without a word."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from eventtime.state.exact import check_uncut, cuts_of
from eventtime.state.keyed_state import shaped
from eventtime.state.scalars import Scalars

A_MOMENT = datetime(2020, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
PAIR = pa.struct({"a": pa.int64(), "b": pa.string()})
CUT: list[tuple[Any, pa.DataType]] = [
    (1.5, pa.int64()),
    (-0.9, pa.int8()),
    (np.float32(1.5), pa.uint16()),
    (Decimal("1.5"), pa.int64()),
    (np.array(1.5), pa.int64()),
    (1.5, pa.timestamp("us")),
    (1.5, pa.date32()),
    (A_MOMENT, pa.timestamp("s")),
    (A_MOMENT, pa.timestamp("ms", "UTC")),
    (NOON, pa.date32()),
    (NOON, pa.date64()),
    (timedelta(microseconds=1), pa.duration("s")),
    (timedelta(microseconds=1), pa.duration("ms")),
    (time(0, 0, 0, 5), pa.time32("s")),
    (1e300, pa.float32()),
    (1e6, pa.float16()),
    ([1, 1.5], pa.list_(pa.int64())),
    ((None, 1.5), pa.large_list(pa.int64())),
    ([1.5], pa.list_(pa.int64(), 1)),
    ({1.5: "x"}, pa.map_(pa.int64(), pa.string())),
    ([("x", 1.5)], pa.map_(pa.string(), pa.int64())),
    ({"a": 1.5, "b": "x"}, PAIR),
    ((1.5, "x"), PAIR),
    ([("a", 1.5), ("b", "x")], PAIR),
    ([{"a": [1.5]}], pa.list_(pa.struct({"a": pa.list_(pa.int64())}))),
]
KEPT: list[tuple[Any, pa.DataType]] = [
    (2, pa.int64()),
    (2.0, pa.int64()),
    (np.float64(2.0), pa.int64()),
    (Decimal("2.0"), pa.int64()),
    (np.int64(2), pa.int8()),
    (A_MOMENT, pa.timestamp("us", "UTC")),
    (NOON, pa.timestamp("s", "UTC")),
    (5, pa.timestamp("s")),
    (date(2020, 1, 1), pa.date32()),
    (datetime(2020, 1, 1, tzinfo=UTC), pa.date64()),
    (timedelta(seconds=1), pa.duration("s")),
    (time(1), pa.time32("s")),
    (0.1, pa.float32()),
    (float("inf"), pa.float32()),
    (float("nan"), pa.float16()),
    (1e300, pa.float64()),
    ([1, None], pa.list_(pa.int64())),
    ({"a": None}, PAIR),
    ({"b": "x"}, PAIR),
    ([("x", None)], pa.map_(pa.string(), pa.int64())),
    ((1, 2, 3), pa.month_day_nano_interval()),
    ("x", pa.dictionary(pa.int8(), pa.string())),
    (b"x", pa.binary()),
]


@pytest.mark.parametrize(("value", "kind"), CUT, ids=repr)
def test_a_value_that_arrow_would_cut_is_refused(value: Any, kind: pa.DataType) -> None:
    pa.scalar(value, kind)  # takes it
    with pytest.raises(TypeError, match=r"state 'n' holds .* would be cut to fit"):
        Scalars(kind, "state 'n'").stored(value)
    with pytest.raises(TypeError, match=r"it holds .* would be cut to fit"):
        shaped([None, value], kind, 2, "it")


@pytest.mark.parametrize(("value", "kind"), KEPT, ids=repr)
def test_a_value_that_fits_is_kept(value: Any, kind: pa.DataType) -> None:
    Scalars(kind, "state 'n'").stored(value)
    assert len(shaped([None, value], kind, 2, "it")) == 2


def test_what_is_never_cut_costs_nothing() -> None:
    for kind in (pa.string(), pa.bool_(), pa.float64(), pa.list_(pa.string()), pa.binary(3)):
        assert cuts_of(kind) is None
    check_uncut([None], pa.int64())


def test_the_time_that_is_none_of_pandas_is_no_day() -> None:
    with pytest.raises(TypeError, match="NaT would be cut to fit"):
        Scalars(pa.date32(), "it").stored(pd.NaT)


def test_times_of_pandas_have_nanoseconds() -> None:
    class Stamp(datetime):
        nanosecond = 1

    stamp = Stamp(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="cut"):
        check_uncut([stamp], pa.timestamp("us"))
    check_uncut([stamp], pa.timestamp("ns"))
    with pytest.raises(ValueError, match="cut"):
        check_uncut([stamp], pa.date32())
