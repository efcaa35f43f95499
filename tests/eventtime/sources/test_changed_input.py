"""Positions of input that is not there any more, has changed, grown or never had positions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from eventtime.errors import MalformedRowError, SourceError
from eventtime.sources import Poll, by_column
from eventtime.sources.datafile import DataFile
from sourcing import csv_source, ipc_source, parquet_source, positions_after, times_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventtime.sources import PartitionReader

    Write = Callable[[Path, int, int], None]


def write_csv(path: Path, first: int, n: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("t,x\n" + "".join(f"{i:07},{i % 3}\n" for i in range(first, first + n)))


def write_parquet(path: Path, first: int, n: int) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = pa.table({"t": pa.array(range(first, first + n))})
    pq.write_table(rows, path, row_group_size=100, compression="none", use_dictionary=False)


def write_ipc(path: Path, first: int, n: int) -> None:
    rows = pa.table({"t": pa.array(range(first, first + n))})
    with pa.ipc.new_file(path, rows.schema) as out:
        out.write_table(rows, max_chunksize=100)


def folder_source(root: Path) -> Any:
    return csv_source(root, time="t", time_unit="s", partition_by="folder")


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A partition of three files of 30 rows, in tmp_path/p."""
    for i in range(3):
        write_csv(tmp_path / "p" / f"{i}.csv", 100 * i, 30)
    return tmp_path / "p"


# What changed is shown


def moved_up(folder: Path) -> None:
    write_csv(folder / "00.csv", 500, 30)


def swapped(folder: Path) -> None:
    (folder / "0.csv").rename(folder / "0a.csv")


def replaced(folder: Path) -> None:
    write_csv(folder / "0.csv", 500, 31)


def grown(folder: Path) -> None:
    write_csv(folder / "1.csv", 100, 31)


def truncated(folder: Path) -> None:
    write_csv(folder / "1.csv", 100, 20)


def gone(folder: Path) -> None:
    (folder / "1.csv").unlink()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (gone, "file '1.csv' of 304 bytes, which was being read, is gone"),
        (truncated, "file '1.csv' had 304 bytes and now has 204"),
        (grown, "file '1.csv' had 304 bytes and now has 314"),
        (moved_up, "1 file(s) came before '1.csv', which was being read, and now there are 2"),
        (replaced, "1 file(s) of 304 bytes had been read, which are now 1 file(s) of 314 bytes"),
        (swapped, "which are now 1 file(s) of 304 bytes under other names or of other sizes"),
    ],
)
def test_files_that_are_not_those_of_the_position_are_refused_with_the_difference(
    three: Path, change: Callable[[Path], None], difference: str
) -> None:
    held = positions_after(folder_source(three), 4)
    assert held["p"]["file"] == "1.csv"
    change(three)
    with pytest.raises(SourceError) as caught:
        folder_source(three).open(None, 10, held)
    assert difference in caught.value.what
    assert caught.value.place == "partition 'p'"
    assert "start anew without the checkpoint" in caught.value.remedy


def test_files_behind_the_position_may_come(three: Path) -> None:
    held = positions_after(folder_source(three), 4)
    write_csv(three / "3.csv", 300, 5)
    (reader,) = folder_source(three).open(None, 7, held)
    assert times_of(reader) == [*range(110, 130), *range(200, 230), *range(300, 305)]


def test_a_file_that_comes_after_the_end_is_refused_and_never_left_out_in_silence(
    three: Path,
) -> None:
    held = positions_after(folder_source(three), 100)
    write_csv(three / "3.csv", 300, 5)
    with pytest.raises(SourceError, match=r"now there is also .*3\.csv"):
        folder_source(three).open(None, 7, held)


def test_a_folder_may_move_as_a_whole(three: Path, tmp_path: Path) -> None:
    held = positions_after(folder_source(three), 4)
    other = tmp_path / "elsewhere"
    other.mkdir()
    three.rename(other / "p")
    (reader,) = folder_source(other / "p").open(None, 7, held)
    assert times_of(reader) == [*range(110, 130), *range(200, 230)]
    globbed = positions_after(folder_source(other / "*" / "*.csv"), 4)
    assert globbed["p"]["file"] == "p/1.csv"
    (by_glob,) = folder_source(other / "p*").open(None, 7, globbed)
    assert times_of(by_glob) == [*range(110, 130), *range(200, 230)]


def test_files_of_the_same_name_in_two_given_folders_are_told_apart(tmp_path: Path) -> None:
    for i, folder in enumerate("ab"):
        write_csv(tmp_path / folder / "x.csv", 100 * i, 30)
    paths = [tmp_path / "a", tmp_path / "b"]
    source = csv_source(paths, time="t", time_unit="s", partition_by=by_column("x"))
    held = positions_after(source, 3, 6)
    assert [position["behind"][0] for position in held.values()] == [1, 1, 1]
    zero, *_ = source.open(None, 10, held)
    assert times_of(zero) == [120, 123, 126, 129]


def test_a_partition_that_is_gone_is_refused_and_a_new_one_is_read(three: Path) -> None:
    source = csv_source(three, time="t", time_unit="s")
    held = positions_after(source, 1)
    write_csv(three / "3.csv", 300, 5)
    readers = csv_source(three, time="t", time_unit="s").open(None, 10, held)
    assert [len(times_of(reader)) for reader in readers] == [20, 20, 20, 5]
    (three / "1.csv").rename(three / "9.csv")
    with pytest.raises(SourceError, match=r"partition '1\.csv' was read before .* and is gone"):
        csv_source(three, time="t", time_unit="s").open(None, 10, held)


@pytest.mark.parametrize(
    ("write", "make", "unit"),
    [(write_parquet, parquet_source, "rows"), (write_ipc, ipc_source, "batches")],
)
def test_a_file_of_the_same_size_with_other_rows_is_refused_when_it_is_read(
    tmp_path: Path, write: Write, make: Any, unit: str
) -> None:
    path = tmp_path / "a.x"
    write(path, 0, 1000)
    held = positions_after(make(path, time="t", time_unit="s"), 3, 100)
    write(path, 0, 2000)
    held["a.x"] |= {"size": path.stat().st_size, "sample": None}
    (reader,) = make(path, time="t", time_unit="s").open(None, 100, held)
    with pytest.raises(SourceError, match=rf"it had [0-9,]+ {unit}, and now has [0-9,]+"):
        reader.read()


def test_text_of_the_same_size_with_less_rows_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", 0, 40)
    held = positions_after(csv_source(tmp_path, time="t", time_unit="s"), 4)
    held["a.csv"]["sample"] = None
    size = (tmp_path / "a.csv").stat().st_size
    (tmp_path / "a.csv").write_text("t,x\n1,2\n" + "\n" * (size - 8))
    (reader,) = csv_source(tmp_path, time="t", time_unit="s").open(None, 10, held)
    with pytest.raises(SourceError, match=r"39 row\(s\) read before the checkpoint are not there"):
        reader.read()


@pytest.mark.parametrize(
    ("write", "make"),
    [(write_csv, csv_source), (write_parquet, parquet_source), (write_ipc, ipc_source)],
)
@pytest.mark.parametrize("reads", [3, 200])
def test_a_file_of_the_same_size_with_other_values_is_refused(
    tmp_path: Path, write: Write, make: Any, reads: int
) -> None:
    """Also with the time of modification of before, and if it was read to its end."""
    path = tmp_path / "a.x"
    write(path, 100, 9_000)
    before = path.stat()
    source = make(path, time="t", time_unit="s")
    held, begun = positions_after(source, reads, 100), positions_after(source, 0)
    write(path, 200, 9_000)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    with pytest.raises(SourceError, match=r"'a\.x' still has [0-9,]+ bytes, but other ones"):
        make(path, time="t", time_unit="s").open(None, 100, held)
    # Of what was not begun any contents will do.
    (reader,) = make(path, time="t", time_unit="s").open(None, 100, begun)
    assert times_of(reader) == list(range(200, 9_200))


def test_a_sample_is_taken_once_and_only_for_positions(
    three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = DataFile.open

    def counted(file: DataFile) -> pa.NativeFile:
        opened.append(file.name)
        return real(file)

    monkeypatch.setattr(DataFile, "open", counted)
    source = folder_source(three)
    (reader,) = source.open(None, 5)
    reader.read()
    without = opened.count("0.csv")
    for _ in range(3):
        _ = reader.position
        reader.read()
    assert opened.count("0.csv") == without + 1
    reader.close()


@pytest.mark.parametrize("wrong", [{}, {"rows": 3}, {"rows": "3", "total": 30, "ended": False}])
def test_what_is_no_position_in_files_is_refused(wrong: Any, three: Path) -> None:
    with pytest.raises(SourceError, match="is not where such a source has been read to"):
        folder_source(three).open(None, 5, {"p": wrong})


# What is not read


@pytest.mark.parametrize(
    ("write", "make"),
    [(write_csv, csv_source), (write_parquet, parquet_source), (write_ipc, ipc_source)],
)
def test_bytes_far_before_the_position_are_not_read(
    tmp_path: Path, write: Write, make: Any
) -> None:
    """They are overwritten, and what follows the position comes all the same."""
    path = tmp_path / "a.x"
    write(path, 0, 400_000)
    source = make(path, time="t", time_unit="s")
    reads = 0
    (reader,) = source.open(["t"], 1000)
    first: list[int] = []
    while len(first) < 390_000:
        first += reader.read().column("t").to_pylist()
        reads += 1
    held = {reader.name: {**reader.position, "sample": None}}
    reader.close()
    with path.open("r+b") as file:
        # Behind the first megabyte of text, which types are inferred from.
        file.seek(1 << 20)
        file.write(b"\xff" * (path.stat().st_size // 2))
    (again,) = make(path, time="t", time_unit="s").open(["t"], 700, held)
    assert times_of(again) == list(range(len(first), 400_000))


def test_a_partition_that_had_ended_ends_again_without_reading_a_row(three: Path) -> None:
    """S9."""
    source = folder_source(three)
    held = positions_after(source, 100)
    assert held["p"]["ended"]
    assert not positions_after(source, 9)["p"]["ended"]
    for i in range(3):
        damaged = "t,x\n" + "?" * ((three / f"{i}.csv").stat().st_size - 4)
        (three / f"{i}.csv").write_text(damaged)
    (reader,) = source.open(None, 10, held)
    assert reader.position == held["p"]
    assert [reader.read(), reader.read()] == [Poll.END, Poll.END]
    assert reader.position == held["p"]


# Malformed rows


def test_malformed_rows_come_once_when_a_new_value_sorts_before_the_others(
    tmp_path: Path,
) -> None:
    """S12. One partition of `by_column` delivers them, and goes on to do so."""
    how: dict[str, Any] = {"time": "t", "time_unit": "s", "on_malformed": "quarantine"}
    (tmp_path / "0.csv").write_text("t,k\n1,m\n2,m,?\n3,n\n")
    source = csv_source(tmp_path, partition_by=by_column("k"), **how)
    held = positions_after(source, 1)
    (tmp_path / "1.csv").write_text("t,k\n4,a\n5,n,?\n6,m\n")
    readers = csv_source(tmp_path, partition_by=by_column("k"), **how).open(None, 10, held)
    lines = {
        reader.name: [item.rows.column("raw").to_pylist() for item in rest(reader, malformed=True)]
        for reader in readers
    }
    assert lines == {"k=a": [], "k=m": [["2,m,?"], ["5,n,?"]], "k=n": []}


def rest(reader: PartitionReader, *, malformed: bool) -> list[Any]:
    items: list[Any] = []
    while (item := reader.read()) is not Poll.END:
        items.append(item)
    return [item for item in items if isinstance(item, pa.RecordBatch) is not malformed]


@pytest.mark.parametrize("reads", range(5))
def test_a_bad_row_after_the_position_is_told_by_its_line_in_the_file(
    tmp_path: Path, reads: int
) -> None:
    rows = [f'{i},"a\nb"' for i in range(12_000)]
    (tmp_path / "a.csv").write_text("t,x\n" + "\n".join(rows) + "\nbad,x\n")
    source = csv_source(
        tmp_path, time="t", schema=pa.schema({"t": pa.int64()}), newlines_in_values=True
    )
    held = positions_after(source, reads, 3000)
    (reader,) = source.open(None, 2000, held)
    with pytest.raises(MalformedRowError) as caught:
        times_of(reader)
    assert caught.value.place.endswith("a.csv, line 24002")


def test_files_on_another_file_system_go_on_from_a_byte_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "p" / "a.csv", 0, 30_000)
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    source = csv_source("p", time="t", time_unit="s", filesystem=store)
    held = positions_after(source, 2, 8000)["a.csv"]
    assert held["offset"] > 0
    (reader,) = source.open(None, 10, {"a.csv": held})
    # The header is line 1.
    assert times_of(reader) == list(range(held["line"] - 2 + held["rows"], 30_000))
