"""The same promises on file systems of pyarrow, file by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from eventtime.errors import OutputExistsError, SinkError
from eventtime.sinks.parquet import to_parquet
from eventtime.sinks.remote import resolve

Tree = Callable[[Path], list[str]]
BOTH = pytest.mark.parametrize("partition_by", [None, "day"])


class NoMove(fs.FileSystemHandler):  # type: ignore[misc]
    """Another file system without `move`."""

    def __init__(self, inner: fs.FileSystem) -> None:
        self.inner = inner

    def get_type_name(self) -> str:
        return "stubborn"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> Any:
        return self.inner.get_file_info(paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return self.inner.get_file_info(selector)

    def create_dir(self, path: str, recursive: bool) -> None:  # noqa: FBT001
        self.inner.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self.inner.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool) -> None:  # noqa: FBT001
        self.inner.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None: ...

    def delete_file(self, path: str) -> None:
        self.inner.delete_file(path)

    def move(self, src: str, dest: str) -> None:
        raise OSError(5, "move refused")

    def copy_file(self, src: str, dest: str) -> None: ...

    def open_input_stream(self, path: str) -> Any: ...

    def open_input_file(self, path: str) -> Any: ...

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        return self.inner.open_output_stream(path)

    def open_append_stream(self, path: str, metadata: Any) -> Any: ...


@pytest.fixture
def remote(tmp_path: Path) -> fs.FileSystem:
    """A file system that is not taken for the local one."""
    return fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())


def put(rows: pa.Table, path: str, **options: Any) -> None:
    writer = to_parquet(path, **options).open(rows.schema)
    for batch in rows.to_batches():
        writer.write(batch)
    writer.commit()


@BOTH
def test_rows_read_back_equal(
    partition_by: Any, remote: Any, tmp_path: Path, tree: Tree, results: pa.Table
) -> None:
    put(results, "out", filesystem=remote, partition_by=partition_by)
    assert pq.read_table(tmp_path / "out", schema=results.schema).equals(results)
    assert not [name for name in tree(tmp_path) if name.startswith(".")]


@BOTH
def test_existing_output_is_refused_or_overwritten(
    partition_by: Any, remote: Any, tmp_path: Path, results: pa.Table
) -> None:
    options = {"filesystem": remote, "partition_by": partition_by}
    put(results, "out", **options)
    with pytest.raises(OutputExistsError, match="'out' exists already"):
        put(results, "out", **options)
    put(results.slice(0, 5), "out", overwrite=True, **options)
    assert pq.read_table(tmp_path / "out").num_rows == 5
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@BOTH
def test_abort_and_leftovers_leave_nothing(
    partition_by: Any, remote: Any, tmp_path: Path, results: pa.Table
) -> None:
    sink = to_parquet("out", filesystem=remote, partition_by=partition_by)
    sink.open(results.schema)  # as if killed: neither committed nor aborted
    writer = sink.open(results.schema)
    writer.write(results.to_batches()[0])
    writer.abort()
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_a_missing_folder_shows_at_open(partition_by: Any, remote: Any, results: pa.Table) -> None:
    sink = to_parquet("no/such/out", filesystem=remote, partition_by=partition_by)
    with pytest.raises(SinkError, match="cannot write 'no/such/out' on subtree"):
        sink.open(results.schema)


def test_a_file_is_no_folder_and_strangers_are_kept(
    remote: Any, tmp_path: Path, results: pa.Table
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "thesis.doc").touch()
    cases = [
        ("file", "day", "is a file"),
        ("dir", None, "is a folder"),
        ("dir", "day", "holds 'thesis.doc'"),
    ]
    for path, partition_by, message in cases:
        sink = to_parquet(path, filesystem=remote, overwrite=True, partition_by=partition_by)  # type: ignore[arg-type]
        with pytest.raises(SinkError, match=message):
            sink.open(results.schema)
    assert (tmp_path / "dir" / "thesis.doc").exists()


def test_a_move_that_fails_is_an_error_and_leaves_nothing(
    remote: Any, tmp_path: Path, results: pa.Table
) -> None:
    stubborn = fs.PyFileSystem(NoMove(remote))
    with pytest.raises(SinkError, match="move refused"):
        put(results, "out", filesystem=stubborn)
    assert list(tmp_path.iterdir()) == []


def test_local_uris_and_file_systems_are_the_local_one(tmp_path: Path) -> None:
    assert resolve(f"file://{tmp_path}/x.csv", None) == (None, f"{tmp_path}/x.csv")
    assert resolve("x.csv", fs.LocalFileSystem()) == (None, "x.csv")
    assert resolve("~/x.csv", None) == (None, str(Path("~/x.csv").expanduser()))


def test_an_fsspec_file_system_is_wrapped() -> None:
    class Memory:
        protocol = "memory"

    filesystem, path = resolve("x.csv", Memory())
    assert isinstance(filesystem, fs.PyFileSystem)
    assert path == "x.csv"


@pytest.mark.parametrize(
    ("path", "filesystem"), [("nope://x/y.csv", None), ("y.csv", "no file system")]
)
def test_what_cannot_be_opened_is_an_error(path: str, filesystem: Any) -> None:
    with pytest.raises(SinkError, match=r"cannot open the file system of '.*y\.csv'"):
        resolve(path, filesystem)
