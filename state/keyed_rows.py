"""What keys hold, as rows: a column for each state and each kind of timers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eventtime.state.keyed_state import State
    from eventtime.state.timers import Timers

__all__ = ("KeyedRows", "TimersBySlot", "columns_of")

Ints = NDArray[np.int64]
TimersBySlot = dict[str, tuple[Ints, Ints]]
"""By kind the times and slots of timers, ordered by slot, then time."""


class KeyedRows:
    """Takes what slots hold out of states and timers, and puts it back.

    Out: `timers`, `save`, `forget`. In: `fill`. Rows that lie elsewhere: `living`, `first_timers`.

    Args:
        states: by slot.
        timers: by kind.
    """

    def __init__(self, states: Sequence[State], timers: Mapping[str, Timers]) -> None:
        self._states, self._timers = states, timers
        self.schema: pa.Schema = self.save(np.empty(0, np.int64), self.timers()).schema

    def timers(self) -> TimersBySlot:
        """Return all timers. Cost: O(timers)."""
        return {kind: timers.rows() for kind, timers in self._timers.items()}

    def save(self, slots: Ints, timers: TimersBySlot) -> pa.RecordBatch:
        """Return what slots hold that lives, (n,) rows.

        Args:
            slots: (n,) ascending.
            timers: all of them.
        """
        columns = columns_of(self._states, slots)
        for kind, (times, who) in timers.items():
            starts, ends = (np.searchsorted(who, slots, side) for side in ("left", "right"))
            offsets = np.append(0, np.cumsum(ends - starts)).astype(np.int32)
            # Numbers of the timers of one slot after the other.
            mine = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], ends - starts)
            columns[f"timers:{kind}"] = pa.ListArray.from_arrays(offsets, pa.array(times[mine]))
        return pa.record_batch(list(columns.values()), list(columns))

    def fill(self, slots: Ints, rows: pa.RecordBatch) -> None:
        """Let slots, which hold nothing, hold what was saved."""
        for state in self._states:
            state.fill(slots, rows)
        for kind, timers in self._timers.items():
            times = rows.column(f"timers:{kind}")
            at = np.repeat(slots, _lengths(times))
            timers.add_rows(times.flatten().to_numpy(), at)

    def forget(self, slots: Ints) -> None:
        """Hold nothing for slots, timers included."""
        for state in self._states:
            state.forget(slots)
        for timers in self._timers.values():
            timers.forget(slots)

    def living(self, rows: pa.RecordBatch) -> tuple[NDArray[np.bool_], pa.RecordBatch]:
        """Return which rows hold anything that lives, and all rows without what has died."""
        alive = np.zeros(rows.num_rows, np.bool_)
        for state in self._states:
            held = state.living(rows)
            alive |= held.is_valid().to_numpy(zero_copy_only=False)
            rows = rows.set_column(rows.schema.get_field_index(state.column), state.column, held)
        for kind in self._timers:
            alive |= _lengths(rows.column(f"timers:{kind}")) > 0
        return alive, rows

    def first_timers(self, rows: pa.RecordBatch, kind: str) -> tuple[Ints, Ints]:
        """Return which rows have timers of a kind, and when the first of each is due."""
        times = rows.column(f"timers:{kind}")
        lengths = _lengths(times)
        some = np.flatnonzero(lengths)
        starts = np.cumsum(lengths) - lengths
        return some, times.flatten().to_numpy()[starts[some]]


def columns_of(states: Iterable[State], slots: Ints) -> dict[str, pa.Array]:
    """Return what states hold for slots, as columns by name."""
    return {name: column for state in states for name, column in state.save(slots).items()}


def _lengths(lists: pa.ListArray) -> Ints:
    lengths: Ints = np.diff(lists.offsets.to_numpy()).astype(np.int64)
    return lengths
