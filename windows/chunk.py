"""Rows on their way into an operator: in replay order, each with its watermark, not copied."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import DECIMAL, FLOAT, Lane, address_of
from eventtime.timestamp import MINUS_INFINITY
from eventtime.validity import NO_NULLS
from eventtime.windows.chunk_kernels import (
    KEYS,
    LANES,
    N_RISES,
    NULLS,
    TIME,
    copy_bytes,
    copy_rises,
    copy_words,
    find_rows,
    keep_bytes,
    keep_words,
    pick_bytes,
    pick_words,
)
from eventtime.windows.rises import rises_of, watermarks_at
from eventtime.windows.shares import share_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("Block", "Chunk", "Found", "Scratch", "Source")

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

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
    def addresses(self) -> list[int]:
        """Where the arrays lie, LANES + 2 * lanes of them; 0 for an empty one."""
        lanes = (array for lane in self.lanes for array in (lane.values, lane.valid))
        arrays = (self.time_us, self.rises, self.rises, self.keys, self.key_nulls, *lanes)
        addresses = [address_of(array) for array in arrays]
        addresses[N_RISES] = len(self.rises)
        return addresses


@dataclass(frozen=True)
class Found:
    """Single rows of a chunk, looked up once; each array is (m,) int64.

    Args:
        batches: what they are rows of in full.
        batch_of: the batch of each.
        rows: its row there.
        time_us: event times.
        watermark_us: the combined watermark before each.
        own_us: the watermark of its own partition before each.
        partitions: indices.
    """

    batches: Sequence[pa.RecordBatch]
    batch_of: Ints
    rows: Ints
    time_us: Ints
    watermark_us: Ints
    own_us: Ints
    partitions: Ints

    def __len__(self) -> int:
        return len(self.rows)


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

    def flags(self, name: object, n: int) -> Bytes:
        """Return (n,) uint8, likewise."""
        return self.array(name, n // 8 + 1).view(np.uint8)[:n]


@dataclass(frozen=True)
class Chunk:
    """A stretch of rows in order; where it is cut means nothing (S4).

    Kernels read it through `spans`, `starts` and `addresses`. Single rows: `found`, `times`.
    Copies: `all_times`, `all_watermarks`, `all_keys`, `column`, `taken`, `together`, `share`.

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

    @classmethod
    def of_blocks(cls, blocks: Sequence[Block], watermark_after_us: int) -> Chunk:
        """Make a chunk of whole blocks one behind another, none of them empty."""
        spans = [(i, 0, len(b), MINUS_INFINITY, b.rises[-1, 1]) for i, b in enumerate(blocks)]
        return cls(blocks, np.array(spans, np.int64), watermark_after_us)

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
        return np.array([block.addresses for block in self.blocks], np.int64)

    @property
    def has_nulls(self) -> bool:
        """Whether any block has null keys."""
        return any(block.key_nulls.size for block in self.blocks)

    def found(self, positions: Ints) -> Found:
        """Look single rows up. Cost: O(positions * log(spans + rises))."""
        if self.original is not None:
            there = positions if self.chosen is None else self.chosen[positions]
            return self.original.found(there)
        blocks, rows, time_us, watermark_us = self._look_up(positions)
        sources, own_us = self._sources, watermark_us
        # In replay the minimum is the partition's own; of live ones others may be further.
        if sources[0].own_rises is not None:
            own_us = np.empty_like(watermark_us)
            for block in np.unique(blocks).tolist():
                mine, own = blocks == block, sources[block].own_rises
                assert own is not None
                own_us[mine] = watermarks_at(own, rows[mine])
        partitions = np.array([source.partition for source in sources], np.int64)[blocks]
        batches = [source.batch for source in sources]
        return Found(batches, blocks, rows, time_us, watermark_us, own_us, partitions)

    def times(self, positions: Ints) -> Ints:
        """Return the event times of rows, (m,) int64."""
        time_us: Ints = self._look_up(positions)[2]
        return time_us

    def all_times(self) -> Ints:
        """Return the event times of all rows, (n,) int64."""
        return self._copied(TIME, 1, np.empty(len(self), np.int64))

    def all_watermarks(self) -> Ints:
        """Return the combined watermark before each row, (n,) int64."""
        n = len(self)
        room = np.empty(2 * (n + 1), np.int64)
        rises = room[: 2 * copy_rises(self.spans, self.addresses, room)].reshape(-1, 2)
        watermark_us: Ints = np.repeat(rises[:, 1], np.diff(np.append(rises[:, 0], n)))
        return watermark_us

    def all_keys(self) -> tuple[Ints, Bytes]:
        """Return the key words of all rows, (n,) int64, and which are null, (n,) or empty."""
        nulls = NO_NULLS
        if self.has_nulls:
            nulls = np.empty(len(self), np.uint8)
            copy_bytes(self.spans, self.addresses, NULLS, 0, nulls)
        return self._copied(KEYS, 1, np.empty(len(self), np.int64)), nulls

    def column(self, i: int) -> pa.Array:
        """Return an input column of aggregates, (n,), laid out once."""
        if i not in self._columns:
            self._columns[i] = self._laid_out(i)
        return self._columns[i]

    def taken(self, positions: Ints) -> Chunk:
        """Copy single rows into a chunk of their own, in the order given."""
        blocks, rows, _, watermark_us = self._look_up(positions)
        m, addresses = len(positions), self.addresses

        def words(column: int, width: int) -> Ints:
            out = np.empty(m * width, np.int64)
            pick_words(blocks, rows, addresses, column, width, out)
            return out

        def flags(column: int, absent: int) -> Bytes:
            out = np.empty(m, np.uint8)
            pick_bytes(blocks, rows, addresses, column, absent, out)
            return out

        block = self._copy(words, flags, rises_of(watermark_us))
        return Chunk.of_block(block, self.watermark_after_us, self, positions)

    def together(self, scratch: Scratch) -> Chunk:
        """Copy all rows into one block where reading span by span would cost more."""
        n = len(self)
        if len(self.spans) < 2 or n >= _SHORT * len(self.spans):
            return self

        def words(column: int, width: int) -> Ints:
            return self._copied(column, width, scratch.array(column, n * width))

        def flags(column: int, absent: int) -> Bytes:
            out = scratch.flags(column, n)
            copy_bytes(self.spans, self.addresses, column, absent, out)
            return out

        rises = scratch.array("rises", 2 * (n + 1))
        n_rises = copy_rises(self.spans, self.addresses, rises)
        block = self._copy(words, flags, rises[: 2 * n_rises].reshape(-1, 2))
        return Chunk.of_block(block, self.watermark_after_us, self)

    def share(self, shard: int, shards: int, scratch: Scratch) -> Chunk:
        """Copy the rows whose keys fall to a shard, in order; `chosen` says which they are."""
        n, n_spans = len(self), len(self.spans)
        place = self.spans, self.starts, self.addresses
        positions, kept = scratch.array("positions", n + 1), scratch.array("kept", n_spans + 1)
        rises = scratch.array("rises", 2 * (n + 1))
        n_rises = share_rows(*place, shards, shard, positions, kept, rises)
        m = int(kept[-1])

        def words(column: int, width: int) -> Ints:
            out = scratch.array(column, n * width)[: m * width]
            keep_words(*place, column, width, positions, kept, out)
            return out

        def flags(column: int, absent: int) -> Bytes:
            out = scratch.flags(column, n)[:m]
            keep_bytes(*place, column, absent, positions, kept, out)
            return out

        block = self._copy(words, flags, rises[: 2 * n_rises].reshape(-1, 2))
        return Chunk.of_block(block, self.watermark_after_us, self, positions[:m])

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
        if len(self) >= _SHORT * len(self.spans):
            slices = [
                self._sources[block].columns[i].slice(first, last - first)
                for block, first, last, *_ in self.spans.tolist()
            ]
            if pa.types.is_dictionary(slices[0].type):
                slices = pa.chunked_array(slices).unify_dictionaries().chunks
            return pa.concat_arrays(slices) if len(slices) > 1 else slices[0]
        blocks, rows, _, _ = self._look_up(np.arange(len(self)))
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

    def _look_up(self, positions: Ints) -> Ints:
        """Return block, row, time and watermark of rows, (4, m) int64."""
        out = np.empty((4, len(positions)), np.int64)
        find_rows(positions, self.starts, self.spans, self.addresses, out)
        return out

    def _copied(self, column: int, width: int, out: Ints) -> Ints:
        copy_words(self.spans, self.addresses, column, width, out)
        return out
