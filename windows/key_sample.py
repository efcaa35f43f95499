"""A sample of the keys of a slice: how many there are, and where they lie."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ("KeySample",)

Ints = NDArray[np.int64]
_SPREAD: Final = np.uint64(0xD6E8FEB86659FD93)
# One key in so many is kept, whatever the others are.
_ONE_IN: Final = 256


class KeySample:
    """Keys whose hash is small, each once: to count and to cut what is too large to be looked at.

    Null is left out. Cost: `add` O(n); 8 bytes for one key in 256.

    >>> sample = KeySample()
    >>> for _ in range(3):
    ...     sample.add(np.arange(100_000), np.zeros(100_000, np.bool_))
    >>> 80_000 < sample.count < 120_000
    True
    """

    def __init__(self) -> None:
        self._words = np.empty(0, np.int64)
        self._new: list[Ints] = []

    def __len__(self) -> int:
        """Return how many keys are kept."""
        return len(self.words)

    def add(self, words: Ints, nulls: NDArray[np.bool_]) -> None:
        """Take in keys, which may have come before.

        Args:
            words: (n,) int64.
            nulls: (n,) bool, which are null.
        """
        spread = words.view(np.uint64) * _SPREAD
        spread ^= spread >> np.uint64(32)
        spread *= _SPREAD
        kept = words[(spread < np.uint64(2**64 // _ONE_IN)) & ~nulls]
        if len(kept):
            self._new.append(np.unique(kept))

    @property
    def words(self) -> Ints:
        """The keys that are kept, (n,) int64."""
        if self._new:
            self._words = np.unique(np.concatenate([self._words, *self._new]))
            self._new.clear()
        return self._words

    @property
    def count(self) -> int:
        """About how many keys there are."""
        return len(self) * _ONE_IN
