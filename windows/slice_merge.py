"""Windows merged from slices when they fire: each slice is merged a few times, not n (D7).

The time line of slices is cut in blocks of n, the slices of a window. A window that starts inside a
block is a suffix of it and a prefix of the next; suffixes are right folds, prefixes left folds. So
the association of floating-point sums is a function of the window alone, whatever fired before::

    block b                 block b + 1
    | s s s [s s s s s s s | s s s] s s s s s s s |
             suffix         prefix
"""

from __future__ import annotations

from bisect import bisect_left
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sortedcontainers import SortedDict

    from eventtime.windows.accumulators import Accumulators

__all__ = ("SliceMerge",)

Ints = NDArray[np.int64]
_NONE = -1
# Block -1 lies right before the offset: no block is a number that no block has.
_NO_BLOCK = -(2**63)
_KEPT_SLOTS = 1 << 21


class SliceMerge:
    """Merges the slices of a window, keeping partial merges between windows.

    Firing: `window`. Corrections: `window_of_keys`. A slice changed: `forget`. End: `clear`.
    Where keys are many, suffixes are kept only at every ~sqrt(n)th slice and within the current
    stretch, so memory is a multiple of sqrt(n), not n, of a window's keys.

    Args:
        accumulators: of the shard.
        slices: directory row of each slice that has rows, by its index; owned by the shard.
        n: slices in a window.
    """

    def __init__(self, accumulators: Accumulators, slices: SortedDict[int, int], n: int) -> None:
        self._acc = accumulators
        self._tables = accumulators.tables
        self._slices = slices
        self._n = n
        self._suffixes: dict[int, int] = {}
        self._suffix_block = _NO_BLOCK
        self._prefix = _NONE
        self._prefix_block = _NO_BLOCK
        self._prefix_end = 0

    def window(self, first: int) -> tuple[Ints, int]:
        """Merge the window that starts with slice `first`.

        Returns:
            Its slots, one for each key, and the scratch table to release once they are read (-1:
            none).
        """
        place, end = self._slices.bisect_left(first), self._slices.bisect_left(first + self._n)
        if end - place == 1:
            return self._tables.slots(self._slices.values()[place]), _NONE
        # A copy each time: partial merges go on changing before the results are read.
        if first % self._n == 0:
            joined = self._copy(self._prefix_to(first // self._n, first + self._n))
        else:
            suffix = self._suffix_from(first)
            prefix = self._prefix_to(first // self._n + 1, first + self._n)
            joined = self._copy(prefix if suffix == _NONE else suffix)
            if suffix != _NONE:
                self._add(joined, prefix)
        return self._tables.slots(joined), joined

    def window_of_keys(self, first: int, keys: Ints, nulls: NDArray[np.uint8]) -> int:
        """Merge the window that starts at slice `first` for some keys; returns a table to release.

        The association is that of `window`. Cost: O(n * keys).
        """
        cut = first + self._n if first % self._n == 0 else (first // self._n + 1) * self._n
        suffix = self._tables.create(0)
        if first % self._n:
            for i in reversed(self._held(first, cut)):
                merged = self._tables.create(0)
                self._add(merged, self._slices[i], keys, nulls)
                self._add(merged, suffix)
                self._acc.release(suffix)
                suffix = merged
        prefix = self._tables.create(0)
        for i in self._held(first if first % self._n == 0 else cut, first + self._n):
            self._add(prefix, self._slices[i], keys, nulls)
        self._add(suffix, prefix)
        self._acc.release(prefix)
        return suffix

    def forget(self, index: int) -> None:
        """Drop partial merges that hold slice `index`: a late row changed it."""
        if index // self._n == self._suffix_block:
            self._drop_suffixes([i for i in self._suffixes if i <= index])
        if index // self._n == self._prefix_block and index < self._prefix_end:
            self._drop_prefix()

    def clear(self) -> None:
        """Release all partial merges."""
        self._drop_suffixes(list(self._suffixes))
        self._drop_prefix()

    def _prefix_to(self, block: int, end: int) -> int:
        if self._prefix_block != block or self._prefix_end > end:
            self._drop_prefix()
            like = next(iter(self._slices.values()), None)
            self._prefix, self._prefix_block = self._tables.create(0, like=like), block
            self._prefix_end = block * self._n
        for i in self._held(self._prefix_end, end):
            self._add(self._prefix, self._slices[i])
        self._prefix_end = end
        return self._prefix

    def _suffix_from(self, first: int) -> int:
        block = first // self._n
        if block != self._suffix_block:
            self._drop_suffixes(list(self._suffixes))
            self._suffix_block = block
        self._drop_suffixes([i for i in self._suffixes if i < first])
        nearest = next(self._slices.irange(first, (block + 1) * self._n - 1), None)
        if nearest is None:
            return _NONE
        if nearest in self._suffixes:
            return self._suffixes[nearest]
        held = self._held(first, (block + 1) * self._n)
        built, stride = min(self._suffixes, default=held[-1] + 1), max(1, isqrt(len(held)))
        for place in range(bisect_left(held, built) - 1, -1, -1):
            table = self._suffixes[held[place]] = self._copy(self._slices[held[place]])
            if place + 1 == len(held):
                continue
            above = held[place + 1]
            self._add(table, self._suffixes[above])
            far = place + 1 >= stride and (place + 1) % stride
            if far and self._tables.count(table) * len(held) > _KEPT_SLOTS:
                self._drop_suffixes([above])
        return self._suffixes[held[0]]

    def _held(self, first: int, end: int) -> list[int]:
        """Return the slices in [first, end) that have rows; gaps cost nothing."""
        return list(self._slices.irange(first, end - 1))

    def _copy(self, source: int) -> int:
        table = self._tables.create(0, like=source)
        self._add(table, source)
        return table

    def _add(
        self,
        into: int,
        source: int,
        keys: Ints | None = None,
        nulls: NDArray[np.uint8] | None = None,
    ) -> None:
        if keys is None or nulls is None:
            slots = self._tables.slots(source)
        else:
            slots = self._tables.find(source, keys, nulls)
            slots = slots[slots >= 0]
        if len(slots):
            self._acc.absorb(into, slots)

    def _drop_suffixes(self, indices: list[int]) -> None:
        for i in indices:
            self._acc.release(self._suffixes.pop(i))

    def _drop_prefix(self) -> None:
        if self._prefix != _NONE:
            self._acc.release(self._prefix)
        self._prefix, self._prefix_block = _NONE, _NO_BLOCK
