"""What a process function is given: the key, times, states, timers and outputs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from eventtime.checks import shown
from eventtime.duration import LONGEST
from eventtime.process.rows import python_values
from eventtime.state.keyed_state import row_numbers
from eventtime.state.moment import NO_KEY, Moment
from eventtime.state.slot_kernels import occurrences
from eventtime.timestamp import EARLIEST, LATEST, MINUS_INFINITY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from eventtime.process.function import Function
    from eventtime.process.output import Output
    from eventtime.state.keyed import KeyedStates
    from eventtime.state.timers import Timers

__all__ = ("BatchContext", "Context", "RowContext")

Ints = NDArray[np.int64]
_LAST_TIMER: Final = LATEST + LONGEST
_KINDS: Final = {"event": "on_timer", "processing": "on_processing_timer"}


class Context(Moment):
    """What both forms of context share.

    Args:
        function: of the user.
    """

    def __init__(self, function: Function) -> None:
        super().__init__()
        self._function = function
        self.states = SimpleNamespace()
        """The states by name, as attributes."""
        self.is_final = False
        """Whether the input has ended: the timers that fire now are the last."""
        self.firing_us = MINUS_INFINITY
        self.main: Output
        self.sides: Mapping[str, Output] = {}
        self.among: Ints = np.empty(0, np.int64)
        self._held: KeyedStates
        self._known: dict[int, tuple[Any, ...]] = {}

    def bind(self, held: KeyedStates, main: Output, sides: Mapping[str, Output]) -> None:
        """Connect with what it gives access to."""
        self._held, self.main, self.sides = held, main, sides
        self.states = SimpleNamespace(**held.states)

    def forget_keys(self) -> None:
        """Forget which keys slots stand for: they may stand for others now."""
        self._known = {}

    def key_of(self, slot: int) -> tuple[Any, ...]:
        """Return the key of a slot; others of this batch are looked up with it."""
        if slot is NO_KEY:
            return ()
        if slot not in self._known:
            slots = np.unique(np.append(self.among, slot))
            columns = [python_values(column) for column in self._held.keys(slots)]
            keys = zip(*columns, strict=True) if columns else [()] * len(slots)
            self._known.update(zip(slots.tolist(), keys, strict=True))
        return self._known[slot]

    def _timers(self, kind: str) -> Timers:
        if self.is_changing:
            msg = "on_broadcast is called for no key, so it sets no timers"
            raise TypeError(msg)
        if not self._function.has(_KINDS[kind]):
            name = self._function.method(_KINDS[kind])
            msg = f"{self._function.name} sets a timer and has no {name}"
            raise TypeError(msg)
        return self._held.timers[kind]

    def _side(self, tag: str) -> Output:
        output = self.sides.get(tag)
        if output is None:
            tags = ", ".join(self.sides) or "none"
            msg = f"there is no side output {shown(tag)}; process(sides=…) declares {tags}"
            raise KeyError(msg)
        return output


class RowContext(Context):
    """What a function over single rows is given.

    Where it stands: `key`, `time_us`, `watermark_us`, `processing_us`, `is_final`. Timers:
    `set_timer`, `delete_timer`, `set_processing_timer`, `delete_processing_timer`. Out: `emit`,
    `side`. States: `states`, or the attributes of the function.

    `time_us` is the event time of the row, or the time of the timer; `watermark_us` the watermark
    before it.
    """

    @property
    def key(self) -> tuple[Any, ...]:
        """The values of the key columns."""
        return self.key_of(self.slot)

    def emit(self, **row: Any) -> None:
        """Send a result, a value for each column of the output; it is converted later."""
        self.main.add(row, self.watermark_us, self.slot)

    def side(self, tag: str, /, **row: Any) -> None:
        """Send a row to a side output."""
        self._side(tag).add(row, self.watermark_us, self.slot)

    def set_timer(self, time_us: int) -> None:
        """Call `on_timer` for this key once the watermark is at `time_us`; setting twice is once.

        A time that the watermark has passed already fires right after this row.
        """
        timers, time_us = self._timers("event"), _checked(time_us)
        if time_us <= self.firing_us:
            msg = f"a timer at {time_us}, set while that at {self.firing_us} fires, is no later"
            raise ValueError(msg)
        timers.add(time_us, self.slot)

    def delete_timer(self, time_us: int) -> None:
        """Take a timer of this key back, if it is set."""
        self._timers("event").discard(_checked(time_us), self.slot)

    def set_processing_timer(self, time_us: int) -> None:
        """Call `on_processing_timer` for this key once the clock is at `time_us`."""
        timers, time_us = self._timers("processing"), _checked(time_us)
        if time_us <= self.processing_us:
            msg = f"a processing timer at {time_us} is not ahead of the clock, {self.processing_us}"
            raise ValueError(msg)
        timers.add(time_us, self.slot)

    def delete_processing_timer(self, time_us: int) -> None:
        """Take a timer of this key back, if it is set."""
        self._timers("processing").discard(_checked(time_us), self.slot)


class BatchContext(Context):
    """What a function over batches is given; arrays have an item for each row (or timer).

    Where it stands: `slots` (of the keys: equal keys, equal slots), `times_us`, `watermarks_us`,
    `processing_us`, `is_final`, `keys`. Rows of equal keys: `first`, `last`, `rounds`. Timers:
    `set_timers`, `delete_timers`, `set_processing_timers`, `delete_processing_timers`. Out:
    `emit_rows`, `side_rows`. States: `states`, or the attributes of the function.
    """

    def __init__(self, function: Function) -> None:
        super().__init__(function)
        self.step_us = max(1, function.at_least_us)
        self._seen = np.zeros(0, np.int32)

    def __len__(self) -> int:
        return len(self.slots)

    def keys(self, rows: Any = None) -> list[pa.Array]:
        """Return the key columns of rows."""
        return self._held.keys(self.slots if rows is None else self.slots[self._numbers(rows)])

    def first(self) -> Ints:
        """Return the numbers of rows that are the first of their key in this batch."""
        return np.flatnonzero(self._occurrences(self.slots)[0] == 0)

    def last(self) -> Ints:
        """Return the numbers of rows that are the last of their key in this batch."""
        found: Ints = len(self) - 1 - self._reversed()
        return found

    def rounds(self) -> Iterator[Ints]:
        """Yield numbers of rows: of each key the first, then of each the second, and so on.

        Within a round no key is there twice, so that what one row leaves the next one finds.
        """
        numbers, most = self._occurrences(self.slots)
        order = np.argsort(numbers, kind="stable")
        ends = np.searchsorted(numbers[order], np.arange(most + 1))
        for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            yield order[start:end]

    def emit_rows(self, columns: Any, rows: Any = None) -> None:
        """Send results.

        Args:
            columns: a record batch, or by name arrays or values for all; with those of the output.
            rows: (n,) numbers, or a mask, of the rows that they come of: results are in the order
                of these; None: one for each row.
        """
        self._send(self.main, columns, rows)

    def side_rows(self, tag: str, columns: Any, rows: Any = None) -> None:
        """Send rows to a side output; see `emit_rows`."""
        self._send(self._side(tag), columns, rows)

    def set_timers(self, times_us: Any, rows: Any = None) -> None:
        """Set a timer for the key of each row; see `RowContext.set_timer`.

        Raises:
            ValueError: one is less than `timers_at_least` ahead of the watermark before its row.
        """
        numbers, timers = self._numbers(rows), self._timers("event")
        times = self._times(times_us, numbers)
        self._check_ahead(times, numbers)
        timers.add_rows(times, self.slots[numbers])

    def delete_timers(self, times_us: Any, rows: Any = None) -> None:
        """Take timers of the keys of rows back, where they are set.

        Raises:
            ValueError: while timers fire, one is less than `timers_at_least` ahead of them.
        """
        if self.firing_us != MINUS_INFINITY:
            numbers = self._numbers(rows)
            self._check_ahead(self._times(times_us, numbers), numbers)
        self._delete("event", times_us, rows)

    def set_processing_timers(self, times_us: Any, rows: Any = None) -> None:
        """Set a timer of processing time for the key of each row."""
        numbers, timers = self._numbers(rows), self._timers("processing")
        times = self._times(times_us, numbers)
        if (times <= self.processing_us).any():
            msg = f"a processing timer is not ahead of the clock, {self.processing_us}"
            raise ValueError(msg)
        timers.add_rows(times, self.slots[numbers])

    def delete_processing_timers(self, times_us: Any, rows: Any = None) -> None:
        """Take timers of the keys of rows back, where they are set."""
        self._delete("processing", times_us, rows)

    def _check_ahead(self, times: Ints, numbers: Ints) -> None:
        early = np.flatnonzero(times - self.step_us < self.watermarks_us[numbers])
        if len(early):
            row = int(numbers[early[0]])
            msg = (
                f"a timer at {times[early[0]]} is less than {self.step_us} us (timers_at_least) "
                f"ahead of the watermark before row {row}, {self.watermarks_us[row]}"
            )
            raise ValueError(msg)

    def _delete(self, kind: str, times_us: Any, rows: Any) -> None:
        numbers, timers = self._numbers(rows), self._timers(kind)
        times = self._times(times_us, numbers).tolist()
        for time, slot in zip(times, self.slots[numbers].tolist(), strict=True):
            timers.discard(time, slot)

    def _send(self, output: Output, columns: Any, rows: Any) -> None:
        numbers = self._numbers(rows)
        output.add_batch(columns, numbers, self.watermarks_us[numbers])

    def _numbers(self, rows: Any) -> Ints:
        if self.is_changing:
            msg = "on_broadcast is called for no rows, so there are none to send results of"
            raise TypeError(msg)
        if rows is None:
            return np.arange(len(self))
        return row_numbers(rows, len(self))

    def _times(self, times_us: Any, numbers: Ints) -> Ints:
        given = np.asarray(times_us, np.int64)
        if given.shape not in {(), numbers.shape}:
            msg = f"{given.size} times for {len(numbers)} rows"
            raise ValueError(msg)
        times: Ints = np.broadcast_to(given, len(numbers))
        if len(times):
            _checked(int(times.min()))
            _checked(int(times.max()))
        return times

    def _occurrences(self, slots: Ints) -> tuple[Ints, int]:
        most = int(slots.max(initial=-1)) + 1
        if len(self._seen) < most:
            self._seen = np.zeros(2 * most, np.int32)
        out = np.empty(len(slots), np.int64)
        return out, int(occurrences(slots, self._seen, out))

    def _reversed(self) -> Ints:
        numbers, _ = self._occurrences(self.slots[::-1].copy())
        return np.flatnonzero(numbers == 0)[::-1]


def _checked(time_us: Any) -> int:
    if type(time_us) is not int or not EARLIEST <= time_us <= _LAST_TIMER:
        msg = f"{shown(time_us)} is no time in microseconds"
        raise ValueError(msg)
    return time_us
