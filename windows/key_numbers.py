"""Numbers for keys, the same in all slices, so that what is merged from them lines up."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from eventtime.state.tables import Tables
from eventtime.windows import join_kernels as k

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ("KeyNumbers",)


class KeyNumbers:
    """Gives each key a number: `of`. No number is as great as `bound`; `count` are given."""

    @cached_property
    def _tables(self) -> Tables:
        # Made when it is asked for: where a window is one slice, nobody does.
        return Tables(np.zeros(2, np.int64))

    @cached_property
    def _row(self) -> int:
        return self._tables.create(0)

    @property
    def bound(self) -> int:
        """Greater than all numbers, not much greater than `count`."""
        return len(self._tables.words)

    @property
    def count(self) -> int:
        """How many keys have a number."""
        return self._tables.count(self._row)

    def of(self, slots: Ints, words: Ints) -> NDArray[np.int32]:
        """Return the numbers of the keys of accumulators, (n,) int32; new keys get one.

        Args:
            slots: (n,) int64.
            words: (slots, width) int64.
        """
        own, numbers = self._tables, np.empty(len(slots), np.int32)
        own.reserve(self._row, len(slots))
        own.n_free = k.number_keys(
            slots, words, own.dirs[self._row], own.page_next, own.free_pages, own.n_free, own.words,
            own.neutral, numbers,
        )  # fmt: skip
        return numbers
