"""Databases that are polled: PostgreSQL through ADBC, SQLite through Python's own driver."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.postgres_client import bounded
from eventtime.sources.fetched_rows import ArrowRows, TupleRows
from eventtime.sources.schemas import row_schema
from eventtime.wording import without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.fetched_rows import FetchedRows

__all__ = ("PostgresTable", "SqlTable", "SqliteTable", "named_column", "named_table")


class SqlTable(Protocol):
    """A connection to a database; used by one thread at a time."""

    failures: tuple[type[Exception], ...]
    """What the driver raises."""

    def mark(self, number: int) -> str:
        """Name the n-th value in a statement, from 1 on."""
        ...

    def columns(self, query: str) -> dict[str, pa.DataType | None]:
        """Return the columns of a query; None as the type if only rows tell it."""
        ...

    def rows(self, query: str, values: Sequence[object], schema: pa.Schema) -> FetchedRows:
        """Run a query that is ordered by its last column.

        Args:
            query: with marks for values.
            values: in their order.
            schema: of what it selects.
        """
        ...

    def bound(self, held: int | str, kind: pa.DataType) -> object:
        """Make a value for a statement of what a position holds of a column; times are of µs."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def named_column(name: str) -> str:
    """Quote a name.

    >>> named_column('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def named_table(name: str) -> str:
    """Quote the name of a table, of one with dots each part.

    >>> named_table("public.events")
    '"public"."events"'
    """
    return ".".join(map(named_column, name.split(".")))


class PostgresTable:
    """A connection to PostgreSQL.

    Raises:
        SourceError: the driver is not installed, or nobody answers.
    """

    def __init__(self, dsn: str) -> None:
        place = without_secrets(dsn) if "://" in dsn else "PostgreSQL"
        try:
            import adbc_driver_manager
            from adbc_driver_postgresql import dbapi
        except ImportError as error:
            msg = f"the driver is not installed: {error}"
            remedy = "pip install 'eventtime[postgres]'"
            raise SourceError(msg, place=place, remedy=remedy) from error
        self.failures: tuple[type[Exception], ...] = (adbc_driver_manager.Error,)
        try:
            self._connection: Any = dbapi.connect(bounded(dsn), autocommit=True)
        except self.failures as error:
            msg = f"the database cannot be reached: {' '.join(str(error).split())}"
            remedy = "check that it runs, and the address, user and password"
            raise SourceError(msg, place=place, remedy=remedy) from error

    def mark(self, number: int) -> str:
        return f"${number}"

    def columns(self, query: str) -> dict[str, pa.DataType | None]:
        found = row_schema(self._fetched(f"SELECT * FROM ({query}) AS rows LIMIT 0", ()).schema)
        return {field.name: field.type for field in found}

    def rows(self, query: str, values: Sequence[object], schema: pa.Schema) -> FetchedRows:
        return ArrowRows(self._fetched(query, values), schema)

    def bound(self, held: int | str, kind: pa.DataType) -> object:
        if not pa.types.is_timestamp(kind):
            return held
        # No datetime: it ends with the year 9999.
        return pa.scalar(held, pa.timestamp("us", kind.tz))

    def _fetched(self, query: str, values: Sequence[object]) -> pa.Table:
        given = None
        if values:
            arrays = [pa.array([pa.scalar(value)]) for value in values]
            given = pa.RecordBatch.from_arrays(arrays, [f"${n}" for n in range(len(arrays))])
        with self._connection.cursor() as cursor:
            cursor.execute(query, given)
            return cursor.fetch_arrow_table()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()


class SqliteTable:
    """A connection to a file of SQLite, to read only.

    Raises:
        SourceError: there is no such file.
    """

    def __init__(self, path: str) -> None:
        import sqlite3

        self.failures: tuple[type[Exception], ...] = (sqlite3.Error,)
        if not os.path.isfile(path):
            msg = f"there is no file {path!r}"
            raise SourceError(msg, place="read_sql(address)", remedy="check the path")
        from pathlib import Path

        uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=30)

    def mark(self, number: int) -> str:
        return f"?{number}"

    def columns(self, query: str) -> dict[str, pa.DataType | None]:
        cursor = self._connection.execute(f"SELECT * FROM ({query}) AS rows LIMIT 0")
        names = [str(column[0]) for column in cursor.description]
        cursor.close()
        return dict.fromkeys(names)

    def bound(self, held: int | str, kind: pa.DataType) -> object:
        del kind
        return held  # as it stands in the column, whose rows are compared as they stand there

    def rows(self, query: str, values: Sequence[object], schema: pa.Schema) -> FetchedRows:
        given: Any = list(values)
        return TupleRows(self._connection.execute(query, given).fetchall(), schema)

    def close(self) -> None:
        self._connection.close()
