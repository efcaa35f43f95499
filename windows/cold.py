"""Slices that have left memory: accumulators in blocks, and the rows that came for them since.

A slice leaves as a whole or, if it is large, by groups of keys. Rows for what has left are kept as
they are and folded, in order of arrival, when it comes back: sums are then those of a slice that
never left, bit for bit (S28).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.errors import ScratchError
from eventtime.state.kernels import GROUPS, KEY_WORD, row_counts
from eventtime.windows.pending import PendingRows
from eventtime.windows.pending_kernels import groups_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.state.blocks import BlockStore
    from eventtime.windows.accumulators import Accumulators
    from eventtime.windows.chunk import Chunk
    from eventtime.windows.grid import Grid

__all__ = ("ALL", "ColdSlices", "Wanted")

Ints = NDArray[np.int64]
ALL = (1 << GROUPS) - 1
"""Every group of keys, as bits."""

Wanted = Callable[[Ints, NDArray[np.uint8]], NDArray[np.bool_]]
"""Says of key words and null flags which are wanted."""

# Accumulators in a block: few enough that writing one needs little memory beside the table.
_BLOCK_ROWS = 1 << 16
_WHOLE = 0


@dataclass
class _Part:
    """A group of keys: (block, rows) of accumulators, and of rows that came since, in order."""

    base: list[tuple[int, int]] = field(default_factory=list)
    pending: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _Slice:
    """What of a slice is out.

    Args:
        by_group: whether parts are groups of keys; otherwise there is one, _WHOLE.
        parts: by group.
        rows: folded before or come since.
    """

    by_group: bool
    parts: dict[int, _Part] = field(default_factory=dict)
    rows: int = 0


class ColdSlices:
    """The slices of a shard that are out, whole or in part.

    Leaving: `put_out`, `add`, `flush`. Coming back: `enter`. Ending: `drop`. Looking: `in`, `len`,
    `rows`, `words`, `groups`, `nbytes`.

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

    def groups(self, index: int) -> list[int]:
        """Return the groups of keys of a slice that are out; none if it is out as a whole."""
        held = self._slices[index]
        return sorted(held.parts) if held.by_group else []

    def put_out(self, index: int, table: int, groups: int) -> None:
        """Write accumulators of a slice to blocks; the caller then takes them out of the table.

        Args:
            index: of the slice.
            table: directory row of what is in memory of it.
            groups: the groups of keys that leave, as bits; a slice whose groups first leave all at
                once leaves as a whole.

        Raises:
            ScratchError: they cannot be written; nothing has changed.
        """
        held = self._slices.get(index) or _Slice(by_group=groups != ALL)
        shares = list(self._shares(self._acc.tables.slots(table), groups, held))
        made: dict[int, list[tuple[int, int]]] = {}
        try:
            for group, mine in shares:
                made[group] = []
                for first in range(0, len(mine), _BLOCK_ROWS):
                    some = mine[first : first + _BLOCK_ROWS]
                    made[group].append((self._store.put(self._acc.packed(some)), len(some)))
        except ScratchError:
            self._store.delete([block for base in made.values() for block, _ in base])
            raise
        for group, mine in shares:
            held.parts.setdefault(group, _Part()).base += made[group]
            held.rows += int(row_counts(mine, self._acc.tables.words))
        self._slices[index] = held

    def add(self, chunk: Chunk, positions: Ints) -> None:
        """Keep rows of a chunk, at ascending positions, whose keys are out."""
        for index, rows in self._pending.add(chunk, positions):
            self._slices[index].rows += rows

    def flush(self) -> None:
        """Write the rows that came since to blocks.

        Raises:
            ScratchError: they cannot be written; those that were not are still in memory.
        """
        parts = self._pending.take_all(self._by_group)
        for i, (index, group, rows) in enumerate(parts):
            held = self._slices.get(index)
            # Of slices that are gone since, rows are left behind.
            if held is None:
                continue
            try:
                block = self._store.put([rows.view(np.uint8).reshape(-1)])
            except ScratchError:
                self._pending.give_back([rows for _, _, rows in parts[i:]])
                raise
            held.parts.setdefault(group, _Part()).pending.append((block, len(rows)))

    def enter(
        self, index: int, table: int, group: int | None = None, wanted: Wanted | None = None
    ) -> None:
        """Put what is out of a slice into a table that has none of its keys; it stays out, too.

        Args:
            index: of the slice.
            table: directory row.
            group: the only one to enter; None: all.
            wanted: which keys of these; None: all.
        """
        held = self._slices[index]
        parts = [part for of, part in held.parts.items() if group in {None, of}]
        expected = 0 if wanted else sum(n for part in parts for _, n in part.base)
        for part in parts:
            for block, n in part.base:
                data = self._store.get_many([block])[0]
                self._acc.unpack(table, data, n, expected, wanted)
        for part in parts:
            for block, n in part.pending:
                data = self._store.get_many([block])[0]
                self._fold(table, data.view(np.int64).reshape(n, -1), wanted)
        self._fold(table, self._pending.of(index, group), wanted)

    def drop(self, index: int) -> None:
        """Forget what is out of a slice, if anything is."""
        held = self._slices.pop(index, None)
        if held is None:
            return
        self._pending.drop(index)
        self._store.delete(
            [block for part in held.parts.values() for block, _ in part.base + part.pending]
        )

    def words(self) -> Iterator[Ints]:
        """Yield the key words of all that is out; repeats allowed. Cost: everything is read."""
        for held in self._slices.values():
            for part in held.parts.values():
                for block, n in part.base:
                    yield self._acc.packed_words(self._store.get_many([block])[0], n)[KEY_WORD]
                for block, n in part.pending:
                    rows = self._store.get_many([block])[0].view(np.int64).reshape(n, -1)
                    yield self._pending.words(rows)
        yield self._pending.words(None)

    def _shares(self, slots: Ints, groups: int, held: _Slice) -> Iterator[tuple[int, Ints]]:
        """Yield each group that leaves, and its slots."""
        if not held.by_group:
            yield _WHOLE, slots
            return
        of = np.empty(len(slots), np.int64)
        groups_of(self._acc.tables.words[slots, KEY_WORD], of)
        for group in range(GROUPS):
            if groups >> group & 1:
                yield group, slots[of == group]

    def _by_group(self, index: int) -> bool:
        held = self._slices.get(index)
        return held is not None and held.by_group

    def _fold(self, table: int, rows: Ints, wanted: Wanted | None) -> None:
        if wanted is not None and len(rows):
            rows = rows[wanted(*self._pending.keys(rows))]
        if not len(rows):
            return
        chunk = self._pending.chunk(rows)
        block = chunk.blocks[0]
        slots, fresh = self._acc.tables.take(table, block.keys, block.key_nulls)
        self._acc.reset(slots[fresh])
        self._acc.fold(chunk, 0, slots.astype(np.int32))
