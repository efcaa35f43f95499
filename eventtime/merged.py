"""Rows of several partitions in one order: columns of a chunk, no row touched by Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import DECIMAL, FLOAT, NO_NULLS, Lane
from eventtime.time_kernels import gather_rows
from eventtime.windows.chunk import Chunk, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.partition import Ready

__all__ = (
    "CHUNKS_AHEAD",
    "CHUNK_ROWS",
    "Piece",
    "Scratch",
    "merged_chunk",
    "one_partition_chunk",
    "positions_of",
)

Ints = NDArray[np.int64]
CHUNK_ROWS = 131_072
CHUNKS_AHEAD = 2


@dataclass
class Piece:
    """Consecutive rows of one partition's buffer.

    Args:
        number: that stands for it in segments.
        partition: its index.
        ready: the buffer.
        first, last: the first row taken, and one past the last.
    """

    number: int
    partition: int
    ready: Ready
    first: int
    last: int


@dataclass
class Scratch:
    """Arrays of a chunk, written again and again: fresh memory costs more than filling it."""

    arrays: dict[object, Ints] = field(default_factory=dict)

    def array(self, name: object, n: int) -> Ints:
        """Return (n,) int64 of arbitrary content, the same memory each time for a name."""
        held = self.arrays.get(name)
        if held is None or len(held) < n:
            held = self.arrays[name] = np.empty(max(n, CHUNK_ROWS), np.int64)
        return held[:n]


def merged_chunk(
    pieces: Sequence[Piece], segments: Ints, judged: Ints, combined_us: int, scratch: Scratch
) -> Chunk:
    """Make one chunk of the rows that `segments` take from pieces.

    Args:
        pieces: by number.
        segments: (s, 3) piece, first row, one past the last; in replay order.
        judged: (n,) the combined watermark before each row.
        combined_us: the one after the last.
        scratch: where its columns are put.
    """
    if len(segments) == 1:
        piece, first, last = (int(x) for x in segments[0])
        found = pieces[piece]
        return one_partition_chunk(
            found.partition, found.ready, first, last, judged, None, combined_us
        )
    merged = _Merged(pieces, segments, len(judged), scratch)
    return Chunk(
        time_us=merged.gather("time", lambda r: r.time_us),
        watermark_us=judged,
        own_watermark_us=None,
        keys=merged.gather("keys", lambda r: r.keys),
        key_nulls=merged.gather_flags(lambda r: r.key_nulls, 0),
        lanes=[merged.lane(i) for i in range(len(pieces[0].ready.lanes))],
        column=merged.column,
        origin=merged.origin,
        partition_of=merged.partition_of,
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
        column=lambda i: ready.columns[i].slice(first, last - first),
        origin=lambda positions: (
            [ready.batch],
            np.zeros(len(positions), np.int64),
            positions + first,
        ),
        partition_of=lambda positions: np.full(len(positions), p),
        watermark_after_us=combined_us,
    )


def positions_of(segments: Ints, number: int) -> Ints:
    """Return the positions in the chunk of the rows of one piece, ascending."""
    lengths = segments[:, 2] - segments[:, 1]
    starts = np.cumsum(lengths) - lengths
    mine = segments[:, 0] == number
    within = np.cumsum(lengths[mine]) - lengths[mine]
    shifts: Ints = np.repeat(starts[mine] - within, lengths[mine])
    return np.arange(len(shifts)) + shifts


class _Merged:
    """The order of one chunk; what only some pipelines need is computed when asked for."""

    def __init__(self, pieces: Sequence[Piece], segments: Ints, n: int, scratch: Scratch) -> None:
        self._pieces, self._segments, self._n, self._scratch = list(pieces), segments, n, scratch
        lengths = segments[:, 2] - segments[:, 1]
        self._ends = np.cumsum(lengths)
        # Row of the piece less position in the chunk, by segment.
        self._shifts = segments[:, 2] - self._ends
        self._columns: dict[int, pa.Array] = {}

    def places(self, positions: Ints) -> tuple[Ints, Ints]:
        """Return piece and row of positions. Cost: O(positions * log segments)."""
        segment = np.searchsorted(self._ends, positions, side="right")
        return self._segments[segment, 0], positions + self._shifts[segment]

    def partition_of(self, positions: Ints) -> Ints:
        partitions = np.array([piece.partition for piece in self._pieces], np.int64)
        found: Ints = partitions[self.places(positions)[0]]
        return found

    def gather(
        self, name: object, column: Callable[[Ready], NDArray[np.int64]], width: int = 1
    ) -> Ints:
        arrays = [np.ascontiguousarray(column(piece.ready)) for piece in self._pieces]
        addresses = np.array([array.ctypes.data for array in arrays], np.int64)
        out = self._scratch.array(name, self._n * width)
        gather_rows(addresses, self._segments, len(self._segments), width, out)
        return out

    def gather_flags(
        self, column: Callable[[Ready], NDArray[np.uint8]], absent: int
    ) -> NDArray[np.uint8]:
        """Gather bytes that may be missing for pieces in which all rows have the value `absent`."""
        if not any(column(piece.ready).size for piece in self._pieces):
            return NO_NULLS
        flags = [column(piece.ready) for piece in self._pieces]
        whole = [
            f if f.size else np.full(len(p.ready), absent, np.uint8)
            for f, p in zip(flags, self._pieces, strict=True)
        ]
        bases = np.cumsum([0, *(len(f) for f in whole[:-1])])
        pieces, rows = self.places(np.arange(self._n))
        gathered: NDArray[np.uint8] = np.concatenate(whole)[rows + bases[pieces]]
        return gathered

    def lane(self, i: int) -> Lane:
        kind = self._pieces[0].ready.lanes[i].kind
        valid = self.gather_flags(lambda r: r.lanes[i].valid, 1)
        values = self._pieces[0].ready.lanes[i].values
        if values.size == 0 and all(
            piece.ready.lanes[i].values.size == 0 for piece in self._pieces
        ):
            return Lane(kind, values, valid)
        width = 2 if kind == DECIMAL else 1
        gathered = self.gather(i, lambda r: r.lanes[i].values.view(np.int64), width)
        if kind == FLOAT:
            return Lane(kind, gathered.view(np.float64), valid)
        return Lane(kind, gathered.reshape(-1, 2) if width == 2 else gathered, valid)

    def column(self, i: int) -> pa.Array:
        # A chunk is folded once for each step of the windows' grid that it crosses; it is laid
        # out once.
        if i not in self._columns:
            self._columns[i] = self._laid_out(i)
        return self._columns[i]

    def _laid_out(self, i: int) -> pa.Array:
        pieces, rows = self.places(np.arange(self._n))
        used = np.unique(pieces)
        columns = [self._pieces[number].ready.columns[i] for number in used]
        bases = np.zeros(len(self._pieces), np.int64)
        bases[used] = np.cumsum([0, *(len(c) for c in columns[:-1])])
        if pa.types.is_dictionary(columns[0].type):
            columns = pa.chunked_array(columns).unify_dictionaries().chunks
        return pa.concat_arrays(columns).take(pa.array(rows + bases[pieces]))

    def origin(self, positions: Ints) -> Origin:
        return [piece.ready.batch for piece in self._pieces], *self.places(positions)
