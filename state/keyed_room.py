"""Room for keyed state: keys beyond a budget leave memory and come back with their next row.

A key leaves with all that it holds, timers and its slot too. It comes back, too, when a timer of
its is due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.errors import ScratchError
from eventtime.state.arrays import grown
from eventtime.state.cold_keys import PARTS, ColdKeys, parts_of
from eventtime.state.keyed_cells import CellState
from eventtime.state.keyed_size import SLOT_BYTES, TIMER_BYTES
from eventtime.state.timers import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from eventtime.state.blocks import Spill
    from eventtime.state.keyed_rows import KeyedRows
    from eventtime.state.keyed_state import State
    from eventtime.state.slots import SlotMap
    from eventtime.state.timers import Timers

__all__ = ("KeyedRoom", "can_leave")

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
_LEAST_SLOTS: Final = 64
_NONE: Final = np.iinfo(np.int64).max


def can_leave(schema: pa.Schema) -> bool:
    """Tell whether keys can leave memory whose rows have this schema: Arrow can pick them."""
    try:
        pa.RecordBatch.from_pylist([], schema).take(pa.array([], pa.int64()))
    except pa.ArrowNotImplementedError:
        return False
    return True


class KeyedRoom:
    """Keeps the keys of a process function within a budget.

    Entering: `most_rows`, `make`, `bring_in`, `due`. Bounding: `rows`, `sweep`, `clear`.
    Looking: `outside`, `words`, `timers`, `cold`. Restoring: `put`. `blocked`: why keys could not
    leave memory; `left`: how often some did.

    Args:
        slots: of the keys in memory.
        rows: what they hold.
        states: of each key.
        timers: by kind.
        spill: where keys go.
    """

    def __init__(
        self,
        slots: SlotMap,
        rows: KeyedRows,
        states: Sequence[State],
        timers: Mapping[str, Timers],
        spill: Spill,
    ) -> None:
        self._slots, self._rows, self._timers = slots, rows, timers
        self._of_objects = [state for state in states if isinstance(state, CellState)]
        self.cold = ColdKeys(spill.store, rows.schema, rows.living)
        self._each = SLOT_BYTES + sum(state.slot_bytes for state in states)
        self._budget = max(_LEAST_SLOTS * self._each, spill.budget_bytes)
        # By slot: when it was used last, and how much its objects take.
        self._used: Ints = np.zeros(slots.capacity, np.int64)
        self._objects: Ints = np.zeros(slots.capacity, np.int64)
        self._now, self._touched, self._each_object = 0, np.empty(0, np.int64), 0
        # By part: before when no timer is due of the keys that are out.
        self._next_us = {kind: np.full(PARTS, _NONE) for kind in timers}
        self.blocked: ScratchError | None = None
        self.left = 0

    @property
    def most_rows(self) -> int:
        """Rows whose keys have room together."""
        return max(_LEAST_SLOTS, self._budget // (self._each + self._each_object)) // 2

    def make(self, n: int, pinned: Ints | None = None) -> None:
        """Make room for `n` keys, if need be by putting out those not used for the longest time.

        Args:
            n: keys that come.
            pinned: slots of those that stay.
        """
        self._weigh()
        held = len(self._slots) * self._each + int(self._objects.sum())
        held += TIMER_BYTES * sum(map(len, self._timers.values()))
        over = held + n * (self._each + self._each_object) - self._budget
        if over > 0:
            self._put_out(max(over, held - self._budget // 2), pinned)
        self._slots.reserve(n, self._budget // self._each)

    def bring_in(self, slots: Ints, fresh: Ints, *, are_new: bool = False) -> None:
        """Note that slots are used, and give those that are new what their keys hold outside.

        Args:
            slots: all of them.
            fresh: those given out just now.
            are_new: these keys are not outside.
        """
        self._now += 1
        self._used = grown(self._used, self._slots.capacity, 0)
        self._objects = grown(self._objects, self._slots.capacity, 0)
        self._used[slots] = self._now
        if self._of_objects:
            self._touched = np.append(self._touched, slots)
        fresh = fresh[self._has_word(fresh)]
        if self.cold.rows and len(fresh) and not are_new:
            places, rows = self.cold.find(self._slots.keys[fresh, 0].copy())
            self._rows.fill(fresh[places], rows)

    def due(self, kind: str, until_us: int) -> tuple[Ints, int]:
        """Return words of keys outside with timers due, and until when these are all there are.

        Args:
            kind: of the timers.
            until_us: until when; where there is no room for so many, those due first.

        Cost: every block of the parts which may have such keys is read.
        """
        nexts, found, times = self._next_us[kind], [], []
        for part, words, rows in self.outside(
            np.flatnonzero((nexts <= until_us) & (nexts != _NONE)).tolist()
        ):
            some, first_us = self._rows.first_timers(rows, kind)
            is_due = first_us <= until_us
            nexts[part] = first_us[~is_due].min(initial=_NONE)
            found.append(words[some[is_due]])
            times.append(first_us[is_due])
        words = np.concatenate([np.empty(0, np.int64), *found])
        due_us = np.concatenate([np.empty(0, np.int64), *times])
        most = max(1, self.most_rows // 2)
        if len(words) > most:
            is_first = due_us <= np.partition(due_us, most)[most]
            np.minimum.at(nexts, parts_of(words[~is_first]), due_us[~is_first])
            words, due_us = words[is_first], due_us[is_first]
        self._timers[kind].outside_us = _first(nexts)
        return words, int(due_us.max()) if len(words) else until_us

    @property
    def rows(self) -> int:
        """Keys outside of memory, some counted twice."""
        return self.cold.rows

    def outside(self, parts: Iterable[int]) -> Iterator[tuple[int, Ints, pa.RecordBatch]]:
        """Yield the keys of parts that are outside alone: the part, words, and what they hold."""
        used = self._slots.slots()
        inside = np.sort(self._slots.keys[used[self._has_word(used)], 0])
        for part in parts:
            words, rows = self.cold.part(part)
            if not len(words):
                yield part, words, rows
                continue
            at = np.minimum(np.searchsorted(inside, words), len(inside) - 1)
            alone = np.flatnonzero(inside[at] != words) if len(inside) else np.arange(len(words))
            yield part, words[alone], rows.take(pa.array(alone))

    def timers(self, kind: str) -> int:
        """Count the timers of keys outside. Cost: what is outside is read."""
        parts = np.flatnonzero(self._next_us[kind] != _NONE).tolist()
        name = f"timers:{kind}"
        return sum(len(rows.column(name).flatten()) for _, _, rows in self.outside(parts))

    def words(self) -> Iterable[Ints]:
        """Return the key words outside; repeats allowed."""
        return self.cold.words()

    def put(self, words: Ints, rows: pa.RecordBatch) -> None:
        """Put keys that are not in memory out, with what they hold.

        Raises:
            ScratchError: they cannot be written; nothing has changed.
        """
        self.cold.put(words, rows)
        for kind, timers in self._timers.items():
            some, first_us = self._rows.first_timers(rows, kind)
            np.minimum.at(self._next_us[kind], parts_of(words[some]), first_us)
            timers.outside_us = _first(self._next_us[kind])

    def sweep(self) -> None:
        """Put all out that can be, and forget what holds nothing that lives."""
        self._put_out(None, None)
        self.cold.sweep()

    def clear(self) -> None:
        """Forget what is outside."""
        self.cold.clear()
        for kind, timers in self._timers.items():
            self._next_us[kind][:] = _NONE
            timers.outside_us = NEVER

    def _weigh(self) -> None:
        """Look how much the objects of the keys take that may have changed."""
        touched, self._touched = np.unique(self._touched), np.empty(0, np.int64)
        if not len(touched):
            return
        self._objects[touched] = sum(state.object_bytes(touched) for state in self._of_objects)
        self._each_object = int(self._objects[touched].mean())

    def _put_out(self, nbytes: int | None, pinned: Ints | None) -> None:
        """Put keys out that take so many bytes, or all; where the disk is full they stay."""
        slots, timers = self._slots, self._rows.timers()
        stays = np.zeros(slots.capacity, np.bool_)
        stays[[] if pinned is None else pinned] = True
        used = slots.slots()
        out = used[~stays[used] & self._has_word(used)]
        if nbytes is not None:
            sizes = np.full(slots.capacity, self._each) + self._objects[: slots.capacity]
            for _, who in timers.values():
                np.add.at(sizes, who, TIMER_BYTES)
            by_use = out[np.argsort(self._used[out], kind="stable")]
            enough = int(np.searchsorted(np.cumsum(sizes[by_use]), nbytes)) + 1
            stays[by_use[enough:]] = True
            out = out[~stays[out]]
        if not len(out):
            return
        try:
            self.put(slots.keys[out, 0].copy(), self._rows.save(out, timers))
        except ScratchError as error:
            self.blocked = error
            return
        self.blocked = None
        self.left += 1
        self._rows.forget(out)
        self._objects[out] = 0
        alive = np.ones(slots.capacity, np.bool_)
        alive[out] = False
        slots.keep_only(alive)

    def _has_word(self, slots: Ints) -> Flags:
        """Tell of which slots the key's word is its own: null has that of another."""
        own: Flags = self._slots.keys[slots, 1] == 0
        return own


def _first(nexts: Ints) -> int:
    first = int(nexts.min())
    return NEVER if first == _NONE else first
