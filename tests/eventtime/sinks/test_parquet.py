"""Parquet: large row groups from small batches, types kept."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventtime.errors import PlanError, SinkError
from eventtime.sinks.parquet import ParquetFormat, to_parquet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_unit_and_zone_of_a_timestamp_are_kept(unit: str, zone: str | None, tmp_path: Path) -> None:
    rows = pa.record_batch({"t": pa.array([-1, None, 2**40], pa.timestamp(unit, zone))})
    writer = to_parquet(tmp_path / "x.parquet").open(rows.schema)
    writer.write(rows)
    writer.commit()
    assert pq.read_table(tmp_path / "x.parquet").equals(pa.Table.from_batches([rows]))


def test_small_batches_make_large_row_groups_and_keep_no_more_than_one(tmp_path: Path) -> None:
    sink = dataclasses.replace(
        to_parquet(tmp_path / "x.parquet"), format=ParquetFormat(rows_max=1_000)
    )
    writer = sink.open(pa.schema([("n", pa.int64())]))
    for start in range(0, 2_500, 7):
        writer.write(pa.record_batch({"n": range(start, min(start + 7, 2_500))}))
    writer.commit()
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [
        1_000,
        1_000,
        500,
    ]
    assert pq.read_table(tmp_path / "x.parquet")["n"].to_pylist() == list(range(2_500))


@pytest.mark.parametrize("rows_max", [100, 1_000])
def test_more_values_than_the_index_can_number_are_an_error_with_the_remedy(
    rows_max: int, tmp_path: Path
) -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    sink = dataclasses.replace(to_parquet(tmp_path / "x"), format=ParquetFormat(rows_max=rows_max))
    values = pa.array([f"v{i}" for i in range(200)])
    halves = [values.slice(start, 100).dictionary_encode().cast(kind) for start in (0, 100)]
    writer = sink.open(pa.schema([("k", kind)]))
    writer.write(pa.record_batch({"k": halves[0]}))

    def rest() -> None:
        writer.write(pa.record_batch({"k": halves[1]}))
        writer.commit()

    with pytest.raises(SinkError, match=r"(?s)column 'k' has 200 values.*int32 indices"):
        rest()
    assert list(tmp_path.iterdir()) == []


def test_dictionaries_that_differ_are_merged(tmp_path: Path) -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    writer = to_parquet(tmp_path / "x.parquet").open(pa.schema([("k", kind)]))
    for values in (["b", "a"], ["a", None, "c"]):
        writer.write(pa.record_batch({"k": pa.array(values).dictionary_encode().cast(kind)}))
    writer.commit()
    back = pq.read_table(tmp_path / "x.parquet")
    assert back.schema.field("k").type == kind
    assert back["k"].to_pylist() == ["b", "a", "a", None, "c"]


@pytest.mark.parametrize("compression", ["zstd", "snappy", "gzip", "lz4", "brotli", "none"])
def test_each_compression_is_written(compression: str, tmp_path: Path) -> None:
    to_parquet(tmp_path / "x.parquet", compression=compression).open(
        pa.schema([("n", pa.int64())])
    ).commit()
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 0


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(
        PlanError, match=r"(?s)compression='zip' is unknown to Parquet.*zstd, snappy"
    ):
        to_parquet("x.parquet", compression="zip")
