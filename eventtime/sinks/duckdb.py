"""The DuckDB sink."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import OutputExistsError
from eventtime.sinks.columns import last_of_each_key, refused, stored
from eventtime.sinks.database import Database, driver_missing, quoted
from eventtime.sinks.files import path_of
from eventtime.sinks.staging import LocalFile, check_folder, place_error
from eventtime.sinks.table_options import table_options
from eventtime.sinks.tables import FileTableSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from eventtime.sinks.epochs import Delivery
    from eventtime.sinks.table_options import Mode

__all__ = ("DuckdbSink", "to_duckdb")

_ROWS: Final = "eventtime_rows"
"""The name that rows in memory have in a statement."""


def to_duckdb(
    path: str | Path,
    *,
    table: str,
    mode: Mode = "append",
    key: Sequence[str] | None = None,
    delivery: Delivery = "exactly_once",
) -> DuckdbSink:
    """Write to a table of a DuckDB database; file and table are made if they are not there.

    A run writes in one transaction: all its rows, or none. With checkpoints it writes one
    transaction for each epoch, with the number of the epoch in it: exactly once. DuckDB lets no
    other process open the file meanwhile; a program that must read at any time takes
    `to_parquet(…, parts=True)`.

    Every type has its like, lists, structs and maps too. Times are in µs: a value with nanoseconds
    is refused, not rounded. 256-bit decimals are refused.

    Needs the extra ``eventtime[duckdb]``.

    Args:
        path: of the database file.
        table: its name; with other columns than those of the rows it is refused.
        mode: "append", or "upsert": a row replaces the one with the same key.
        key: columns that make a row unique, for an upsert; never null.
        delivery: with checkpoints: "exactly_once", "at_least_once", "at_most_once".

    Raises:
        PlanError: an argument is of the wrong kind.

    >>> to_duckdb("weather.duckdb", table="hourly").describe()
    'DuckDB table hourly in weather.duckdb'
    """
    text = path_of(path)
    place = f"to_duckdb({text!r})"
    return DuckdbSink(text, table_options(table, mode, key, delivery, place=place))


@dataclass(frozen=True)
class DuckdbSink(FileTableSink):
    """Rows to a table of a DuckDB database; made by `to_duckdb`."""

    def database(self, schema: pa.Schema) -> _Duckdb:
        """Connect."""
        return _Duckdb(self, schema)

    def describe(self) -> str:
        """One line for `explain()`."""
        return f"DuckDB table {self.options.table} in {self.path}"


class _Duckdb(Database):
    """A connection that writes one table."""

    name = "DuckDB"

    def __init__(self, sink: DuckdbSink, schema: pa.Schema) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise driver_missing(error, extra="duckdb", place=sink.describe()) from error
        super().__init__(sink.options, schema, sink.describe())
        self.failures = (duckdb.Error,)
        check_folder(sink.path)
        with self.naming():
            if not os.path.lexists(sink.path):
                _make(sink.path)
            self._connection = duckdb.connect(sink.path)

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch all rows: one that is not fetched keeps its resources."""
        found: list[tuple[Any, ...]] = self._connection.execute(statement, values).fetchall()
        return found

    def stored(self, kind: pa.DataType) -> pa.DataType:
        """Return the type that a column is stored as; uint64 has its own."""
        return kind if pa.types.is_uint64(kind) else stored(kind)

    def column_type(self, field: pa.Field) -> str:
        """Name the type that DuckDB gives to such an Arrow column."""
        empty = pa.table([pa.array([], self.stored(field.type))], names=["x"])
        try:
            self._connection.register(_ROWS, empty)
            [(_, kind, *_)] = self.execute(f"DESCRIBE SELECT * FROM {_ROWS}")
        except self.failures as error:
            raise refused(field, self.name) from error
        self._connection.unregister(_ROWS)
        return str(kind)

    def columns(self) -> dict[str, str]:
        """Columns of the table and their types."""
        return dict(
            self.execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? "
                "AND database_name = current_database() AND schema_name = current_schema()",
                (self.options.table,),
            )
        )

    def load(self, rows: pa.Table) -> None:
        """Insert or upsert from memory."""
        rows = self.as_stored(rows)
        if self.options.mode == "upsert":
            # One statement may not touch a row twice.
            rows = last_of_each_key(rows, self.options.key)
        self._connection.register(_ROWS, rows)
        try:
            self.execute(self.insert(f"SELECT {self.names} FROM {quoted(_ROWS)}"))
        finally:
            self._connection.unregister(_ROWS)


def _make(path: str) -> None:
    """Make a database that is there whole or not at all: half a header is none, for good."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="eventtime-") as folder:
        empty = os.path.join(folder, "empty")
        duckdb.connect(empty).close()
        with open(empty, "rb") as file:
            data = file.read()
    with contextlib.suppress(OutputExistsError):  # made by somebody else meanwhile
        staging = LocalFile(path, overwrite=False)
        try:
            with staging.stream("") as stream:
                stream.write(data)
            staging.settle("")
            staging.publish()
        except OSError as error:
            raise place_error(path, error) from error
        finally:
            staging.discard()
