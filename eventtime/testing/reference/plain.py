"""Values of Arrow columns as plain Python ones, and back; times and durations as whole units."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.testing.reference.spec import TIME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.testing.reference.spec import Time
    from eventtime.testing.steps import Row

__all__ = ("in_units", "in_us", "laid_out", "latest", "plain", "plain_rows")

_US: Final[dict[str, Any]] = {
    "day": 86_400_000_000, "s": 1_000_000, "ms": 1_000, "us": 1, "ns": Fraction(1, 1_000)
}  # fmt: skip
"""Microseconds in a unit of a column of times."""
_LAST_OF_NS: Final = (2**63 - 1) // 1_000
_TEN_YEARS: Final = 3_650 * _US["day"]


def in_us(value: int, unit: str) -> int:
    """Return a time in µs, rounded down (S1)."""
    return int(value * _US[unit] // 1)


def in_units(time: Time, unit: str) -> int | None:
    """Return a time in µs as a column of a unit has it, rounded down; infinities are null (S1).

    A watermark beyond the last nanosecond is that one; no window is.
    """
    if math.isinf(time):
        return None
    if unit == "ns":
        time = max(-_LAST_OF_NS, min(time, _LAST_OF_NS))
    return int(time // _US[unit])


def latest(unit: str) -> int:
    """Return the last time admitted, µs: not the ten years at either end of nanoseconds (S1)."""
    return _LAST_OF_NS - _TEN_YEARS if unit == "ns" else TIME_LIMIT


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
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [None if not value.is_valid else plain(value.values) for value in array]
    if pa.types.is_float16(kind):
        array = array.cast(pa.float64())
    whole = _whole(kind)
    values: list[Any] = (array if whole is None else array.view(whole)).to_pylist()
    return values


def plain_rows(data: pa.RecordBatch | pa.Table) -> list[Row]:
    """Return rows by column.

    >>> plain_rows(pa.table({"t": pa.array([5], pa.timestamp("s")), "x": ["a"]}))
    [{'t': 5, 'x': 'a'}]
    """
    columns = [plain(column) for column in data.columns]
    names = data.schema.names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def laid_out(row: Row, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch of one row, of the columns of a schema.

    >>> laid_out({"d": 5}, pa.schema({"d": pa.date32()})).column("d")[0]
    <pyarrow.Date32Scalar: datetime.date(1970, 1, 6)>
    """
    columns = [_laid([row[field.name]], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _laid(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    whole = _whole(kind)
    return pa.array(values, kind) if whole is None else pa.array(values, whole).view(kind)


def _whole(kind: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the units of times and durations."""
    if not pa.types.is_temporal(kind):
        return None
    return {32: pa.int32(), 64: pa.int64()}.get(kind.bit_width)
