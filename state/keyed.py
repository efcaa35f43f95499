"""All states of one process function: keys and their slots, values, timers; saved and restored."""

from __future__ import annotations

from functools import partial
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
from eventtime.state.keyed_size import size_of
from eventtime.state.keyed_values import PackedReduced, PackedValue
from eventtime.state.moment import OneForAll
from eventtime.state.slots import SlotMap
from eventtime.state.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from eventtime.errors import ScratchError
    from eventtime.state.blocks import Spill
    from eventtime.state.declared import Declared
    from eventtime.state.keyed_state import State
    from eventtime.state.keys import KeyCodec
    from eventtime.state.moment import Moment
    from eventtime.state.parts import PartWriter, SavedPart

__all__ = ("KEYED", "SHARED", "TIMER_KINDS", "KeyedStates")

Ints = NDArray[np.int64]
KEYED: Final = "keyed"
SHARED: Final = "shared"
TIMER_KINDS: Final = ("event", "processing")
_PART_BITS: Final = 14
"""Slots of a part, as a power of two: what is written again when one of them changed."""
_SMALL: Final = 4096
_ANY: Final = 1 << 62
_ONE_SLOT: Final[Ints] = np.zeros(1, np.int64)
_NO_NULLS: Final[Ints] = np.empty(0, np.int64)


class KeyedStates:
    """Keys and what is held for them.

    Entering: `most_rows`, `enter`. Timers: `timers`, `bring_due`, `timers_outside`. Bounding:
    `is_outgrown`, `nbytes`, `sweep`, `clear`. Surviving: `save`, `restore`.

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
        self._entered = self._enter(words, nulls.astype(np.int64))
        return self._entered

    def bring_due(self, kind: str, until_us: int) -> None:
        """Bring keys into memory with timers due, the first of them at least.

        Slots from before may be those of other keys now, but for those of the keys entered last.

        Args:
            kind: of the timers.
            until_us: until when.
        """
        assert self._room is not None
        words, last_us = self._room.due(kind, until_us)
        if len(words):
            # Those that are due before these stay, or they would have to come back at once.
            stay = np.append(self._entered, self.timers[kind].slots_until(last_us))
            self._make(self._room, len(words), stay)
            self._room.bring_in(*self._slots.intern_new(words))

    def timers_outside(self, kind: str) -> int:
        """Count the timers of keys that are not in memory. Cost: what is outside is read."""
        return 0 if self._room is None else self._room.timers(kind)

    def _make(self, room: KeyedRoom, n: int, pinned: Ints | None = None) -> None:
        left = room.left
        room.make(n, pinned)
        if room.left != left:
            self._touch_all()
        self._grow()

    def _touch_all(self) -> None:
        self._version += 1
        self._versions[:] = self._version

    def _enter(self, words: Ints, tags: Ints, *, are_new: bool = False) -> Ints:
        if self._room is None:
            slots = self._slots.intern(words, tags)
            self._grow()
        else:
            self._make(self._room, len(words))
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
    def nbytes(self) -> int:
        """Memory that is taken, about: see `size_of`."""
        return size_of(self._slots, self._of_keys, self._shared, self.timers.values())

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
            self._touch_all()
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

    @property
    def is_lent(self) -> bool:
        """Whether what was saved is still to be read in another thread: words must not change."""
        return self._room is not None and self._room.cold.is_lent

    def save(self, writer: PartWriter, **about: str | int) -> int:
        """Write what is held, part by part; returns the version reached.

        A part is neighbouring slots. With a limit it is keys by a hash; in a checkpoint those of
        them that are outside are parts by themselves, which rarely change.
        """
        if self._shared:
            columns = columns_of(self._shared, _ONE_SLOT)
            rows = pa.record_batch(list(columns.values()), list(columns))
            writer.add(rows, None, **about, kind=SHARED)
        about |= {"kind": KEYED}
        if self._room is None or writer.is_alone:
            self._save_all(writer, about)
            return self._version
        cold = self._room.cold
        for part in range(PARTS):
            for run in cold.runs(part):
                of_run = about | {"part": part, "run": run.number}
                if not writer.keep(run.number, **of_run):
                    writer.add(partial(self._read, cold.lend(run)), run.number, **of_run)
        # Those that hold nothing hide what they held when they were outside.
        self._save_inside(writer, about, self._slots.slots())
        return max(self._version, cold.made)

    def _save_all(self, writer: PartWriter, about: dict[str, str | int]) -> None:
        """Write what lives, each key once."""
        slots, alive = self._held()
        slots = slots[alive[slots]]
        if self._room is None:
            self._save_inside(writer, about, slots)
            return
        of_slots, timers = self._parts_of(slots), self._rows.timers()
        for part, words, outside in self._outside(range(PARTS)):
            mine = slots[of_slots == part]
            if not len(mine) and not len(words):
                continue
            inside = _keyed(self.keys(mine), self._rows.save(mine, timers))
            rows = pa.concat_batches([inside, self._keyed(words, outside)])
            writer.add(rows, None, **about, part=part)

    def _save_inside(self, writer: PartWriter, about: dict[str, str | int], slots: Ints) -> None:
        """Write what slots hold, part by part."""
        of_slots, timers = self._parts_of(slots), self._rows.timers()
        for part in np.unique(of_slots).tolist():
            version = int(self._versions[part])
            if not writer.keep(version, **about, part=part):
                mine = slots[of_slots == part]
                rows = _keyed(self.keys(mine), self._rows.save(mine, timers))
                writer.add(rows, version, **about, part=part)

    def _read(self, lent: Callable[[], tuple[Ints, pa.RecordBatch]]) -> pa.RecordBatch:
        return self._keyed(*lent())

    def _keyed(self, words: Ints, rows: pa.RecordBatch) -> pa.RecordBatch:
        return _keyed(self._codec.decode(words, np.zeros(len(words), np.bool_)), rows)

    def restore(self, version: int, blocks: Sequence[SavedPart]) -> None:
        """Take over what was saved in a version, while nothing is held."""
        # Slots are others now: no part is what the last checkpoint has under its name.
        self._version = version
        keyed = [block for block in blocks if block.about["kind"] == KEYED]
        inside = [block for block in keyed if "run" not in block.about]
        runs = [block for block in keyed if "run" in block.about]
        runs.sort(key=lambda block: int(block.about["run"]))
        if self._room is None:
            # Of a key the newest counts.
            for block in [*inside, *reversed(runs)]:
                self._fill_new(block.batch())
            if runs:
                self.sweep()
        else:
            self._room.cold.made = version
            self._restore_room(self._room, runs, inside)
        for block in blocks:
            if block.about["kind"] == SHARED:
                for state in self._shared:
                    state.fill(_ONE_SLOT, block.batch())
        self._alive = len(self._slots) + (0 if self._room is None else self._room.rows)

    def _fill_new(self, rows: pa.RecordBatch) -> None:
        """Bring those keys in that are not there, with what they hold."""
        self._slots.reserve(rows.num_rows, _ANY)
        slots, fresh = self._slots.intern_new(*self._words_of(rows))
        self._grow()
        if len(fresh) < len(slots):
            is_new = np.zeros(self._capacity, np.bool_)
            is_new[fresh] = True
            rows = rows.filter(pa.array(is_new[slots]))
            slots = slots[is_new[slots]]
        self._rows.fill(slots, rows)
        self.touch(slots)

    def _restore_room(
        self, room: KeyedRoom, runs: Sequence[SavedPart], inside: Sequence[SavedPart]
    ) -> None:
        for block in runs:
            rows = block.batch()
            room.put(self._words_of(rows)[0], rows.select(self._rows.schema.names))
        for block in inside:
            rows, most = block.batch(), room.most_rows
            for at in range(0, rows.num_rows, most):
                some = rows.slice(at, most)
                self._rows.fill(self._enter(*self._words_of(some), are_new=True), some)

    def _words_of(self, rows: pa.RecordBatch) -> tuple[Ints, Ints]:
        n = len(self._codec.types)
        if n:
            words, nulls = self._codec.encode(rows.columns[:n])
            return words, nulls.astype(np.int64)
        return self._codec.no_key(rows.num_rows), _NO_NULLS

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
            if not len(words):
                yield part, words, rows
                continue
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
