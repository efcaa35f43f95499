"""The late side output: rows that missed a window, with which, by how much and why (S20)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.timestamp import LATEST, PLUS_INFINITY, from_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.windows.chunk import Chunk, Origin
    from eventtime.windows.grid import Grid

__all__ = ("LateRows", "LateShape", "beside_own", "late_fields", "own_names", "windows_missed")

Ints = NDArray[np.int64]
_CHUNKS_GATHERED = 16
# Stands for infinity in sums: beyond every window end and lateness.
_BEYOND = LATEST + LATEST // 2
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
        self,
        grid: Grid,
        lateness_us: int,
        bounds_type: pa.DataType,
        time_unit: str | None,
        partitions: Sequence[str],
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


def beside_own(own: pa.Schema, extra: Sequence[pa.Field]) -> pa.Schema:
    """Put a side output's fields behind a row's own; of equal names the own becomes `row_<name>`.

    >>> own = pa.schema({"t": pa.int64(), "partition": pa.int8()})
    >>> beside_own(own, [pa.field("partition", pa.string())]).names
    ['t', 'row_partition', 'partition']
    """
    names = own_names(own.names, [field.name for field in extra])
    return pa.schema([*(f.with_name(n) for f, n in zip(own, names, strict=True)), *extra])


def own_names(names: Sequence[str], extra: Sequence[str]) -> list[str]:
    """Return the names that a row's own columns have in a side output with these others."""
    return [f"row_{name}" if name in extra else name for name in names]


def windows_missed(shape: LateShape, time_us: Ints, watermark_us: Ints) -> tuple[Ints, Ints]:
    """Return how many windows of each late row had expired, and the end of the last of them."""
    grid = shape.grid
    if grid.everything:
        return np.ones(len(time_us), np.int64), grid.last_end(time_us)
    expired = (
        grid.end_at_or_after(np.minimum(watermark_us, _BEYOND) - shape.lateness_us + 1)
        - grid.slide_us
    )
    end = np.minimum(grid.last_end(time_us), expired)
    return grid.ends_in(grid.first_end(time_us), end), end


@dataclass
class LateRows:
    """Late rows on their way out, gathered over several chunks before they are laid out.

    Args:
        shape: of the rows.
        columns: own columns that they carry.
        schema: of the output.
    """

    shape: LateShape
    columns: Sequence[str]
    schema: pa.Schema
    _numbers: list[tuple[Ints, Ints, Ints, Ints]] = field(default_factory=list)
    _origins: list[Origin] = field(default_factory=list)

    def add(self, chunk: Chunk, positions: Ints) -> None:
        """Take the late rows of a chunk, at ascending positions."""
        watermark_us, own_us = chunk.watermarks(positions), chunk.own_watermarks(positions)
        times_us, partitions = chunk.times(positions), chunk.partition_of(positions)
        self._numbers.append((times_us, watermark_us, own_us, partitions))
        self._origins.append(chunk.origin(positions))

    @property
    def is_due(self) -> bool:
        """Whether enough have been gathered; more would keep too many batches alive."""
        return len(self._origins) >= _CHUNKS_GATHERED

    def flush(self) -> pa.RecordBatch | None:
        """Lay the gathered rows out, in their order; None when there are none."""
        if not self._origins:
            return None
        time_us, watermark_us, own_us, partitions = (
            np.concatenate(a) for a in zip(*self._numbers, strict=True)
        )
        shape, grid = self.shape, self.shape.grid
        missed, end = windows_missed(shape, time_us, watermark_us)
        first = grid.first_end(time_us)
        # Under its own partition's watermark the row would have missed nothing: another one's
        # silence made it late.
        own_us = np.maximum(own_us, -_BEYOND)
        by_idleness = (first > own_us - shape.lateness_us) & (own_us != watermark_us)
        forever = watermark_us == PLUS_INFINITY
        extra = [
            from_us(end - grid.size_us, shape.bounds_type, shape.time_unit),
            from_us(end, shape.bounds_type, shape.time_unit),
            pa.array(missed.astype(np.int32)),
            pa.array(grid.ends_in(first, grid.last_end(time_us)).astype(np.int32)),
            from_us(watermark_us, shape.bounds_type, shape.time_unit),
            pa.array(watermark_us - end - shape.lateness_us, pa.int64(), mask=forever).cast(
                pa.duration("us")
            ),
            pa.array(shape.partitions, pa.string()).take(pa.array(partitions)),
            REASONS.take(pa.array(by_idleness.astype(np.int8))),
        ]
        rows = _fetched(self._origins, self.columns)
        self._numbers.clear()
        self._origins.clear()
        return pa.RecordBatch.from_arrays([*rows.columns, *extra], schema=self.schema)


def _fetched(origins: Sequence[Origin], columns: Sequence[str]) -> pa.RecordBatch:
    """Take rows batch by batch, each batch once, then put them back in order."""
    numbers: dict[int, int] = {}
    distinct: list[pa.RecordBatch] = []
    which: list[Ints] = []
    for batches, batch_of, _ in origins:
        for batch in batches:
            if id(batch) not in numbers:
                numbers[id(batch)] = len(distinct)
                distinct.append(batch)
        which.append(np.array([numbers[id(b)] for b in batches], np.int64)[batch_of])
    batch_of_row, rows = np.concatenate(which), np.concatenate([rows for _, _, rows in origins])
    by_batch = np.argsort(batch_of_row, kind="stable")
    cuts = np.cumsum(np.bincount(batch_of_row, minlength=len(distinct)))[:-1]
    taken = [
        distinct[i].select(list(columns)).take(pa.array(mine))
        for i, mine in enumerate(np.split(rows[by_batch], cuts))
        if len(mine)
    ]
    if len(taken) == 1:
        return taken[0]
    order = np.empty(len(rows), np.int64)
    order[by_batch] = np.arange(len(rows))
    return pa.concat_batches(taken).take(pa.array(order))
