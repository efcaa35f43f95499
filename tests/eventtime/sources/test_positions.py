"""Positions: a source opened where an earlier reader stopped delivers what that would have."""

from __future__ import annotations

import gzip
import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from eventtime.sources import (
    MalformedRows,
    Poll,
    by_column,
    position_of,
)
from sourcing import csv_source, ipc_source, json_lines_source, parquet_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eventtime.sources import PartitionReader, Source

Told = dict[str, list[Any]]


def told(item: pa.RecordBatch | MalformedRows) -> list[Any]:
    """Rows one by one; malformed ones with line, text and error."""
    rows = item.rows if isinstance(item, MalformedRows) else item
    return list(rows.to_pylist())


def rest_of(reader: PartitionReader) -> list[Any]:
    """Every row that is still to come."""
    rows: list[Any] = []
    while (item := reader.read()) is not Poll.END:
        assert not isinstance(item, Poll)
        rows += told(item)
    return rows


def read_all(source: Source, batch_rows: int, positions: Any = None) -> Told:
    """Read every partition to its end."""
    opened = source.open(None, batch_rows, positions)
    try:
        return {reader.name: rest_of(reader) for reader in opened}
    finally:
        for reader in opened:
            reader.close()


def stop_after(source: Source, batch_rows: int, reads: Sequence[int]) -> tuple[Told, Any]:
    """Ask each partition some times in turn; returns its rows so far and the positions as JSON."""
    readers = source.open(None, batch_rows)
    rows: Told = {reader.name: [] for reader in readers}
    for number, reader in enumerate(readers):
        for _ in range(reads[number % len(reads)]):
            item = reader.read()
            if not isinstance(item, Poll):
                rows[reader.name] += told(item)
    positions = {reader.name: position_of(reader) for reader in readers}
    for reader in readers:
        reader.close()
    return rows, json.dumps(positions)


# Files of every format, with lines that do not parse where that is possible

KEYS = ("a", "b", None, 'with "quotes"')


def table(first: int, n: int) -> pa.Table:
    return pa.table(
        {
            "t": pa.array(range(first, first + n), pa.int64()),
            "k": pa.array([KEYS[(first + i) // 3 % len(KEYS)] for i in range(n)], pa.string()),
        }
    )


def as_csv(rows: pa.Table, bad: set[int]) -> bytes:
    lines = ["k,t"]
    for i, row in enumerate(rows.to_pylist()):
        key = "" if row["k"] is None else '"' + row["k"].replace('"', '""') + '"'
        lines.append("zz,1,2,3" if i in bad else f"{key},{row['t']}")
    return ("\n".join(lines) + "\n").encode()


def as_json(rows: pa.Table, bad: set[int]) -> bytes:
    lines = [json.dumps(row) for row in rows.to_pylist()]
    text = "".join(f"{'{' if i in bad else line}\n" for i, line in enumerate(lines))
    return text.encode() or b"\n"


def write(path: Path, kind: str, rows: pa.Table, cut: int, bad: set[int]) -> None:
    if kind == "parquet":
        pq.write_table(rows, path, row_group_size=cut)
    elif kind in {"arrow", "arrows"}:
        maker = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with maker(path, rows.schema) as out:
            out.write_table(rows, max_chunksize=cut)
    else:
        data = (as_csv if kind.startswith("csv") else as_json)(rows, bad)
        if kind.endswith(".gz"):
            data = gzip.compress(data)
        elif kind.endswith(".zst"):
            data = pa.compress(data, codec="zstd", asbytes=True)
        path.write_bytes(b"\xef\xbb\xbf" * (kind == "csv") + data)


TYPES = pa.schema({"t": pa.int64(), "k": pa.string()})
KINDS = ("parquet", "arrow", "arrows", "csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz")
SOURCES: dict[str, Callable[..., Any]] = {
    "parquet": parquet_source,
    "arrow": ipc_source,
    "arrows": ipc_source,
    "csv": csv_source,
    "jsonl": json_lines_source,
}


def files_of(folder: Path, kind: str, partition_by: Any) -> Any:
    text = kind.split(".", maxsplit=1)[0] in {"csv", "jsonl"}
    how = {"on_malformed": "quarantine", "schema": TYPES} if text else {}
    return SOURCES[kind.split(".", maxsplit=1)[0]](
        f"{folder}/**/*.{kind}", time="t", time_unit="s", partition_by=partition_by, **how
    )


partitionings = st.sampled_from(["file", "folder", by_column("k")])


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    partition_by=partitionings,
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    cut=st.integers(1, 40),
    bad=st.sets(st.integers(0, 59), max_size=8),
    batches=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    blocks=st.tuples(st.integers(5, 400), st.integers(5, 400)),
    reads=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    many=st.booleans(),
)
def test_what_follows_a_position_is_what_the_first_reader_would_have_read_next(
    kind: str,
    partition_by: Any,
    sizes: list[int],
    cut: int,
    bad: set[int],
    batches: tuple[int, int],
    blocks: tuple[int, int],
    reads: list[int],
    *,
    many: bool,
) -> None:
    """S27, S28: any format, files, batches, blocks of text and place to stop; through JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i, n in enumerate(sizes):
            inside = folder / f"part={i % 2}"
            inside.mkdir(exist_ok=True)
            write(inside / f"{i}.{kind}", kind, table(i * 100, n), cut, bad)
        with mock.patch("eventtime.sources.filesource.MANY_PARTITIONS", 0 if many else 32):
            with blocks_of(blocks[0]):
                whole = read_all(files_of(folder, kind, partition_by), batches[0])
                before, held = stop_after(files_of(folder, kind, partition_by), batches[0], reads)
            with blocks_of(blocks[1]):
                again = files_of(folder, kind, partition_by)
                readers = again.open(None, batches[1], json.loads(held))
                assert {reader.name: reader.position for reader in readers} == json.loads(held)
                after = {reader.name: rest_of(reader) for reader in readers}
                ended = {reader.name: reader.position for reader in readers}
                for reader in readers:
                    reader.close()
            assert {name: before[name] + after[name] for name in whole} == whole
            nothing = read_all(files_of(folder, kind, partition_by), 7, ended)
            assert nothing == {name: [] for name in whole}


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    """Cut text in blocks of so many bytes, and skip as many at once."""
    with (
        mock.patch("eventtime.sources.csvfile.block_bytes", return_value=size),
        mock.patch("eventtime.sources.jsonlines.block_bytes", return_value=size),
        mock.patch("eventtime.sources.datafile.SKIP_BYTES", size),
    ):
        yield
