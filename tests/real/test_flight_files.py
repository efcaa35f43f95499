"""The same flights cut, copied, partitioned and written otherwise: the same results."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import eventtime as et
from flight_data import FILES, FOLDER, ROWS, assert_same, hourly, own

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventtime.stream import Stream

KEYS = ("origin", "carrier")


@cache
def as_they_lie() -> et.Run:
    return hourly(own(), *KEYS).run()


@cache
def tables() -> dict[str, pa.Table]:
    return {name: pq.read_table(FOLDER / name).replace_schema_metadata(None) for name in FILES}


def comparable(table: pa.Table) -> pa.Table:
    """Take off what a copy may change: the suffix of the partition's name, and nulls of text.

    An empty field of a CSV file is read as the empty text, as pyarrow does.
    """
    names = pc.replace_substring_regex(table["partition"], r"\.\w+$", "")
    empty = pc.equal(table["tailnum"], "")
    tails = pc.if_else(empty, pa.scalar(None, pa.string()), table["tailnum"])
    for name, column in {"partition": names, "tailnum": tails}.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def assert_same_run(ours: et.Run, theirs: et.Run) -> None:
    """Compare results, sides and sums; of sides the own columns that both formats hold."""
    assert_same(ours.table(), theirs.table())
    for tag in ("late", "quarantine"):
        left, right = comparable(ours.side(tag)), comparable(theirs.side(tag))
        assert_same(left.select([c for c in left.column_names if c in right.column_names]), right)
    assert ours.ledger.total == theirs.ledger.total
    ours.ledger.assert_balanced()


def write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path.with_suffix(".parquet"))


def write_csv(table: pa.Table, path: Path) -> None:
    pyarrow.csv.write_csv(table, path.with_suffix(".csv"))


def write_json_lines(table: pa.Table, path: Path) -> None:
    with duckdb.connect() as connection:
        connection.register("rows", table)
        name = path.with_suffix(".jsonl")
        connection.execute(f"SET TimeZone = 'UTC'; COPY rows TO '{name}' (FORMAT json)")


def write_ipc(table: pa.Table, path: Path) -> None:
    pyarrow.feather.write_feather(table, str(path.with_suffix(".arrow")), compression="lz4")


def typed(read: Callable[..., Stream]) -> Callable[[Path], Stream]:
    return lambda folder: read(folder, time="departed", schema=tables()[FILES[0]].schema)


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (write_parquet, lambda folder: et.read_parquet(folder, time="departed")),
        (write_csv, typed(et.read_csv)),
        (write_json_lines, typed(et.read_json_lines)),
        (write_ipc, lambda folder: et.read_ipc(folder, time="departed")),
    ],
    ids=["parquet", "csv", "json lines", "ipc"],
)
def test_copies_in_any_format_give_the_same_results(
    write: Callable[[pa.Table, Path], None], read: Callable[[Path], Stream], tmp_path: Path
) -> None:
    for name, table in tables().items():
        write(table, tmp_path / name)
    run = hourly(read(tmp_path).watermark(et.bounded_disorder("4h")), *KEYS).run()
    assert_same_run(run, as_they_lie())


@pytest.mark.parametrize("rows", [777, 50_000])
def test_other_row_groups_give_the_same_results(rows: int, tmp_path: Path) -> None:
    for name, table in tables().items():
        pq.write_table(table, tmp_path / name, row_group_size=rows, compression="none")
    assert_same_run(hourly(own(tmp_path), *KEYS).run(), as_they_lie())


@pytest.mark.parametrize("rows", [1_000, 1_000_000])
def test_other_batches_in_memory_give_the_same_results(rows: int) -> None:
    batches = {name: table.to_batches(max_chunksize=rows) for name, table in tables().items()}
    stream = et.from_arrow(batches, time="departed").watermark(et.bounded_disorder("4h"))
    assert_same_run(hourly(stream, *KEYS).run(), as_they_lie())


def test_a_partition_is_a_file_a_folder_or_a_value(tmp_path: Path) -> None:
    """A folder for each airport, with its rows cut in two files that follow one another."""
    for name, table in tables().items():
        folder = tmp_path / name.removesuffix(".parquet")
        folder.mkdir()
        half = len(table) // 2
        pq.write_table(table.slice(0, half), folder / "1.parquet")
        pq.write_table(table.slice(half), folder / "2.parquet")
    by_folder = hourly(own(tmp_path, partition_by="folder"), *KEYS).run()
    assert_same_run(by_folder, as_they_lie())
    by_value = hourly(own(partition_by=et.by_column("origin")), *KEYS).run()
    assert list(by_value.ledger.partitions) == ["origin=EWR", "origin=JFK", "origin=LGA"]
    assert_same(by_value.table(), as_they_lie().table())
    assert by_value.ledger.total == as_they_lie().ledger.total
    # Six partitions see other watermarks: fewer rows are late, none is lost.
    by_file = hourly(own(tmp_path), *KEYS).run()
    assert len(by_file.ledger.partitions) == 6
    assert by_file.ledger.total.rows_in == ROWS
    assert by_file.ledger.total.late <= as_they_lie().ledger.total.late
    by_file.ledger.assert_balanced()


def test_other_libraries_read_a_stream_as_it_is() -> None:
    """Over the C interface, with nothing of ours between."""
    stream = own().key_by("origin").window(et.tumbling("1d")).aggregate(n=et.count())
    table = stream.to_table()
    total = pc.sum(table["n"]).as_py()
    frame = pl.DataFrame(stream)
    assert frame["n"].sum() == total
    assert frame["window_start"].to_list() == table["window_start"].to_pylist()
    assert len(pd.DataFrame.from_arrow(stream)) == table.num_rows
    assert pa.table(stream).equals(table)
    with duckdb.connect() as connection:
        connection.register("days", stream)
        answer = connection.sql("SELECT sum(n), count(*), count(DISTINCT origin) FROM days")
        assert answer.fetchall() == [(total, table.num_rows, 3)]


@pytest.mark.parametrize(
    ("suffix", "read"),
    [
        ("parquet", pq.read_table),
        ("arrow", pyarrow.feather.read_table),
        ("csv", pyarrow.csv.read_csv),
        ("jsonl", pl.read_ndjson),
    ],
)
def test_results_and_sides_come_back_from_files(
    suffix: str, read: Callable[[str], Any], tmp_path: Path
) -> None:
    kept = own().key_by("origin").window(et.tumbling("1d")).aggregate(n=et.count()).run()
    paths = {tag: str(tmp_path / f"{tag}.{suffix}") for tag in ("results", "late", "quarantine")}
    run = (
        own().key_by("origin").window(et.tumbling("1d")).aggregate(n=et.count())
        .run(paths["results"], sides={tag: paths[tag] for tag in ("late", "quarantine")})
    )  # fmt: skip
    with pytest.raises(et.PlanError, match="not in memory: they went to"):
        run.table()
    assert run.ledger.total == kept.ledger.total
    wanted = {
        "results": kept.table(),
        "late": kept.side("late"),
        "quarantine": kept.side("quarantine"),
    }
    for tag, table in wanted.items():
        back = pa.table(read(paths[tag]))
        assert back.column_names == table.column_names
        assert back.num_rows == table.num_rows
        for column in ("origin", "n", "flight", "tailnum", "windows_missed", "partition", "reason"):
            if column in table.column_names:
                texts = [pc.fill_null(t[column].cast(pa.string()), "") for t in (back, table)]
                assert texts[0].to_pylist() == texts[1].to_pylist()
        if suffix in {"parquet", "arrow"}:
            assert back.equals(table)


def test_results_in_a_folder_for_each_day_come_back(tmp_path: Path) -> None:
    stream = own().key_by("origin").window(et.tumbling("1h")).aggregate(n=et.count())
    late = et.to_parquet(tmp_path / "late", partition_by=et.by_day("departed"))
    stream.run(et.to_parquet(tmp_path / "hourly", partition_by="day"), sides={"late": late})
    kept = stream.run()
    days = {str(time.date()) for time in kept.table()["window_start"].unique().to_pylist()}
    assert {
        path.name.removeprefix("window_day=") for path in (tmp_path / "hourly").iterdir()
    } == days
    back = pyarrow.dataset.dataset(tmp_path / "hourly", partitioning="hive").to_table()
    order = [("window_end", "ascending"), ("origin", "ascending")]
    assert_same(back.select(kept.table().column_names).sort_by(order), kept.table())
    late_back = pyarrow.dataset.dataset(tmp_path / "late", partitioning="hive").to_table()
    assert late_back.num_rows == kept.ledger.total.late == kept.side("late").num_rows
