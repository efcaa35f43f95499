"""The SQLite sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.encodings import unwrapped
from eventtime.errors import SinkError
from eventtime.lanes import is_binary
from eventtime.sinks.database import Database, quoted
from eventtime.sinks.files import path_of, whole_path
from eventtime.sinks.json_text import json_or_null
from eventtime.sinks.staging import check_folder
from eventtime.sinks.table_options import table_options
from eventtime.sinks.tables import FileTableSink
from eventtime.sinks.text import is_string, plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from eventtime.sinks.epochs import Delivery
    from eventtime.sinks.table_options import Mode

__all__ = ("SqliteSink", "sqlite_values", "to_sqlite")

_WAIT_S: Final = 60
"""How long another program may hold the database."""


def to_sqlite(
    path: str | Path,
    *,
    table: str,
    mode: Mode = "append",
    key: Sequence[str] | None = None,
    delivery: Delivery = "exactly_once",
) -> SqliteSink:
    """Write to a table of an SQLite database; file and table are made if they are not there.

    A run writes in one transaction: all its rows, or none. With checkpoints it writes one
    transaction for each epoch, with the number of the epoch in it: exactly once. The database is
    set to write-ahead logging, so that others read while it is written.

    Integers, floats and booleans are numbers, strings text, binary blobs. What SQLite has no type
    for is text as `to_csv` writes it: times and dates as ISO 8601 (in UTC with a Z if the column
    has a zone), durations, decimals with all digits; lists, structs and maps as JSON. NaN, which
    SQLite would turn into null, is the text ``NaN``. An unsigned number above 2**63 - 1 is refused.

    Args:
        path: of the database file.
        table: its name; with other columns than those of the rows it is refused.
        mode: "append", or "upsert": a row replaces the one with the same key.
        key: columns that make a row unique, for an upsert; never null.
        delivery: with checkpoints: "exactly_once", "at_least_once", "at_most_once".

    Raises:
        PlanError: an argument is of the wrong kind.

    >>> to_sqlite("weather.db", table="hourly").describe()
    'SQLite table hourly in weather.db'
    """
    text = path_of(path)
    place = f"to_sqlite({text!r})"
    return SqliteSink(text, table_options(table, mode, key, delivery, place=place))


@dataclass(frozen=True)
class SqliteSink(FileTableSink):
    """Rows to a table of an SQLite database; made by `to_sqlite`."""

    @property
    def locks(self) -> str:
        """What one transaction at a time can have: the file."""
        return whole_path(self.path)

    def database(self, schema: pa.Schema) -> _Sqlite:
        """Connect."""
        return _Sqlite(self, schema)

    def describe(self) -> str:
        """One line for `explain()`."""
        return f"SQLite table {self.options.table} in {self.path}"


class _Sqlite(Database):
    """A connection that writes one table."""

    name = "SQLite"

    def __init__(self, sink: SqliteSink, schema: pa.Schema) -> None:
        import sqlite3

        super().__init__(sink.options, schema, sink.describe())
        self.failures = (sqlite3.Error, sqlite3.Warning)
        check_folder(sink.path)
        with self.naming():
            # Transactions are ours; checkpoints may commit from a thread of their own.
            self._connection = sqlite3.connect(
                sink.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self.execute("PRAGMA journal_mode = WAL")
                self.execute("PRAGMA synchronous = FULL")
            except BaseException:
                self.close()
                raise

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch all rows."""
        found: list[tuple[Any, ...]] = self._connection.execute(statement, values).fetchall()
        return found

    def begin(self) -> None:
        """Start a transaction and take the lock at once: what is read stays true."""
        self.execute("BEGIN IMMEDIATE")

    def column_type(self, field: pa.Field) -> str:
        """Name the declared type."""
        return _declared(field.type)

    def columns(self) -> dict[str, str]:
        """Columns of the table and their declared types."""
        found = self.execute(f"PRAGMA table_info({quoted(self.options.table)})")
        return {name: kind.upper() for _, name, kind, *_ in found}

    def load(self, rows: pa.Table) -> None:
        """Insert or upsert."""
        marks = ", ".join("?" * len(self.schema))
        statement = self.insert(f"VALUES ({marks})")
        for batch in rows.to_batches():
            columns = [
                sqlite_values(column, field.name)
                for column, field in zip(batch.columns, self.schema, strict=True)
            ]
            self._connection.executemany(statement, zip(*columns, strict=True))


def _declared(kind: pa.DataType) -> str:
    if isinstance(kind, pa.BaseExtensionType):
        return _declared(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _declared(kind.value_type)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return "INTEGER"
    if pa.types.is_floating(kind):
        return "REAL"
    is_bytes = is_binary(kind) or pa.types.is_null(kind)
    return "BLOB" if is_bytes else "TEXT"


def sqlite_values(array: pa.Array, name: str) -> list[Any]:
    """Turn a column into what SQLite stores.

    Args:
        array: (n,) any type.
        name: of the column, for messages.

    Raises:
        SinkError: a number does not fit.

    >>> sqlite_values(pa.array([float("nan"), None, 1.5]), "mean")
    ['NaN', None, 1.5]
    """
    array = unwrapped(array)
    kind = array.type
    if pa.types.is_dictionary(kind):
        values = sqlite_values(array.dictionary, name)
        return [None if i is None else values[i] for i in array.indices.to_pylist()]
    if pa.types.is_nested(kind):
        return _objects(json_or_null(array))
    if pa.types.is_uint64(kind):
        try:
            return _objects(array.cast(pa.int64()))
        except pa.ArrowInvalid as error:
            msg = f"a number in column {name!r} is above 2**63 - 1, the greatest of SQLite"
            remedy = "cast the column to decimal128(20, 0), which is stored as text"
            raise SinkError(msg, place=f"column {name!r}", remedy=remedy) from error
    if pa.types.is_floating(kind):
        return _floats(array)
    plain = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    if plain or is_string(kind) or is_binary(kind):
        return _objects(array)
    return _objects(plain_text(array))


def _floats(array: pa.Array) -> list[Any]:
    array = array.cast(pa.float64())
    values = _objects(array)
    if pc.any(pc.is_nan(array)).as_py():
        return [value if value == value else "NaN" for value in values]  # noqa: PLR0124
    return values


def _objects(array: pa.Array) -> list[Any]:
    """Return Python's objects, nulls as None; by way of numpy, which is faster than Arrow."""
    kind = array.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not array.null_count or not is_number:
        return list(array.to_numpy(zero_copy_only=False).tolist())
    values = array.fill_null(0).to_numpy(zero_copy_only=False).astype(object)
    values[array.is_null().to_numpy(zero_copy_only=False)] = None
    return list(values.tolist())
