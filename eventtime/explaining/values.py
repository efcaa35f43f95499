"""Rows as Python values, also those that Python's own types cannot hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ("value_of", "values_of")


def values_of(batch: pa.RecordBatch, i: int) -> dict[str, Any]:
    """Return row `i`, by column; a time beyond Python's years is the number that Arrow holds."""
    return {
        name: value_of(column[i])
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }


def value_of(scalar: Any) -> Any:
    """Return what Arrow holds; see `values_of`."""
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return getattr(scalar, "value", None)
