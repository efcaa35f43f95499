"""Room for keyed state: keys beyond a budget leave memory and come back with their next row.

A key leaves with all that it holds, its slot too. Those stay whose timers are set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from eventtime.errors import ScratchError
from eventtime.state.arrays import grown
from eventtime.state.cold_keys import ColdKeys, Columns
from eventtime.state.keyed_values import PackedValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventtime.state.blocks import Spill
    from eventtime.state.slots import SlotMap
    from eventtime.state.timers import Timers

__all__ = ("KeyedRoom", "can_leave")

Ints = NDArray[np.int64]
# The key, its place among the free ones and in the hash table, and when it was used.
_SLOT_BYTES: Final = 16 + 8 + 16 + 8
_LEAST_SLOTS: Final = 64


def can_leave(states: Iterable[object]) -> bool:
    """Tell whether keys with these states can leave memory: all are numbers in arrays."""
    listed = list(states)
    return bool(listed) and all(isinstance(state, PackedValue) for state in listed)


class KeyedRoom:
    """Keeps the keys of a process function within a budget.

    Entering: `most_rows`, `make`, `bring_in`. Bounding: `rows`, `sweep`, `clear`. Looking: `part`,
    `words`, `any_live`. `blocked`: why keys could not leave memory.

    Args:
        slots: of the keys in memory.
        states: of each key.
        timers: of all kinds.
        spill: where keys go.
    """

    def __init__(
        self,
        slots: SlotMap,
        states: Sequence[PackedValue],
        timers: Iterable[Timers],
        spill: Spill,
    ) -> None:
        self._slots, self._states, self._timers = slots, states, list(timers)
        dtypes = [column.dtype for state in states for column in state.columns]
        # Those of eight bytes first: in a block each is where numpy can look at it.
        self._order = sorted(range(len(dtypes)), key=lambda i: -dtypes[i].itemsize)
        self._cold = ColdKeys(spill.store, [dtypes[i] for i in self._order], self._live)
        each = _SLOT_BYTES + sum(dtype.itemsize for dtype in dtypes)
        self._most = max(_LEAST_SLOTS, spill.budget_bytes // each)
        self._pinned = 0
        self._used: Ints = np.zeros(slots.capacity, np.int64)
        self._now = 0
        self.blocked: ScratchError | None = None

    @property
    def most_rows(self) -> int:
        """Rows whose keys have room together."""
        return self._most // 2

    def make(self, n: int) -> None:
        """Make room for `n` keys, if need be by putting out those not used for the longest time."""
        # Where most are pinned, one would look for others again and again.
        most = max(self._most, 2 * self._pinned)
        over = len(self._slots) + n - most
        if over > 0:
            self._put_out(max(over, len(self._slots) - most // 2))
        self._slots.reserve(n, most)

    def bring_in(self, slots: Ints, fresh: Ints) -> None:
        """Note that slots are used, and give those that are new what their keys hold outside."""
        self._now += 1
        self._used = grown(self._used, self._slots.capacity, 0)
        self._used[slots] = self._now
        fresh = fresh[self._has_word(fresh)]
        if not self._cold.rows or not len(fresh):
            return
        mine = self._columns()
        for places, columns in self._cold.find(self._slots.keys[fresh, 0].copy()):
            for own, held in zip(mine, columns, strict=True):
                own[fresh[places]] = held

    @property
    def rows(self) -> int:
        """Keys outside of memory, some counted twice."""
        return self._cold.rows

    def part(self, part: int) -> tuple[Ints, list[Columns]]:
        """Return the keys of a part that are outside alone: words, and columns by state."""
        words, columns = self._cold.part(part)
        used = self._slots.slots()
        used = used[self._has_word(used)]
        outside = ~np.isin(words, self._slots.keys[used, 0])
        return words[outside], self._by_state([column[outside] for column in columns])

    def words(self) -> Iterable[Ints]:
        """Return the key words outside; repeats allowed."""
        return self._cold.words()

    def sweep(self) -> None:
        """Put all out that can be, and forget what holds nothing that lives."""
        self._put_out(len(self._slots))
        self._cold.sweep()

    def clear(self) -> None:
        """Forget what is outside."""
        self._cold.clear()

    def _put_out(self, n: int) -> None:
        """Put up to `n` keys out; where the disk is full they stay."""
        used = self._slots.slots()
        stays = np.zeros(self._slots.capacity, np.bool_)
        for timers in self._timers:
            stays[timers.rows()[1]] = True
        stays[used[~self._has_word(used)]] = True
        out = used[~stays[used]]
        self._pinned = len(used) - len(out)
        if n < len(out):
            out = out[np.argpartition(self._used[out], n)[:n]]
        if not len(out):
            return
        held = [column[out] for column in self._columns()]
        try:
            self._cold.put(self._slots.keys[out, 0].copy(), held)
        except ScratchError as error:
            self.blocked = error
            return
        self.blocked = None
        alive = np.ones(self._slots.capacity, np.bool_)
        alive[out] = False
        gone = self._slots.keep_only(alive)
        for state in self._states:
            state.forget(gone)

    def _has_word(self, slots: Ints) -> NDArray[np.bool_]:
        """Tell of which slots the key's word is its own: null has that of another."""
        own: NDArray[np.bool_] = self._slots.keys[slots, 1] == 0
        return own

    def _columns(self) -> Columns:
        columns = [column for state in self._states for column in state.columns]
        return [columns[i] for i in self._order]

    def _by_state(self, columns: Columns) -> list[Columns]:
        """Share columns of blocks out among the states."""
        ordered: Columns = [columns[self._order.index(i)] for i in range(len(columns))]
        out, at = [], 0
        for state in self._states:
            n = len(state.columns)
            out.append(ordered[at : at + n])
            at += n
        return out

    def live(self, by_state: list[Columns]) -> NDArray[np.bool_]:
        """Tell of keys by what their states hold which hold anything that lives."""
        lives = [s.live(columns) for s, columns in zip(self._states, by_state, strict=True)]
        some: NDArray[np.bool_] = np.logical_or.reduce(lives)
        return some

    def _live(self, columns: Columns) -> NDArray[np.bool_]:
        return self.live(self._by_state(columns))
