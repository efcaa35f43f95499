"""Our sinks as the kit sees them: how each is made, and how a reader reads it."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from psycopg.rows import dict_row
from pyarrow import fs

from eventtime.sinks.csv import csv_fields, to_csv
from eventtime.sinks.delta import to_delta
from eventtime.sinks.duckdb import to_duckdb
from eventtime.sinks.epochs import takes_epochs
from eventtime.sinks.ipc import to_ipc
from eventtime.sinks.json_lines import to_json_lines
from eventtime.sinks.parquet import to_parquet
from eventtime.sinks.postgres import to_postgres
from eventtime.sinks.sqlite import to_sqlite
from eventtime.testing import SinkCase
from s3_server import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventtime.sinks.epochs import EpochSink
    from s3_server import S3Server

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
KILLS = 1_000 if NIGHTLY else 16
HOSTILE = 'a "table"; DROP TABLE x; -- é'
"""A table's name."""


def sqlite_case() -> SinkCase:
    """A table with a name that is hard to quote."""

    def make(folder: Path) -> EpochSink:
        return to_sqlite(folder / "x.db", table=HOSTILE)

    return SinkCase(make, read_sqlite, kills=KILLS, as_read=as_sqlite)


def read_sqlite(folder: Path) -> list[dict[str, Any]]:
    """Rows of the table, by a connection of its own."""
    if not (folder / "x.db").exists():
        return []
    connection = sqlite3.connect(folder / "x.db")
    connection.row_factory = sqlite3.Row
    quoted = HOSTILE.replace('"', '""')
    found = connection.execute(f'SELECT * FROM "{quoted}"').fetchall()
    connection.close()
    return [dict(row) for row in found]


def as_sqlite(values: pa.Array) -> list[Any]:
    """What SQLite holds for a column: numbers, text, blobs; the text is that of CSV."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return list(values.to_pylist())
    if pa.types.is_boolean(kind):
        return [None if v is None else int(v) for v in values.to_pylist()]
    if pa.types.is_floating(kind):
        return ["NaN" if str(v) == "nan" else v for v in values.to_pylist()]
    written = ("timestamp", "date", "time", "duration", "decimal", "list", "struct", "map")
    return as_csv(values) if str(kind).startswith(written) else list(values.to_pylist())


def as_csv(values: pa.Array) -> list[Any]:
    """What a CSV reader sees in a column; null as None."""
    return [
        None if not field else next(csv.reader(io.StringIO(field, newline="")))[0]
        for field in csv_fields(values).to_pylist()
    ]


def postgres_case(dsn: str) -> SinkCase:
    """A schema for each folder, with a table whose name is hard to quote."""

    def schema(folder: Path) -> str:
        return f"s {hashlib.sha256(str(folder).encode()).hexdigest()[:40]}"

    def make(folder: Path) -> EpochSink:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema(folder)}"'.encode())
        return to_postgres(dsn, schema=schema(folder), table=HOSTILE)

    def read(folder: Path) -> list[dict[str, Any]]:
        quoted = HOSTILE.replace('"', '""')
        statement = f'SELECT * FROM "{schema(folder)}"."{quoted}"'.encode()
        with psycopg.connect(dsn) as connection, connection.cursor(row_factory=dict_row) as cursor:
            try:
                rows = cursor.execute(statement).fetchall()
            except psycopg.errors.UndefinedTable:
                return []
            return [{name: in_utc(value) for name, value in row.items()} for row in rows]

    return SinkCase(make, read, kills=KILLS, as_read=as_python)


def duckdb_case() -> SinkCase:
    """A table with a name that is hard to quote."""

    def make(folder: Path) -> EpochSink:
        return to_duckdb(folder / "x.duckdb", table=HOSTILE)

    def read(folder: Path) -> list[dict[str, Any]]:
        quoted = HOSTILE.replace('"', '""')
        if not (folder / "x.duckdb").exists():
            return []
        with duckdb.connect(folder / "x.duckdb") as connection:
            if not connection.execute("SELECT 1 FROM duckdb_tables()").fetchall():
                return []
            found = connection.sql(f'SELECT * FROM "{quoted}"').to_arrow_table()
        return [{name: in_utc(value) for name, value in row.items()} for row in found.to_pylist()]

    return SinkCase(make, read, kills=KILLS, as_read=as_duckdb)


def delta_case() -> SinkCase:
    """A table in a folder."""

    def make(folder: Path) -> EpochSink:
        return to_delta(folder / "lake")

    def read(folder: Path) -> list[dict[str, Any]]:
        if not (folder / "lake").exists():
            return []
        rows = pa.table(DeltaTable(folder / "lake").to_pyarrow_table()).to_pylist()
        return [{name: in_utc(value) for name, value in row.items()} for row in rows]

    return SinkCase(make, read, kills=KILLS, as_read=as_delta)


def as_delta(values: pa.Array) -> list[Any]:
    """What deltalake hands over as Arrow."""
    exact = str(values.type) == "float"
    return list(values.to_pylist()) if exact else as_python(values)


def as_duckdb(values: pa.Array) -> list[Any]:
    """What DuckDB hands over as Arrow."""
    if "duration" in str(values.type):
        micros = values.cast(pa.duration("us")).cast(pa.int64()).to_pylist()
        return [None if v is None else pa.MonthDayNano([0, 0, v * 1_000]) for v in micros]
    if pa.types.is_uint64(values.type) or str(values.type) == "float":
        return list(values.to_pylist())
    return as_python(values)


def as_python(values: pa.Array) -> list[Any]:
    """What drivers hand over: times in µs and UTC, decimals with all digits."""
    kind = values.type
    if str(kind) == "duration[ns]":
        values = values.cast(pa.duration("us"))
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        values = values.cast(pa.timestamp("us", kind.tz))
    if pa.types.is_uint64(kind):
        values = values.cast(pa.decimal128(20, 0))
    if str(kind) == "float":  # the shortest digits that mean the same
        return [None if v is None else float(str(np.float32(v))) for v in values.to_pylist()]
    return [in_utc(value) for value in values.to_pylist()]


def in_utc(value: Any) -> Any:
    """Show one instant in one way, in lists too."""
    if isinstance(value, list):
        return [in_utc(each) for each in value]
    aware = isinstance(value, datetime) and value.tzinfo is not None
    return value.astimezone(UTC) if aware else value


def folder_case(to: Callable[..., Any], kind: str, partition_by: str | None) -> SinkCase:
    """A folder of part files, perhaps with a folder for each day."""

    def make(folder: Path) -> EpochSink:
        sink: EpochSink = to(folder / "out", partition_by=partition_by, parts=True)
        return sink

    def read(folder: Path) -> list[dict[str, Any]]:
        files = sorted((folder / "out").rglob("[!._]*.*")) if (folder / "out").exists() else []
        seen = [file for file in files if "_eventtime" not in file.parts]
        if not seen:
            return []
        rows: list[dict[str, Any]] = ds.dataset(seen, format=kind).to_table().to_pylist()
        return rows

    return SinkCase(make, read, whole_epochs=partition_by is None, several_jobs=False, kills=KILLS)


def s3_case(server: S3Server) -> SinkCase:
    """A folder in a bucket, with a folder for each day."""
    filesystem = server.filesystem()

    def name(folder: Path) -> str:
        return hashlib.sha256(str(folder).encode()).hexdigest()

    def make(folder: Path) -> EpochSink:
        sink: Any = to_parquet(server.uri(f"{name(folder)}/out"), partition_by="day")
        assert takes_epochs(sink)
        return sink

    def read(folder: Path) -> list[dict[str, Any]]:
        path = f"{BUCKET}/{name(folder)}/out"
        found = filesystem.get_file_info(
            fs.FileSelector(path, recursive=True, allow_not_found=True)
        )
        files = [it.path for it in found if it.is_file and f"{path}/_" not in it.path]
        seen = sorted(file for file in files if not file.rpartition("/")[2].startswith("."))
        if not seen:
            return []
        table = ds.dataset(seen, filesystem=filesystem, format="parquet").to_table()
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    return SinkCase(make, read, whole_epochs=False, several_jobs=False, kills=KILLS // 2)


TEXT = {"csv", "json lines"}

CASES: dict[str, SinkCase] = {
    "sqlite": sqlite_case(),
    "duckdb": duckdb_case(),
    "delta": delta_case(),
    "parquet": folder_case(to_parquet, "parquet", None),
    "parquet by day": folder_case(to_parquet, "parquet", "day"),
    "csv": folder_case(to_csv, "csv", None),
    "json lines": folder_case(to_json_lines, "json", None),
    "ipc by day": folder_case(to_ipc, "ipc", "day"),
}
