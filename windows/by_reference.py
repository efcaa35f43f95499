"""`first`, `last`, `min` and `max` of values that no word holds: the best one by reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eventtime.errors import AggregateTypeError
from eventtime.state.arrays import byte_spans, grown, plain, plain_type
from eventtime.state.chains import mostly_dead
from eventtime.state.value_log import ValueLog
from eventtime.windows import reference_kernels as k

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("Kind", "ReferenceAccumulator")

Ints = NDArray[np.int64]
Kind = Literal["first", "last", "min", "max"]


class ReferenceAccumulator:
    """One value for each slot, the best so far; nulls are ignored, null if there is none (D10).

    - ``first``: least event time; of equal ones the earliest arrival. ``last``: greatest, latest.
    - ``min``, ``max``: least, greatest value; text and binary by bytes (which for UTF-8 is by code
      point), NaN greatest. Of equal values the earliest arrival, which shows only where equal
      is not identical (-0.0 and 0.0).

    A dictionary comes out as its values.

    Args:
        value_type: type of the input; for first and last any that pyarrow can pick by row.
        kind: which of the four.

    Raises:
        AggregateTypeError: min or max of a type without order; a type that cannot be picked by row.

    Cost: O(rows) for each batch; O(rows log rows) for min and max of other types than text and
    binary. Memory: the values referred to, at most twice that before the log is rewritten.

    >>> best = ReferenceAccumulator(pa.string(), "max")
    >>> best.reset(np.array([0, 1]))
    >>> best.add(np.array([0, 0, 0]), [pa.array(["a", "b", None])], np.array([1, 2, 3]))
    >>> best.result(np.array([0, 1])).to_pylist()
    ['b', None]
    """

    def __init__(self, value_type: pa.DataType, kind: Kind) -> None:
        self.result_type = plain_type(value_type)
        self._by_time = kind in {"first", "last"}
        self._greatest = kind in {"last", "max"}
        if not self._by_time and not _has_order(self.result_type):
            msg = f"{kind} has no order for type {value_type}"
            raise AggregateTypeError(
                msg, remedy="choose a column with an order, or first, last or collect"
            )
        self._log = ValueLog(self.result_type)
        self._ref = np.zeros(0, np.int64)
        self._time = np.zeros(0, np.int64)
        self._scratch = np.zeros(0, np.int64)
        self._held = 0

    @property
    def nbytes(self) -> int:
        return self._log.nbytes + self._ref.nbytes + self._time.nbytes + self._scratch.nbytes

    def reset(self, slots: Ints) -> None:
        if len(slots) == 0:
            return
        self._ref = grown(self._ref, int(slots.max()) + 1, -1)
        self._time = grown(self._time, len(self._ref), 0)
        self._scratch = grown(self._scratch, len(self._ref), -1)
        self.release(slots)

    def add(self, slots: Ints, columns: Sequence[pa.Array], time_us: Ints) -> None:
        values = plain(columns[0], self.result_type)
        if values.null_count:
            rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
            values, slots, time_us = values.take(pa.array(rows)), slots[rows], time_us[rows]
        won, rows = self._compare(slots, values, time_us)
        first = self._log.append(values.take(pa.array(rows)))
        self._hold(won, np.arange(first, first + len(rows)), time_us[rows])

    def copy(self, into: Ints, source: Ints) -> None:
        self.reset(into)
        filled = self._ref[source] >= 0
        self._hold(into[filled], self._ref[source[filled]], self._time[source[filled]])

    def merge(self, into: Ints, source: Ints) -> None:
        filled = self._ref[source] >= 0
        into, source = into[filled], source[filled]
        refs, times = self._ref[source], self._time[source]
        values = pa.nulls(0, self.result_type) if self._by_time else self._log.take(refs)
        won, rows = self._compare(into, values, times)
        self._hold(won, refs[rows], times[rows])

    def result(self, slots: Ints) -> pa.Array:
        return _values(self._log, self._ref[slots])

    def release(self, slots: Ints) -> None:
        self._held -= int(np.count_nonzero(self._ref[slots] >= 0))
        self._ref[slots] = -1
        self._tidy()

    @property
    def saved_type(self) -> pa.DataType:
        return pa.struct({"value": self.result_type, "time_us": pa.int64(), "is_held": pa.bool_()})

    def save(self, slots: Ints) -> Callable[[], pa.Array]:
        refs, times, log = self._ref[slots], self._time[slots], self._log.snapshot()

        def saved() -> pa.Array:
            held = refs >= 0
            times[~held] = 0
            columns = [_values(log, refs), pa.array(times), pa.array(held)]
            return pa.StructArray.from_arrays(columns, fields=list(self.saved_type))

        return saved

    @property
    def renumberings(self) -> int:
        return 0

    def restore(self, slots: Ints, saved: pa.Array) -> None:
        held = np.flatnonzero(saved.field("is_held").to_numpy(zero_copy_only=False))
        first = self._log.append(saved.field("value").take(pa.array(held)))
        refs, times = np.arange(first, first + len(held)), saved.field("time_us").to_numpy()
        self._hold(slots[held], refs, times[held])

    def check_invariants(self) -> None:
        self._log.check_invariants()
        refs = self._ref[self._ref >= 0]
        assert len(refs) == self._held, "count of slots that hold a value is wrong"
        assert np.all(refs < len(self._log)), "a reference points outside the log"
        assert np.all(self._scratch == -1), "a slot keeps its number between batches"
        assert not mostly_dead(len(self._log), self._held, len(self._ref)), "the log keeps the dead"

    def _hold(self, slots: Ints, refs: Ints, times: Ints) -> None:
        self._held += int(np.count_nonzero(self._ref[slots] < 0))
        self._ref[slots] = refs
        self._time[slots] = times
        self._tidy()

    def _compare(self, slots: Ints, values: pa.Array, times: Ints) -> tuple[Ints, Ints]:
        """Return the slots that one of the rows is best for, and that row for each."""
        if len(slots) == 0:
            return slots, slots
        touched, local = np.empty(len(slots), np.int64), np.empty(len(slots), np.int64)
        touched = touched[: k.number_slots(slots, self._scratch, touched, local)]
        # What slots hold stands first in line: it arrived before.
        filled = self._ref[touched] >= 0
        held = touched[filled]
        best = np.full(len(touched), -1, np.int64)
        best[filled] = np.arange(len(held))
        if self._by_time:
            keys = np.concatenate([self._time[held], times])
            k.best_by_key(local, keys, len(held), self._greatest, self._greatest, best)
        else:
            line = pa.concat_arrays([self._log.take(self._ref[held]), values])
            self._best_value(line, local, len(held), best)
        new = best >= len(held)
        return touched[new], best[new] - len(held)

    def _best_value(self, line: pa.Array, local: Ints, first: int, best: Ints) -> None:
        if _is_text(line.type):
            starts, data = byte_spans(line)
            k.best_by_bytes(local, starts, data, first, self._greatest, best)
            return
        keys = np.array(_ranks(line), np.int64)
        later = False
        k.best_by_key(local, keys, first, self._greatest, later, best)

    def _tidy(self) -> None:
        if not mostly_dead(len(self._log), self._held, len(self._ref)):
            return
        if self._held == 0:
            self._log.clear()
            return
        slots = np.flatnonzero(self._ref >= 0)
        wanted = np.zeros(len(self._log), np.bool_)
        wanted[self._ref[slots]] = True
        self._ref[slots] = self._log.keep(wanted)[self._ref[slots]]


def _values(log: ValueLog, refs: Ints) -> pa.Array:
    """Return the values at references, null where there is none (-1)."""
    filled = refs >= 0
    if filled.all():
        return log.take(refs)
    # Null indices take nulls: they stand where a slot holds nothing.
    positions = np.cumsum(filled) - 1
    return log.take(refs[filled]).take(pa.array(positions, pa.int64(), mask=~filled))


def _is_text(kind: pa.DataType) -> bool:
    t = pa.types
    return bool(
        t.is_string(kind) or t.is_binary(kind) or t.is_large_string(kind) or t.is_large_binary(kind)
    )


def _ranks(values: pa.Array) -> pa.Array:
    """Return the dense rank of each value; NaN ranks last."""
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    elif pa.types.is_decimal(values.type) and values.type.bit_width < 128:
        values = values.cast(pa.decimal128(values.type.precision, values.type.scale))
    return pc.rank(values, sort_keys="ascending", tiebreaker="dense")


def _has_order(kind: pa.DataType) -> bool:
    if pa.types.is_null(kind):
        return True
    try:
        _ranks(pa.nulls(1, kind))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True
