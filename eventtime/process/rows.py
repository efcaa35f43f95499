"""Columns as Python values, for functions over single rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ("python_rows", "python_values")


def python_rows(names: Sequence[str], columns: Sequence[pa.Array], n: int) -> Iterator[Any]:
    """Yield `n` rows as dicts."""
    if not columns:
        return ({} for _ in range(n))
    listed = zip(*map(python_values, columns), strict=True)
    return (dict(zip(names, row, strict=True)) for row in listed)


def python_values(column: pa.Array) -> list[Any]:
    """Return the values of a column.

    Nanoseconds are rounded down to microseconds. A time that Python has no date for, beyond the
    years 1 to 9999, is its number of units since 1970 instead.

    >>> python_values(pa.array([1_999, None], pa.duration("ns")))
    [datetime.timedelta(microseconds=1), None]
    """
    if getattr(column.type, "unit", None) == "ns":
        column = _micros(column)
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        values = [_value(column[i]) for i in range(len(column))]
    return values


def _micros(column: pa.Array) -> pa.Array:
    kind, t = column.type, pa.types
    if t.is_timestamp(kind):
        wanted = pa.timestamp("us", kind.tz)
    else:
        wanted = pa.duration("us") if t.is_duration(kind) else pa.time64("us")
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    numbers = column.view(pa.int64()).fill_null(0).to_numpy()
    return pa.array(np.floor_divide(numbers, 1_000), mask=~valid).view(wanted)


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return scalar.value
