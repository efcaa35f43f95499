"""Value, reducing and aggregating state of any Arrow type: an object for each slot."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.state.keyed_cells import CellState
from eventtime.state.keyed_state import Ints, Rows, shaped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eventtime.state.declared import Declared
    from eventtime.state.moment import Moment, OneForAll

__all__ = ("AggregatedObject", "ObjectValue", "ReducedObject")


class ObjectValue(CellState):
    """One value for each key; see `PackedValue`, whose methods it has.

    A value that can be changed in place, such as a dict, has to be set again to be checked.
    """

    def __init__(self, name: str, declared: Declared, moment: Moment | OneForAll) -> None:
        super().__init__(name, declared, moment)
        default = declared.default
        self._default = None if default is None else self._scalars.stored(default)

    @property
    def value(self) -> Any:
        """The value of this key; the default, or None, where there is none."""
        held = self._held(self._moment.slot)
        return copy.copy(self._default) if held is None else held

    @value.setter
    def value(self, value: Any) -> None:
        slot = self._moment.slot
        self._cells[slot] = None if value is None else self._scalars.stored(value)
        if self._expiry is not None:
            self._expiry.renew(slot)

    def clear(self) -> None:
        """Hold nothing for this key."""
        self._cells[self._moment.slot] = None

    def get_rows(self, rows: Rows = None) -> pa.Array:
        """Return what the keys of rows hold now, (n,); null, or the default, where nothing."""
        numbers, slots = self._rows(rows)
        held = [self._cells[slot] for slot in slots.tolist()]
        dead = self._dead(slots, numbers)
        if dead is not None:
            held = [None if d else v for v, d in zip(held, dead.tolist(), strict=True)]
        return self._out(held)

    def set_rows(self, values: Any, rows: Rows = None) -> None:
        """Set the values of the keys of rows; of several rows of a key the last stays."""
        self.swap_rows(values, rows)

    def swap_rows(self, values: Any, rows: Rows = None) -> pa.Array:
        """Set values and return what was there before each row, (n,)."""
        numbers, slots = self._rows(rows)
        kind, name = self.declared.kind, f"state {self.name!r}"
        new = shaped(values, kind, len(slots), name).to_pylist()
        old = []
        for slot, value, (now, then) in zip(slots.tolist(), new, self._times(numbers), strict=True):
            old.append(self._alive(slot, now))
            self._put(slot, value, then)
        return self._out(old)

    def clear_rows(self, rows: Rows = None) -> None:
        """Hold nothing for the keys of rows."""
        for slot in self._rows(rows)[1].tolist():
            self._cells[slot] = None

    def _saved(self, slots: Ints, held: NDArray[np.bool_]) -> pa.Array:
        pairs = zip(slots.tolist(), held.tolist(), strict=True)
        return pa.array([self._cells[slot] if h else None for slot, h in pairs], self.declared.kind)

    def _fill(self, slots: Ints, values: pa.Array) -> None:
        for slot, value in zip(slots.tolist(), values.to_pylist(), strict=True):
            self._cells[slot] = value

    def _held(self, slot: int) -> Any:
        held = self._cells[slot]
        if held is None or (self._expiry is not None and self._expiry.is_dead(slot)):
            return None
        return held

    def _alive(self, slot: int, now_us: int) -> Any:
        if self._expiry is not None and self._expiry.until_us[slot] <= now_us:
            return None
        return self._cells[slot]

    def _put(self, slot: int, value: Any, then_us: int) -> None:
        self._cells[slot] = value
        if self._expiry is not None:
            self._expiry.until_us[slot] = then_us

    def _times(self, rows: Ints | None) -> list[tuple[int, int]]:
        if self._expiry is None:
            return [(0, 0)] * (len(self._moment.slots) if rows is None else len(rows))
        nows, thens = self._expiry.nows_us(rows), self._expiry.thens_us(rows)
        return list(zip(nows.tolist(), thens.tolist(), strict=True))

    def _out(self, values: list[Any]) -> pa.Array:
        if self._default is not None:
            values = [self._default if v is None else v for v in values]
        return pa.array(values, self.declared.kind)


class ReducedObject(ObjectValue):
    """A value for each key that takes others in; see `PackedReduced`, whose methods it has."""

    def add(self, value: Any) -> Any:
        """Take a value in and return what is held then."""
        held = self.value
        if value is None:
            return held
        self.value = self._joined(held, value)
        return self.value

    def add_rows(self, values: Any, rows: Rows = None) -> pa.Array:
        """Take a value of each row in, in order; returns what its key holds then, (n,)."""
        numbers, slots = self._rows(rows)
        kind, name = self.declared.kind, f"state {self.name!r}"
        new = shaped(values, kind, len(slots), name).to_pylist()
        out = []
        for slot, value, (now, then) in zip(slots.tolist(), new, self._times(numbers), strict=True):
            held = self._alive(slot, now)
            if value is not None:
                held = self._scalars.stored(self._joined(held, value))
                self._put(slot, held, then)
            out.append(held)
        return self._out(out)

    def _joined(self, held: Any, value: Any) -> Any:
        reduce = self.declared.reduce
        assert callable(reduce)
        return self._scalars.stored(value) if held is None else reduce(held, value)


class AggregatedObject(ObjectValue):
    """An accumulator for each key.

    One row at a time: `add`, `value` (its result), `clear`. Batches: `add_rows`, `get_rows` (the
    accumulators), `clear_rows`.
    """

    @property  # type: ignore[misc] # set by `add` alone
    def value(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The result of this key's accumulator; that of nothing where there is none."""
        held = self._held(self._moment.slot)
        assert self.declared.result is not None
        return self.declared.result(self._start() if held is None else held)

    def add(self, value: Any) -> None:
        """Take a value in."""
        slot = self._moment.slot
        held = self._held(slot)
        self._cells[slot] = self._added(held, value)
        if self._expiry is not None:
            self._expiry.renew(slot)

    def add_rows(self, values: Any, rows: Rows = None) -> None:
        """Take a value of each row in, in order; `values` is a column or a list."""
        numbers, slots = self._rows(rows)
        new = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
        for slot, value, (now, then) in zip(slots.tolist(), new, self._times(numbers), strict=True):
            self._put(slot, self._added(self._alive(slot, now), value), then)

    def _added(self, held: Any, value: Any) -> Any:
        assert self.declared.add is not None
        return self._scalars.stored(
            self.declared.add(self._start() if held is None else held, value)
        )

    def _start(self) -> Any:
        return copy.deepcopy(self.declared.start)
