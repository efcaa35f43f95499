"""What the sinks into database tables share: options, statements, transactions, epoch markers."""

from __future__ import annotations

import abc
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa

from eventtime.checks import check_names, check_text, is_one_of, shown
from eventtime.errors import PlanError, SinkError
from eventtime.sinks.columns import as_stored, stored
from eventtime.sinks.epochs import check_delivery, check_job, check_token
from eventtime.sinks.gather import Gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from eventtime.sinks.epochs import Delivery, Guarantee

__all__ = (
    "MARKERS",
    "Database",
    "Mode",
    "TableEpochs",
    "TableOptions",
    "TableWriter",
    "driver_missing",
    "quoted",
    "table_options",
    "unlike",
)

Mode = Literal["append", "upsert"]

MARKERS: Final = "eventtime_epochs"
"""The table with the last epoch of each job and table, beside the table of the rows."""
_ROWS_MAX: Final = 1 << 17
_BYTES_MAX: Final = 64 << 20


@dataclass(frozen=True)
class TableOptions:
    """Where rows go and how; made by `table_options`."""

    table: str
    mode: Mode
    key: tuple[str, ...]
    delivery: Delivery

    @property
    def guarantee(self) -> Guarantee:
        """What a reader may rely on."""
        rewritten = self.delivery == "at_least_once" and self.mode == "upsert"
        return "idempotent" if rewritten else self.delivery


def table_options(
    table: object, mode: object, key: object, delivery: Delivery, *, place: str
) -> TableOptions:
    """Check the options that all table sinks have.

    Raises:
        PlanError: shows the one that is wrong.
    """
    check_text(table, what="table name", place=f"{place}: table=…", remedy="table='hourly'")
    if not is_one_of(mode, ("append", "upsert")):
        msg = f"mode={shown(mode)} is unknown"
        raise PlanError(msg, place=place, remedy="say 'append' or 'upsert'")
    check_delivery(delivery)
    if mode == "append" and key is not None:
        msg = f"key={shown(key)} means nothing when rows are appended"
        raise PlanError(msg, place=place, remedy="leave it out, or say mode='upsert'")
    names: Any = [] if key is None else [key] if isinstance(key, str) else key
    remedy = "name them: key=['origin', 'window_start', 'window_end']"
    check_names(names, place=f"{place}: key=…", remedy=remedy, least=int(mode == "upsert"))
    if str(table).lower() == MARKERS:
        msg = f"the table {MARKERS!r} holds the epochs committed"
        raise PlanError(msg, place=f"{place}: table=…", remedy="choose another name")
    known: Mode = "upsert" if mode == "upsert" else "append"
    return TableOptions(str(table), known, tuple(names), delivery)


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
    """

    name: str
    failures: tuple[type[Exception], ...]
    """What the driver raises."""
    lock = ""
    """What makes a SELECT lock its row."""

    def __init__(self, options: TableOptions, schema: pa.Schema, place: str) -> None:
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

    @abc.abstractmethod
    def close(self) -> None:
        """Close the connection; never raises."""

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


class _Loader:
    """Hands rows to the database in large tables.

    Raises:
        SinkError: rows of another schema, or a null in the key of an upsert.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gather = Gather(database.schema, rows_max=_ROWS_MAX, bytes_max=_BYTES_MAX)

    def add(self, batch: pa.RecordBatch) -> None:
        database = self._database
        if not batch.schema.equals(database.schema):
            msg = f"rows of schema {batch.schema} for an output opened with {database.schema}"
            remedy = "cast them to the schema of the output"
            raise SinkError(msg, place=database.place, remedy=remedy)
        for name in database.options.key:
            if batch.column(name).null_count:
                msg = f"a row without {name!r}, which is part of the key"
                remedy = "fill or filter it, leave it out of key=[…], or append instead"
                raise SinkError(msg, place=database.place, remedy=remedy)
        self._gather.add(batch)
        while self._gather.full:
            database.load(self._gather.take())

    def finish(self) -> None:
        while self._gather.rows:
            self._database.load(self._gather.take())


class TableWriter:
    """Writes the rows of one run in one transaction: all of them, or none and no table."""

    def __init__(self, connect: Callable[[], Database]) -> None:
        self._database = connect()
        self._loader = _Loader(self._database)
        try:
            with self._database.naming():
                self._database.begin()
                self._database.settle()
        except BaseException:
            self.abort()
            raise

    def write(self, batch: pa.RecordBatch) -> None:
        """Insert the next rows; nobody else sees them yet."""
        with self._database.naming():
            self._loader.add(batch)

    def commit(self) -> None:
        """Make all rows visible at once."""
        with self._database.naming():
            self._loader.finish()
            self._database.execute("COMMIT")
        self._database.close()

    def abort(self) -> None:
        """Undo everything; never raises."""
        self._database.roll_back()
        self._database.close()


class TableEpochs:
    """Writes each epoch, its number and the token in one transaction; see `EpochWriter`."""

    def __init__(self, connect: Callable[[], Database], job: str) -> None:
        check_job(job)
        self._database = database = connect()
        self._job = job
        self._markers = database.table_name(MARKERS)
        try:
            with database.transaction():
                database.settle()
                database.execute(
                    f"CREATE TABLE IF NOT EXISTS {self._markers} (job VARCHAR(1000), "
                    "target VARCHAR(1000), token BIGINT NOT NULL, epoch BIGINT NOT NULL, "
                    "PRIMARY KEY (job, target))"
                )
        except BaseException:
            database.close()
            raise

    def recover(self, token: int) -> int:
        """Claim the table and tell the last epoch committed."""
        with self._database.transaction():
            last = self._last(token)
            self._mark(last, token)
        return 0 if self._database.options.delivery == "at_least_once" else last

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Insert rows and move the marker in one transaction."""
        with self._database.transaction():
            last = self._last(token)
            if epoch <= last and self._database.options.delivery != "at_least_once":
                return
            loader = _Loader(self._database)
            for batch in batches:
                loader.add(batch)
            loader.finish()
            self._mark(max(epoch, last), token)

    def close(self) -> None:
        """Close the connection; never raises."""
        self._database.close()

    def _last(self, token: int) -> int:
        """Lock the marker until the end of the transaction, and check the token against it."""
        database = self._database
        job, target = database.value(1), database.value(2)
        row = (self._job, database.options.table)
        database.execute(
            f"INSERT INTO {self._markers} VALUES ({job}, {target}, 0, 0) ON CONFLICT DO NOTHING",
            row,
        )
        [(held, last)] = database.execute(
            f"SELECT token, epoch FROM {self._markers} "
            f"WHERE job = {job} AND target = {target}{database.lock}",
            row,
        )
        check_token(held, token, database.place)
        return int(last)

    def _mark(self, epoch: int, token: int) -> None:
        database = self._database
        values = [database.value(number) for number in (1, 2, 3, 4)]
        database.execute(
            f"UPDATE {self._markers} SET token = {values[0]}, epoch = {values[1]} "
            f"WHERE job = {values[2]} AND target = {values[3]}",
            (token, epoch, self._job, database.options.table),
        )
