"""Value and reducing state in arrays: a word for each slot, batches without Python by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventtime.lanes import FLOAT, lane_kind, lane_of, to_arrow
from eventtime.state import slot_kernels as k
from eventtime.state.keyed_state import Ints, Rows, State, shaped
from eventtime.validity import NO_NULLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from eventtime.state.declared import Declared
    from eventtime.state.moment import Moment, OneForAll

__all__ = ("PackedReduced", "PackedValue")

_NO_TIMES: Final[Ints] = np.empty(0, np.int64)
_HOW: Final = {"sum": k.ADD, "min": k.LEAST, "max": k.MOST}


class PackedValue(State):
    """One value for each key.

    One row at a time: `value`, `clear`. Batches: `get_rows`, `set_rows`, `swap_rows`, `clear_rows`.
    """

    def __init__(self, name: str, declared: Declared, moment: Moment | OneForAll) -> None:
        super().__init__(name, declared, moment)
        self._dtype = np.float64 if lane_kind(declared.kind) == FLOAT else np.int64
        self._values: NDArray[Any] = np.empty(0, self._dtype)
        self._valid = np.empty(0, np.uint8)
        # Views give and take Python's own numbers, several times as fast as arrays do.
        self._words, self._flags = _view(self._values), _view(self._valid)
        self._is_plain = self._scalars.is_plain
        default = declared.default
        self._default = None if default is None else self._scalars.stored(default)

    @property
    def value(self) -> Any:
        """The value of this key; the default, or None, where there is none."""
        slot = self._moment.slot
        if not self._flags[slot] or (self._expiry is not None and self._expiry.is_dead(slot)):
            return self._default
        word = self._words[slot]
        return word if self._is_plain else self._scalars.value(word)

    @value.setter
    def value(self, value: Any) -> None:
        slot = self._moment.slot
        if value is None:
            self._flags[slot] = 0
            return
        value = self._scalars.stored(value)
        self._words[slot] = value if self._is_plain else self._scalars.word(value)
        self._flags[slot] = 1
        if self._expiry is not None:
            self._expiry.renew(slot)

    def clear(self) -> None:
        """Hold nothing for this key."""
        self._flags[self._moment.slot] = 0

    def get_rows(self, rows: Rows = None) -> pa.Array:
        """Return what the keys of rows hold now, (n,); null, or the default, where nothing."""
        numbers, slots = self._rows(rows)
        valid = self._valid[slots] != 0
        dead = self._dead(slots, numbers)
        return self._out(self._values[slots], valid if dead is None else valid & ~dead)

    def set_rows(self, values: Any, rows: Rows = None) -> None:
        """Set the values of the keys of rows; of several rows of a key the last stays.

        Args:
            values: one for each row, or one for all; null clears.
            rows: numbers, or a mask; None: all.
        """
        numbers, slots = self._rows(rows)
        new, valid = self._lane(values, len(slots))
        # Of repeated indices numpy keeps the last.
        self._values[slots], self._valid[slots] = new, valid if valid.size else 1
        if self._expiry is not None:
            self._expiry.until_us[slots] = self._expiry.thens_us(numbers)

    def swap_rows(self, values: Any, rows: Rows = None) -> pa.Array:
        """Set values as `set_rows` and return what was there before each row, (n,).

        A row sees what earlier rows of its key have set.
        """
        numbers, slots = self._rows(rows)
        new, valid = self._lane(values, len(slots))
        old, old_valid = np.empty(len(slots), self._dtype), np.empty(len(slots), np.uint8)
        k.swap(slots, new, valid, self._values, self._valid, *self._times(numbers), old, old_valid)
        return self._out(old, old_valid != 0)

    def clear_rows(self, rows: Rows = None) -> None:
        """Hold nothing for the keys of rows."""
        _, slots = self._rows(rows)
        self._valid[slots] = 0

    def grow(self, capacity: int) -> None:
        super().grow(capacity)
        more = capacity - len(self._values)
        self._values = np.concatenate([self._values, np.zeros(more, self._dtype)])
        self._valid = np.concatenate([self._valid, np.zeros(more, np.uint8)])
        self._words, self._flags = _view(self._values), _view(self._valid)

    def is_held(self, slots: Ints) -> NDArray[np.bool_]:
        held: NDArray[np.bool_] = (self._valid[slots] != 0) & ~self._dead_now(slots)
        return held

    def forget(self, slots: Ints) -> None:
        self._valid[slots] = 0

    @property
    def slot_bytes(self) -> int:
        until = 0 if self._expiry is None else self._expiry.until_us.itemsize
        return self._values.itemsize + self._valid.itemsize + until

    def _saved(self, slots: Ints, held: NDArray[np.bool_]) -> pa.Array:
        return to_arrow(self._values[slots], self.declared.kind, held)

    def _fill(self, slots: Ints, values: pa.Array) -> None:
        lane = lane_of(values)
        self._values[slots], self._valid[slots] = lane.values, lane.valid if lane.valid.size else 1

    def _lane(self, values: Any, n: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        if isinstance(values, np.ndarray) and self._is_plain and values.dtype == self._dtype:
            is_whole = self.declared.kind.bit_width == 64 and values.shape == (n,)
            if is_whole:
                return values, NO_NULLS
        lane = lane_of(shaped(values, self.declared.kind, n, f"state {self.name!r}"))
        return lane.values, lane.valid

    def _times(self, rows: Ints | None) -> tuple[Ints, Ints, Ints]:
        if self._expiry is None:
            return _NO_TIMES, _NO_TIMES, _NO_TIMES
        return self._expiry.until_us, self._expiry.nows_us(rows), self._expiry.thens_us(rows)

    def _out(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> pa.Array:
        array = to_arrow(values, self.declared.kind, valid)
        if self._default is None or not array.null_count:
            return array
        return pc.fill_null(array, pa.scalar(self._default, self.declared.kind))


class PackedReduced(PackedValue):
    """A sum, least or greatest value for each key.

    One row at a time: `add`, `value`, `clear`. Batches: `add_rows`, `get_rows`, `clear_rows`.
    """

    def add(self, value: Any) -> Any:
        """Take a value in and return what is held then."""
        held = self.value
        if value is None:
            return held
        value = self._scalars.stored(value)
        if held is not None:
            value = _joined(self.declared.reduce, held, value)
        self.value = value
        return value

    def add_rows(self, values: Any, rows: Rows = None) -> pa.Array:
        """Take a value of each row in, in order; returns what its key holds then, (n,).

        Raises:
            OverflowError: a sum leaves int64.
        """
        numbers, slots = self._rows(rows)
        new, valid = self._lane(values, len(slots))
        out, out_valid = np.empty(len(slots), self._dtype), np.empty(len(slots), np.uint8)
        how = _HOW[str(self.declared.reduce)]
        if how == k.ADD and self._dtype == np.int64:
            how = k.ADD_WHOLE
        times = self._times(numbers)
        at = k.reduce(how, slots, new, valid, self._values, self._valid, *times, out, out_valid)
        if at >= 0:
            msg = f"the sum in state {self.name!r} leaves int64 at row {at}"
            raise OverflowError(msg)
        return self._out(out, out_valid != 0)


def _joined(how: object, held: Any, value: Any) -> Any:
    if how == "sum":
        return held + value
    # NaN stays, whatever comes: it is the one value that is not itself.
    is_kept = held <= value if how == "min" else held >= value
    return held if is_kept or held != held else value  # noqa: PLR0124


def _view(array: Any) -> Any:
    return memoryview(array)
