"""One table of one database: statements, transactions, columns, whatever the driver."""

from __future__ import annotations

import abc
import contextlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.errors import SinkError
from eventtime.sinks.columns import as_stored, stored
from eventtime.sinks.text import check_text_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventtime.sinks.table_options import TableOptions

__all__ = ("Database", "driver_missing", "quoted", "unlike")


def driver_missing(error: ImportError, *, extra: str, place: str) -> SinkError:
    """Build the error for a driver that is not installed."""
    msg = f"the driver is not installed: {error}"
    return SinkError(msg, place=place, remedy=f"pip install 'eventtime[{extra}]'")


def quoted(name: str) -> str:
    """Quote an identifier as standard SQL does.

    >>> print(quoted('the "best" one'))
    "the ""best"" one"
    """
    return '"' + name.replace('"', '""') + '"'


class Database(abc.ABC):
    """A connection to one database that writes one table.

    Args:
        options: table, mode, key.
        schema: of the rows.
        place: for messages.

    Raises:
        SinkError: a column has no form in any database.
    """

    name: str
    failures: tuple[type[Exception], ...]
    """What the driver raises."""
    lock = ""
    """What makes a SELECT lock its row."""
    _connection: Any

    def __init__(self, options: TableOptions, schema: pa.Schema, place: str) -> None:
        check_text_types(schema, self.name)
        self.options = options
        self.schema = schema
        self.place = place

    @abc.abstractmethod
    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch all rows."""

    @abc.abstractmethod
    def column_type(self, field: pa.Field) -> str:
        """Name the type of a column as the database shows it; SinkError if it has none."""

    @abc.abstractmethod
    def columns(self) -> dict[str, str]:
        """Columns of the table and their types; empty if there is no table."""

    def value(self, number: int) -> str:
        """Name the n-th value in a statement, from 1 on."""
        return "?"

    def stored(self, kind: pa.DataType) -> pa.DataType:
        """Return the type that a column is stored as."""
        return stored(kind)

    def as_stored(self, rows: pa.Table) -> pa.Table:
        """Cast rows to the types they are stored in."""
        kinds = [self.stored(field.type) for field in self.schema]
        columns = [
            as_stored(column.combine_chunks(), kind, name, self.name)
            for column, kind, name in zip(rows.columns, kinds, self.schema.names, strict=True)
        ]
        return pa.table(columns, names=self.schema.names)

    @abc.abstractmethod
    def load(self, rows: pa.Table) -> None:
        """Insert or upsert rows, in their order."""

    def close(self) -> None:
        """Close the connection; never raises."""
        with contextlib.suppress(Exception):
            self._connection.close()

    def begin(self) -> None:
        """Start a transaction."""
        self.execute("BEGIN")

    def table_name(self, table: str) -> str:
        """Name a table in a statement."""
        return quoted(table)

    @property
    def table(self) -> str:
        """The table in a statement."""
        return self.table_name(self.options.table)

    @property
    def names(self) -> str:
        """All columns in a statement."""
        return ", ".join(map(quoted, self.schema.names))

    def insert(self, source: str) -> str:
        """Make the statement that inserts or upserts from a source of rows."""
        statement = f"INSERT INTO {self.table} ({self.names}) {source}"
        if self.options.mode == "append":
            return statement
        rest = [name for name in self.schema.names if name not in self.options.key]
        changes = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in rest)
        action = f"UPDATE SET {changes}" if rest else "NOTHING"
        return f"{statement} ON CONFLICT ({', '.join(map(quoted, self.options.key))}) DO {action}"

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end, or roll back on any error.

        Raises:
            SinkError: the database refused or cannot be reached.
        """
        with self.naming():
            self.begin()
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                self.roll_back()
                raise

    def roll_back(self) -> None:
        """Undo what was not committed; never raises."""
        with contextlib.suppress(Exception):
            self.execute("ROLLBACK")

    @contextlib.contextmanager
    def naming(self) -> Iterator[None]:
        """Turn what the driver and Arrow raise into an error with table and database."""
        try:
            yield
        except (*self.failures, pa.ArrowException) as error:
            what = " ".join(str(error).split())
            msg = f"{self.name} did not take rows for {self.options.table!r}: {what}"
            remedy = "see the cause; nothing of this transaction was left"
            raise SinkError(msg, place=self.place, remedy=remedy) from error

    def settle(self) -> None:
        """Make the table, or compare what is there with the rows; within a transaction.

        Raises:
            SinkError: the table has other columns; shows the difference.
        """
        wanted = {field.name: self.column_type(field) for field in self.schema}
        missing = [name for name in self.options.key if name not in wanted]
        if missing:
            msg = f"no column {missing[0]!r} to be part of the key; there are {', '.join(wanted)}"
            raise SinkError(msg, place=self.place, remedy="name columns of the rows in key=[…]")
        there = self.columns()
        if not there:
            parts = [f"{quoted(name)} {kind}" for name, kind in wanted.items()]
            if self.options.key:
                parts.append(f"PRIMARY KEY ({', '.join(map(quoted, self.options.key))})")
            self.execute(f"CREATE TABLE {self.table} ({', '.join(parts)})")
        elif there != wanted:
            msg = f"the table {self.options.table!r} has other columns: {unlike(there, wanted)}"
            remedy = "write to another table, or change this one"
            raise SinkError(msg, place=self.place, remedy=remedy)
        # Refused here, before any row, if there is no unique index on the key.
        self.execute(self.insert(f"SELECT {self.names} FROM {self.table} WHERE 1 = 0"))


def unlike(there: dict[str, str], wanted: dict[str, str]) -> str:
    """Say how the columns of a table and those of the rows differ.

    >>> unlike({"a": "bigint", "b": "text"}, {"a": "text"})
    "'b' is only there; 'a' is bigint there and text here"
    """
    parts = [f"{name!r} is missing there" for name in wanted if name not in there]
    parts += [f"{name!r} is only there" for name in there if name not in wanted]
    parts += [
        f"{name!r} is {there[name]} there and {kind} here"
        for name, kind in wanted.items()
        if there.get(name, kind) != kind
    ]
    return "; ".join(parts)
