"""The late side output: rows that missed a window, with which, by how much and why (S20)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.timestamp import PLUS_INFINITY, from_us
from eventtime.windows.expiry import Expiry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.windows.chunk import Found
    from eventtime.windows.grid import Grid

__all__ = ("LateRows", "LateShape", "MissedPairs", "beside_own", "late_fields", "own_names")

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_CHUNKS_GATHERED = 16
_MANY_ROWS = 4096
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
        self.grid, self.expiry = grid, Expiry(grid, lateness_us)
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


def _windows_missed(shape: LateShape, time_us: Ints, watermark_us: Ints) -> tuple[Ints, Ints]:
    """Return how many windows of each late row had expired, and the end of the last of them."""
    grid = shape.grid
    if grid.everything:
        return np.ones(len(time_us), np.int64), grid.last_end(time_us)
    end = np.minimum(grid.last_end(time_us), shape.expiry.last_expired(watermark_us))
    return grid.ends_in(grid.first_end(time_us), end), end


def _by_idleness(shape: LateShape, time_us: Ints, watermark_us: Ints, own_us: Ints) -> Bools:
    """Tell which late rows would have missed nothing under their own partition's watermark.

    Another partition's silence made them late.
    """
    first = shape.grid.first_end(time_us)
    late: Bools = ~shape.expiry.has_expired(first, own_us) & (own_us != watermark_us)
    return late


@dataclass
class MissedPairs:
    """Counts the (row, window) pairs that late rows missed, those of several chunks at once.

    Args:
        shape: of the rows.
        counted: how many there were before.
        by_idleness: rows among the late ones, since it was made, whose reason is `idle_partition`.
    """

    shape: LateShape
    counted: int = 0
    by_idleness: int = 0
    _pending: list[tuple[Ints, Ints, Ints]] = field(default_factory=list)

    def add(self, late: Found) -> None:
        """Take the late rows of a chunk."""
        self._pending.append((late.time_us, late.watermark_us, late.own_us))
        if len(self._pending) >= _CHUNKS_GATHERED or len(late) >= _MANY_ROWS:
            self.count()

    def count(self) -> int:
        """Return how many there were so far."""
        if self._pending:
            parts = zip(*self._pending, strict=True)
            time_us, watermark_us, own_us = (np.concatenate(a) for a in parts)
            missed, _ = _windows_missed(self.shape, time_us, watermark_us)
            by_idleness = _by_idleness(self.shape, time_us, watermark_us, own_us)
            self.by_idleness += int(by_idleness.sum())
            self.counted += int(missed.sum())
            self._pending.clear()
        return self.counted


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
    _gathered: list[Found] = field(default_factory=list)

    def add(self, late: Found) -> None:
        """Take the late rows of a chunk, in its order."""
        self._gathered.append(late)

    @property
    def is_due(self) -> bool:
        """Whether enough have been gathered; more would keep too many batches alive."""
        return len(self._gathered) >= _CHUNKS_GATHERED

    def flush(self) -> pa.RecordBatch | None:
        """Lay the gathered rows out, in their order; None when there are none."""
        gathered = self._gathered
        if not gathered:
            return None
        time_us = np.concatenate([late.time_us for late in gathered])
        watermark_us = np.concatenate([late.watermark_us for late in gathered])
        own_us = np.concatenate([late.own_us for late in gathered])
        partitions = np.concatenate([late.partitions for late in gathered])
        shape, grid = self.shape, self.shape.grid
        missed, end = _windows_missed(shape, time_us, watermark_us)
        first = grid.first_end(time_us)
        by_idleness = _by_idleness(shape, time_us, watermark_us, own_us)
        forever = watermark_us == PLUS_INFINITY
        extra = [
            from_us(end - grid.size_us, shape.bounds_type, shape.time_unit),
            from_us(end, shape.bounds_type, shape.time_unit),
            pa.array(missed.astype(np.int32)),
            pa.array(grid.ends_in(first, grid.last_end(time_us)).astype(np.int32)),
            from_us(watermark_us, shape.bounds_type, shape.time_unit),
            pa.array(
                watermark_us - end - shape.expiry.lateness_of(end), pa.int64(), mask=forever
            ).cast(pa.duration("us")),
            pa.array(shape.partitions, pa.string()).take(pa.array(partitions)),
            REASONS.take(pa.array(by_idleness.astype(np.int8))),
        ]
        rows = _fetched(gathered, list(self.columns))
        gathered.clear()
        return pa.RecordBatch.from_arrays([*rows.columns, *extra], schema=self.schema)


def _fetched(gathered: Sequence[Found], columns: list[str]) -> pa.RecordBatch:
    """Take rows batch by batch, each batch once, then put them back in order."""
    numbers: dict[int, int] = {}
    distinct: list[pa.RecordBatch] = []
    which: list[Ints] = []
    for late in gathered:
        for batch in late.batches:
            if id(batch) not in numbers:
                numbers[id(batch)] = len(distinct)
                distinct.append(batch)
        which.append(np.array([numbers[id(b)] for b in late.batches], np.int64)[late.batch_of])
    batch_of_row, rows = np.concatenate(which), np.concatenate([late.rows for late in gathered])
    by_batch = np.argsort(batch_of_row, kind="stable")
    ends = np.cumsum(np.bincount(batch_of_row, minlength=len(distinct))).tolist()
    wanted = pa.array(rows[by_batch])
    taken = [
        _only(batch, columns).take(wanted.slice(start, end - start))
        for batch, start, end in zip(distinct, [0, *ends], ends, strict=False)
        if end > start
    ]
    if len(taken) == 1:
        return taken[0]
    order = np.empty(len(rows), np.int64)
    order[by_batch] = np.arange(len(rows))
    return pa.concat_batches(taken).take(pa.array(order))


def _only(batch: pa.RecordBatch, columns: list[str]) -> pa.RecordBatch:
    return batch if batch.schema.names == columns else batch.select(columns)
