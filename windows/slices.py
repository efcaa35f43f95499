"""The slices of one shard: a table for each, in memory or, above a budget, outside of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sortedcontainers import SortedDict

from eventtime.errors import ScratchError
from eventtime.state.kernels import NO_SLOT, NULL_FLAG, OUT, ROWS, TOUCHED, row_counts
from eventtime.timestamp import add
from eventtime.windows.cold import ColdSlices
from eventtime.windows.slice_map import slice_map
from eventtime.windows.slice_merge import SliceMerge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from eventtime.state.blocks import Spill
    from eventtime.state.keys import KeyCodec
    from eventtime.windows.accumulators import Accumulators
    from eventtime.windows.chunk import Chunk
    from eventtime.windows.closed import ClosedWindow
    from eventtime.windows.grid import Grid

__all__ = ("Slices", "WindowPart")

Ints = NDArray[np.int64]
# Below it a slice comes back as a whole: what a group costs is not worth it.
_LEAST_GROUP = 1 << 22


@dataclass(frozen=True)
class WindowPart:
    """Keys of a window that fires.

    Args:
        slots: (keys,) int64.
        by_key: whether slots are ascending by key word, and none is of the null key.
        is_whole: whether these are all keys of the window.
    """

    slots: Ints
    by_key: bool = False
    is_whole: bool = True


class Slices:
    """Slices by index; which of them are in memory shows in no result (S28).

    Coming and going: `new`, `retire`. Their contents: `window`, `window_of_keys`, `copy`,
    `row_count`. Room: `relieve`, `bring_back`, `keep`. Looking: `nbytes`, `fill_memory`, `blocked`,
    `words`.

    Args:
        accumulators: of the shard.
        grid: of the windows.
        codec: of the keys.
        spill: where to put slices that have no room; None: all stay in memory.
    """

    def __init__(
        self, accumulators: Accumulators, grid: Grid, codec: KeyCodec, spill: Spill | None
    ) -> None:
        self._acc, self._tables, self._grid = accumulators, accumulators.tables, grid
        self._budget, self._cold = 0, None
        if spill is not None:
            # Room is made between chunks: some is left for what the next one brings.
            self._budget = spill.budget_bytes - spill.budget_bytes // 16
            self._cold = ColdSlices(accumulators, grid, codec, spill.store)
        self.rows: SortedDict[int, int] = SortedDict()
        self.map = slice_map({})
        self.merge = SliceMerge(accumulators, self.rows, grid.slices)
        self.blocked: ScratchError | None = None
        if spill is not None:
            # To enlarge the arena is to hold it twice for a moment; memory not yet written to is
            # none.
            self._tables.add_pages(2 * self._budget // self._tables.page_bytes)

    def new(self, index: int) -> None:
        """Begin a slice."""
        like = self.rows.peekitem(-1)[1] if self.rows else None
        row = self.rows[index] = self._tables.create(index, like=like)
        self.map = slice_map(self.rows, self.map, index, row)

    def retire(self, watermark_us: int, lateness_us: int) -> None:
        """Release slices whose last window has expired (S18, S30)."""
        changed = False
        while self.rows:
            index, row = self.rows.peekitem(0)
            last = self._grid.last_end_at(self._grid.slice_start(index))
            if add(last, lateness_us) > watermark_us:
                break
            self.merge.forget(index)
            del self.rows[index]
            self._acc.release(row)
            if self._cold is not None:
                self._cold.drop(index)
            changed = True
        if not self.rows:
            self.merge.clear()
        if changed:
            self.map = slice_map(self.rows)

    def window(self, first: int, scratch: list[int]) -> Iterator[WindowPart]:
        """Yield the window that starts with a slice.

        Where they have no room together they come in parts, which follow each other in the order of
        keys: before the next one is asked for, the tables in `scratch` are to be released.

        Args:
            first: index of the slice.
            scratch: gets the tables to release when the slots were read.
        """
        if self._grid.slices > 1:
            self._bring_window_back(first)
            slots, table = self.merge.window(first)
            if table >= 0:
                scratch.append(table)
            yield WindowPart(slots)
        elif self._is_out(first):
            for group in self._groups(first):
                inside = self._tables.slots(self.rows[first])
                outside = self._entered(first, scratch, group=group)
                yield WindowPart(np.concatenate([inside, outside]), is_whole=group is None)
        else:
            row = self.rows[first]
            by_key = self._tables.slots_by_key(row)
            slots = self._tables.slots(row) if by_key is None else by_key
            yield WindowPart(slots, by_key=by_key is not None)

    def window_of_keys(self, first: int, slots: Ints, scratch: list[int]) -> Ints:
        """Return slots with the whole contents of a window, for the keys of `slots`."""
        words = self._tables.words
        keys, nulls = words[slots, 0], (words[slots, ROWS] & NULL_FLAG != 0).astype(np.uint8)
        if self._grid.slices > 1:
            self._bring_window_back(first)
            table = self.merge.window_of_keys(first, keys, nulls)
            scratch.append(table)
            return self._tables.slots(table)
        found = self._tables.find(self.rows[first], keys, nulls)
        if self._is_out(first):
            asked = self._tables.create(0)
            scratch.append(asked)
            self._tables.take(asked, keys, nulls)
            self._entered(first, scratch, asked)
            outside = self._tables.find(scratch[-1], keys, nulls)
            found = np.where(found == NO_SLOT, outside, found)
        return found

    def row_count(self, index: int) -> int:
        """Return the rows folded into a slice, or waiting to be."""
        inside = int(row_counts(self._tables.slots(self.rows[index]), self._tables.words))
        return inside + (0 if self._cold is None else self._cold.rows(index))

    def copy(self, index: int) -> Callable[[], pa.RecordBatch]:
        """Copy the accumulators of a slice, wherever they are; see `Accumulators.copy`."""
        row = self.rows[index]
        if not self._is_out(index):
            return self._acc.copy(row)
        scratch: list[int] = []
        slots = np.concatenate([self._tables.slots(row), self._entered(index, scratch)])
        rows = self._acc.saved(slots)
        self._acc.release(*scratch)
        return lambda: rows

    def words(self) -> Iterator[Ints]:
        """Yield the key words of what is outside of memory; repeats allowed."""
        if self._cold is not None:
            yield from self._cold.words()

    # Room

    @property
    def has_limit(self) -> bool:
        """Whether slices may leave memory."""
        return self._cold is not None

    @property
    def fill_memory(self) -> bool:
        """Whether the results of all slices may have no room together."""
        return self._cold is not None and (len(self._cold) > 0 or 8 * self.nbytes > self._budget)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self._acc.nbytes + (0 if self._cold is None else self._cold.nbytes)

    def keep(self, chunk: Chunk, positions: Ints) -> None:
        """Take in rows of a chunk whose keys are outside."""
        assert self._cold is not None
        self._cold.add(chunk, positions)

    def bring_back(self, index: int) -> None:
        """Put a slice back into memory as a whole."""
        assert self._cold is not None
        row = self.rows[index]
        self._cold.enter(index, row)
        self._cold.drop(index)
        self._tables.dirs[row, OUT] = 0

    def relieve(self, closed: Iterable[ClosedWindow] = (), first: int | None = None) -> None:
        """Put slices out, those first that had no row for the longest time, until there is room.

        Where the disk is full they stay, and `blocked` says why.

        Args:
            closed: windows that take of the budget, too, and stay in memory.
            first: index of a slice that is about to come back, if it is out.
        """
        if self._cold is None:
            return
        elsewhere = sum(window.nbytes for window in closed)
        coming = self._cold.nbytes_of(first) if first is not None and self._is_out(first) else 0
        is_tight = self.nbytes + elsewhere + min(coming, self._budget // 4) > self._budget
        try:
            # To write rows that came since takes as much memory again.
            if self._cold.nbytes > self._budget // 8:
                self._cold.flush()
            if not is_tight:
                return
            self.merge.clear()
            self._tables.trim()
            room = self._budget * 3 // 4 - elsewhere
            for index in self._longest_untouched():
                if self.nbytes <= room:
                    break
                self._put_out(index)
            self.blocked = None
        except ScratchError as error:
            self.blocked = error

    def _longest_untouched(self) -> list[int]:
        """List the slices with keys in memory."""
        dirs = self._tables.dirs
        held = [index for index, row in self.rows.items() if self._tables.count(row)]
        return sorted(held, key=lambda index: (dirs[self.rows[index], TOUCHED], index))

    def _is_out(self, index: int) -> bool:
        return self._cold is not None and index in self._cold

    def _groups(self, index: int) -> Sequence[int | None]:
        """List the groups of keys in which a slice that is out has room; [None]: all together."""
        assert self._cold is not None
        if self._cold.nbytes_of(index) <= max(self._budget // 4, _LEAST_GROUP):
            return [None]
        # Results of a group, and what makes them, take about as much as it does.
        group_bytes = max(self._budget // 8, _LEAST_GROUP)
        try:
            self._cold.flush()
            self._put_out(index)
            return range(self._cold.divide(index, group_bytes))
        except ScratchError as error:
            self.blocked = error
            return [None]

    def _put_out(self, index: int) -> None:
        assert self._cold is not None
        row = self.rows[index]
        self._cold.put_out(index, row)
        self._acc.clear(row)
        self._tables.dirs[row, OUT] = 1

    def _bring_window_back(self, first: int) -> None:
        if self._cold is not None:
            for index in list(self.rows.irange(first, first + self._grid.slices - 1)):
                if index in self._cold:
                    self.bring_back(index)

    def _entered(
        self, index: int, scratch: list[int], asked: int | None = None, group: int | None = None
    ) -> Ints:
        """Put what is out of a slice into a scratch table.

        Args:
            index: of the slice.
            scratch: gets the table.
            asked: a table: only its keys.
            group: only those keys.

        Returns:
            The slots.
        """
        assert self._cold is not None
        table = self._tables.create(index)
        scratch.append(table)

        def wanted(keys: Ints, nulls: NDArray[np.uint8]) -> NDArray[np.bool_]:
            assert asked is not None
            found: NDArray[np.bool_] = self._tables.find(asked, keys, nulls) != NO_SLOT
            return found

        self._cold.enter(index, table, wanted=None if asked is None else wanted, group=group)
        return self._tables.slots(table)
