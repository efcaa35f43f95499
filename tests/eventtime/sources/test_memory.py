"""Arrow in memory, Arrow IPC, unions, and reading ahead."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.errors import ColumnError, PlanError, SchemaError, SourceError
from eventtime.sources import MalformedRows, Poll, UnionSource, by_column
from eventtime.sources.ahead import AheadReader
from eventtime.sources.base import MALFORMED_SCHEMA
from eventtime.sources.marks import BEGIN, Place
from eventtime.sources.positions import RowPositions
from eventtime.sources.rebatch import rebatch
from sourcing import arrow_source, ipc_source

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from eventtime.sources.marks import Placed

TABLE = pa.table({"t": [1, 2, 3], "k": ["u", "v", None]})
ROWS = TABLE.to_pylist()


def batch(values: list[int]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"t": pa.array(values, pa.int64())})


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches()[0],
        TABLE.to_batches(max_chunksize=1),
        TABLE.to_reader(),
        pl.DataFrame(TABLE),
        duckdb.from_arrow(TABLE),
        [TABLE.to_batches()[0].slice(0, 2), TABLE.to_batches()[0].slice(2).select(["k", "t"])],
    ],
    ids=["table", "batch", "list", "reader", "polars", "duckdb", "reordered"],
)
def test_any_arrow_data_is_a_partition(data: Any, read_all: Any) -> None:
    source = arrow_source(data, time="t")
    assert source.schema().field("k").type == pa.string()
    assert read_all(source) == {"memory": ROWS}


def test_a_dict_names_partitions(read_all: Any) -> None:
    source = arrow_source({"b": TABLE, "a": pl.DataFrame(TABLE)}, time="t")
    assert read_all(source, ["k"]) == {name: [{"k": r["k"]} for r in ROWS] for name in "ab"}
    assert source.total_rows() is None
    assert arrow_source({"b": TABLE, "a": TABLE}, time="t").total_rows() == 6
    assert source.describe() == "arrow in memory: 2 partition(s) (a, b), streamed, time=t"


def test_a_reader_is_read_once_and_a_frame_again(read_all: Any) -> None:
    once = arrow_source(TABLE.to_reader(), time="t")
    read_all(once)
    with pytest.raises(SourceError, match="RecordBatchReader, which can be read only once"):
        once.open(None, 10)
    again = arrow_source(pl.DataFrame(TABLE), time="t")
    assert read_all(again) == read_all(again)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (7, "partition 'memory' is a int, which is not Arrow data"),
        ([], "partition 'memory' is an empty list"),
        ([7], "item 0 of the list is a int"),
        ({}, "the dict of partitions is empty"),
        ([batch([1]), TABLE.to_batches()[0]], r"column 'k' \(string\) is in item 1"),
        ({"a": TABLE, "b": batch([1])}, r"column 'k' \(string\) is in partition 'a', but not in"),
    ],
)
def test_other_data_is_refused(data: Any, message: str) -> None:
    with pytest.raises((SourceError, SchemaError), match=message):
        arrow_source(data, time="t")


def test_unknown_columns_are_refused() -> None:
    with pytest.raises(ColumnError, match="there is no column 'x'"):
        arrow_source(TABLE, time="t").open(["x"], 10)


def test_in_memory_sources_are_equal_only_to_themselves() -> None:
    source = arrow_source(TABLE, time="t")
    assert source == source  # noqa: PLR0124
    assert source != arrow_source(TABLE, time="t")
    assert len({source, source}) == 1


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 20), st.sets(st.integers(0, 30)))
def test_rebatching_keeps_rows_places_and_the_bound(
    sizes: list[int], batch_rows: int, bad_after: set[int]
) -> None:
    bad = MalformedRows(pa.RecordBatch.from_pylist([{"line": 1}], schema=MALFORMED_SCHEMA))
    items: list[Placed] = []
    expected: list[int | None] = []
    for index, size in enumerate(sizes):
        values = list(range(index * 100, index * 100 + size))
        expected += values
        items.append((batch(values), Place(rows=len(expected))))
        if index in bad_after:
            items.append((bad, Place(rows=len(expected) + 1)))
            expected.append(None)
    found: list[int | None] = []
    for rows, place in rebatch(items, batch_rows):
        if isinstance(rows, MalformedRows):
            found.append(None)
        else:
            assert 0 < rows.num_rows <= batch_rows
            found += rows.column(0).to_pylist()
        assert place == Place(rows=len(found))
    assert found == expected


def test_large_batches_are_sliced_without_a_copy_and_small_ones_joined() -> None:
    large = batch(list(range(1000)))
    pieces: list[Any] = [rows for rows, _ in rebatch([(large, BEGIN)], 300)]
    assert [piece.num_rows for piece in pieces] == [300, 300, 300, 100]
    addresses = {piece.column(0).buffers()[1].address for piece in pieces}
    assert addresses == {large.column(0).buffers()[1].address}
    joined: list[Any] = [rows for rows, _ in rebatch([(batch([1, 2]), BEGIN)] * 100, 50)]
    assert [piece.num_rows for piece in joined] == [50] * 4


@pytest.mark.parametrize("partition_by", ["file", by_column("k")])
def test_ipc_files_and_streams_are_told_apart(
    tmp_path: Path, read_all: Any, partition_by: Any
) -> None:
    with pa.ipc.new_file(tmp_path / "a.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)
    with pa.ipc.new_stream(tmp_path / "b.arrows", TABLE.schema) as writer:
        writer.write_table(TABLE)
    source = ipc_source(tmp_path, time="t", partition_by=partition_by)
    found = read_all(source, ["t"])
    expected = [{"t": 1}, {"t": 2}, {"t": 3}]
    assert sorted((row for rows in found.values() for row in rows), key=str) == sorted(
        expected * 2, key=str
    )
    assert list(found) == (
        ["a.arrow", "b.arrows"] if partition_by == "file" else ["k is null", "k=u", "k=v"]
    )
    assert source.total_rows() is None
    assert ipc_source(tmp_path / "a.arrow", time="t").total_rows() == 3


def test_broken_ipc_files_are_told_apart(tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "a.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE)
    content = (tmp_path / "a.arrow").read_bytes()
    for broken, message in (
        (b"", r"the file is empty"),
        (content[:-20], "the Arrow IPC file is cut short"),
        (b"t,x\n1,2\n" * 9, "neither an Arrow IPC file nor an Arrow IPC stream"),
        (content[:-10] + b"\xff\xff\xff\x7f" + content[-6:], "the file cannot be read"),
    ):
        (tmp_path / "b.arrow").write_bytes(broken)
        with pytest.raises(SourceError, match=message) as caught:
            ipc_source(tmp_path / "b.arrow", time="t").schema()
        assert caught.value.place == str(tmp_path / "b.arrow")


def test_an_ipc_stream_cut_in_a_batch_is_an_error(tmp_path: Path, read_all: Any) -> None:
    path = tmp_path / "b.arrows"
    with pa.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write_table(TABLE)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(SourceError, match="the file cannot be read"):
        read_all(ipc_source(path, time="t"))


def test_a_union_keeps_partitions_and_tells_names_apart(read_all: Any) -> None:
    other = TABLE.select(["k", "t"])
    union = UnionSource.of(
        arrow_source({"a": TABLE, "b": TABLE}, time="t"), arrow_source({"b": other}, time="t")
    )
    assert read_all(union) == {"1:b": ROWS, "2:b": ROWS, "a": ROWS}
    assert union.total_rows() == 9
    assert (union.time, union.time_unit) == ("t", None)
    assert union.describe().startswith("union of arrow in memory: 2 partition(s)")
    nested = UnionSource.of(union, arrow_source({"c": TABLE}, time="t"))
    assert len(nested.sources) == 3


def test_a_union_of_other_columns_shows_the_difference() -> None:
    union = UnionSource.of(arrow_source(TABLE, time="t"), arrow_source(batch([1]), time="t"))
    with pytest.raises(SchemaError, match=r"column 'k' \(string\) is in source 1 .* source 2"):
        union.schema()
    with pytest.raises(PlanError, match=r"the sources differ in time: 't' .* and 'k'"):
        UnionSource.of(arrow_source(TABLE, time="t"), arrow_source(TABLE, time="k"))
    with pytest.raises(PlanError, match="a union needs a source"):
        UnionSource.of()


def test_a_union_that_cannot_open_closes_what_it_opened() -> None:
    stream = arrow_source(TABLE.to_reader(), time="t")
    stream.open(None, 10)
    union = UnionSource.of(arrow_source(TABLE, time="t"), stream)
    with pytest.raises(SourceError, match="only once"):
        union.open(None, 10)


def test_no_more_is_decoded_ahead_than_allowed() -> None:
    made: list[int] = []
    enough = threading.Event()

    def scan(begin: Place) -> Generator[Placed, None, None]:
        for number in range(100):
            made.append(number)
            if number == 2:
                enough.set()
            yield batch([number]), begin

    reader = AheadReader("p", scan, RowPositions("p", None), ahead=2)
    assert made == []
    assert isinstance(reader.read(), pa.RecordBatch)
    assert enough.wait(10)
    assert len(made) == 3
    values = []
    while not isinstance(item := reader.read(), MalformedRows | Poll):
        values += item.column(0).to_pylist()
        assert len(made) <= len(values) + 1 + 3
    assert values == list(range(1, 100))
    reader.close()


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_comes_at_its_place_and_never_becomes_an_end(
    ahead: int, error: type[BaseException]
) -> None:
    def scan(begin: Place) -> Generator[Placed, None, None]:
        yield batch([1]), begin
        yield batch([2]), begin
        raise error

    reader = AheadReader("p", scan, RowPositions("p", None), ahead=ahead)
    assert [reader.read() is not Poll.END for _ in range(2)] == [True, True]
    for _ in range(2):
        with pytest.raises(error):
            reader.read()
    reader.close()


def test_close_does_not_wait_for_slow_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    from eventtime.sources import ahead

    monkeypatch.setattr(ahead, "CLOSE_WAIT_S", 0.01)
    release, ended = threading.Event(), threading.Event()
    inside = threading.Event()

    def scan(begin: Place) -> Generator[Placed, None, None]:
        try:
            yield batch([1]), begin
            inside.set()
            release.wait(10)
            yield batch([2]), begin
        finally:
            ended.set()

    reader = AheadReader("p", scan, RowPositions("p", None), ahead=1)
    reader.read()
    assert inside.wait(10)
    reader.close()
    assert not ended.is_set()
    release.set()
    assert ended.wait(10)
