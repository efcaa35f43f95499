"""Rows on their way into an operator: columns, in replay order, each row with its watermark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from eventtime.lanes import Lane

__all__ = ("Chunk", "Origin")

Ints = NDArray[np.int64]
Origin = tuple[Sequence[pa.RecordBatch], Ints, Ints]


@dataclass(frozen=True)
class Chunk:
    """A stretch of rows; where it is cut means nothing (S4).

    Args:
        time_us: (n,) int64 event times.
        watermark_us: (n,) int64, the combined watermark before each row (S4); never goes back.
        own_watermark_us: (n,) int64, that of the row's own partition before it; None: the same.
        keys: (n,) int64 key words.
        key_nulls: (n,) uint8, or empty.
        lanes: the columns of aggregates that words hold, by column index.
        column: gives one input column, (n,), for accumulators that are objects.
        origin: says where the rows at positions stand in full: batches, and (m,) batch and (m,)
            row of each.
        partition_of: gives the partition names' index of rows at positions.
        watermark_after_us: the combined watermark after the last row.
    """

    time_us: Ints
    watermark_us: Ints
    own_watermark_us: Ints | None
    keys: Ints
    key_nulls: NDArray[np.uint8]
    lanes: Sequence[Lane]
    column: Callable[[int], pa.Array]
    origin: Callable[[Ints], Origin]
    partition_of: Callable[[Ints], Ints]
    watermark_after_us: int

    def __len__(self) -> int:
        return len(self.time_us)
