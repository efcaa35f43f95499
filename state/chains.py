"""Lists of words by slot: appended to, merged and released without a Python object for each.

head   [ 3, -1, 2 ]                   slot 0 holds the words of nodes 0, 1, 3 (oldest first)
nodes    0 <- 1 <---- 3               node 2 is the only one of slot 2
                 2
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventtime.state import chain_kernels as k
from eventtime.state.arrays import grown

__all__ = ("Chains", "mostly_dead")

Ints = NDArray[np.int64]
_SMALLEST = 1024


def mostly_dead(used: int, live: int, slots: int) -> bool:
    """Whether to rewrite a store: more than half is dead, enough to pay for a walk over the slots.

    >>> mostly_dead(used=5000, live=2000, slots=100), mostly_dead(used=3, live=0, slots=10**6)
    (True, True)
    """
    return used > 0 and (live == 0 or used > max(_SMALLEST, 2 * live, slots // 16))


class Chains:
    """Chains of words by slot.

    Life of a slot: `reset`, `release`. Writing: `push`. Reading: `gather`, `length`. Memory:
    `due`, `compact`. The words of released slots stay until their owner calls `compact`, which it
    should do when `due` says so. With `distinct`, a chain takes each word once.

    Args:
        distinct: leave out a word that the chain holds already.

    >>> chains = Chains()
    >>> chains.reset(np.array([0, 1]))
    >>> chains.push(np.array([0, 1, 0]), np.array([5, 6, 7]))
    >>> chains.gather(np.array([1, 0])).tolist()
    [6, 5, 7]
    """

    def __init__(self, *, distinct: bool = False) -> None:
        self.distinct = distinct
        self.used = self.live = 0
        self.length = np.zeros(0, np.int64)
        self._head = np.zeros(0, np.int64)
        self._word = np.zeros(_SMALLEST, np.int64)
        self._next = np.zeros(_SMALLEST, np.int64)
        # Only with distinct: each life of a slot is an owner of its own, so that the entries of an
        # earlier life are never taken for those of this one.
        self._owners = 0
        self._owner = np.zeros(0, np.int64)
        self._node_owner = np.zeros(_SMALLEST if distinct else 0, np.int64)
        self._entries = np.zeros(2 * _SMALLEST if distinct else 0, np.int64)

    @property
    def slots(self) -> int:
        """Number of slots there is room for."""
        return len(self._head)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (
            self.length,
            self._head,
            self._word,
            self._next,
            self._owner,
            self._node_owner,
            self._entries,
        )
        return sum(array.nbytes for array in arrays)

    @property
    def due(self) -> bool:
        """Whether `compact` is worth its cost."""
        return mostly_dead(self.used, self.live, self.slots)

    def reset(self, slots: Ints) -> None:
        """Make distinct slots empty, fresh or not."""
        if len(slots) == 0:
            return
        room = int(slots.max()) + 1
        self._head = grown(self._head, room, -1)
        self.length = grown(self.length, len(self._head), 0)
        self.release(slots)
        if self.distinct:
            self._owner = grown(self._owner, len(self._head), -1)
            self._owner[slots] = np.arange(self._owners, self._owners + len(slots))
            self._owners += len(slots)

    def release(self, slots: Ints) -> None:
        """Drop the chains of distinct slots."""
        self.live -= int(self.length[slots].sum())
        self._head[slots] = -1
        self.length[slots] = 0

    def push(self, slots: Ints, words: Ints) -> None:
        """Put each word at the end of the chain of its slot.

        Args:
            slots: (m,) int64, repeats allowed.
            words: (m,) int64.

        Cost: O(m), amortised.
        """
        if self.distinct:
            self._push_new(slots, words)
            return
        self._word = grown(self._word, self.used + len(slots), 0)
        self._next = grown(self._next, len(self._word), 0)
        self.used = k.push(slots, words, self._head, self.length, self._word, self._next, self.used)
        self.live += len(slots)

    def gather(self, slots: Ints, *, ascending: bool = False) -> Ints:
        """Return the chains one after another, each oldest first or in ascending order.

        Returns:
            (length[slots].sum(),) int64.
        """
        out = np.empty(int(self.length[slots].sum()), np.int64)
        k.gather(slots, self._head, self.length, self._word, self._next, ascending, out)
        return out

    def compact(self) -> Ints:
        """Rewrite the live chains, each in one piece.

        Returns:
            (live,) int64, the words held now, a view; without `distinct` the owner may renumber it
            in place.

        Cost: O(slots + live), O(1) when nothing lives.
        """
        # Emptied at once, as between two windows, it costs nothing for each slot.
        slots = np.flatnonzero(self.length) if self.live else np.zeros(0, np.int64)
        size = max(_SMALLEST, self.live + self.live // 2)
        words, links = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.used = k.compact(slots, self._head, self._word, self._next, words, links)
        self._word, self._next = words, links
        if self.distinct:
            self._node_owner = np.zeros(size, np.int64)
            self._node_owner[: self.used] = np.repeat(self._owner[slots], self.length[slots])
            self._rehash()
        return self._word[: self.used]

    def check_invariants(self) -> None:
        """Assert that lengths, chains and the count of live nodes agree."""
        slots = np.flatnonzero(self._head >= 0)
        assert np.array_equal(slots, np.flatnonzero(self.length)), (
            "an empty chain has a head, or the reverse"
        )
        assert self.live == int(self.length.sum()) <= self.used, "count of live nodes is wrong"
        words = self.gather(slots)
        if self.distinct:
            pairs = np.stack([np.repeat(slots, self.length[slots]), words])
            assert np.unique(pairs, axis=1).shape == pairs.shape, "a chain holds a word twice"
            assert np.count_nonzero(self._entries) == self.used, "entries and nodes disagree"

    def _push_new(self, slots: Ints, words: Ints) -> None:
        at, before = 0, self.used
        while True:
            at, self.used = k.push_new(
                at, slots, words, self._head, self.length, self._word, self._next,
                self._node_owner, self._owner, self._entries, self.used,
            )  # fmt: skip
            if at == len(slots):
                break
            size = self.used + 1
            self._word, self._next = grown(self._word, size, 0), grown(self._next, size, 0)
            self._node_owner = grown(self._node_owner, size, 0)
            self._rehash()
        self.live += self.used - before

    def _rehash(self) -> None:
        # At most half full, so that probes stay short: room for every node there is an array for.
        self._entries = np.zeros(2 << (len(self._word) - 1).bit_length(), np.int64)
        k.rehash(self.used, self._word, self._node_owner, self._entries)
