"""Rows that a query returned, in the order of its last column: as Arrow, or as tuples."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.sources.rebatch import join
from eventtime.sources.schemas import conform, row_schema
from eventtime.sources.textblocks import PARSE_ERRORS, malformed, why_not

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.base import Rows

__all__ = ("ArrowRows", "FetchedRows", "TupleRows")


class FetchedRows(Protocol):
    """Rows by number; of the values of the last column, times are microseconds."""

    def __len__(self) -> int: ...

    def value(self, index: int) -> int | str:
        """Return the value of a row in the last column."""
        ...

    def count(self, value: int | str) -> int:
        """Return how many rows have a value in the last column."""
        ...

    def digests(self, start: int, stop: int) -> list[str]:
        """Return a checksum of each of some rows; the same in every process."""
        ...

    def rows(
        self, indexes: Sequence[int], wanted: pa.Schema, place: str
    ) -> list[tuple[Rows, Sequence[int]]]:
        """Return rows with their numbers; those that do not fit the columns wanted apart."""
        ...


class ArrowRows:
    """Rows of a driver that speaks Arrow."""

    def __init__(self, table: pa.Table, schema: pa.Schema) -> None:
        plain = row_schema(table.schema)
        batches = [conform(batch, plain) for batch in table.to_batches()]
        self._batch = join(batches) if table.num_rows else pa.RecordBatch.from_pylist([], schema)
        by = self._batch.column(self._batch.num_columns - 1)
        if pa.types.is_timestamp(by.type):
            by = by.cast(pa.timestamp("us", by.type.tz)).cast(pa.int64())
        self._by = by

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def value(self, index: int) -> int | str:
        value: int | str = self._by[index].as_py()
        return value

    def count(self, value: int | str) -> int:
        return int(pc.sum(pc.equal(self._by, pa.scalar(value, self._by.type))).as_py() or 0)

    def digests(self, start: int, stop: int) -> list[str]:
        some = self._batch.slice(start, stop - start)
        columns = [_countable(column).to_pylist() for column in some.columns]
        return [_digest(row) for row in zip(*columns, strict=True)]

    def rows(
        self, indexes: Sequence[int], wanted: pa.Schema, place: str
    ) -> list[tuple[Rows, Sequence[int]]]:
        del place
        return [(conform(self._batch.take(pa.array(indexes)), wanted), indexes)]


class TupleRows:
    """Rows of a driver whose columns may hold anything."""

    def __init__(self, found: list[tuple[Any, ...]], schema: pa.Schema) -> None:
        self._found, self._schema = found, schema

    def __len__(self) -> int:
        return len(self._found)

    def value(self, index: int) -> int | str:
        value: int | str = self._found[index][-1]
        return value

    def count(self, value: int | str) -> int:
        return sum(row[-1] == value for row in self._found)

    def digests(self, start: int, stop: int) -> list[str]:
        return [_digest(row) for row in self._found[start:stop]]

    def rows(
        self, indexes: Sequence[int], wanted: pa.Schema, place: str
    ) -> list[tuple[Rows, Sequence[int]]]:
        try:
            return [(self._batch([self._found[i] for i in indexes], wanted), indexes)]
        except PARSE_ERRORS:
            return [(self._one(self._found[i], wanted, place), [i]) for i in indexes]

    def _one(self, row: tuple[Any, ...], wanted: pa.Schema, place: str) -> Rows:
        try:
            return self._batch([row], wanted)
        except PARSE_ERRORS as error:
            where = f"{place}, {self._schema.names[-1]}={row[-1]!r}"
            return malformed([(0, repr(row), f"{where}: {why_not(error)}")])

    def _batch(self, kept: list[tuple[Any, ...]], wanted: pa.Schema) -> pa.RecordBatch:
        columns = dict(zip(self._schema.names, zip(*kept, strict=True), strict=True))
        arrays = [_column(columns[field.name], field.type) for field in wanted]
        return pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    is_text = any(isinstance(value, str) for value in values)
    if not is_text or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.array(values, kind)
    return pa.array(values, pa.string()).cast(kind)


def _countable(column: pa.Array) -> pa.Array:
    """Return times as numbers: Python's own end with the year 9999, a database's do not."""
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32())
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def _digest(row: tuple[Any, ...]) -> str:
    return hashlib.blake2b(repr(row).encode(), digest_size=12).hexdigest()
