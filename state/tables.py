"""Slot tables over one arena: key -> slot, accumulators as rows of words, whole pages given back.

A table stands for a slice of time (or a partial merge of slices). Its slots come in pages of the
arena; when the table retires its pages return to the pool, keys included, so state is bounded by
the live windows (S30).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.state import kernels as k
from eventtime.state.enter_kernel import enter_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("SMALLEST_TABLE", "Tables")

Ints = NDArray[np.int64]
SMALLEST_TABLE = 64
_POOLED_BYTES = 1 << 28
# Keys that fill this part of their range are their own perfect hash: neighbours lie side by side,
# nothing collides, and no key is read to be compared.
_SPARSEST = 8


@dataclass
class Tables:
    """All slot tables of one shard of one operator.

    Making and retiring: `create`, `retire`, `clear`. Room: `grow`, `add_pages`, `reserve`. Looking:
    `slots`, `slots_by_key`, `find`, `count`, `nbytes`. Merging: `pair`, `take`. Surviving:
    `version`, `enter`. Memory: `trim`. It does not know what the words mean: kernels that fold and
    merge are given ``words`` and slots. Who folds rows into a table sets its
    ``dirs[row, VERSION]`` to CHANGED.

    Args:
        neutral: (width,) int64, the words of an empty accumulator; the first two are key and rows.
    """

    neutral: Ints
    words: Ints = field(init=False)
    dirs: Ints = field(init=False)
    page_next: Ints = field(init=False)
    free_pages: Ints = field(init=False)
    n_free: int = 0

    def __post_init__(self) -> None:
        self.words = np.empty((0, len(self.neutral)), np.int64)
        self.dirs = np.zeros((8, k.WIDTH), np.int64)
        self.page_next = np.empty(0, np.int64)
        self.free_pages = np.empty(0, np.int64)
        self._free_rows = list(range(7, -1, -1))
        self._entries: dict[int, Ints] = {}
        self._pool: dict[int, list[Ints]] = {}
        self._pooled = self._entry_bytes = 0
        self.add_pages(1)

    def create(self, key: int, expected: int = 0, *, like: int | None = None) -> int:
        """Make an empty table and return its directory row.

        Args:
            key: of the table.
            expected: keys to make room for.
            like: a table whose keys it will resemble: as large, and hashed the same way.
        """
        if not self._free_rows:
            n = len(self.dirs)
            self.dirs = np.concatenate([self.dirs, np.zeros_like(self.dirs)])
            self._free_rows = list(range(2 * n - 1, n - 1, -1))
        row = self._free_rows.pop()
        self.dirs[row] = (
            key,
            0,
            0,
            0,
            -1,
            -1,
            0,
            0,
            0 if like is None else self.dirs[like, k.DENSE],
            k.CHANGED,
            0,
            0,
        )
        size = _entries_for(expected) if like is None else len(self._entries[like])
        self._set_entries(row, self._zeroed(size))
        return row

    def retire(self, row: int) -> None:
        """Forget a table: its pages, entries and directory row are free for the next."""
        self.n_free = k.free_pages_of(self.dirs[row], self.page_next, self.free_pages, self.n_free)
        self._give_back(self._entries.pop(row))
        self.dirs[row] = 0
        self._free_rows.append(row)

    def clear(self, row: int) -> None:
        """Make a table empty and small; its directory row and key stay."""
        self.n_free = k.free_pages_of(self.dirs[row], self.page_next, self.free_pages, self.n_free)
        self._give_back(self._entries[row])
        empty = self.dirs[row, k.KEY], 0, 0, 0, -1, -1, 0, 0, 0
        self.dirs[row, : len(empty)] = empty
        self._set_entries(row, self._zeroed(SMALLEST_TABLE))

    def grow(self, row: int, expected: int = 0) -> None:
        """Double the entries of a table, or make room for `expected` keys. Cost: O(keys)."""
        low, high = k.key_range(self._entries[row], self.words)
        size = max(2 * len(self._entries[row]), _entries_for(expected))
        self._lay_out(row, size, max(expected, self.count(row)), int(low), int(high))

    def _lay_out(self, row: int, size: int, keys: int, low: int, high: int) -> None:
        """Give a table at least `size` entries, for keys between `low` and `high`."""
        old, dense = self._entries[row], 0 <= high - low < _SPARSEST * keys
        if dense:
            size = max(size, 1 << (high - low).bit_length())
        self.dirs[row, k.DENSE] = dense
        if size == len(old) and not self.count(row):
            return  # as it is, there is nothing in it
        new = self._zeroed(size)
        k.rehash(old, new, self.words, dense)
        self._set_entries(row, new)
        self._give_back(old)

    def add_pages(self, at_least: int) -> None:
        """Enlarge the arena by half, or by `at_least` pages."""
        pages = len(self.page_next)
        more = max(at_least, pages // 2, 4)
        words = np.empty(((pages + more) * k.PAGE_SLOTS, len(self.neutral)), np.int64)
        words[: len(self.words)] = self.words
        self.words = words
        self.page_next = np.concatenate([self.page_next, np.full(more, -1, np.int64)])
        free = np.empty(pages + more, np.int64)
        free[:more] = np.arange(pages + more - 1, pages - 1, -1)
        free[more : more + self.n_free] = self.free_pages[: self.n_free]
        self.free_pages, self.n_free = free, self.n_free + more

    def reserve(self, row: int, keys: int) -> None:
        """Make room for `keys` more keys in a table, so that `pair` never stops."""
        pages = keys // k.PAGE_SLOTS + 1
        if self.n_free < pages:
            self.add_pages(pages - self.n_free)
        if _entries_for(int(self.dirs[row, k.COUNT]) + keys) > len(self._entries[row]):
            self.grow(row, int(self.dirs[row, k.COUNT]) + keys)

    def count(self, row: int) -> int:
        """Return the number of keys in a table."""
        return int(self.dirs[row, k.COUNT])

    def version(self, row: int, cut: int) -> int:
        """Return the cut that first saw a table as it is now.

        Args:
            row: of the table.
            cut: number of the cut under way, above all before; never 0.
        """
        if self.dirs[row, k.VERSION] == k.CHANGED:
            self.dirs[row, k.VERSION] = cut
        return int(self.dirs[row, k.VERSION])

    def slots(self, row: int) -> Ints:
        """Return the slots of a table in order of insertion, (count,) int64."""
        out = np.empty(self.count(row), np.int64)
        k.slots_of(self.dirs[row], self.page_next, out)
        return out

    def slots_by_key(self, row: int) -> Ints | None:
        """Return the slots of a table in ascending order of keys, (count,) int64.

        None where that would take a sort: keys are hashed, one is null or negative, or does not
        fit its entry.
        """
        if not self.dirs[row, k.DENSE]:
            return None
        out = np.empty(self.count(row) + 1, np.int64)
        turn = k.slots_by_entry(self._entries[row], out)
        if turn == k.NO_SLOT:
            return None
        slots = out[:-1]
        return np.concatenate([slots[turn:], slots[:turn]]) if turn else slots

    def find(self, row: int, keys: Ints, nulls: NDArray[np.uint8]) -> Ints:
        """Look keys up: (n,) slots, NO_SLOT where absent."""
        out = np.empty(len(keys), np.int64)
        k.find_slots(self.dirs[row], self.words, keys, nulls, out)
        return out

    def pair(self, row: int, source: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Find or insert the keys of `source` slots in a table.

        Returns:
            ``slots`` (n,) int64 in the table and ``fresh`` (n,) bool, true where just made.
        """
        self._admit(row, len(source))
        out, fresh = np.empty(len(source), np.int64), np.empty(len(source), np.bool_)
        self.n_free = k.pair_slots(
            self.dirs[row], source, self.page_next, self.free_pages, self.n_free,
            self.words, self.neutral, out, fresh,
        )  # fmt: skip
        return out, fresh

    def take(
        self, row: int, keys: Ints, nulls: NDArray[np.uint8]
    ) -> tuple[Ints, NDArray[np.bool_]]:
        """Find or insert keys, (n,), which may repeat, as `pair` does those of slots."""
        self._admit(row, len(keys))
        out, fresh = np.empty(len(keys), np.int64), np.empty(len(keys), np.bool_)
        self.n_free = k.take_keys(
            self.dirs[row], keys, nulls, self.page_next, self.free_pages, self.n_free,
            self.words, self.neutral, out, fresh,
        )  # fmt: skip
        return out, fresh

    def enter(self, row: int, columns: Sequence[Ints], expected: int = 0) -> Ints:
        """Put accumulators into a table that has none of their keys.

        Args:
            row: of the table.
            columns: (n,) int64 for each word, n > 0, no key twice.
            expected: keys that are to come in all, if it is empty.

        Returns:
            Their slots, (n,) int64.
        """
        keys, held = columns[k.KEY_WORD], self.count(row)
        n, places = len(keys), np.array([c.ctypes.data for c in columns], np.int64)
        pages = n // k.PAGE_SLOTS + 1
        if self.n_free < pages:
            self.add_pages(pages - self.n_free)
        if held:
            self.reserve(row, n)
        else:
            n_all = max(n, expected)
            self._lay_out(row, _entries_for(n_all), n_all, int(keys.min()), int(keys.max()))
        out = np.empty(n, np.int64)
        self.n_free = enter_rows(
            self.dirs[row], places, self.page_next, self.free_pages, self.n_free, self.words,
            self.neutral, out,
        )  # fmt: skip
        return out

    @property
    def page_bytes(self) -> int:
        """Bytes of a page."""
        return k.PAGE_SLOTS * self.words.itemsize * len(self.neutral)

    @property
    def nbytes(self) -> int:
        """Bytes of pages in use and of entries; free pages do not count."""
        return (len(self.page_next) - self.n_free) * self.page_bytes + self._entry_bytes

    def trim(self) -> None:
        """Give back entries that are kept for tables to come."""
        self._pool.clear()
        self._entry_bytes -= self._pooled
        self._pooled = 0

    @property
    def live(self) -> list[int]:
        """Directory rows in use."""
        return list(self._entries)

    def check_invariants(self) -> None:
        """Assert that pages are either free or owned by one table, and counts agree with chains."""
        owned = [self.slots(row) // k.PAGE_SLOTS for row in self.live]
        pages = np.concatenate([np.unique(p) for p in owned] + [self.free_pages[: self.n_free]])
        assert len(np.unique(pages)) == len(pages) == len(self.page_next), (
            "a page is lost or owned twice"
        )
        for row in self.live:
            assert np.count_nonzero(self._entries[row]) == self.count(row), (
                "entries and count disagree"
            )

    def _admit(self, row: int, n: int) -> None:
        """Make room for keys, and note that the table is no longer as it was at the last cut."""
        self.reserve(row, n)
        self.dirs[row, k.VERSION] = k.CHANGED

    def _set_entries(self, row: int, entries: Ints) -> None:
        self._entries[row] = entries
        self.dirs[row, k.TABLE] = entries.ctypes.data
        self.dirs[row, k.MASK] = len(entries) - 1

    def _zeroed(self, size: int) -> Ints:
        pool = self._pool.get(size)
        if not pool:
            self._entry_bytes += 8 * size
            return np.zeros(size, np.int64)
        entries = pool.pop()
        self._pooled -= entries.nbytes
        entries[:] = 0
        return entries

    def _give_back(self, entries: Ints) -> None:
        if self._pooled + entries.nbytes <= _POOLED_BYTES:
            self._pooled += entries.nbytes
            self._pool.setdefault(len(entries), []).append(entries)
        else:
            self._entry_bytes -= entries.nbytes


def _entries_for(keys: int) -> int:
    return max(SMALLEST_TABLE, 1 << (keys * 5 // 3).bit_length())
