"""Timers by slot: which keys want to be called when, in order of time."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ("CHANGE", "NEVER", "Timers")

Ints = NDArray[np.int64]
CHANGE: Final = -1
"""No slot: a change of what all keys share waits for its time."""
NEVER: Final = 2**63
"""Later than plus infinity: no timer is set."""
_SLACK = 64


class Timers:
    """Pairs of time and slot; each is there once however often it is set.

    Setting: `add`, `add_rows`. Taking back: `discard`, `forget`. Firing: `next_us`, `pop`.
    Looking: `slots_until`, `rows`. Those of keys that are not in memory: `outside_us`.

    >>> timers = Timers()
    >>> timers.add(20, 1), timers.add(10, 2), timers.add(10, 2)
    (None, None, None)
    >>> timers.next_us, timers.pop()
    (10, (10, {2}))
    """

    def __init__(self) -> None:
        self.next_us: int = NEVER
        self._outside_us: int = NEVER
        self._times: list[int] = []
        self._at: dict[int, set[int]] = {}
        self._firing: set[int] = set()
        self._firing_us = NEVER

    def __len__(self) -> int:
        return sum(map(len, self._at.values()))

    def add(self, time_us: int, slot: int) -> None:
        """Set a timer. Cost: O(log(times)) for a time not yet there, else O(1)."""
        slots = self._at.get(time_us)
        if slots is not None:
            slots.add(slot)
            return
        self._at[time_us] = {slot}
        heappush(self._times, time_us)
        self.next_us = min(self.next_us, time_us)

    def add_rows(self, time_us: Ints, slots: Ints) -> None:
        """Set many timers. Cost: O(rows * log(rows))."""
        if not len(slots):
            return
        order = np.argsort(time_us, kind="stable")
        ordered, who = time_us[order], slots[order].tolist()
        starts = np.flatnonzero(np.append([True], ordered[1:] != ordered[:-1])[: len(ordered)])
        ends = [*starts[1:].tolist(), len(who)]
        for time, start, end in zip(ordered[starts].tolist(), starts.tolist(), ends, strict=True):
            self.add(time, who[start])
            self._at[time].update(who[start:end])

    def discard(self, time_us: int, slot: int) -> None:
        """Take a timer back if it is set; also while others of its time fire."""
        if time_us == self._firing_us:
            self._firing.discard(slot)
        slots = self._at.get(time_us)
        if slots is None:
            return
        slots.discard(slot)
        if not slots:
            # Its time stays in the heap, unless that is mostly such times.
            del self._at[time_us]
            if len(self._times) > 2 * len(self._at) + _SLACK:
                self._times = list(self._at)
                heapify(self._times)
            self._find_next()

    def pop(self) -> tuple[int, set[int]]:
        """Take the earliest timers; `discard` removes from the set returned until the next.

        Those of keys that are not in memory are later.
        """
        time_us = heappop(self._times)
        self._firing_us, self._firing = time_us, self._at.pop(time_us)
        self._find_next()
        return time_us, self._firing

    def forget(self, slots: Ints) -> None:
        """Take all timers of slots back. Cost: O(timers)."""
        if not self._at:
            return
        gone = set(slots.tolist())
        for time_us in [time for time, held in self._at.items() if not gone.isdisjoint(held)]:
            self._at[time_us] -= gone
            if not self._at[time_us]:
                del self._at[time_us]
        self._times = list(self._at)
        heapify(self._times)
        self._find_next()

    @property
    def outside_us(self) -> int:
        """Before when no timer is due of the keys that are not in memory."""
        return self._outside_us

    @outside_us.setter
    def outside_us(self, time_us: int) -> None:
        self._outside_us = time_us
        self._find_next()

    def clear(self) -> None:
        """Forget all."""
        self._times, self._at, self.next_us, self._outside_us = [], {}, NEVER, NEVER

    def rows(self) -> tuple[Ints, Ints]:
        """Return times and slots of the timers of keys, ordered by slot, then time."""
        times = np.repeat(
            np.array(list(self._at), np.int64), [len(slots) for slots in self._at.values()]
        )
        held = (slot for slots in self._at.values() for slot in slots)
        slots = np.fromiter(held, np.int64, len(times))
        order = np.lexsort((times, slots))
        order = order[slots[order] != CHANGE]
        return times[order], slots[order]

    def slots_until(self, time_us: int) -> Ints:
        """Return the slots of keys with timers up to a time; repeats allowed. Cost: O(timers)."""
        due = (slots for time, slots in self._at.items() if time <= time_us)
        return np.array([slot for held in due for slot in held if slot != CHANGE], np.int64)

    def _find_next(self) -> None:
        while self._times and self._times[0] not in self._at:
            heappop(self._times)
        self.next_us = min(self._times[0] if self._times else NEVER, self._outside_us)
