"""How much memory keyed state takes: counted where it is arrays, a sample where it is objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from eventtime.state.keyed_cells import CellState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventtime.state.keyed_state import Ints, State
    from eventtime.state.slots import SlotMap
    from eventtime.state.timers import Timers

__all__ = ("SLOT_BYTES", "TIMER_BYTES", "size_of")

# The key, its place among the free ones and in the hash table, when it was used, its objects.
SLOT_BYTES: Final = 16 + 8 + 16 + 8 + 8
# An entry of a dict with a set of one, and their numbers.
TIMER_BYTES: Final = 400
_SAMPLE: Final = 256


def size_of(
    slots: SlotMap, of_keys: Sequence[State], shared: Sequence[State], timers: Iterable[Timers]
) -> int:
    """Return about how many bytes keys and what they hold take.

    Args:
        slots: of the keys.
        of_keys: states of each of them.
        shared: states that are one for all.
        timers: of all of them.

    Cost: O(different times of timers), whatever the keys.
    """
    size = len(slots) * (SLOT_BYTES + sum(state.slot_bytes for state in of_keys))
    size += TIMER_BYTES * sum(map(len, timers)) + sum(state.slot_bytes for state in shared)
    some = np.arange(0, slots.capacity, max(1, slots.capacity // _SAMPLE))
    sampled = _of_objects(of_keys, some) * slots.capacity // len(some)
    return size + sampled + _of_objects(shared, np.zeros(1, np.int64))


def _of_objects(states: Sequence[State], slots: Ints) -> int:
    cells = [state for state in states if isinstance(state, CellState)]
    return sum(int(state.object_bytes(slots).sum()) for state in cells)
