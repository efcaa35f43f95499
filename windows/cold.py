"""Slices that have left memory: accumulators in blocks, and the rows that came for them since.

Rows for a slice that is out are kept as they are and folded, in order of arrival, when it comes
back: sums are then those of a slice that never left, bit for bit (S28). A slice that has no room in
memory is divided by key, and comes back group by group in the order of keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.errors import ScratchError
from eventtime.state.kernels import KEY_WORD, NULL_FLAG, ROWS, row_counts
from eventtime.windows.key_sample import KeySample
from eventtime.windows.pending import PendingRows, divided

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventtime.state.blocks import BlockStore, Bytes
    from eventtime.state.keys import KeyCodec
    from eventtime.windows.accumulators import Accumulators
    from eventtime.windows.chunk import Chunk
    from eventtime.windows.grid import Grid

__all__ = ("ColdSlices", "Wanted")

Ints = NDArray[np.int64]
Wanted = Callable[[Ints, NDArray[np.uint8]], NDArray[np.bool_]]
"""Says of key words and null flags which are wanted."""

# Accumulators or rows in a block: few enough that writing one needs little memory beside the table.
_BLOCK_ROWS = 1 << 16
# What a key takes in a table beside its words: entries are at most three fifths full.
_ENTRY_BYTES = 24
_ALL = -1


@dataclass(frozen=True)
class _Block:
    """What lies in a block.

    Args:
        number: of the block.
        rows: accumulators or rows in it.
        nbytes: of it.
        group: of keys; _ALL: it was not divided.
    """

    number: int
    rows: int
    nbytes: int
    group: int = _ALL


@dataclass
class _Slice:
    """A slice that is out.

    Args:
        base: accumulators.
        pending: rows that came since, in order.
        rows: folded before or come since.
        keys: some of its keys.
        cuts: what divides it into groups.
    """

    base: list[_Block] = field(default_factory=list)
    pending: list[_Block] = field(default_factory=list)
    rows: int = 0
    keys: KeySample = field(default_factory=KeySample)
    cuts: Ints = field(default_factory=lambda: np.empty(0, np.int64))


class ColdSlices:
    """The slices of a shard that are out.

    Leaving: `put_out`, `add`, `flush`. Coming back: `enter`, by groups after `divide`. Ending:
    `drop`. Looking: `in`, `len`, `rows`, `words`, `nbytes`, `nbytes_of`.

    Args:
        accumulators: of the shard.
        grid: of the windows.
        codec: of the keys.
        store: of the blocks.
    """

    def __init__(
        self, accumulators: Accumulators, grid: Grid, codec: KeyCodec, store: BlockStore
    ) -> None:
        self._acc, self._codec, self._store = accumulators, codec, store
        self._slices: dict[int, _Slice] = {}
        self._pending = PendingRows(grid, accumulators.folds, accumulators.inputs)

    def __contains__(self, index: object) -> bool:
        return index in self._slices

    def __len__(self) -> int:
        return len(self._slices)

    @property
    def nbytes(self) -> int:
        """Bytes in memory: rows that came since."""
        return self._pending.nbytes

    def nbytes_of(self, index: int) -> int:
        """Return about how many bytes what is out of a slice will take in memory."""
        held = self._slices[index]
        accumulators = sum(block.rows for block in held.base)
        written = sum(block.nbytes for block in held.base) // max(accumulators, 1)
        of_a_key = max(written, 8 * len(self._acc.tables.neutral)) + _ENTRY_BYTES
        most = sum(block.rows for block in held.base + held.pending) + len(self._pending)
        return min(held.keys.count, most) * of_a_key

    def rows(self, index: int) -> int:
        """Return how many rows of a slice are out."""
        held = self._slices.get(index)
        return 0 if held is None else held.rows

    def put_out(self, index: int, table: int) -> None:
        """Write the accumulators of a slice to blocks; the caller then empties the table.

        Args:
            index: of the slice.
            table: its directory row.

        Raises:
            ScratchError: they cannot be written; nothing has changed.
        """
        slots, words = self._acc.tables.slots(table), self._acc.tables.words
        base: list[_Block] = []
        held = self._slices.get(index, _Slice())
        try:
            for first in range(0, len(slots), _BLOCK_ROWS):
                some = slots[first : first + _BLOCK_ROWS]
                base.append(self._put(self._acc.packed(some), len(some)))
                held.keys.add(words[some, KEY_WORD], words[some, ROWS] & NULL_FLAG != 0)
        except ScratchError:
            self._delete(base)
            raise
        held.base += base
        held.rows += int(row_counts(slots, words))
        self._slices[index] = held

    def add(self, chunk: Chunk, positions: Ints) -> None:
        """Keep rows of a chunk, at ascending positions, whose slices are out."""
        for index, rows in self._pending.add(chunk, positions):
            self._slices[index].rows += rows

    def flush(self) -> None:
        """Write the rows that came since to blocks.

        Raises:
            ScratchError: they cannot be written; those that were not are still in memory.
        """
        parts = self._pending.take_all()
        blocks = [
            (index, rows[first : first + _BLOCK_ROWS])
            for index, rows in parts
            for first in range(0, len(rows), _BLOCK_ROWS)
        ]
        for i, (index, rows) in enumerate(blocks):
            try:
                block = self._put([rows.view(np.uint8).reshape(-1)], len(rows))
            except ScratchError:
                self._pending.give_back([rows for _, rows in blocks[i:]])
                raise
            held = self._slices[index]
            held.pending.append(block)
            keys, nulls = self._pending.keys(rows)
            held.keys.add(keys, nulls != 0)

    def divide(self, index: int, group_bytes: int) -> int:
        """Divide a slice, none of which is in memory, by key.

        Args:
            index: of the slice.
            group_bytes: what a group should take in memory.

        Returns:
            How many groups there are; they follow each other in the order of keys.

        Raises:
            ScratchError: it cannot be written anew; nothing is lost.
        """
        held = self._slices[index]
        groups = min(-(-self.nbytes_of(index) // group_bytes), len(held.keys))
        if groups > 2 * (len(held.cuts) + 1):
            held.cuts = self._codec.cuts(held.keys.words, groups)
            held.base = [replace(block, group=_ALL) for block in held.base]
        self._divide(held.base, held.cuts, self._acc.packed_keys, self._acc.repacked)
        self._divide(held.pending, held.cuts, self._row_keys, self._some_rows)
        return len(held.cuts) + 1

    def enter(
        self, index: int, table: int, wanted: Wanted | None = None, group: int | None = None
    ) -> None:
        """Put a slice that is out into a table that has none of its keys; it stays out, too.

        Args:
            index: of the slice.
            table: directory row.
            wanted: which keys; None: all.
            group: one of those that `divide` made, while nothing was added since; None: all.
        """
        held = self._slices[index]
        base, pending = (
            [block for block in blocks if group in {None, block.group}]
            for blocks in (held.base, held.pending)
        )
        expected = 0 if wanted else sum(block.rows for block in base)
        for block in base:
            self._acc.unpack(table, self._get(block), block.rows, expected, wanted)
        for block in pending:
            self._fold(table, _rows_of(self._get(block), block.rows), wanted)
        if group is None:
            self._fold(table, self._pending.of(index), wanted)

    def drop(self, index: int) -> None:
        """Forget what is out of a slice, if anything is."""
        held = self._slices.pop(index, None)
        if held is not None:
            self._pending.drop(index)
            self._delete(held.base + held.pending)

    def words(self) -> Iterator[Ints]:
        """Yield the key words of all that is out; repeats allowed. Cost: everything is read."""
        for held in self._slices.values():
            for block in held.base:
                yield self._acc.packed_keys(self._get(block), block.rows)[0]
            for block in held.pending:
                yield self._row_keys(self._get(block), block.rows)[0]
        yield self._pending.keys()[0]

    def _divide(
        self,
        blocks: list[_Block],
        cuts: Ints,
        keys_of: Callable[[Bytes, int], tuple[Ints, NDArray[np.bool_]]],
        some_of: Callable[[Bytes, int, Ints], Sequence[Bytes]],
    ) -> None:
        """Put the groups of each block that was not divided in its place."""
        at = 0
        while at < len(blocks):
            block, pieces = blocks[at], blocks[at : at + 1]
            if block.group == _ALL:
                data, n, pieces = self._get(block), block.rows, []
                groups = self._codec.groups_of(*keys_of(data, n), cuts)
                try:
                    for group, some in divided(np.arange(n), groups):
                        pieces.append(self._put(some_of(data, n, some), len(some), group))
                except ScratchError:
                    self._delete(pieces)
                    raise
                blocks[at : at + 1] = pieces
                self._delete([block])
            at += len(pieces)

    def _put(self, buffers: Sequence[Bytes], rows: int, group: int = _ALL) -> _Block:
        return _Block(self._store.put(buffers), rows, sum(map(len, buffers)), group)

    def _get(self, block: _Block) -> Bytes:
        return self._store.get_many([block.number])[0]

    def _delete(self, blocks: Sequence[_Block]) -> None:
        self._store.delete([block.number for block in blocks])

    def _row_keys(self, data: Bytes, n: int) -> tuple[Ints, NDArray[np.bool_]]:
        keys, nulls = self._pending.keys(_rows_of(data, n))
        return keys, nulls != 0

    @staticmethod
    def _some_rows(data: Bytes, n: int, chosen: Ints) -> list[Bytes]:
        return [_rows_of(data, n)[chosen].view(np.uint8).reshape(-1)]

    def _fold(self, table: int, rows: Ints, wanted: Wanted | None) -> None:
        if wanted is not None:
            rows = rows[wanted(*self._pending.keys(rows))]
        if not len(rows):
            return
        chunk = self._pending.chunk(rows)
        block = chunk.blocks[0]
        slots, fresh = self._acc.tables.take(table, block.keys, block.key_nulls)
        self._acc.reset(slots[fresh])
        self._acc.fold(chunk, 0, slots.astype(np.int32))


def _rows_of(data: Bytes, n: int) -> Ints:
    return data.view(np.int64).reshape(n, -1)
