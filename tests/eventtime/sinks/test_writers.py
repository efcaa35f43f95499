"""Whatever the format: rows read back equal, published whole or not at all."""

from __future__ import annotations

import dataclasses
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
from eventtime.sinks.by_time import by_day
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


def test_a_day_larger_than_a_table_keeps_its_rows_in_order(tmp_path: Path, tree: Tree) -> None:
    rows = pa.table({"window_start": pa.array([0] * 25, pa.date32()), "n": range(25)})
    sink = to_parquet(tmp_path / "out", partition_by="day")
    sink = dataclasses.replace(sink, format=ParquetFormat(rows_max=10))
    write(sink, rows)
    assert tree(tmp_path) == ["out/window_day=1970-01-01/part-0.parquet"]
    assert pq.read_table(tmp_path / "out")["n"].to_pylist() == list(range(25))
