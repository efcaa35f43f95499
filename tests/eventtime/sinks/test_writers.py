"""Whatever the format: whole or not there at all, under any failure."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq
import pytest

from eventtime.errors import ColumnError, OutputExistsError, SinkError
from eventtime.sinks import writers
from eventtime.sinks.base import sink_for
from eventtime.sinks.by_day import by_day
from eventtime.sinks.csv import to_csv
from eventtime.sinks.ipc import to_ipc
from eventtime.sinks.json_lines import to_json_lines
from eventtime.sinks.parquet import ParquetFormat, to_parquet

if TYPE_CHECKING:
    from eventtime.sinks.files import FileSink

Tree = Callable[[Path], list[str]]
MAKERS: list[Any] = [to_parquet, to_csv, to_json_lines, to_ipc]
FORMATS = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
SUFFIX = {to_parquet: ".parquet", to_csv: ".csv", to_json_lines: ".jsonl", to_ipc: ".arrow"}


def read(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a file back in the types it was written in."""
    plain = pa.schema(
        [(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in schema]
    )
    if path.suffix == ".parquet":
        return pq.read_table(path, partitioning=None)
    if path.suffix == ".csv":
        options = pacsv.ConvertOptions(
            column_types=plain,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )
        return pacsv.read_csv(path, convert_options=options).cast(schema)
    if path.suffix == ".jsonl":
        options = pajson.ParseOptions(explicit_schema=plain)
        return pajson.read_json(path, parse_options=options).cast(schema)
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def write(sink: FileSink, rows: pa.Table, batch_rows: int = 1_000_000) -> None:
    writer = sink.open(rows.schema)
    for batch in rows.to_batches(max_chunksize=batch_rows):
        writer.write(batch)
    writer.commit()


@FORMATS
def test_rows_read_back_equal(make: Any, tmp_path: Path, tree: Tree, results: pa.Table) -> None:
    path = tmp_path / f"out{SUFFIX[make]}"
    write(make(path), results, batch_rows=7)
    assert read(path, results.schema).equals(results)
    assert tree(tmp_path) == [path.name]


@FORMATS
def test_duckdb_and_polars_read_the_same(make: Any, tmp_path: Path, results: pa.Table) -> None:
    path = tmp_path / f"out{SUFFIX[make]}"
    write(make(path), results)
    readers: dict[Any, tuple[Any, Any]] = {
        to_parquet: (pl.read_parquet, "read_parquet('{}')"),
        to_csv: (pl.read_csv, "read_csv('{}')"),
        to_json_lines: (pl.read_ndjson, "read_json('{}')"),
        to_ipc: (pl.read_ipc, None),
    }
    by_polars, by_duckdb = readers[make]
    frame = by_polars(path)
    assert frame["flights"].to_list() == results["flights"].to_pylist()
    assert frame["delay"].to_list() == results["delay"].to_pylist()
    assert frame["timing"].cast(pl.String).to_list() == results["timing"].to_pylist()
    assert frame["origin"].to_list() == results["origin"].to_pylist()
    if by_duckdb is not None:
        columns = "origin, epoch_us(window_start), flights, delay, is_final"
        query = f"select {columns} from {by_duckdb.format(path)}"
        expected = zip(
            results["origin"].to_pylist(),
            results["window_start"].cast(pa.int64()).to_pylist(),
            *(results[c].to_pylist() for c in ("flights", "delay", "is_final")),
            strict=True,
        )
        assert duckdb.connect().execute(query).fetchall() == list(expected)


@FORMATS
def test_an_empty_result_is_a_valid_file(make: Any, tmp_path: Path, results: pa.Table) -> None:
    path = tmp_path / f"out{SUFFIX[make]}"
    make(path).open(results.schema).commit()
    if make is to_json_lines:
        assert path.read_bytes() == b""
        return
    empty = read(path, results.schema)
    assert empty.num_rows == 0
    assert empty.schema.names == results.schema.names


@FORMATS
def test_the_bytes_do_not_depend_on_the_batches(
    make: Any, tmp_path: Path, results: pa.Table
) -> None:
    for cut in (1, 97, 600):
        write(make(tmp_path / f"{cut}{SUFFIX[make]}"), results, batch_rows=cut)
    assert len({p.read_bytes() for p in tmp_path.iterdir()}) == 1


@FORMATS
@pytest.mark.parametrize("partition_by", [None, "day"])
def test_existing_output_is_refused_at_open_and_kept(
    make: Any, partition_by: Any, tmp_path: Path, tree: Tree, results: pa.Table
) -> None:
    sink = make(tmp_path / f"out{SUFFIX[make]}", partition_by=partition_by)
    write(sink, results)
    before = tree(tmp_path)
    with pytest.raises(
        OutputExistsError, match=r"(?s)exists already.*overwrite=True \(--overwrite\)"
    ):
        sink.open(results.schema)
    assert tree(tmp_path) == before


@FORMATS
@pytest.mark.parametrize("partition_by", [None, "day"])
def test_overwrite_replaces_only_on_commit(
    make: Any, partition_by: Any, tmp_path: Path, tree: Tree, results: pa.Table
) -> None:
    path = tmp_path / f"out{SUFFIX[make]}"
    write(make(path, partition_by=partition_by), results)
    before = {name: (tmp_path / name).read_bytes() for name in tree(tmp_path)}
    writer = make(path, partition_by=partition_by, overwrite=True).open(results.schema)
    writer.write(results.slice(0, 3).to_batches()[0])
    writer.prepare()
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    writer.commit()
    assert not set(tree(tmp_path)) - set(before)
    assert sum(len((tmp_path / name).read_bytes()) for name in tree(tmp_path)) < sum(
        map(len, before.values())
    )


@FORMATS
@pytest.mark.parametrize("partition_by", [None, "day"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_abort_leaves_what_was_there(
    make: Any,
    partition_by: Any,
    overwrite: Any,
    tmp_path: Path,
    tree: Tree,
    results: pa.Table,
) -> None:
    path = tmp_path / f"out{SUFFIX[make]}"
    if overwrite:
        write(make(path, partition_by=partition_by), results)
    before = tree(tmp_path)
    writer = make(path, partition_by=partition_by, overwrite=overwrite).open(results.schema)
    writer.write(results.to_batches()[0])
    writer.abort()
    writer.abort()
    assert tree(tmp_path) == before
    assert [p.name for p in tmp_path.iterdir()] == ([path.name] if overwrite else [])
    with pytest.raises(SinkError, match="is aborted; no rows can follow"):
        writer.write(results.to_batches()[0])
    with pytest.raises(SinkError, match="was aborted and cannot be committed"):
        writer.commit()


@FORMATS
def test_commit_and_abort_after_commit_do_nothing(
    make: Any, tmp_path: Path, results: pa.Table
) -> None:
    path = tmp_path / f"out{SUFFIX[make]}"
    writer = make(path).open(results.schema)
    writer.commit()
    before = path.read_bytes()
    writer.commit()
    writer.abort()
    assert path.read_bytes() == before
    with pytest.raises(SinkError, match="is committed; no rows can follow"):
        writer.write(results.to_batches()[0])


@FORMATS
def test_a_day_is_a_hive_folder(make: Any, tmp_path: Path, tree: Tree, results: pa.Table) -> None:
    write(make(tmp_path / "out", partition_by="day"), results, batch_rows=50)
    days = ["1969-12-31", "1970-01-01", "1970-01-02"]
    names = [f"out/window_day={day}/part-0{SUFFIX[make]}" for day in days]
    assert tree(tmp_path) == names
    back = pa.concat_tables(read(tmp_path / name, results.schema) for name in names)
    assert back.combine_chunks().equals(results.combine_chunks())


def test_a_partitioned_output_reads_back_whole_by_others(tmp_path: Path, results: pa.Table) -> None:
    write(to_parquet(tmp_path / "out", partition_by="day"), results)
    found = (
        duckdb.connect()
        .execute(
            f"select window_day::text, count(*) from read_parquet('{tmp_path}/out/**/*.parquet') "
            "group by all order by all"
        )
        .fetchall()
    )
    assert found == [("1969-12-31", 100), ("1970-01-01", 432), ("1970-01-02", 68)]
    assert pl.read_parquet(tmp_path / "out").height == 600
    assert pq.read_table(tmp_path / "out").num_rows == 600


@FORMATS
def test_an_empty_partitioned_output_keeps_its_schema(
    make: Any, tmp_path: Path, tree: Tree, results: pa.Table
) -> None:
    make(tmp_path / "out", partition_by="day").open(results.schema).commit()
    assert tree(tmp_path) == [f"out/window_day=1970-01-01/part-0{SUFFIX[make]}"]
    if make is to_parquet:
        assert pq.read_table(tmp_path / "out").schema.names == [*results.schema.names, "window_day"]


def test_rows_without_a_day_have_the_default_folder(tmp_path: Path, tree: Tree) -> None:
    rows = pa.table({"at": pa.array([None, None], pa.timestamp("us"))})
    write(to_parquet(tmp_path / "out", partition_by=by_day("at")), rows)
    assert "out/at_day=__HIVE_DEFAULT_PARTITION__/part-0.parquet" in tree(tmp_path)
    assert pq.read_table(tmp_path / "out").num_rows == 2


def test_the_column_of_the_day_is_checked_at_open(tmp_path: Path, tree: Tree) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    with pytest.raises(
        ColumnError, match=r"(?s)no column 'window_start'.*there are a, b.*by_day\('column'\)"
    ):
        to_csv(tmp_path / "out", partition_by="day").open(schema)
    assert tree(tmp_path) == []


def test_at_most_so_many_files_are_open_and_a_day_that_returns_gets_another_part(
    tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "OPEN_PARTS_MAX", 3)
    monkeypatch.setattr(writers, "FOLDER_BYTES_MAX", 0)
    days = [0, 1, 2, 3, 0, 0, 1]
    rows = pa.table({"window_start": pa.array(days, pa.date32()), "n": range(7)})
    sink = to_parquet(tmp_path / "out", partition_by="day")
    writer = sink.open(rows.schema)
    for batch in rows.to_batches(max_chunksize=1):
        writer.write(batch)
        assert len(writer._parts()) <= 3
    writer.commit()
    assert tree(tmp_path) == [
        "out/window_day=1970-01-01/part-0.parquet",
        "out/window_day=1970-01-01/part-1.parquet",
        "out/window_day=1970-01-02/part-0.parquet",
        "out/window_day=1970-01-02/part-1.parquet",
        "out/window_day=1970-01-03/part-0.parquet",
        "out/window_day=1970-01-04/part-0.parquet",
    ]
    parts = [
        pq.read_table(tmp_path / "out/window_day=1970-01-01" / f"part-{i}.parquet") for i in (0, 1)
    ]
    assert [part["n"].to_pylist() for part in parts] == [[0], [4, 5]]


def test_rows_of_many_days_wait_in_memory_instead_of_making_small_files(
    tmp_path: Path, tree: Tree
) -> None:
    days = [(i * 37) % 200 for i in range(2_000)]
    rows = pa.table({"window_start": pa.array(days, pa.date32()), "n": range(2_000)})
    write(to_parquet(tmp_path / "out", partition_by="day"), rows, batch_rows=100)
    assert len(tree(tmp_path)) == 200
    assert sorted(pq.read_table(tmp_path / "out")["n"].to_pylist()) == list(range(2_000))


def test_rows_of_another_schema_are_refused(tmp_path: Path, tree: Tree) -> None:
    writer = to_csv(tmp_path / "a.csv").open(pa.schema([("a", pa.int64())]))
    with pytest.raises(
        SinkError, match=r"rows of schema \[a: string\] for an output opened with \[a: int64\]"
    ):
        writer.write(pa.record_batch({"a": ["x"]}))
    assert tree(tmp_path) == []


@FORMATS
def test_a_broken_stream_is_an_error_with_path_and_bytes(
    make: Any, tmp_path: Path, tree: Tree, results: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    # /dev/full takes no byte: every write to it says that the disk is full.
    opened: list[pa.NativeFile] = []

    def full(path: str, mode: str) -> pa.NativeFile:
        opened.append(real("/dev/full", mode))
        return opened[-1]

    real = pa.OSFile
    monkeypatch.setattr("eventtime.sinks.staging.pa.OSFile", full)
    with pytest.raises(
        SinkError, match=r"(?s)writing '.*out' failed after [\d,]+ bytes: .*No space.*free space"
    ):
        write(make(tmp_path / "out"), results)
    assert tree(tmp_path) == []
    assert all(stream.closed for stream in opened)


LIMITED = """
import resource, signal, sys
import pyarrow as pa
from eventtime.errors import SinkError
from eventtime.sinks.base import sink_for
from eventtime.sinks.{module} import {maker} as make

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
n = range(100_000)
x = [f"{{i * 7919}}" for i in n]
rows = pa.record_batch({{"window_start": pa.array(n, pa.timestamp("us")), "x": x}})
try:
    writer = make(sys.argv[1], partition_by={partition!r}).open(rows.schema)
    writer.write(rows)
    writer.commit()
except SinkError as error:
    print(error)
    sys.exit(3)
"""


@FORMATS
@pytest.mark.parametrize("partition", [None, "day"])
def test_a_real_limit_leaves_nothing_half_written(
    make: Any, partition: Any, tmp_path: Path, tree: Tree
) -> None:
    script = LIMITED.format(
        module=make.__module__.rsplit(".", 1)[1], maker=make.__name__, partition=partition
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.stderr == ""
    assert done.returncode == 3
    assert str(tmp_path / "out") in done.stdout
    assert "ulimit -f" in done.stdout
    assert tree(tmp_path) == []


KILLED = """
import os, sys
import pyarrow as pa
from eventtime.sinks.parquet import to_parquet

rows = pa.record_batch({{"window_start": pa.array(range(1000), pa.timestamp("us"))}})
writer = to_parquet(sys.argv[1], partition_by={partition!r}).open(rows.schema)
writer.write(rows)
writer.prepare()
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("partition", [None, "day"])
def test_what_a_killed_run_left_is_hidden_and_taken_over(
    partition: Any, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "out"
    subprocess.run(
        [sys.executable, "-c", KILLED.format(partition=partition), str(out)],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir()] == [".out.partial"]
    rows = pa.table({"window_start": pa.array([1], pa.timestamp("us"))})
    write(to_parquet(out, partition_by=partition), rows)
    assert pq.read_table(out).num_rows == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_interrupt_while_writing_leaves_nothing(
    tmp_path: Path, tree: Tree, results: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Any, table: pa.Table) -> None:
        raise KeyboardInterrupt

    writer = to_csv(tmp_path / "out.csv").open(results.schema)
    monkeypatch.setattr("eventtime.sinks.lines.LinesEncoder.write", interrupted)
    writer.write(results.to_batches()[0])
    with pytest.raises(KeyboardInterrupt):
        writer.commit()
    assert tree(tmp_path) == []


def test_a_type_the_format_cannot_hold_is_refused_at_open(tmp_path: Path, tree: Tree) -> None:
    schema = pa.schema([("x", pa.dense_union([pa.field("a", pa.int64())]))])
    for name in ("a.parquet", "a.csv", "a.jsonl"):
        with pytest.raises(SinkError, match="x"):
            sink_for(tmp_path / name).open(schema)
    assert tree(tmp_path) == []


def test_an_encoder_that_fails_to_start_leaves_nothing(
    tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        msg = "no"
        raise pa.ArrowInvalid(msg)

    monkeypatch.setattr("eventtime.sinks.csv.CsvFormat.encoder", broken)
    with pytest.raises(SinkError, match="failed after 0 bytes: no"):
        to_csv(tmp_path / "a.csv").open(pa.schema([("a", pa.int64())]))
    assert tree(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free space"),
        (OSError(errno.EFBIG, "File too large"), "ulimit -f"),
        (OSError(errno.EIO, "Input/output error"), "see the cause"),
        (pa.ArrowInvalid("not so"), "cast the column"),
    ],
)
def test_each_cause_has_its_remedy(
    error: Exception, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, table: pa.Table) -> None:
        raise error

    monkeypatch.setattr("eventtime.sinks.lines.LinesEncoder.write", fail)
    rows = pa.table({"a": [1]})
    with pytest.raises(SinkError, match=rf"(?s)a\.csv' failed after 2 bytes.*{remedy}") as caught:
        write(to_csv(tmp_path / "a.csv"), rows)
    assert caught.value.__cause__ is error


def test_a_day_larger_than_a_table_keeps_its_rows_in_order(tmp_path: Path, tree: Tree) -> None:
    rows = pa.table({"window_start": pa.array([0] * 25, pa.date32()), "n": range(25)})
    sink = to_parquet(tmp_path / "out", partition_by="day")
    sink = dataclasses.replace(sink, format=ParquetFormat(rows_max=10))
    write(sink, rows)
    assert tree(tmp_path) == ["out/window_day=1970-01-01/part-0.parquet"]
    assert pq.read_table(tmp_path / "out")["n"].to_pylist() == list(range(25))
