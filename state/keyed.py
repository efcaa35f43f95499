"""All states of one process function: keys and their slots, values, timers; saved and restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.state.arrays import grown
from eventtime.state.cold_keys import PARTS, parts_of
from eventtime.state.keyed_collections import ListState, MapState
from eventtime.state.keyed_objects import AggregatedObject, ObjectValue, ReducedObject
from eventtime.state.keyed_room import KeyedRoom, can_leave
from eventtime.state.keyed_rows import KeyedRows, columns_of
from eventtime.state.keyed_values import PackedReduced, PackedValue
from eventtime.state.moment import OneForAll
from eventtime.state.slots import SlotMap
from eventtime.state.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from eventtime.errors import ScratchError
    from eventtime.state.blocks import Spill
    from eventtime.state.declared import Declared
    from eventtime.state.keyed_state import State
    from eventtime.state.keys import KeyCodec
    from eventtime.state.moment import Moment
    from eventtime.state.parts import PartWriter

__all__ = ("KEYED", "SHARED", "TIMER_KINDS", "KeyedStates")

Ints = NDArray[np.int64]
KEYED: Final = "keyed"
SHARED: Final = "shared"
TIMER_KINDS: Final = ("event", "processing")
_PART_BITS: Final = 14
"""Slots of a part, as a power of two: what is written again when one of them changed."""
_SMALL: Final = 4096
_ONE_SLOT: Final[Ints] = np.zeros(1, np.int64)
_NO_NULLS: Final[Ints] = np.empty(0, np.int64)


class KeyedStates:
    """Keys and what is held for them.

    Entering: `most_rows`, `enter`. Timers: `timers`, `bring_due`, `timers_outside`. Bounding:
    `is_outgrown`, `sweep`, `clear`. Surviving: `save`, `restore`.

    Args:
        declared: states by name.
        codec: of the keys.
        moment: that states go by.
        spill: where keys go that have no room; None: all stay.
    """

    def __init__(
        self,
        declared: Mapping[str, Declared],
        codec: KeyCodec,
        moment: Moment,
        spill: Spill | None = None,
    ) -> None:
        self._codec, self._slots = codec, SlotMap()
        self._capacity = self._slots.capacity
        self.states: dict[str, State] = {}
        self._of_keys: list[State] = []
        self._shared: list[State] = []
        for name, one in declared.items():
            of_keys = one.scope == "key"
            state = _make(name, one, moment if of_keys else OneForAll(moment))
            state.grow(self._capacity if of_keys else 1)
            self.states[name] = state
            (self._of_keys if of_keys else self._shared).append(state)
        self.timers = {kind: Timers() for kind in TIMER_KINDS}
        self._rows = KeyedRows(self._of_keys, self.timers)
        self._room: KeyedRoom | None = None
        if spill is not None and can_leave(self._rows.schema):
            held = self._rows, self._of_keys, self.timers
            self._room = KeyedRoom(self._slots, *held, spill)
        self._entered: Ints = _NO_NULLS
        self._versions: Ints = np.zeros(1 if self._room is None else PARTS, np.int64)
        self._version = 1
        self._alive = 0

    @property
    def most_rows(self) -> int | None:
        """Rows that may be entered at once; None: any number."""
        return None if self._room is None else self._room.most_rows

    @property
    def blocked(self) -> ScratchError | None:
        """Why keys could not leave memory; None: they could."""
        return None if self._room is None else self._room.blocked

    def enter(self, words: Ints, nulls: NDArray[np.uint8]) -> Ints:
        """Return the slots of keys, (n,) int64; what they hold counts as changed.

        With a limit, other slots from before may be those of other keys now.
        """
        self._entered = self._enter(words, nulls)
        return self._entered

    def bring_due(self, kind: str, until_us: int) -> None:
        """Bring keys into memory with timers due, the first of them at least.

        Slots from before may be those of other keys now, but for those of the keys entered last.

        Args:
            kind: of the timers.
            until_us: until when.
        """
        assert self._room is not None
        words = self._room.due(kind, until_us)
        if len(words):
            self._room.make(len(words), self._entered)
            self._grow()
            self._room.bring_in(*self._slots.intern_new(words))

    def timers_outside(self, kind: str) -> int:
        """Count the timers of keys that are not in memory. Cost: what is outside is read."""
        return 0 if self._room is None else self._room.timers(kind)

    def _enter(self, words: Ints, nulls: NDArray[np.uint8], *, are_new: bool = False) -> Ints:
        tags = nulls.astype(np.int64) if nulls.size else _NO_NULLS
        if self._room is None:
            slots = self._slots.intern(words, tags)
            self._grow()
        else:
            self._room.make(len(words))
            self._grow()
            slots, fresh = self._slots.intern_new(words, tags)
            self._room.bring_in(slots, fresh, are_new=are_new)
        self.touch(slots)
        return slots

    def touch(self, slots: Ints) -> None:
        """Note that what slots hold may change."""
        self._version += 1
        self._versions[self._parts_of(slots)] = self._version

    def keys(self, slots: Ints) -> list[pa.Array]:
        """Return the key columns of slots."""
        words, nulls = self._words(slots)
        return self._codec.decode(words, nulls)

    def ordered(self, slots: Ints) -> Ints:
        """Return slots in the order of their keys (S24)."""
        in_order: Ints = slots[self._codec.order(*self._words(slots))]
        return in_order

    @property
    def is_outgrown(self) -> bool:
        """Whether there are many more keys than held anything at the last sweep."""
        if self._room is None:
            return len(self._slots) > 2 * self._alive + _SMALL
        # Keys that are out may be in memory, too.
        known = len(self._slots) + self._room.rows
        return known > 2 * self._alive + 2 * self._room.most_rows + _SMALL

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held for any key, or for all."""
        slots, alive = self._held()
        if alive[slots].any() or any(s.is_held(_ONE_SLOT)[0] for s in self._shared):
            return False
        return not any(len(words) for _, words, _ in self._outside(range(PARTS)))

    def sweep(self) -> None:
        """Forget keys for which nothing is held that lives (S30). Cost: O(keys)."""
        if self._room is not None:
            self._room.sweep()
            self._entered = _NO_NULLS
            self._version += 1
            self._versions[:] = self._version
            self._alive = len(self._slots) + self._room.rows
            return
        _, alive = self._held()
        gone = self._slots.keep_only(alive)
        for state in self._of_keys:
            state.forget(gone)
        self.touch(gone)
        self._alive = len(self._slots)

    def live_words(self) -> Iterator[Ints]:
        """Yield the key words held, with repeats; those of null keys are 0."""
        yield self._slots.keys[self._slots.slots(), 0]
        if self._room is not None:
            yield from self._room.words()

    def clear(self) -> None:
        """Forget everything (S30)."""
        for timers in self.timers.values():
            timers.clear()
        for state in self._shared:
            state.forget(_ONE_SLOT)
        for state in self._of_keys:
            state.forget(self._slots.slots())
        if self._room is not None:
            self._slots.keep_only(np.zeros(self._slots.capacity, np.bool_))
            self._room.clear()
        self.sweep()

    def save(self, writer: PartWriter, **about: str | int) -> int:
        """Write what is held, part by part; returns the version reached.

        A part is neighbouring slots. With a limit it is keys by a hash.
        """
        slots, alive = self._held()
        slots = slots[alive[slots]]
        of_slots, timers = self._parts_of(slots), self._rows.timers()
        about |= {"kind": KEYED}
        every = range(PARTS) if self._room is not None else np.unique(of_slots).tolist()
        versions = {part: int(self._versions[part]) for part in every}
        # A part to which no key ever fell is version 0.
        changed = [p for p, v in versions.items() if v and not writer.keep(v, **about, part=p)]
        for part, words, outside in self._outside(changed):
            mine = slots[of_slots == part]
            rows = _keyed(self.keys(mine), self._rows.save(mine, timers))
            if len(words):
                keys = self._codec.decode(words, np.zeros(len(words), np.bool_))
                rows = pa.concat_batches([rows, _keyed(keys, outside)])
            if rows.num_rows:
                writer.add(rows, versions[part], **about, part=part)
        if self._shared:
            columns = columns_of(self._shared, _ONE_SLOT)
            rows = pa.record_batch(list(columns.values()), list(columns))
            writer.add(rows, None, **about | {"kind": SHARED})
        return self._version

    def restore(
        self, version: int, keyed: Iterable[pa.RecordBatch], shared: Iterable[pa.RecordBatch]
    ) -> None:
        """Take over what was saved, while nothing is held."""
        # Slots are others now: no part is what the last checkpoint has under its name.
        self._version = version
        for whole in keyed:
            most = self.most_rows or max(1, whole.num_rows)
            for at in range(0, whole.num_rows, most):
                self._restore(whole.slice(at, most))
        for rows in shared:
            for state in self._shared:
                state.fill(_ONE_SLOT, rows)
        self._alive = len(self._slots) + (0 if self._room is None else self._room.rows)

    def _restore(self, rows: pa.RecordBatch) -> None:
        n = len(self._codec.types)
        if n:
            words, nulls = self._codec.encode(rows.columns[:n])
        else:
            words, nulls = self._codec.no_key(rows.num_rows), np.empty(0, np.uint8)
        self._rows.fill(self._enter(words, nulls, are_new=True), rows)

    def _grow(self) -> None:
        if self._slots.capacity == self._capacity:
            return
        self._capacity = self._slots.capacity
        for state in self._of_keys:
            state.grow(self._capacity)
        if self._room is None:
            parts = (self._capacity >> _PART_BITS) + 1
            self._versions = grown(self._versions, parts, 0)

    def _parts_of(self, slots: Ints) -> Ints:
        if self._room is None:
            return slots >> _PART_BITS
        return parts_of(self._slots.keys[slots, 0].copy())

    def _outside(self, parts: Sequence[int]) -> Iterator[tuple[int, Ints, pa.RecordBatch]]:
        """Yield of parts the keys that are outside of memory and live, and what they hold."""
        if self._room is None:
            none = _NO_NULLS, pa.RecordBatch.from_pylist([], self._rows.schema)
            yield from ((part, *none) for part in parts)
            return
        for part, words, rows in self._room.outside(parts):
            alive, living = self._rows.living(rows)
            yield part, words[alive], living.filter(pa.array(alive))

    def _held(self) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the slots in use, and by slot whether it holds anything, timers included."""
        slots = self._slots.slots()
        alive = np.zeros(self._slots.capacity, np.bool_)
        for state in self._of_keys:
            alive[slots] |= state.is_held(slots)
        for timers in self.timers.values():
            alive[timers.rows()[1]] = True
        return slots, alive

    def _words(self, slots: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        keys = self._slots.keys[slots]
        return keys[:, 0].copy(), keys[:, 1] != 0


def _keyed(keys: Sequence[pa.Array], rows: pa.RecordBatch) -> pa.RecordBatch:
    """Put the columns of keys before those of what they hold."""
    named = {f"key_{i}": column for i, column in enumerate(keys)}
    return pa.RecordBatch.from_arrays([*keys, *rows.columns], [*named, *rows.schema.names])


def _make(name: str, declared: Declared, moment: Moment | OneForAll) -> State:
    match declared.form:
        case "value":
            return (PackedValue if declared.is_packed else ObjectValue)(name, declared, moment)
        case "reducing":
            packed = declared.is_packed and not callable(declared.reduce)
            return (PackedReduced if packed else ReducedObject)(name, declared, moment)
        case "aggregating":
            return AggregatedObject(name, declared, moment)
        case "list":
            return ListState(name, declared, moment)
        case "map":
            return MapState(name, declared, moment)
