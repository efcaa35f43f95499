"""Rows are filed under the UTC day of a column of any time type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.errors import PlanError, SinkError, TimeColumnError
from eventtime.sinks.by_day import DaySplitter, by_day
from eventtime.sinks.parquet import to_parquet


def folders(array: pa.Array, time_unit: str | None = None) -> dict[str, list[int]]:
    rows = pa.record_batch({"t": array, "n": range(len(array))})
    split = DaySplitter(by_day("t", time_unit=time_unit), rows.schema).split(rows)
    return {folder.removeprefix("t_day="): piece["n"].to_pylist() for folder, piece in split}


DAY = 86_400


@pytest.mark.parametrize(
    ("array", "unit"),
    [
        (pa.array([DAY, DAY - 1, 0, -1, None], pa.timestamp("s")), None),
        (
            pa.array([DAY, DAY - 1, 0, -1, None], pa.timestamp("s")).cast(
                pa.timestamp("ns", "Asia/Tokyo")
            ),
            None,
        ),
        (pa.array([1, 0, 0, -1, None], pa.date32()), None),
        (pa.array([DAY, DAY - 1, 0, -1, None], pa.int64()), "s"),
        (pa.array([DAY * 1000, DAY * 1000 - 1, 0, -1, None], pa.int64()), "ms"),
    ],
    ids=["s", "ns zone", "date32", "int s", "int ms"],
)
def test_midnight_utc_opens_the_next_day(array: pa.Array, unit: str | None) -> None:
    assert folders(array, unit) == {
        "1969-12-31": [3],
        "1970-01-01": [1, 2],
        "1970-01-02": [0],
        "__HIVE_DEFAULT_PARTITION__": [4],
    }


def test_years_without_four_digits_have_no_day() -> None:
    seconds = [-62_167_219_200, -62_167_219_201, 253_402_300_799, 253_402_300_800]
    assert folders(pa.array(seconds, pa.timestamp("s"))) == {
        "0000-01-01": [0],
        "9999-12-31": [2],
        "__HIVE_DEFAULT_PARTITION__": [1, 3],
    }


@given(st.lists(st.integers(-5, 5)))
def test_every_row_comes_out_once_and_in_order(days: list[int]) -> None:
    found = folders(pa.array(days, pa.date32()))
    assert found == {
        str(np.datetime64(day, "D")): [i for i, d in enumerate(days) if d == day]
        for day in sorted(set(days))
    }


@pytest.mark.parametrize(
    ("schema", "error", "message"),
    [
        (pa.schema([("t", pa.string())]), TimeColumnError, "holds no time"),
        (pa.schema([("t", pa.int64())]), TimeColumnError, "unknown unit"),
        (
            pa.schema([("t", pa.date32()), ("t_day", pa.string())]),
            SinkError,
            "column 't_day' already",
        ),
    ],
)
def test_a_column_that_gives_no_day_is_refused(schema: pa.Schema, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        DaySplitter(by_day("t"), schema)


def test_an_unknown_partitioning_is_refused() -> None:
    with pytest.raises(PlanError, match=r"(?s)partition_by='month' is unknown.*'day', by_day"):
        to_parquet("x", partition_by="month")  # type: ignore[arg-type]


def test_the_sink_says_what_it_files_by() -> None:
    sink = to_parquet("x", partition_by=by_day("departed"))
    assert sink.describe() == "Parquet folder x by UTC day of departed"
