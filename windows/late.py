"""The late side output: a row that missed a window, with what it missed, by how much and why (S20)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.timestamp import from_us
from eventtime.windows.chunk import Chunk
from eventtime.windows.grid import Grid

__all__ = ("LateShape", "late_fields", "late_rows", "windows_missed")

Ints = NDArray[np.int64]
REASONS = pa.array(["beyond_lateness", "idle_partition"])


class LateShape:
    """How late rows are written.

    Args:
        grid: of the windows.
        lateness_us: allowed lateness L.
        bounds_type: type of window bounds and watermark.
        time_unit: unit of integer bounds.
        partitions: names, by partition index; may grow.
    """

    def __init__(
        self, grid: Grid, lateness_us: int, bounds_type: pa.DataType, time_unit: str | None, partitions: Sequence[str]
    ) -> None:
        self.grid, self.lateness_us = grid, lateness_us
        self.bounds_type, self.time_unit, self.partitions = bounds_type, time_unit, partitions


def late_fields(bounds_type: pa.DataType) -> list[pa.Field]:
    """Return the fields that a late row carries beside its own columns."""
    return [
        pa.field("window_start", bounds_type),
        pa.field("window_end", bounds_type),
        pa.field("windows_missed", pa.int32()),
        pa.field("windows_total", pa.int32()),
        pa.field("watermark", bounds_type),
        pa.field("late_by", pa.duration("us")),
        pa.field("partition", pa.string()),
        pa.field("reason", pa.string()),
    ]


def windows_missed(shape: LateShape, time_us: Ints, watermark_us: Ints) -> tuple[Ints, Ints]:
    """Return how many windows of each late row had expired, and the end of the last of them."""
    grid = shape.grid
    if grid.everything:
        return np.ones(len(time_us), np.int64), grid.last_end(time_us)
    expired = grid.end_at_or_after(watermark_us - shape.lateness_us + 1) - grid.slide_us
    end = np.minimum(grid.last_end(time_us), expired)
    return grid.ends_in(grid.first_end(time_us), end), end


def late_rows(shape: LateShape, chunk: Chunk, positions: Ints) -> pa.RecordBatch:
    """Build the side output's rows for the late rows at `positions` of a chunk, in their order."""
    grid = shape.grid
    time_us, watermark_us = chunk.time_us[positions], chunk.watermark_us[positions]
    missed, end = windows_missed(shape, time_us, watermark_us)
    first = grid.first_end(time_us)
    start = end - grid.size_us
    own = watermark_us if chunk.own_watermark_us is None else chunk.own_watermark_us[positions]
    # Under its own partition's watermark the row would have missed nothing: another one's silence made it late.
    by_idleness = (first - own > -shape.lateness_us) & (own != watermark_us)
    names = pa.array(shape.partitions, pa.string())
    extra = [
        from_us(start, shape.bounds_type, shape.time_unit),
        from_us(end, shape.bounds_type, shape.time_unit),
        pa.array(missed.astype(np.int32)),
        pa.array(grid.ends_in(first, grid.last_end(time_us)).astype(np.int32)),
        from_us(watermark_us, shape.bounds_type, shape.time_unit),
        pa.array(watermark_us - end - shape.lateness_us, pa.int64()).cast(pa.duration("us")),
        names.take(pa.array(chunk.partition_of(positions))),
        REASONS.take(pa.array(by_idleness.astype(np.int8))),
    ]
    rows = chunk.rows(positions)
    schema = pa.schema([*rows.schema, *late_fields(shape.bounds_type)])
    return pa.RecordBatch.from_arrays([*rows.columns, *extra], schema=schema)
