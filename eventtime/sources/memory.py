"""Record batches, tables and Arrow streams that are in memory already."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.errors import SchemaError, SourceError
from eventtime.sources.ahead import AheadReader
from eventtime.sources.marks import FILE_START, Marked, Place, Placed, placed
from eventtime.sources.positions import RowPositions, check_known
from eventtime.sources.rebatch import rebatch
from eventtime.sources.schemas import check_columns, conform, difference, plain, row_schema
from eventtime.timestamp import check_time

if TYPE_CHECKING:
    from eventtime.sources.base import PartitionReader, Position

__all__ = ("MemorySource",)

ACCEPTED = (
    "a RecordBatch, a Table, a list of RecordBatches, a RecordBatchReader, "
    "an object with __arrow_c_stream__, or a dict of those"
)


class _Batches:
    """Batches that are there to stay: may be read any number of times."""

    def __init__(self, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> None:
        self._batches = batches
        self.schema = schema
        self.rows: int | None = sum(batch.num_rows for batch in batches)

    def batches(self) -> Iterable[pa.RecordBatch]:
        return self._batches


class _Stream:
    """An object with ``__arrow_c_stream__``; a second opening asks it for a second stream."""

    def __init__(self, name: str, data: Any) -> None:
        self._name = name
        self._data = data
        reader = self._export()
        self._reader: pa.RecordBatchReader | None = reader
        self.schema: pa.Schema = reader.schema
        self.rows: int | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        # The first export is kept for the first opening: asking for the schema must not run a query
        # twice.
        reader, self._reader = self._reader, None
        return iter(self._export() if reader is None else reader)

    def _export(self) -> pa.RecordBatchReader:
        try:
            return pa.RecordBatchReader.from_stream(self._data)
        except (pa.ArrowException, TypeError, ValueError) as error:
            kind = type(self._data).__name__
            cause = " ".join(str(error).split())
            message = f"partition {self._name!r}: {kind} does not give a stream of batches: {cause}"
            raise SourceError(
                message, place="from_arrow(data)", remedy="pass a pyarrow.Table"
            ) from error


class _OneShot:
    """A RecordBatchReader: its rows are gone once read."""

    def __init__(self, name: str, reader: pa.RecordBatchReader) -> None:
        self._name = name
        self._reader: pa.RecordBatchReader | None = reader
        self.schema: pa.Schema = reader.schema
        self.rows: int | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        reader, self._reader = self._reader, None
        if reader is None:
            message = (
                f"partition {self._name!r} is a RecordBatchReader, which can be read only once"
            )
            raise SourceError(
                message, place="from_arrow(data)", remedy="pass reader.read_all() to read it again"
            )
        return iter(reader)


_Part = _Batches | _Stream | _OneShot


@dataclass(frozen=True, eq=False)
class MemorySource:
    """Partitions of Arrow data in memory; equal only to itself.

    Reading: `schema`, `open`, `total_rows`, `describe`. Make it with `MemorySource.of`. Batches are
    handed over without a copy unless they are small; view types become plain strings and binaries.
    """

    time: str
    time_unit: str | None
    _parts: Mapping[str, _Part] = field(repr=False)

    @classmethod
    def of(cls, data: Any, *, time: str, time_unit: str | None = None) -> MemorySource:
        """Describe Arrow data in memory.

        Args:
            data: RecordBatch, Table, non-empty list of RecordBatches, RecordBatchReader, any object
                with ``__arrow_c_stream__``; or a dict of those: each value a partition of that
                name.
            time: the event-time column.
            time_unit: unit of an integer time column.

        Raises:
            SourceError: ``data`` is none of these, or an empty list or dict.
            SchemaError: partitions or batches have different columns.
        """
        check_time(time, time_unit)
        named = data if isinstance(data, Mapping) else {"memory": data}
        if not named:
            msg = "the dict of partitions is empty"
            raise SourceError(
                msg,
                place="from_arrow(data)",
                remedy=f"pass {ACCEPTED}",
            )
        parts = {
            str(name): _part(str(name), value)
            for name, value in sorted(named.items(), key=lambda i: str(i[0]))
        }
        first, *others = parts
        for name in others:
            schemas = row_schema(parts[first].schema), row_schema(parts[name].schema)
            gap = difference(schemas[0], f"partition {first!r}", schemas[1], f"partition {name!r}")
            if gap:
                remedy = "give all partitions the same columns"
                raise SchemaError(gap, place="from_arrow(data)", remedy=remedy)
        return cls(time, time_unit, parts)

    def schema(self) -> pa.Schema:
        """Return the columns of every partition."""
        return row_schema(next(iter(self._parts.values())).schema)

    def open(
        self,
        columns: Sequence[str] | None,
        batch_rows: int,
        positions: Mapping[str, Position] | None = None,
    ) -> list[PartitionReader]:
        """Open every partition; the data is here already, so no thread is used.

        Positions count rows: a stream must give the same rows in the same order as the one that was
        read before, and those in front of its position are dropped.

        Raises:
            SourceError: a RecordBatchReader is opened for the second time, or the data is not that
                of ``positions``.
        """
        schema = check_columns(self.schema(), columns)
        held = positions or {}
        check_known(held, list(self._parts))
        return [
            _reader(name, part, schema, batch_rows, held.get(name))
            for name, part in self._parts.items()
        ]

    def total_rows(self) -> int | None:
        """Return the number of rows, None if a partition is a stream."""
        rows = [part.rows for part in self._parts.values()]
        return None if None in rows else sum(count for count in rows if count is not None)

    def describe(self) -> str:
        """Return one line that names the partitions and counts the rows."""
        rows = self.total_rows()
        names = ", ".join(list(self._parts)[:3]) + (", …" if len(self._parts) > 3 else "")
        counted = "streamed" if rows is None else f"{rows:,} rows"
        parts = f"{len(self._parts)} partition(s) ({names})"
        return f"arrow in memory: {parts}, {counted}, time={self.time}"


def _part(name: str, data: Any) -> _Part:
    if isinstance(data, pa.RecordBatch):
        return _Batches([data], data.schema)
    if isinstance(data, pa.Table):
        return _Batches(data.to_batches(), data.schema)
    if isinstance(data, pa.RecordBatchReader):
        return _OneShot(name, data)
    if isinstance(data, list | tuple):
        return _from_list(name, data)
    if hasattr(data, "__arrow_c_stream__"):
        return _Stream(name, data)
    message = f"partition {name!r} is a {type(data).__name__}, which is not Arrow data"
    raise SourceError(message, place="from_arrow(data)", remedy=f"pass {ACCEPTED}")


def _from_list(name: str, batches: Sequence[Any]) -> _Batches:
    if not batches:
        message = f"partition {name!r} is an empty list, which has no schema"
        raise SourceError(
            message, place="from_arrow(data)", remedy="pass schema.empty_table() for no rows"
        )
    first: pa.Schema | None = None
    same: list[pa.RecordBatch] = []
    for index, batch in enumerate(batches):
        if not isinstance(batch, pa.RecordBatch):
            message = f"partition {name!r}: item {index} of the list is a {type(batch).__name__}"
            raise SourceError(
                message, place="from_arrow(data)", remedy="pass a list of RecordBatches"
            )
        schema = batch.schema
        first = schema if first is None else first
        if schema.equals(first):
            same.append(batch)
            continue
        gap = difference(first, "item 0", schema, f"item {index}")
        if gap:
            message = f"partition {name!r}: {gap}"
            raise SchemaError(message, remedy="give all batches the same columns")
        same.append(_reordered(batch, first))
    return _Batches(same, first)


def _reordered(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [batch.column(field.name) for field in schema], schema=plain(schema)
    ).cast(schema)


def _reader(
    name: str, part: _Part, schema: pa.Schema, batch_rows: int, opened_at: Position | None
) -> PartitionReader:
    batches = part.batches()

    def needed() -> Iterator[Marked]:
        for batch in batches:
            # Before small batches are joined: a column nobody needs is not copied.
            wanted = batch if batch.num_columns == len(schema) else batch.select(schema.names)
            yield FILE_START, wanted

    def scan(begin: Place) -> Generator[Placed, None, None]:
        items = placed(needed(), begin, where=f"partition {name!r}")
        for rows, place in rebatch(items, batch_rows):
            yield conform(rows, schema), place

    return AheadReader(name, scan, RowPositions(name, part.rows), opened_at, ahead=0)
