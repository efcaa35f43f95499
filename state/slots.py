"""Slots of keys: a number for each key that is alive, small and stable while it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventtime.state import slot_kernels as k

__all__ = ("SlotMap",)

Ints = NDArray[np.int64]
_FIRST_SLOTS = 64
_NO_TAGS: Ints = np.empty(0, np.int64)


class SlotMap:
    """Gives keys of two words each a slot; slots of keys that were forgotten are used again.

    Entering: `intern`, `reserve`, `intern_new`. Reading: `keys`, `slots`, `capacity`, `room`,
    `len`. Forgetting: `keep_only`.

    >>> slots = SlotMap()
    >>> slots.intern(np.array([7, 9, 7])).tolist()
    [0, 1, 0]
    """

    def __init__(self) -> None:
        self.keys: Ints = np.zeros((_FIRST_SLOTS, 2), np.int64)
        self._entries = np.zeros(2 * _FIRST_SLOTS, np.uint64)
        self._free: Ints = np.arange(_FIRST_SLOTS - 1, -1, -1)
        self._counts: Ints = np.array([0, _FIRST_SLOTS], np.int64)

    def __len__(self) -> int:
        return int(self._counts[0])

    @property
    def capacity(self) -> int:
        """One more than the largest slot that can be given out now."""
        return len(self.keys)

    @property
    def room(self) -> int:
        """Slots that are free."""
        return int(self._counts[1])

    def reserve(self, n: int, most: int) -> None:
        """Have room for `n` more keys.

        Slots are doubled, up to `most` in all, unless it takes more.
        """
        if self.room < n:
            self._more_slots(max(n - self.room, min(self.capacity, most - self.capacity)))

    def intern_new(self, words: Ints, tags: Ints = _NO_TAGS) -> tuple[Ints, Ints]:
        """Return what `intern` does, where there is room for all, and the slots given out now."""
        assert self.room >= len(words)
        before = self.room
        slots = self.intern(words, tags)
        return slots, self._free[self.room : before].copy()

    def intern(self, words: Ints, tags: Ints = _NO_TAGS) -> Ints:
        """Return the slot of each key, (n,) int64; new keys get one.

        Args:
            words: (n,) int64.
            tags: (n,) int64, the second word; empty: zeros.

        Cost: one hash a row.
        """
        out, at = np.empty(len(words), np.int64), 0
        while True:
            at = k.intern_slots(
                words, tags, at, self._entries, self.keys, self._free, self._counts, out
            )
            if at == len(words):
                return out
            if not self._counts[1]:
                self._more_slots(self.capacity)
            else:
                self._lay_out(2 * len(self._entries))

    def slots(self) -> Ints:
        """Return the slots in use, ascending. Cost: O(capacity)."""
        used = np.ones(self.capacity, np.bool_)
        used[self._free[: self._counts[1]]] = False
        return np.flatnonzero(used)

    def keep_only(self, alive: NDArray[np.bool_]) -> Ints:
        """Forget all keys but those of slots alive, (capacity,) bool; returns the slots let go."""
        used = self.slots()
        gone = used[~alive[used]]
        kept = len(used) - len(gone)
        free = int(self._counts[1])
        self._free[free : free + len(gone)] = gone[::-1]
        self._counts[:] = kept, free + len(gone)
        if len(gone):
            self._lay_out(max(2 * _FIRST_SLOTS, 1 << (2 * kept).bit_length()))
        return gone

    def _lay_out(self, places: int) -> None:
        self._entries = np.zeros(places, np.uint64)
        k.enter_slots(self.slots(), self.keys, self._entries)

    def _more_slots(self, more: int) -> None:
        old, room = self.capacity, self.room
        self.keys = np.concatenate([self.keys, np.zeros((more, 2), np.int64)])
        free = np.empty(old + more, np.int64)
        free[:more] = np.arange(old + more - 1, old - 1, -1)
        free[more : more + room] = self._free[:room]
        self._free = free
        self._counts[1] += more

    def check_invariants(self) -> None:
        """Assert that every slot is in use or free, and that each in use is found by its key."""
        used = self.slots()
        assert len(used) == len(self) == self.capacity - int(self._counts[1]), "slots are lost"
        assert np.count_nonzero(self._entries) == len(used), "entries and slots disagree"
        found = self.intern(self.keys[used, 0].copy(), self.keys[used, 1].copy())
        assert np.array_equal(found, used), "a key is not found at its slot"
