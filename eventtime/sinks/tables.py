"""Rows to a table of a database: a run in one transaction, or each epoch with its marker in one."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventtime.errors import SinkError
from eventtime.sinks.epochs import check_job, check_token
from eventtime.sinks.files import whole_path
from eventtime.sinks.gather import Gather
from eventtime.sinks.table_options import MARKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from eventtime.sinks.database import Database
    from eventtime.sinks.epochs import Delivery, Guarantee
    from eventtime.sinks.table_options import TableOptions

__all__ = ("FileTableSink", "TableEpochs", "TableSink", "TableWriter")

_ROWS_MAX: Final = 1 << 17
_BYTES_MAX: Final = 64 << 20


class TableSink(abc.ABC):
    """Rows to a table: the part of a frozen description that all databases share."""

    options: TableOptions

    @property
    def delivery(self) -> Delivery:
        """When epochs are committed."""
        return self.options.delivery

    @property
    def guarantee(self) -> Guarantee:
        """What a reader may rely on."""
        return self.options.guarantee

    def open(self, schema: pa.Schema) -> TableWriter:
        """Connect, and make or compare the table."""
        return TableWriter(lambda: self.database(schema))

    def open_epochs(self, schema: pa.Schema, job: str) -> TableEpochs:
        """Connect, and make or compare the table."""
        return TableEpochs(lambda: self.database(schema), job)

    @property
    @abc.abstractmethod
    def occupies(self) -> tuple[object, ...]:
        """What no other output of the same run may have: the table."""

    @abc.abstractmethod
    def database(self, schema: pa.Schema) -> Database:
        """Connect.

        Raises:
            SinkError: the driver or the place is missing, or a column has no type there.
        """

    @abc.abstractmethod
    def describe(self) -> str:
        """One line for `explain()`."""


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


@dataclass(frozen=True)
class FileTableSink(TableSink):
    """Rows to a table of a database that is one file."""

    path: str
    options: TableOptions

    @property
    def occupies(self) -> tuple[object, ...]:
        """The table; names are compared without case."""
        return whole_path(self.path), self.options.table.lower()


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
