"""Values of Arrow columns as plain Python ones, and back; times and durations as whole units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.testing.steps import Row

__all__ = ("laid", "laid_out", "plain", "plain_rows")


def plain(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return a column's values.

    >>> plain(pa.array([1_500, None], pa.timestamp("ns"))), plain(pa.array([b"x"]))
    ([1500, None], [b'x'])
    """
    if isinstance(array, pa.ChunkedArray):
        return [value for chunk in array.chunks for value in plain(chunk)]
    kind = array.type
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_temporal(kind) and kind.bit_width in {32, 64}:
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    elif pa.types.is_float16(kind):
        array = array.cast(pa.float64())
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [None if not value.is_valid else plain(value.values) for value in array]
    values: list[Any] = array.to_pylist()
    return values


def plain_rows(data: pa.RecordBatch | pa.Table) -> list[Row]:
    """Return rows by column.

    >>> plain_rows(pa.table({"t": pa.array([5], pa.timestamp("s")), "x": ["a"]}))
    [{'t': 5, 'x': 'a'}]
    """
    columns = [plain(column) for column in data.columns]
    names = data.schema.names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def laid(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Return the column of plain values.

    >>> laid([5, None], pa.date32())[0]
    <pyarrow.Date32Scalar: datetime.date(1970, 1, 6)>
    """
    if pa.types.is_temporal(kind) and kind.bit_width in {32, 64}:
        return pa.array(values, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)
    return pa.array(values, kind)


def laid_out(row: Row, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch of one row, of the columns of a schema."""
    columns = [laid([row[field.name]], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
