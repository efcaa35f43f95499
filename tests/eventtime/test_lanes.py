"""Columns as kernels take them, and back: every type, nulls, slices (D10)."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from eventtime.lanes import DECIMAL, FLOAT, INT, OBJECT, UINT64, lane_kind, lane_of, to_arrow

EIGHT_BYTES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int8(), [-128, 127]),
    (pa.int64(), [-(2**63), 2**63 - 1]),
    (pa.uint32(), [0, 2**32 - 1]),
    (pa.uint64(), [0, 2**64 - 1]),
    (pa.bool_(), [True, False]),
    (pa.float32(), [1.5, -0.25]),
    (pa.float64(), [float("inf"), -1e300]),
    (pa.date32(), [dt.date(1969, 1, 1), dt.date(2030, 1, 1)]),
    (pa.date64(), [dt.date(1969, 1, 1), dt.date(2030, 1, 1)]),
    (pa.time32("s"), [dt.time(1), dt.time(2)]),
    (pa.time64("ns"), [dt.time(1), dt.time(2)]),
    (
        pa.timestamp("ms", "UTC"),
        [dt.datetime(1950, 1, 1, tzinfo=dt.UTC), dt.datetime(2050, 1, 1, tzinfo=dt.UTC)],
    ),
    (pa.duration("s"), [dt.timedelta(-1), dt.timedelta(2)]),
]


@pytest.mark.parametrize(("kind", "values"), EIGHT_BYTES, ids=str)
def test_values_come_back_as_they_went_in(kind: pa.DataType, values: list[Any]) -> None:
    column = pa.array([*values, None, *values], kind).slice(1, 3)
    lane = lane_of(column)
    back = to_arrow(lane.values, kind, lane.valid.astype(bool))
    assert back.type == kind
    assert back.to_pylist() == [values[1], None, values[0]]


@pytest.mark.parametrize(("kind", "values"), EIGHT_BYTES, ids=str)
def test_without_nulls_no_bytes_say_so(kind: pa.DataType, values: list[Any]) -> None:
    assert lane_of(pa.array(values, kind)).valid.size == 0


def test_eight_byte_columns_are_not_copied() -> None:
    column = pa.array(np.arange(5))
    assert lane_of(column).values.ctypes.data == column.buffers()[1].address


def test_decimals_are_two_words() -> None:
    column = pa.array([Decimal("-0.01"), Decimal("1.00"), None], pa.decimal128(30, 2))
    lane = lane_of(column)
    assert lane.kind == DECIMAL
    assert lane.values[:2].tolist() == [[-1, -1], [100, 0]]
    assert lane.valid.tolist() == [1, 1, 0]


def test_kinds_follow_types() -> None:
    kinds = {
        INT: [
            pa.int8(),
            pa.bool_(),
            pa.date32(),
            pa.timestamp("s"),
            pa.duration("ns"),
            pa.time32("s"),
        ],
        UINT64: [pa.uint64()],
        FLOAT: [pa.float16(), pa.float64()],
        DECIMAL: [pa.decimal128(5)],
        OBJECT: [
            pa.string(),
            pa.list_(pa.int8()),
            pa.decimal256(50),
            pa.month_day_nano_interval(),
            pa.null(),
        ],
    }
    for kind, types in kinds.items():
        assert {lane_kind(t) for t in types} == {kind}


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.float32(), pa.bool_(), pa.decimal128(5), pa.string()], ids=str
)
def test_no_rows_are_no_values(kind: pa.DataType) -> None:
    assert len(lane_of(pa.array([], kind)).values) == 0


def test_all_null_columns_have_no_valid_row() -> None:
    for kind in (pa.int64(), pa.float64(), pa.date32(), pa.decimal128(5)):
        assert lane_of(pa.nulls(3, kind)).valid.tolist() == [0, 0, 0]
