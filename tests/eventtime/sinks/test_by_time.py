"""Rows are filed under the UTC hour, day or month of a column of any time type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.errors import PlanError, SinkError, TimeColumnError
from eventtime.sinks.by_time import TimeSplitter, by_day, by_hour, by_month
from eventtime.sinks.parquet import to_parquet

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def folders(array: pa.Array, time_unit: str | None = None) -> dict[str, list[int]]:
    rows = pa.record_batch({"t": array, "n": range(len(array))})
    split = TimeSplitter(by_day("t", time_unit=time_unit), rows.schema).split(rows)
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


@pytest.mark.parametrize(
    ("by", "length"),
    [(by_hour, len("2013-01-01T05")), (by_day, len("2013-01-01")), (by_month, len("2013-01"))],
)
@given(st.lists(st.datetimes(), max_size=6))
def test_a_row_is_filed_under_the_beginning_of_its_time(
    by: Any, length: int, times: list[datetime]
) -> None:
    rows = pa.record_batch({"t": pa.array(times, pa.timestamp("us"))})
    split = TimeSplitter(by("t"), rows.schema).split(rows)
    for folder, piece in split:
        stamps = [time.isoformat()[:length] for time in piece["t"].to_pylist()]
        names = {f"{by('t').folder}={stamp}" for stamp in stamps}
        assert names == {folder}


@pytest.mark.parametrize("every", ["hour", "day", "month"])
def test_each_epoch_goes_to_the_folders_of_its_times(tmp_path: Path, every: Any) -> None:
    """S28: through the commit of epochs, a checkpoint after each step."""
    seconds = [30 * DAY + n * 3_600 for n in range(30)]
    source = et.from_arrow(pa.table({"t": pa.array(seconds, pa.timestamp("s"))}), time="t")
    hourly = source.watermark(et.ascending()).window(et.tumbling("1h")).aggregate(n=et.count())
    sink = et.to_parquet(tmp_path / "out", partition_by=every)
    with patch("eventtime.replay.CHUNK_ROWS", 16):
        hourly.run(sink, checkpoint=et.checkpoints(tmp_path / "state", every=None, every_rows=1))
    files = sorted((tmp_path / "out").glob(f"window_{every}=*/part-*.parquet"))
    assert len({file.parent for file in files}) == {"hour": 30, "day": 2, "month": 2}[every]
    found = pa.concat_tables(pq.ParquetFile(file).read() for file in files)
    assert found.sort_by("window_start").to_pylist() == hourly.run().table().to_pylist()


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


def test_integers_without_a_unit_are_refused_with_the_place_to_say_it() -> None:
    """Of a sink, not of the stream: that has said its unit, and these are its windows."""
    with pytest.raises(TimeColumnError, match="unknown unit") as caught:
        TimeSplitter(et.by_hour(), pa.schema([("window_start", pa.int64())]))
    assert caught.value.place == "partition_by"
    assert "et.by_hour('window_start', time_unit='ms')" in caught.value.remedy


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
        TimeSplitter(by_day("t"), schema)


def test_an_unknown_partitioning_is_refused() -> None:
    with pytest.raises(PlanError, match=r"(?s)partition_by='week' is unknown.*'day' or 'month'"):
        to_parquet("x", partition_by="week")  # type: ignore[arg-type]


def test_the_sink_says_what_it_files_by() -> None:
    sink = to_parquet("x", partition_by=by_day("departed"))
    assert sink.describe() == "Parquet folder x by UTC day of departed"
