"""Rows for slices that have left memory, in order of arrival, until their slice comes back.

To add them to partial accumulators and merge these later would round sums differently (S28).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.lanes import DECIMAL, FLOAT, OBJECT, Lane
from eventtime.state.order_kernels import sorted_order
from eventtime.timestamp import MINUS_INFINITY
from eventtime.validity import NO_NULLS
from eventtime.windows import pending_kernels as k
from eventtime.windows.chunk import Block, Chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventtime.windows.grid import Grid
    from eventtime.windows.layout import Fold

__all__ = ("PendingRows", "divided")

Ints = NDArray[np.int64]
_WIDTHS = {OBJECT: 0, DECIMAL: 2}
_FIRST_ROWS = 1024


class PendingRows:
    """Rows packed into words: when, which key, and the values of the columns that are folded.

    Gathering: `add`, `take_all`, `give_back`, `drop`. Looking: `of`, `keys`, `nbytes`. Back to
    what is folded: `chunk`.

    Args:
        grid: of the windows.
        folds: the columns that words hold.
        columns: how many input columns there are.
    """

    def __init__(self, grid: Grid, folds: Sequence[Fold], columns: int) -> None:
        self._grid, self._columns = grid, columns
        self._kinds = [(fold.column, fold.kind, _WIDTHS.get(fold.kind, 1)) for fold in folds]
        lanes = [(column, width) for column, _, width in self._kinds]
        self._lanes = np.array(lanes, np.int64).reshape(-1, 2)
        self._flags = 1 + len(folds) // k.FLAG_BITS
        self.width = k.HEAD + self._flags + int(self._lanes[:, 1].sum())
        self._rows = np.empty((0, self.width), np.int64)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def nbytes(self) -> int:
        """Bytes of the rows held."""
        return self._n * self.width * 8

    def add(self, chunk: Chunk, positions: Ints) -> list[tuple[int, int]]:
        """Take in rows of a chunk, at ascending positions.

        Returns:
            The slices that they belong to, and the rows of each.
        """
        first, n = self._n, self._n + len(positions)
        if n > len(self._rows):
            more = np.empty((max(n, 2 * self._n, _FIRST_ROWS), self.width), np.int64)
            more[: self._n] = self._rows[: self._n]
            self._rows = more
        grid = self._grid
        k.pack_rows(
            positions, chunk.starts, chunk.spans, chunk.addresses, grid.offset_us,
            0 if grid.everything else grid.slice_us, self._lanes, self._flags,
            self._rows[first:n],
        )  # fmt: skip
        self._n = n
        indices, counts = np.unique(self._rows[first:n, k.SLICE], return_counts=True)
        return list(zip(indices.tolist(), counts.tolist(), strict=True))

    def of(self, index: int) -> Ints:
        """Copy the rows of a slice, (n, width), in order of arrival. Cost: one pass."""
        rows = self._rows[: self._n]
        mine: Ints = rows[rows[:, k.SLICE] == index]
        return mine

    def drop(self, index: int) -> None:
        """Forget the rows of a slice."""
        rows = self._rows[: self._n]
        kept = rows[rows[:, k.SLICE] != index]
        self._n = len(kept)
        self._rows[: self._n] = kept

    def take_all(self) -> list[tuple[int, Ints]]:
        """Return the rows of each slice, (n, width), in order of arrival, and hold none."""
        rows = self._rows[: self._n]
        self._n = 0
        return list(divided(rows, rows[:, k.SLICE]))

    def give_back(self, parts: Sequence[Ints]) -> None:
        """Hold rows again that were taken; those of each slice are in order of arrival."""
        self._rows = np.concatenate(parts)
        self._n = len(self._rows)

    def keys(self, rows: Ints | None = None) -> tuple[Ints, NDArray[np.uint8]]:
        """Return the key words of rows, (n,), and which are null, (n,); None: of those held."""
        rows = self._rows[: self._n] if rows is None else rows
        return rows[:, k.KEY].copy(), (rows[:, k.FLAGS] & 1).astype(np.uint8)

    def chunk(self, rows: Ints) -> Chunk:
        """Make rows ready to be folded.

        Args:
            rows: (n, width), n > 0.
        """
        keys, nulls = self.keys(rows)
        empty = Lane(OBJECT, np.empty(0, np.int64), NO_NULLS)
        lanes, at = [empty] * self._columns, k.FLAGS + self._flags
        for i, (column, kind, width) in enumerate(self._kinds, 1):
            bits = rows[:, k.FLAGS + i // k.FLAG_BITS] >> i % k.FLAG_BITS & 1
            valid = (1 - bits).astype(np.uint8) if bits.any() else NO_NULLS
            values = np.ascontiguousarray(rows[:, at : at + width])
            at += width
            if width == 1:
                values = values[:, 0].view(np.float64) if kind == FLOAT else values[:, 0]
            lanes[column] = Lane(kind, values, valid)
        block = Block(
            np.ascontiguousarray(rows[:, k.TIME_US]),
            np.full((1, 2), MINUS_INFINITY),
            keys,
            nulls if nulls.any() else NO_NULLS,
            lanes,
        )
        return Chunk.of_block(block, MINUS_INFINITY)


def divided(rows: Ints, numbers: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield each number and the rows that have it, in order; rows are copied."""
    if not len(rows):
        return
    low, high = int(numbers.min()), int(numbers.max())
    order, spare = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    if sorted_order(numbers.copy(), low, (high - low).bit_length(), order, spare):
        order = spare
    ordered = numbers[order]
    cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    for part in np.split(order, cuts):
        yield int(numbers[part[0]]), rows[part]
