"""The PostgreSQL sink."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.checks import check_text
from eventtime.encodings import is_list
from eventtime.errors import SinkError
from eventtime.postgres_client import bounded
from eventtime.sinks.columns import last_of_each_key, refused, stored
from eventtime.sinks.database import Database, driver_missing, quoted
from eventtime.sinks.table_options import table_options
from eventtime.sinks.tables import TableSink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sinks.epochs import Delivery
    from eventtime.sinks.table_options import Mode, TableOptions

__all__ = ("PostgresSink", "to_postgres")

_WAIT_S: Final = 30
"""How long another transaction may hold what this one needs."""
_NAME_BYTES_MAX: Final = 63
"""The server cuts longer names short, without an error."""
_STAGED: Final = "eventtime_staged"
_TYPES: Final = {
    pa.int8(): "smallint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "integer",
    pa.uint32(): "bigint",
    pa.float32(): "real",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.string(): "text",
    pa.binary(): "bytea",
    pa.null(): "text",
    pa.date32(): "date",
    pa.time32("s"): "time without time zone",
    pa.time32("ms"): "time without time zone",
    pa.time64("us"): "time without time zone",
    **{pa.duration(unit): "interval" for unit in ("s", "ms", "us")},
}


def to_postgres(
    dsn: str,
    *,
    table: str,
    schema: str = "public",
    mode: Mode = "append",
    key: Sequence[str] | None = None,
    delivery: Delivery = "exactly_once",
) -> PostgresSink:
    """Write to a table of a PostgreSQL database; the table is made if it is not there.

    A run writes in one transaction: all its rows, or none. With checkpoints it writes one
    transaction for each epoch, with the number of the epoch in it: exactly once. Rows go as binary
    COPY. A server that went away is connected to again at the next epoch; one that says nothing
    when it is connected to is an error after 10 s (``connect_timeout`` in the address, in seconds).

    Every number, text, time and list of them has its type: ``bigint``, ``double precision`` (with
    NaN and infinities), ``numeric``, ``text``, ``bytea``, ``timestamp with time zone``,
    ``interval``, ``bigint[]`` and so on; uint64 is ``numeric(20,0)``. Times and durations are in
    µs: a value with nanoseconds is refused, not rounded. Structs, maps and lists of lists are
    refused.

    Needs the extra ``eventtime[postgres]``.

    Args:
        dsn: a URI such as ``postgresql://user@host/database``, or as libpq takes it.
        table: its name; with other columns than those of the rows it is refused.
        schema: that the table is in.
        mode: "append", or "upsert": a row replaces the one with the same key.
        key: columns that make a row unique, for an upsert; never null.
        delivery: with checkpoints: "exactly_once", "at_least_once", "at_most_once".

    Raises:
        PlanError: an argument is of the wrong kind.

    >>> to_postgres("postgresql://me@db.example/weather", table="hourly").describe()
    'PostgreSQL table public.hourly'
    """
    place = f"to_postgres(…, table={table!r})"
    check_text(dsn, what="address of a database", place=place, remedy="'postgresql://host/name'")
    check_text(schema, what="schema name", place=place, remedy="schema='public'")
    return PostgresSink(dsn, schema, table_options(table, mode, key, delivery, place=place))


@dataclass(frozen=True)
class PostgresSink(TableSink):
    """Rows to a table of a PostgreSQL database; made by `to_postgres`."""

    dsn: str = field(repr=False)  # it may hold a password
    schema: str
    options: TableOptions

    @property
    def occupies(self) -> tuple[object, ...]:
        """The table, as it is addressed."""
        return self.dsn, self.schema, self.options.table

    def database(self, schema: pa.Schema) -> _Postgres:
        """Connect."""
        return _Postgres(self, schema)

    def describe(self) -> str:
        """One line for `explain()`, without the address."""
        return f"PostgreSQL table {self.schema}.{self.options.table}"


class _Postgres(Database):
    """A connection that writes one table; made anew after it broke."""

    name = "PostgreSQL"
    lock = " FOR UPDATE"

    def __init__(self, sink: PostgresSink, schema: pa.Schema) -> None:
        try:
            import adbc_driver_manager
            from adbc_driver_postgresql import dbapi
        except ImportError as error:
            raise driver_missing(error, extra="postgres", place=sink.describe()) from error
        super().__init__(sink.options, schema, sink.describe())
        self.failures = (adbc_driver_manager.Error,)
        self._sink = sink
        self._driver: Any = dbapi
        self._connection = None
        for name in (sink.schema, sink.options.table, *schema.names):
            self._check_name(name)

    def _check_name(self, name: str) -> None:
        if len(name.encode()) > _NAME_BYTES_MAX or "\0" in name or not name:
            msg = f"PostgreSQL cannot hold the name {name!r}"
            remedy = f"choose one of 1 to {_NAME_BYTES_MAX} bytes, without a zero byte"
            raise SinkError(msg, place=self.place, remedy=remedy)

    def begin(self) -> None:
        """Start a transaction; on a new connection if there is none or it broke."""
        if self._connection is not None:
            try:
                self.execute("BEGIN")
            except self.failures:
                self.close()
            else:
                return
        # Transactions are ours: with its own, the driver begins the next one at once.
        self._connection = self._driver.connect(bounded(self._sink.dsn), autocommit=True)
        self.execute(f"SET lock_timeout = '{_WAIT_S}s'")
        self.execute("BEGIN")

    def roll_back(self) -> None:
        """Undo what was not committed; a connection that cannot is given up. Never raises."""
        try:
            self.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - whatever the driver raises on a broken connection
            self.close()

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and fetch all rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, list(values) or None)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def value(self, number: int) -> str:
        """Name the n-th value, from 1 on."""
        return f"${number}"

    def table_name(self, table: str) -> str:
        """Name a table with its schema."""
        return f"{quoted(self._sink.schema)}.{quoted(table)}"

    def column_type(self, field: pa.Field) -> str:
        """Name the type as `format_type` does."""
        kind = _type_name(stored(field.type))
        if kind is None:
            raise refused(field, self.name)
        return kind

    def columns(self) -> dict[str, str]:
        """Columns of the table and their types."""
        found = self.execute(
            "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relname = $1 AND n.nspname = $2 AND a.attnum > 0 AND NOT a.attisdropped "
            "ORDER BY a.attnum",
            (self.options.table, self._sink.schema),
        )
        return dict(found)

    def load(self, rows: pa.Table) -> None:
        """COPY; for an upsert into a table of its own first."""
        rows = self.as_stored(rows)
        if self.options.mode == "append":
            self._copy(rows, self.options.table, db_schema_name=self._sink.schema)
            return
        self.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {_STAGED} "
            f"(LIKE {self.table}) ON COMMIT DELETE ROWS"
        )
        self._copy(last_of_each_key(rows, self.options.key), _STAGED, temporary=True)
        self.execute(self.insert(f"SELECT {self.names} FROM pg_temp.{_STAGED}"))
        self.execute(f"DELETE FROM pg_temp.{_STAGED}")

    def _copy(self, rows: pa.Table, table: str, **where: Any) -> None:
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, rows, mode="append", **where)

    def close(self) -> None:
        """Close the connection; never raises."""
        connection, self._connection = self._connection, None
        with contextlib.suppress(Exception):
            connection.close()


def _type_name(kind: pa.DataType) -> str | None:
    if kind in _TYPES:
        return _TYPES[kind]
    if pa.types.is_timestamp(kind):
        return f"timestamp {'without' if kind.tz is None else 'with'} time zone"
    if pa.types.is_decimal(kind) and 0 <= kind.scale <= kind.precision:
        return f"numeric({kind.precision},{kind.scale})"
    if is_list(kind) and not pa.types.is_nested(kind.value_type):
        element = _type_name(kind.value_type)
        return None if element is None else f"{element}[]"
    return None
