"""Rows on their way into an operator: in replay order, each with its watermark, not copied."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import DECIMAL, FLOAT, NO_NULLS, Lane
from eventtime.timestamp import MINUS_INFINITY
from eventtime.windows.chunk_kernels import (
    KEYS,
    LANES,
    N_RISES,
    NULLS,
    TIME,
    copy_bytes,
    copy_rises,
    copy_words,
    pick_bytes,
    pick_watermarks,
    pick_words,
)
from eventtime.windows.rises import rises_of, watermarks_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("Block", "Chunk", "Origin", "Scratch", "Source")

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Origin = tuple["Sequence[pa.RecordBatch]", Ints, Ints]

# Spans shorter than this on average are copied together: reading each by itself costs more.
_SHORT = 8


@dataclass(frozen=True)
class Source:
    """What the rows of a block are in full.

    Args:
        batch: (n,) rows with all columns carried.
        columns: input columns of aggregates, as Arrow arrays.
        own_rises: the watermark of the rows' own partition (see `rises`); None: it is what they are
            judged by.
        partition: its index.
    """

    batch: pa.RecordBatch
    columns: Sequence[pa.Array]
    own_rises: Ints | None = None
    partition: int = 0


@dataclass(frozen=True)
class Block:
    """Rows that lie side by side in memory.

    Args:
        time_us: (n,) int64 event times.
        rises: the combined watermark before each row (S4; see `rises`), or a lower bound: a span
            knows what it was at least.
        keys: (n,) int64 key words.
        key_nulls: (n,) uint8, or empty.
        lanes: the columns of aggregates that words hold; empty ones for the others.
        source: where they came from; None for copies.
    """

    time_us: Ints
    rises: Ints
    keys: Ints
    key_nulls: Bytes
    lanes: Sequence[Lane]
    source: Source | None = None

    def __len__(self) -> int:
        return len(self.time_us)

    @cached_property
    def addresses(self) -> Ints:
        """Where the arrays lie, (LANES + 2 * lanes,) int64; 0 for an empty one."""
        arrays: list[NDArray[Any]] = [self.time_us, self.rises, self.rises, self.keys]
        arrays += [self.key_nulls, *(x for lane in self.lanes for x in (lane.values, lane.valid))]
        assert all(array.flags.c_contiguous for array in arrays)
        addresses = np.array([a.ctypes.data if a.size else 0 for a in arrays], np.int64)
        addresses[N_RISES] = len(self.rises)
        return addresses


@dataclass
class Scratch:
    """Arrays of a chunk, written again and again: fresh memory costs more than filling it."""

    arrays: dict[object, Ints] = field(default_factory=dict)

    def array(self, name: object, n: int) -> Ints:
        """Return (n,) int64 of arbitrary content, the same memory each time for a name."""
        held = self.arrays.get(name)
        if held is None or len(held) < n:
            held = self.arrays[name] = np.empty(n, np.int64)
        return held[:n]


@dataclass(frozen=True)
class Chunk:
    """A stretch of rows in order; where it is cut means nothing (S4).

    Kernels read it through `spans`, `starts` and `addresses`. Single rows: `times`, `watermarks`,
    `own_watermarks`, `origin`, `partition_of`. Copies: `column`, `taken`, `together`.

    Args:
        blocks: where the rows lie.
        spans: (s, 5) int64 in order: block, first row, one past the last, and what the combined
            watermark was at least, and at most, before its rows. None is empty.
        watermark_after_us: the combined watermark after the last row.
        original: the chunk that this is a copy of; chosen: the positions there, None for all.
    """

    blocks: Sequence[Block]
    spans: Ints
    watermark_after_us: int
    original: Chunk | None = None
    chosen: Ints | None = None

    @classmethod
    def of_block(
        cls,
        block: Block,
        watermark_after_us: int,
        original: Chunk | None = None,
        chosen: Ints | None = None,
    ) -> Chunk:
        """Make a chunk of one whole block."""
        n = len(block)
        spans = np.empty((min(n, 1), 5), np.int64)
        if n:
            spans[0] = 0, 0, n, MINUS_INFINITY, block.rises[-1, 1]
        return cls([block], spans, watermark_after_us, original, chosen)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def starts(self) -> Ints:
        """The position of each span's first row, and the number of rows: (s + 1,) int64."""
        starts = np.zeros(len(self.spans) + 1, np.int64)
        np.cumsum(self.spans[:, 2] - self.spans[:, 1], out=starts[1:])
        return starts

    @cached_property
    def addresses(self) -> Ints:
        """Where the arrays of each block lie: (blocks, LANES + 2 * lanes) int64."""
        return np.stack([block.addresses for block in self.blocks])

    @property
    def has_nulls(self) -> bool:
        """Whether any block has null keys."""
        return any(block.key_nulls.size for block in self.blocks)

    def places(self, positions: Ints) -> tuple[Ints, Ints]:
        """Return block and row of positions. Cost: O(positions * log spans)."""
        span = self._span(positions)
        return self.spans[span, 0], positions - self.starts[span] + self.spans[span, 1]

    def times(self, positions: Ints) -> Ints:
        """Return the event times of rows, (m,) int64."""
        return self._picked(TIME, positions)

    def all_times(self) -> Ints:
        """Return the event times of all rows, (n,) int64."""
        return self._copied(TIME, 1, np.empty(len(self), np.int64))

    def watermarks(self, positions: Ints) -> Ints:
        """Return the combined watermark before each of some rows, (m,) int64."""
        span = self._span(positions)
        rows = positions - self.starts[span] + self.spans[span, 1]
        out = np.empty(len(positions), np.int64)
        pick_watermarks(self.spans[span, 0], rows, self.addresses, out)
        found: Ints = np.maximum(out, self.spans[span, 3])
        return found

    def own_watermarks(self, positions: Ints) -> Ints:
        """Return the watermark of its own partition before each of some rows, (m,) int64."""
        if self.original is not None:
            return self.original.own_watermarks(self._there(positions))
        own = self._sources[0].own_rises
        # Only a partition by itself can be behind what judges it: in replay it is the minimum.
        if own is None:
            return self.watermarks(positions)
        return watermarks_at(own, self.places(positions)[1])

    def partition_of(self, positions: Ints) -> Ints:
        """Return the partitions' indices of rows, (m,) int64."""
        if self.original is not None:
            return self.original.partition_of(self._there(positions))
        partitions = np.array([source.partition for source in self._sources], np.int64)
        found: Ints = partitions[self.places(positions)[0]]
        return found

    def origin(self, positions: Ints) -> Origin:
        """Say where rows stand in full: batches, and batch and row of each."""
        if self.original is not None:
            return self.original.origin(self._there(positions))
        return [source.batch for source in self._sources], *self.places(positions)

    def column(self, i: int) -> pa.Array:
        """Return an input column of aggregates, (n,), laid out once."""
        if i not in self._columns:
            self._columns[i] = self._laid_out(i)
        return self._columns[i]

    def taken(self, positions: Ints) -> Chunk:
        """Copy single rows into a chunk of their own, in the order given."""
        blocks, rows = self.places(positions)
        m, addresses = len(positions), self.addresses

        def words(column: int, width: int) -> Ints:
            out = np.empty(m * width, np.int64)
            pick_words(blocks, rows, addresses, column, width, out)
            return out

        def flags(column: int, absent: int) -> Bytes:
            out = np.empty(m, np.uint8)
            pick_bytes(blocks, rows, addresses, column, absent, out)
            return out

        block = self._copy(words, flags, rises_of(self.watermarks(positions)))
        return Chunk.of_block(block, self.watermark_after_us, self, positions)

    def together(self, scratch: Scratch) -> Chunk:
        """Copy all rows into one block where reading span by span would cost more."""
        n = len(self)
        if len(self.spans) < 2 or n >= _SHORT * len(self.spans):
            return self

        def words(column: int, width: int) -> Ints:
            return self._copied(column, width, scratch.array(column, n * width))

        def flags(column: int, absent: int) -> Bytes:
            out = np.empty(n, np.uint8)
            copy_bytes(self.spans, self.addresses, column, absent, out)
            return out

        rises = scratch.array("rises", 2 * (n + 1))
        n_rises = copy_rises(self.spans, self.addresses, rises)
        block = self._copy(words, flags, rises[: 2 * n_rises].reshape(-1, 2))
        return Chunk.of_block(block, self.watermark_after_us, self)

    def _copy(
        self,
        words: Callable[[int, int], Ints],
        flags: Callable[[int, int], Bytes],
        rises: Ints,
    ) -> Block:
        nulls = flags(NULLS, 0) if self.has_nulls else NO_NULLS
        lanes = [self._lane(i, words, flags) for i in range(len(self.blocks[0].lanes))]
        return Block(words(TIME, 1), rises, words(KEYS, 1), nulls, lanes)

    def _lane(
        self, i: int, words: Callable[[int, int], Ints], flags: Callable[[int, int], Bytes]
    ) -> Lane:
        at, alike = LANES + 2 * i, [block.lanes[i] for block in self.blocks]
        valid = flags(at + 1, 1) if any(lane.valid.size for lane in alike) else NO_NULLS
        kind = alike[0].kind
        if not any(lane.values.size for lane in alike):
            return Lane(kind, alike[0].values, valid)
        values = words(at, 2 if kind == DECIMAL else 1)
        if kind == FLOAT:
            return Lane(kind, values.view(np.float64), valid)
        return Lane(kind, values.reshape(-1, 2) if kind == DECIMAL else values, valid)

    def _laid_out(self, i: int) -> pa.Array:
        if self.original is not None:
            column = self.original.column(i)
            return column if self.chosen is None else column.take(pa.array(self.chosen))
        blocks, rows = self.places(np.arange(len(self)))
        used = np.unique(blocks)
        columns = [self._sources[number].columns[i] for number in used]
        bases = np.zeros(len(self.blocks), np.int64)
        bases[used] = np.cumsum([0, *(len(c) for c in columns[:-1])])
        if pa.types.is_dictionary(columns[0].type):
            columns = pa.chunked_array(columns).unify_dictionaries().chunks
        return pa.concat_arrays(columns).take(pa.array(rows + bases[blocks]))

    @property
    def _sources(self) -> list[Source]:
        return [block.source for block in self.blocks if block.source is not None]

    @cached_property
    def _columns(self) -> dict[int, pa.Array]:
        return {}

    def _there(self, positions: Ints) -> Ints:
        return positions if self.chosen is None else self.chosen[positions]

    def _span(self, positions: Ints) -> Ints:
        found: Ints = np.searchsorted(self.starts, positions, side="right") - 1
        return found

    def _picked(self, column: int, positions: Ints) -> Ints:
        out = np.empty(len(positions), np.int64)
        pick_words(*self.places(positions), self.addresses, column, 1, out)
        return out

    def _copied(self, column: int, width: int, out: Ints) -> Ints:
        copy_words(self.spans, self.addresses, column, width, out)
        return out
