"""State that is Python objects: one for each slot, or None."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eventtime.state.keyed_state import Ints, State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from eventtime.state.declared import Declared
    from eventtime.state.moment import Moment, OneForAll

__all__ = ("CellState",)

_SAMPLE: Final = 8


class CellState(State):
    """A cell for each slot: an object, or None."""

    def __init__(self, name: str, declared: Declared, moment: Moment | OneForAll) -> None:
        super().__init__(name, declared, moment)
        self._cells: list[Any] = []

    def grow(self, capacity: int) -> None:
        super().grow(capacity)
        self._cells += [None] * (capacity - len(self._cells))

    def is_held(self, slots: Ints) -> NDArray[np.bool_]:
        there = np.array([self._is_something(self._cells[s]) for s in slots.tolist()], np.bool_)
        held: NDArray[np.bool_] = there & ~self._dead_now(slots)
        return held

    def forget(self, slots: Ints) -> None:
        for slot in slots.tolist():
            self._cells[slot] = None

    @property
    def slot_bytes(self) -> int:
        until = 0 if self._expiry is None else self._expiry.until_us.itemsize
        return np.dtype(np.object_).itemsize + until

    def object_bytes(self, slots: Ints) -> Ints:
        """Return about how many bytes the objects of each slot take beside those."""
        return np.array([_bytes_of(self._cells[slot]) for slot in slots.tolist()], np.int64)

    def _is_something(self, cell: Any) -> bool:
        return cell is not None


def _bytes_of(value: Any) -> int:
    """Say about how much memory an object takes, some of its items standing for all."""
    if value is None:
        return 0
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + _bytes_of_items(value.items(), len(value))
    if isinstance(value, list | tuple):
        return size + _bytes_of_items(value, len(value))
    return size


def _bytes_of_items(items: Iterable[Any], n: int) -> int:
    some = [_bytes_of(item) for item in islice(items, _SAMPLE)]
    return n * sum(some) // len(some) if some else 0
