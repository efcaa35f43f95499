"""New rows of a database as a live source: polled by a column that ascends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import ColumnError, PlanError, SchemaError, SourceError
from eventtime.sources.base import Poll
from eventtime.sources.inferring import Inferred
from eventtime.sources.positions import checked
from eventtime.sources.reader_feed import ReaderFeed
from eventtime.sources.schemas import check_columns, difference, row_schema
from eventtime.sources.sql_tables import PostgresTable, SqliteTable, named_column
from eventtime.wording import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import MalformedRows, Position, Rows
    from eventtime.sources.fetched_rows import FetchedRows
    from eventtime.sources.sql_tables import SqlTable

__all__ = ("POSTGRES", "SqlReader", "SqlSource")

POSTGRES: Final = ("postgresql", "postgres")
"""What an address of PostgreSQL begins with."""

_POSITION: Final = {"last": int | str | None, "ties": dict, "rows": int}
_MOST_ROWS: Final = 65_536
_INFINITY_US: Final = -9_222_425_352_054_775_809
"""PostgreSQL's `infinity` as its driver gives it: its epoch added, and gone round once."""
_BEGINNING: Final[Position] = {"last": None, "ties": {}, "rows": 0}


@dataclass(frozen=True)
class SqlSource:
    """Rows of a table or query, as they are added; made by `eventtime.read_sql`.

    Attributes:
        address: of PostgreSQL, or the path of a file of SQLite.
        query: what is read, as a SELECT.
        name: of the partition.
        by: column that ascends.
        time: event-time column.
        time_unit: unit of an integer time column.
        given: columns and types; None: the database tells them.
        every_us: from one poll to the next.
        settle_us: rows are left alone until they are so old.
        before: columns that the database told an earlier process; None: it is asked.
    """

    address: str = field(repr=False)  # it may hold a password
    query: str
    name: str
    by: str
    time: str
    time_unit: str | None
    given: pa.Schema | None
    every_us: int
    settle_us: int
    reports_malformed: bool = True
    before: pa.Schema | None = None
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def is_postgres(self) -> bool:
        """Whether it is PostgreSQL."""
        return self.address.startswith(tuple(f"{scheme}://" for scheme in POSTGRES))

    def schema(self) -> pa.Schema:
        """Return the columns given, or those that the database tells.

        Raises:
            SourceError: it cannot be reached, or refuses the query.
        """
        if "schema" not in self._known:
            table = self.connected()
            try:
                self._known["schema"] = self._schema(table)
            finally:
                table.close()
        known: pa.Schema = self._known["schema"]
        return known

    def inferred(self) -> Inferred | None:
        """See `Inferring`."""
        return None if self.given is not None else Inferred(self.schema(), pa.schema([]))

    def as_inferred(self, columns: Inferred) -> SqlSource:
        """See `Inferring`."""
        return self if self.given is not None else replace(self, before=columns.inside)

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> ReaderFeed:
        """Connect, and poll from the beginning or behind a position."""
        schema = self.schema()
        reader = SqlReader(self, schema, columns, (positions or {}).get(self.name), clock)
        return ReaderFeed([reader], clock, every_us=self.every_us, most_us=self.every_us)

    def describe(self) -> str:
        """Return one line, without user and password."""
        place = without_secrets(self.address) if self.is_postgres else self.address
        return f"new rows of {self.name} in {place} by {self.by}, time={self.time}"

    def connected(self) -> SqlTable:
        """Connect.

        Raises:
            SourceError: nobody answers.
        """
        return PostgresTable(self.address) if self.is_postgres else SqliteTable(self.address)

    def _schema(self, table: SqlTable) -> pa.Schema:
        try:
            found = table.columns(self.query)
        except table.failures as error:
            msg = f"the database refuses the query: {' '.join(str(error).split())}"
            raise SourceError(msg, place=self.describe(), remedy="check its names") from error
        told = pa.schema([(name, kind) for name, kind in found.items() if kind is not None])
        fixed = self.before if self.given is None else self.given
        schema = told if fixed is None else row_schema(fixed)
        if not schema.names:
            msg = "SQLite does not tell the types of columns"
            raise PlanError(msg, place="read_sql(schema=…)", remedy="give them with schema=")
        for name in [*schema.names, self.by, self.time]:
            if name not in found:
                msg, remedy = f"there is no column {name!r}", f"one of {', '.join(found)}"
                raise ColumnError(msg, place=self.describe(), remedy=remedy)
        some = pa.schema([field for field in told if field.name in schema.names])
        where = "schema=" if self.before is None else "the checkpoint"
        if told.names and (gap := difference(schema, where, some, "the database")):
            raise SchemaError(gap, place=self.describe(), remedy="cast it in query=")
        check_columns(schema, [self.by, self.time])
        self._check_by(schema.field(self.by).type)
        return schema

    def _check_by(self, kind: pa.DataType) -> None:
        is_time = pa.types.is_timestamp(kind)
        if not (is_time or pa.types.is_integer(kind) or pa.types.is_string(kind)):
            msg = f"column {self.by!r} of type {kind} cannot tell which rows are new"
            remedy = "take one of integers, times or texts that ascends"
            raise PlanError(msg, place="read_sql(by=…)", remedy=remedy)
        if self.settle_us and not (is_time and self.is_postgres):
            msg = f"settle= needs times of PostgreSQL in column {self.by!r}, which is {kind}"
            raise PlanError(msg, place="read_sql(settle=…)", remedy="leave it out")


class SqlReader:
    """Polls one query.

    A position has the ``last`` value seen, what was seen with that value (``ties``: how many rows,
    by a checksum of each), and the number of ``rows``.
    """

    def __init__(
        self,
        source: SqlSource,
        schema: pa.Schema,
        columns: Sequence[str] | None,
        held: Position | None,
        clock: Clock,
    ) -> None:
        self.name, self._source, self._clock = source.name, source, clock
        self._wanted = check_columns(schema, columns)
        # The last one is that by which rows are ordered.
        names = [*(name for name in self._wanted.names if name != source.by), source.by]
        self._asked = pa.schema([schema.field(name) for name in names])
        known = checked(held or dict(_BEGINNING), _POSITION, partition=self.name)
        self._last: int | str | None = known["last"]
        self._ties: Counter[str] = Counter(known["ties"])
        self._rows: int = known["rows"]
        self._found: FetchedRows | None = None
        self._waiting: list[tuple[Rows, Sequence[int]]] = []
        self._table = source.connected()

    @property
    def position(self) -> Position:
        return {"last": self._last, "ties": dict(self._ties), "rows": self._rows}

    def read(self) -> pa.RecordBatch | MalformedRows | Poll:
        if not self._waiting:
            self._poll()
        if not self._waiting or self._found is None:
            return Poll.PAUSE
        rows, indexes = self._waiting.pop(0)
        self._note(self._found, indexes)
        return rows

    def close(self) -> None:
        self._table.close()

    def _poll(self) -> None:
        """Ask for rows from the last value on, and leave out those seen with it."""
        found = self._fetched()
        before = 0 if self._last is None else found.count(self._last)
        unseen, seen = [], Counter(self._ties)
        for i, digest in enumerate(found.digests(0, before)):
            if seen[digest] > 0:
                seen[digest] -= 1
            else:
                unseen.append(i)
        kept = [*unseen, *range(before, len(found))]
        if not kept:
            return
        self._found = found
        self._waiting = found.rows(kept, self._wanted, self._source.describe())

    def _note(self, found: FetchedRows, indexes: Sequence[int]) -> None:
        """Move the position behind rows; the last value is that of the last ones."""
        newest = found.value(indexes[-1])
        self._check_kind(newest, found.value(indexes[0]))
        self._check_finite(newest)
        if newest != self._last:
            self._last, self._ties = newest, Counter()
        for i in reversed(indexes):
            if found.value(i) != newest:
                break
            self._ties.update(found.digests(i, i + 1))
        self._rows += len(indexes)

    def _check_kind(self, newest: object, first: object) -> None:
        """Refuse values of which SQLite puts one kind behind all of another, whenever they came."""
        kinds = {type(newest), type(first if self._last is None else self._last)}
        source = self._source
        is_whole = pa.types.is_integer(self._asked.field(source.by).type)
        if len(kinds) == 1 and kinds <= ({int} if is_whole else {int, str}):
            return
        msg = f"column {source.by!r} holds {shown(newest)}: rows that come later are not behind it"
        remedy = "keep integers or texts there, not both, or leave such rows out with query="
        raise SourceError(msg, place=source.describe(), remedy=remedy)

    def _check_finite(self, newest: int | str) -> None:
        """Refuse a time behind which there is none: rows that come later would not be seen."""
        source = self._source
        is_time = pa.types.is_timestamp(self._asked.field(source.by).type)
        if not (is_time and source.is_postgres and newest == _INFINITY_US):
            return
        msg = f"column {source.by!r} holds infinity: rows that come later are not behind it"
        condition = f"{named_column(source.by)} < 'infinity'"
        remedy = f"leave such rows out: read query= with a SELECT … WHERE {condition}"
        raise SourceError(msg, place=source.describe(), remedy=remedy)

    def _fetched(self) -> FetchedRows:
        source, table = self._source, self._table
        by, values = named_column(source.by), []
        kind = self._asked.field(source.by).type
        where = [f"{by} IS NOT NULL"]
        if self._last is not None:
            values.append(table.bound(self._last, kind))
            where.append(f"{by} >= {table.mark(len(values))}")
        if source.settle_us:
            values.append(table.bound(self._clock.now_us() - source.settle_us, kind))
            where.append(f"{by} < {table.mark(len(values))}")
        limit = _MOST_ROWS + sum(self._ties.values())
        columns = ", ".join(map(named_column, self._asked.names))
        query = (
            f"SELECT {columns} FROM ({source.query}) AS rows "
            f"WHERE {' AND '.join(where)} ORDER BY {by} LIMIT {limit}"
        )
        try:
            return table.rows(query, values, self._asked)
        except table.failures as error:
            msg = f"the database cannot be read any more: {' '.join(str(error).split())}"
            remedy = "run with restart=et.restart(…) to go on when it is back"
            raise SourceError(msg, place=source.describe(), remedy=remedy) from error
