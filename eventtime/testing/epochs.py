"""Rows of epochs that can be told apart wherever they are found."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

__all__ = ("JOB", "SCHEMA", "batch_of", "numbers_of", "rows_of")

SCHEMA: Final = pa.schema(
    [("n", pa.int64()), ("name", pa.string()), ("window_start", pa.timestamp("us", "UTC"))]
)
JOB: Final = "the job's id/results"
_ROWS: Final = 5
_DAY_US: Final = 86_400_000_000


def rows_of(epoch: int) -> list[pa.RecordBatch]:
    """Rows of an epoch: two batches over two days, with an empty one between."""
    numbers = numbers_of(epoch)
    return [batch_of(numbers[:2]), batch_of([]), batch_of(numbers[2:])]


def numbers_of(epoch: int) -> list[int]:
    """Column n of the rows of an epoch; no two epochs share a number."""
    return list(range(epoch * _ROWS, (epoch + 1) * _ROWS))


def batch_of(numbers: list[int]) -> pa.RecordBatch:
    """Rows with these numbers."""
    names = [None if n % 3 == 0 else f'"{n}"' for n in numbers]
    return pa.record_batch([numbers, names, [n % 2 * _DAY_US for n in numbers]], schema=SCHEMA)
