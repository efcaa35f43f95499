"""The two halves of a window, merged from slices: arrays of slots by number of key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventtime.state.arrays import grown
from eventtime.state.kernels import NO_SLOT, PAGE_SLOTS
from eventtime.windows import join_kernels as k

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.windows.accumulators import Accumulators

__all__ = ("Halves", "Listing")

Ints = NDArray[np.int64]
_NONE = -1


@dataclass(frozen=True)
class Listing:
    """Slots of slices, one slice after another.

    Args:
        slots: (n,) int64.
        numbers: (n,) int32, of their keys; no two alike in one slice.
        ends: (slices,) int64, where the slots of each end.
    """

    slots: Ints
    numbers: NDArray[np.int32]
    ends: Ints


@dataclass(frozen=True)
class _Level:
    """What one slice has changed in the suffix.

    Args:
        index: of the slice.
        numbers: (keys,) int32, of its keys.
        before: (keys,) int64, the slots that the suffix held for them.
    """

    index: int
    numbers: NDArray[np.int32]
    before: Ints


class Halves:
    """Merges slices into a suffix, from right to left, and a prefix, from left to right.

    Suffix: `build_suffix`, `shorten_suffix`, `drop_suffix`. Prefix: `append`, `drop_prefix`. Both:
    `join`. A suffix shares slots with its slices and with shorter suffixes, so all suffixes of a
    block have no more accumulators than its slices.

    Args:
        accumulators: of the shard.
    """

    def __init__(self, accumulators: Accumulators) -> None:
        self._acc = accumulators
        self._tables = accumulators.tables
        self._suffix = np.empty(0, np.int64)
        self._suffix_table = _NONE
        self._levels: list[_Level] = []
        self._prefix = np.empty(0, np.int64)
        self._prefix_table = _NONE

    def fit(self, bound: int) -> None:
        """Make room for numbers below a bound."""
        self._suffix = grown(self._suffix, bound, NO_SLOT)
        self._prefix = grown(self._prefix, bound, NO_SLOT)

    def build_suffix(self, indices: Sequence[int], slices: Listing) -> None:
        """Merge slices, in descending order of their indices; the suffix is empty before."""
        n, t = len(slices.slots), self._tables
        self._suffix_table = self._new_table(n)
        before, ends = np.empty(n, np.int64), np.empty(len(indices), np.int64)
        into, left, right = np.empty((3, n), np.int64)
        t.n_free = k.push_slices(
            slices.slots, slices.numbers, slices.ends, self._suffix, before,
            t.dirs[self._suffix_table], t.page_next, t.free_pages, t.n_free,
            into, left, right, ends,
        )  # fmt: skip
        self._combine(into, left, right, ends)
        cuts = slices.ends[:-1]
        parts = zip(indices, np.split(slices.numbers, cuts), np.split(before, cuts), strict=True)
        self._levels = [_Level(*part) for part in parts]

    def shorten_suffix(self, first: int) -> None:
        """Take the slices before `first` out of the suffix."""
        while self._levels and self._levels[-1].index < first:
            level = self._levels.pop()
            k.take_back(level.numbers, level.before, self._suffix)

    def drop_suffix(self) -> None:
        """Make the suffix empty."""
        if self._suffix_table != _NONE:
            self._acc.release(self._suffix_table)
            self._suffix_table, self._levels = _NONE, []
            self._suffix.fill(NO_SLOT)

    def append(self, slices: Listing) -> None:
        """Merge slices behind the prefix."""
        n, t = len(slices.slots), self._tables
        if self._prefix_table == _NONE:
            self._prefix_table = t.create(0)
        self._make_room(n)
        into, left, right = np.empty((3, n), np.int64)
        t.n_free = k.append_slices(
            slices.slots, slices.numbers, self._prefix, t.dirs[self._prefix_table],
            t.page_next, t.free_pages, t.n_free, into, left, right,
        )  # fmt: skip
        self._combine(into, left, right, slices.ends)

    def drop_prefix(self) -> None:
        """Make the prefix empty."""
        if self._prefix_table != _NONE:
            self._acc.release(self._prefix_table)
            self._prefix_table = _NONE
            self._prefix.fill(NO_SLOT)

    def join(self) -> tuple[Ints, int]:
        """Merge suffix and prefix.

        Returns:
            Slots, one for each key, and the table that has them and nothing else.
        """
        n, t = len(self._suffix), self._tables
        table = self._new_table(n)
        into, left, right = np.empty((3, n), np.int64)
        n, t.n_free = k.pair_halves(
            self._suffix, self._prefix, t.dirs[table], t.page_next, t.free_pages, t.n_free,
            into, left, right,
        )  # fmt: skip
        self._acc.combine(into[:n], left[:n], right[:n])
        return into[:n], table

    def _combine(self, into: Ints, left: Ints, right: Ints, ends: Ints) -> None:
        """Carry out a plan; objects take slices one by one, as each needs what is before it."""
        first = 0
        for end in ends.tolist() if self._acc.has_objects else ends[-1:].tolist():
            self._acc.combine(into[first:end], left[first:end], right[first:end])
            first = end

    def _new_table(self, slots: int) -> int:
        self._make_room(slots)
        return self._tables.create(0)

    def _make_room(self, slots: int) -> None:
        pages = slots // PAGE_SLOTS + 1
        if self._tables.n_free < pages:
            self._tables.add_pages(pages - self._tables.n_free)
