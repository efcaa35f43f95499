"""Parquet: any cut gives the same rows; broken files are named; nothing stays open."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from eventtime.errors import SchemaError, SourceError
from eventtime.sources import Poll, by_column
from sourcing import parquet_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.sources import PartitionReader

HANDLES = Path("/dev/fd")


def table(rows: int, first: int = 0) -> pa.Table:
    """Rows that can be told apart, with nulls and strings."""
    numbers = np.arange(first, first + rows)
    return pa.table(
        {
            "t": pa.array(numbers, pa.timestamp("us", "UTC")),
            "k": pa.array([None if n % 5 == 0 else f"K{n % 3}" for n in numbers], pa.string()),
            "v": numbers / 2,
            "unused": numbers,
        }
    )


def times(source: Any, batch_rows: int, columns: list[str] | None = None) -> dict[str, list[int]]:
    found = {}
    for reader in source.open(columns, batch_rows):
        rows: list[int] = []
        while (batch := reader.read()) is not Poll.END:
            assert 0 < batch.num_rows <= batch_rows
            rows += batch.column("t").cast(pa.int64()).to_pylist()
        found[reader.name] = rows
        reader.close()
    return found


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 300),
    group=st.integers(1, 120),
    batch=st.integers(1, 400),
    files=st.integers(1, 4),
    partition_by=st.sampled_from(["file", "folder"]),
)
def test_any_row_group_and_batch_size_gives_the_same_rows(
    rows: int, group: int, batch: int, files: int, partition_by: Any
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(files):
            path = Path(folder) / f"f{number}.parquet"
            pq.write_table(table(rows, number * 1000), path, row_group_size=group)
        source = parquet_source(folder, time="t", partition_by=partition_by)
        found = times(source, batch)
        assert source.total_rows() == rows * files
    expected = [number * 1000 + row for number in range(files) for row in range(rows)]
    assert [row for part in found.values() for row in part] == expected
    assert len(found) == (files if partition_by == "file" else 1)


@settings(max_examples=25, deadline=None)
@given(group=st.integers(1, 60), batch=st.integers(1, 100), ordered=st.booleans())
def test_partitions_by_value_hold_every_row_once(group: int, batch: int, *, ordered: bool) -> None:
    whole = table(150)
    whole = whole.sort_by("k") if ordered else whole
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(whole, Path(folder) / "f.parquet", row_group_size=group)
        found = times(parquet_source(folder, time="t", partition_by=by_column("k")), batch, ["t"])
    assert list(found) == ["k is null", "k=K0", "k=K1", "k=K2"]
    keys = dict(zip(whole["t"].cast("int64").to_pylist(), whole["k"].to_pylist(), strict=True))
    order = list(keys)
    for name, rows in found.items():
        wanted = None if name == "k is null" else name.removeprefix("k=")
        assert rows == [row for row in order if keys[row] == wanted]


def test_row_groups_without_the_value_are_not_read(tmp_path: Path) -> None:
    from eventtime.sources.format import Only
    from eventtime.sources.parquet import _groups_with

    pq.write_table(table(90).sort_by("k"), tmp_path / "f.parquet", row_group_size=10)
    metadata = pq.read_metadata(tmp_path / "f.parquet")
    assert _groups_with(metadata, Only("k", pa.scalar("K0"))) == [0, 1, 2]
    assert _groups_with(metadata, Only("k", pa.scalar(None, pa.string()))) == [7, 8]
    assert _groups_with(metadata, Only("t", pa.scalar("x"))) == list(range(9))
    assert _groups_with(metadata, Only("other", pa.scalar("x"))) == list(range(9))


def test_columns_in_another_order_are_the_same_schema(tmp_path: Path, read_all: Any) -> None:
    pq.write_table(pa.table({"t": [1], "x": [2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [4], "t": [3]}), tmp_path / "b.parquet")
    found = read_all(parquet_source(tmp_path, time="t"))
    assert found == {"a.parquet": [{"t": 1, "x": 2}], "b.parquet": [{"t": 3, "x": 4}]}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"t": [1], "x": ["s"]},
            r"column 'x' is int64 in .*a\.parquet, but string in .*b\.parquet",
        ),
        ({"t": [1]}, r"column 'x' \(int64\) is in .*a\.parquet, but not in .*b\.parquet"),
        ({"t": [1], "x": [1], "y": [1]}, r"column 'y' \(int64\) is in .*b\.parquet, but not in"),
    ],
)
def test_a_schema_that_differs_shows_column_and_files(
    tmp_path: Path, other: dict[str, list[Any]], message: str
) -> None:
    pq.write_table(pa.table({"t": [1], "x": [2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table(other), tmp_path / "b.parquet")
    with pytest.raises(SchemaError, match=message):
        parquet_source(tmp_path, time="t").schema()


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["t", "t"])
    pq.write_table(twice, tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match="2 columns are named 't'"):
        parquet_source(tmp_path, time="t").schema()


def test_broken_files_are_told_apart(tmp_path: Path) -> None:
    pq.write_table(table(1000), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    cases = {
        "empty": (b"", r"the file is empty \(0 bytes\)"),
        "cut": (content[:-100], r"the parquet file is cut short: its [\d,]+ bytes end with"),
        "other": (b"t,x\n1,2\n" * 9, r"this is not a parquet file: it begins with b't,x\\n'"),
        "footer": (content[:-8] + b"\xff\xff\xff\x7fPAR1", "the file cannot be read: "),
    }
    for name, (broken, message) in cases.items():
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(broken)
        with pytest.raises(SourceError, match=message) as caught:
            parquet_source(path, time="t").schema()
        assert caught.value.place == str(path)
        assert caught.value.remedy


def test_a_damaged_page_is_an_error_and_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(table(20_000), path, row_group_size=10_000, use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(1).column(0)
    content = bytearray(path.read_bytes())
    start = chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    (reader,) = parquet_source(path, time="t").open(["t"], 4096)
    first = read_to_the_error(reader)
    assert first.startswith("the file cannot be read: ")
    assert "f.parquet, after row " in first
    assert read_to_the_error(reader) == first
    reader.close()


def read_to_the_error(reader: PartitionReader) -> str:
    """Read on until it fails; what it says."""
    try:
        while reader.read() is not Poll.END:
            pass
    except SourceError as error:
        return str(error)
    return "no error"


def test_a_file_that_goes_away_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(table(10), path)
    source = parquet_source(path, time="t")
    source.schema()
    path.unlink()
    with pytest.raises(SourceError, match="there is no such file any more"):
        source.open(None, 10)[0].read()


@pytest.mark.parametrize("dropped", [False, True])
def test_a_reader_left_in_the_middle_leaves_nothing(
    tmp_path: Path, decode_threads: Callable[[], int], *, dropped: bool
) -> None:
    for number in range(8):
        pq.write_table(table(50_000), tmp_path / f"f{number}.parquet")
    source = parquet_source(tmp_path, time="t")
    source.schema()
    gc.collect()
    before = len(os.listdir(HANDLES))
    readers = source.open(["t", "v"], 1000)
    reader = readers[0]
    for reader in readers:
        for _ in range(3):
            assert isinstance(reader.read(), pa.RecordBatch)
    assert decode_threads() <= 2
    if not dropped:
        for reader in readers:
            reader.close()
        with pytest.raises(SourceError, match=r"partition 'f0\.parquet' is closed"):
            readers[0].read()
    del reader, readers
    wait_until(lambda: decode_threads() == 0)
    wait_until(lambda: len(os.listdir(HANDLES)) <= before)


def wait_until(holds: Callable[[], bool]) -> None:
    """Threads that were told to go need a moment; a condition that never comes fails."""
    import threading

    pause = threading.Event()
    for _ in range(500):
        if holds():
            return
        pause.wait(0.01)
    assert holds()


def test_many_partitions_hold_no_file_before_their_turn(tmp_path: Path) -> None:
    for number in range(60):
        pq.write_table(table(20_000, number), tmp_path / f"f{number:02}.parquet")
    source = parquet_source(tmp_path, time="t")
    source.schema()
    before = len(os.listdir(HANDLES))
    readers = source.open(["t"], 5000)
    assert all(isinstance(reader.read(), pa.RecordBatch) for reader in readers)
    assert len(os.listdir(HANDLES)) <= before + 3
    for reader in readers:
        reader.close()
    found = times(source, 5000, ["t"])
    for number, rows in enumerate(found.values()):
        assert rows == list(range(number, number + 20_000))


def test_memory_does_not_grow_with_the_row_group(tmp_path: Path) -> None:
    rows = 2_000_000
    pq.write_table(
        pa.table({"t": np.random.default_rng(1).integers(0, 1 << 62, rows)}),
        tmp_path / "f.parquet",
        row_group_size=rows,
    )
    (reader,) = parquet_source(tmp_path, time="t").open(["t"], 16_384)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    held = 0
    while reader.read() is not Poll.END:
        held = max(held, pool.bytes_allocated() - before)
    reader.close()
    assert held < 8_000_000 < rows * 8


@pytest.mark.parametrize(("cores", "decoders"), [(1, 1), (2, 2), (3, 2), (64, 2)])
def test_there_are_two_decoders_at_the_most_and_no_more_than_cores(
    tmp_path: Path, decode_threads: Callable[[], int], cores: int, decoders: int
) -> None:
    for number in range(8):
        pq.write_table(table(5_000), tmp_path / f"f{number}.parquet")
    gc.collect()
    wait_until(lambda: decode_threads() == 0)
    before = pa.cpu_count()
    pa.set_cpu_count(cores)
    try:
        readers = parquet_source(tmp_path, time="t").open(None, 1000)
        polls = [reader.read() for reader in readers]
        assert len(polls) == 8
        assert decode_threads() == decoders
        for reader in readers:
            reader.close()
    finally:
        pa.set_cpu_count(before)
