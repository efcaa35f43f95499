"""Windows merged from slices when they fire: each slice is merged a few times, not n (D7).

The time line of slices is cut in blocks of n, the slices of a window. A window that starts inside a
block is a suffix of it and a prefix of the next; suffixes are right folds, prefixes left folds. So
the association of floating-point sums is a function of the window alone, whatever fired before::

    block b                 block b + 1
    | s s s [s s s s s s s | s s s] s s s s s s s |
             suffix        cut      prefix
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.windows import join_kernels as k
from eventtime.windows.halves import Halves, Listing
from eventtime.windows.key_numbers import KeyNumbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sortedcontainers import SortedDict

    from eventtime.windows.accumulators import Accumulators

__all__ = ("SliceMerge",)

Ints = NDArray[np.int64]
_NONE = -1
# No window is cut there.
_NO_SLICE = -(2**63)


class SliceMerge:
    """Merges the slices of a window, keeping partial merges between windows.

    Firing: `window`. Corrections: `window_of_keys`. A slice changed: `forget`. End: `clear`.
    Keys are numbered alike in all slices, so that a suffix and a prefix are joined without looking
    a key up. Partial merges have no more accumulators than the slices they were merged from.

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
        self._halves = Halves(accumulators)
        # Merged are the slices from _start up to _cut, and from there up to _end.
        self._start = self._cut = self._end = _NO_SLICE
        self._keys = KeyNumbers()
        self._numbers: dict[int, NDArray[np.int32]] = {}
        self._window_keys = 0

    def window(self, first: int) -> tuple[Ints, int]:
        """Merge the window that starts with slice `first`; asked for in ascending order.

        Returns:
            Its slots, one for each key, and the scratch table to release once they are read (-1:
            none).
        """
        place, end = self._slices.bisect_left(first), self._slices.bisect_left(first + self._n)
        if end - place == 1:
            return self._tables.slots(self._slices.values()[place]), _NONE
        cut = self._cut_of(first)
        if cut != self._cut:
            self._begin(cut)
        self._suffix_from(first)
        self._prefix_to(first + self._n)
        slots, table = self._halves.join()
        self._window_keys = len(slots)
        return slots, table

    def window_of_keys(self, first: int, keys: Ints, nulls: NDArray[np.uint8]) -> int:
        """Merge the window that starts at slice `first` for some keys; returns a table to release.

        The association is that of `window`. Cost: O(n * keys).
        """
        halves, cut = Halves(self._acc), self._cut_of(first)
        halves.fit(len(keys))
        if before := list(self._slices.irange(first, cut - 1, reverse=True)):
            halves.build_suffix(before, self._found(before, keys, nulls))
        if behind := list(self._slices.irange(cut, first + self._n - 1)):
            halves.append(self._found(behind, keys, nulls))
        _, table = halves.join()
        halves.drop_suffix()
        halves.drop_prefix()
        return table

    def forget(self, index: int) -> None:
        """Drop partial merges that hold slice `index`: a late row changed it, or it ends."""
        self._numbers.pop(index, None)
        if self._start <= index < self._cut:
            self._halves.shorten_suffix(index + 1)
            self._start = index + 1
        elif self._cut <= index < self._end:
            self._halves.drop_prefix()
            self._end = self._cut

    def clear(self) -> None:
        """Release all partial merges."""
        if self._cut == _NO_SLICE:
            return  # there are none, and no key was numbered since
        self._begin(_NO_SLICE)
        self._number_anew()

    def _cut_of(self, first: int) -> int:
        """Return the slice where the suffix of a window ends and its prefix begins."""
        return -(-first // self._n) * self._n

    def _begin(self, cut: int) -> None:
        """Start with nothing merged."""
        self._halves.drop_suffix()
        self._halves.drop_prefix()
        self._start = self._cut = self._end = cut
        # Keys come and go: state is bounded by those of live windows (S30).
        if self._keys.count > 2 * self._window_keys:
            self._number_anew()

    def _number_anew(self) -> None:
        self._keys, self._halves = KeyNumbers(), Halves(self._acc)
        self._numbers.clear()

    def _suffix_from(self, first: int) -> None:
        if first < self._start:
            self._halves.drop_suffix()
            if indices := list(self._slices.irange(first, self._cut - 1, reverse=True)):
                self._halves.build_suffix(indices, self._listed(indices))
        else:
            self._halves.shorten_suffix(first)
        self._start = first

    def _prefix_to(self, end: int) -> None:
        if indices := list(self._slices.irange(self._end, end - 1)):
            self._halves.append(self._listed(indices))
        self._end = end

    def _listed(self, indices: Sequence[int]) -> Listing:
        """List all slots of slices."""
        slots = [self._tables.slots(self._slices[i]) for i in indices]
        numbers = [self._numbers_of(i, s) for i, s in zip(indices, slots, strict=True)]
        self._halves.fit(self._keys.bound)
        if len(slots) == 1:
            return Listing(slots[0], numbers[0], np.array([len(slots[0])]))
        ends = np.cumsum([len(s) for s in slots])
        return Listing(np.concatenate(slots), np.concatenate(numbers), ends)

    def _numbers_of(self, index: int, slots: Ints) -> NDArray[np.int32]:
        numbers = self._numbers.get(index)
        if numbers is None:
            numbers = self._numbers[index] = self._keys.of(slots, self._tables.words)
        return numbers

    def _found(self, indices: Sequence[int], keys: Ints, nulls: NDArray[np.uint8]) -> Listing:
        """List the slots that slices have for some keys."""
        rows = np.array([self._slices[i] for i in indices], np.int64)
        most = len(rows) * len(keys)
        slots, numbers = np.empty(most, np.int64), np.empty(most, np.int32)
        ends = np.empty(len(rows), np.int64)
        k.find_in_slices(
            rows, self._tables.dirs, self._tables.words, keys, nulls, slots, numbers, ends
        )
        return Listing(slots[: ends[-1]], numbers[: ends[-1]], ends)
