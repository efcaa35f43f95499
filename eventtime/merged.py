"""Rows of several partitions laid in one order: columns of a chunk, without touching rows one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import DECIMAL, NO_NULLS, Lane
from eventtime.partition import Ready
from eventtime.time_kernels import gather_rows
from eventtime.windows.chunk import Chunk

__all__ = ("Part", "merged_chunk", "one_partition_chunk", "places_of")

Ints = NDArray[np.int64]
Part = tuple[int, Ready, int, int]
"""(partition, its rows, first row taken, one past the last taken)."""


def merged_chunk(parts: Sequence[Part], segments: Ints, judged: Ints, combined_us: int) -> Chunk:
    """Make one chunk of the rows that `segments` take from partitions.

    Args:
        parts: what was taken, by partition.
        segments: (s, 3) partition, first, one past the last; in replay order.
        judged: (n,) the combined watermark before each row.
        combined_us: the one after the last.
    """
    if len(parts) == 1:
        return one_partition_chunk(*parts[0], judged, None, combined_us)
    merged = _Merged(parts, segments, len(judged))
    return Chunk(
        time_us=merged.gather(lambda r: r.time_us),
        watermark_us=judged,
        own_watermark_us=None,
        keys=merged.gather(lambda r: r.keys),
        key_nulls=merged.gather_flags(lambda r: r.key_nulls, 0),
        lanes=[merged.lane(i) for i in range(len(parts[0][1].lanes))],
        column=merged.column,
        rows=merged.rows,
        partition_of=lambda positions: merged.places(positions)[0],
        watermark_after_us=combined_us,
    )


def one_partition_chunk(
    p: int, ready: Ready, first: int, last: int, judged: Ints, own: Ints | None, combined_us: int
) -> Chunk:
    """Make a chunk of consecutive rows of one partition: views, no copies."""
    part = slice(first, last)
    return Chunk(
        time_us=ready.time_us[part],
        watermark_us=judged,
        own_watermark_us=own,
        keys=ready.keys[part],
        key_nulls=ready.key_nulls[part],
        lanes=[Lane(x.kind, x.values[part], x.valid[part]) for x in ready.lanes],
        column=lambda i: ready.batch.column(i).slice(first, last - first),
        rows=lambda positions: ready.batch.take(pa.array(positions + first)),
        partition_of=lambda positions: np.full(len(positions), p),
        watermark_after_us=combined_us,
    )


def places_of(segments: Ints) -> tuple[Ints, Ints]:
    """Return ``partition`` (n,) and ``row`` (n,) of the rows that segments lay in order."""
    lengths = segments[:, 2] - segments[:, 1]
    starts = np.cumsum(lengths) - lengths
    rows = np.arange(int(lengths.sum())) + np.repeat(segments[:, 1] - starts, lengths)
    return np.repeat(segments[:, 0], lengths), rows


class _Merged:
    """The order of one chunk; what only some pipelines need is computed when asked for."""

    def __init__(self, parts: Sequence[Part], segments: Ints, n: int) -> None:
        self._parts, self._segments, self._n = list(parts), segments, n
        self._places: tuple[Ints, Ints] | None = None

    def places(self, positions: Ints) -> tuple[Ints, Ints]:
        if self._places is None:
            self._places = places_of(self._segments)
        return self._places[0][positions], self._places[1][positions]

    def gather(self, column: Callable[[Ready], NDArray[np.int64]], width: int = 1) -> Ints:
        addresses = np.zeros(max(p for p, *_ in self._parts) + 1, np.int64)
        arrays = [(p, np.ascontiguousarray(column(ready))) for p, ready, _, _ in self._parts]
        for p, array in arrays:
            addresses[p] = array.ctypes.data
        out = np.empty(self._n * width, np.int64)
        gather_rows(addresses, self._segments, len(self._segments), width, out)
        return out

    def gather_flags(self, column: Callable[[Ready], NDArray[np.uint8]], absent: int) -> NDArray[np.uint8]:
        """Gather bytes that may be missing for partitions in which all rows have the value `absent`."""
        if not any(column(ready).size for _, ready, _, _ in self._parts):
            return NO_NULLS
        whole, bases = [], {}
        for p, ready, first, last in self._parts:
            bases[p] = sum(map(len, whole)) - first
            flags = column(ready)
            whole.append(flags[first:last] if flags.size else np.full(last - first, absent, np.uint8))
        partitions, rows = self.places(np.arange(self._n))
        shift = np.zeros(max(bases) + 1, np.int64)
        shift[list(bases)] = list(bases.values())
        return np.concatenate(whole)[rows + shift[partitions]]

    def lane(self, i: int) -> Lane:
        kind = self._parts[0][1].lanes[i].kind
        valid = self.gather_flags(lambda r: r.lanes[i].valid, 1)
        values = self._parts[0][1].lanes[i].values
        if values.size == 0:
            return Lane(kind, values, valid)
        width = 2 if kind == DECIMAL else 1
        gathered = self.gather(lambda r: r.lanes[i].values.view(np.int64), width)
        return Lane(kind, gathered.reshape(-1, 2) if width == 2 else gathered.view(values.dtype), valid)

    def column(self, i: int) -> pa.Array:
        return self._taken(np.arange(self._n), lambda ready: pa.RecordBatch.from_arrays([ready.batch.column(i)], ["x"])).column(0)

    def rows(self, positions: Ints) -> pa.RecordBatch:
        return self._taken(positions, lambda ready: ready.batch)

    def _taken(self, positions: Ints, batch: Callable[[Ready], pa.RecordBatch]) -> pa.RecordBatch:
        """Take rows partition by partition, then put them back in order."""
        partitions, rows = self.places(positions)
        pieces, order = [], []
        for p, ready, _, _ in self._parts:
            mine = np.flatnonzero(partitions == p)
            if len(mine):
                pieces.append(batch(ready).take(pa.array(rows[mine])))
                order.append(mine)
        if len(pieces) < 2:
            return pieces[0] if pieces else batch(self._parts[0][1]).slice(0, 0)
        return pa.concat_batches(pieces).take(pa.array(np.argsort(np.concatenate(order))))
