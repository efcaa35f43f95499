"""Slices that have left memory: accumulators in blocks, and the rows that came for them since.

Rows for a slice that is out are kept as they are and folded, in order of arrival, when it comes
back: sums are then those of a slice that never left, bit for bit (S28).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.errors import ScratchError
from eventtime.state.kernels import KEY_WORD, row_counts
from eventtime.windows.pending import PendingRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.state.blocks import BlockStore
    from eventtime.windows.accumulators import Accumulators
    from eventtime.windows.chunk import Chunk
    from eventtime.windows.grid import Grid

__all__ = ("ColdSlices", "Wanted")

Ints = NDArray[np.int64]
Wanted = Callable[[Ints, NDArray[np.uint8]], NDArray[np.bool_]]
"""Says of key words and null flags which are wanted."""

# Accumulators in a block: few enough that writing one needs little memory beside the table.
_BLOCK_ROWS = 1 << 16


@dataclass
class _Slice:
    """A slice that is out.

    Args:
        base: (block, rows) of accumulators.
        pending: (block, rows) of rows that came since, in order.
        rows: folded before or come since.
    """

    base: list[tuple[int, int]]
    pending: list[tuple[int, int]] = field(default_factory=list)
    rows: int = 0


class ColdSlices:
    """The slices of a shard that are out.

    Leaving: `put_out`, `add`, `flush`. Coming back: `enter`. Ending: `drop`. Looking: `in`, `len`,
    `rows`, `words`, `nbytes`.

    Args:
        accumulators: of the shard.
        grid: of the windows.
        store: of the blocks.
    """

    def __init__(self, accumulators: Accumulators, grid: Grid, store: BlockStore) -> None:
        self._acc, self._store = accumulators, store
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
        slots = self._acc.tables.slots(table)
        base: list[tuple[int, int]] = []
        try:
            for first in range(0, len(slots), _BLOCK_ROWS):
                some = slots[first : first + _BLOCK_ROWS]
                base.append((self._store.put(self._acc.packed(some)), len(some)))
        except ScratchError:
            self._store.delete([block for block, _ in base])
            raise
        rows = int(row_counts(slots, self._acc.tables.words))
        self._slices[index] = _Slice(base, rows=rows)

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
        for i, (index, rows) in enumerate(parts):
            try:
                block = self._store.put([rows.view(np.uint8).reshape(-1)])
            except ScratchError:
                self._pending.give_back([rows for _, rows in parts[i:]])
                raise
            self._slices[index].pending.append((block, len(rows)))

    def enter(self, index: int, table: int, wanted: Wanted | None = None) -> None:
        """Put a slice that is out into a table that has none of its keys; it stays out, too.

        Args:
            index: of the slice.
            table: directory row.
            wanted: which keys; None: all.
        """
        held = self._slices[index]
        expected = 0 if wanted else sum(n for _, n in held.base)
        for block, n in held.base:
            data = self._store.get_many([block])[0]
            self._acc.unpack(table, data, n, expected, wanted)
        for block, n in held.pending:
            data = self._store.get_many([block])[0]
            self._fold(table, data.view(np.int64).reshape(n, -1), wanted)
        self._fold(table, self._pending.of(index), wanted)

    def drop(self, index: int) -> None:
        """Forget what is out of a slice, if anything is."""
        held = self._slices.pop(index, None)
        if held is not None:
            self._pending.drop(index)
            self._store.delete([block for block, _ in held.base + held.pending])

    def words(self) -> Iterator[Ints]:
        """Yield the key words of all that is out; repeats allowed. Cost: everything is read."""
        for held in self._slices.values():
            for block, n in held.base:
                yield self._acc.packed_words(self._store.get_many([block])[0], n)[KEY_WORD]
            for block, n in held.pending:
                rows = self._store.get_many([block])[0].view(np.int64).reshape(n, -1)
                yield self._pending.keys(rows)[0]
        yield self._pending.keys()[0]

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
