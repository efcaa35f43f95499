"""Copies of tables, made while the work stands still, in memory that is used again and again.

Memory that was never touched costs a virtual machine many times what copying into it does; so it
comes in pieces of one size, and a piece goes back as soon as nobody reads it any more.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from eventtime.state import kernels as k
from eventtime.state.copy_kernels import copy_rows, lay_out_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.state.tables import Tables

__all__ = ("Copies", "TableCopy")

Ints = NDArray[np.int64]
_PIECE_BYTES = 1 << 22


class _Piece:
    """Memory for copies; whoever reads a copy holds it.

    Args:
        rows: (n, width) int64, n a multiple of PAGE_SLOTS.
    """

    def __init__(self, rows: Ints) -> None:
        self.rows, self.used = rows, 0


class TableCopy:
    """The accumulators of a table as they were, to be read once.

    Args:
        rows: how many there are.
        parts: pieces, and from where to where they are for this table.
        done: called when all is read.
    """

    def __init__(
        self, rows: int, parts: list[tuple[_Piece, int, int]], done: Callable[[], None]
    ) -> None:
        self._rows, self._parts, self._done = rows, deque(parts), done
        self._is_read = False

    def columns(self, width: int) -> Ints:
        """Return the words, (width, rows) int64, and let go of the memory. Any thread may call.

        Raises:
            RuntimeError: they were read before.
        """
        if self._is_read:
            msg = "the copy of a table was read before: its memory is in use again"
            raise RuntimeError(msg)
        self._is_read = True
        out, at = np.empty((width, self._rows), np.int64), 0
        places = out.ctypes.data + np.arange(width) * out.strides[0]
        while self._parts:
            piece, first, end = self._parts.popleft()
            lay_out_columns(piece.rows[first:end], at, self._rows, places)
            at += end - first
        self._done()
        return out


class Copies:
    """Makes copies of tables.

    Args:
        tables: of the shard.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        row_bytes = 8 * len(tables.neutral)
        self._room = max(1, _PIECE_BYTES // (row_bytes * k.PAGE_SLOTS)) * k.PAGE_SLOTS
        self._free: list[Ints] = []
        self._last: _Piece | None = None
        # Pieces in all, and those that the last cut took.
        self._made = self._taken = 0
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of all memory for copies, those under way included."""
        return self._made * self._room * 8 * len(self._tables.neutral)

    def begin(self) -> None:
        """Begin a cut: its copies share no memory with those of the one before."""
        self._last, self._taken = None, 0

    def of(self, row: int) -> TableCopy:
        """Copy the accumulators of a table, in order of insertion. Cost: that of the memory."""
        t = self._tables
        n, parts = t.count(row), []
        page, left = int(t.dirs[row, k.FIRST_PAGE]), n
        while left:
            piece = self._piece()
            first = piece.used
            end = min(first + left, self._room)
            page = copy_rows(t.dirs[row], t.page_next, t.words, page, piece.rows[first:end])
            # The next table begins with a whole page.
            piece.used = -(-end // k.PAGE_SLOTS) * k.PAGE_SLOTS
            parts.append((piece, first, end))
            left -= end - first
        return TableCopy(n, parts, self._top_up)

    def _piece(self) -> _Piece:
        if self._last is None or self._last.used == self._room:
            with self._lock:
                self._taken += 1
                rows = self._free.pop() if self._free else self._memory()
            self._last = _Piece(rows)
            finalize(self._last, self._free.append, rows).atexit = False
        return self._last

    def _memory(self) -> Ints:
        self._made += 1
        return np.empty((self._room, len(self._tables.neutral)), np.int64)

    def _top_up(self) -> None:
        """Get memory for a cut twice as large as this one, while the work goes on."""
        arena = len(self._tables.words)
        while self._made < min(2 * self._taken, -(-arena // self._room)):
            with self._lock:
                rows = self._memory()
            rows[:] = 0
            self._free.append(rows)
