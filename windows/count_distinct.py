"""`count_distinct`: how many different values a window holds, exactly."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eventtime.errors import AggregateTypeError
from eventtime.state.arrays import (
    as_binary,
    fits_in_a_word,
    holds_bytes,
    plain,
    plain_type,
    words_of,
)
from eventtime.state.chains import Chains
from eventtime.state.interner import BytesInterner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("CountDistinctAccumulator",)

Ints = NDArray[np.int64]


class CountDistinctAccumulator:
    """Sets of the values that are not null; the result is their size, int64, 0 if there is none.

    Values of up to 8 bytes are their own word; longer ones get an id while any slot holds them. All
    NaN are one value, and -0.0 is 0.0. Dictionaries count by value.

    Args:
        value_type: numbers, times, booleans, strings, binary, decimals, or dictionaries of them.

    Raises:
        AggregateTypeError: equality is not defined for the type (lists, structs).

    Cost: one look-up a row, in `merge` one for each value of `source`; memory about 60 bytes and
    the value for each distinct (slot, value), none for repeats.

    >>> sets = CountDistinctAccumulator(pa.float64())
    >>> sets.reset(np.array([0, 1]))
    >>> sets.add(np.array([0, 0, 0]), [pa.array([0.0, -0.0, None])], np.array([1, 2, 3]))
    >>> sets.result(np.array([0, 1])).to_pylist()
    [1, 0]
    """

    def __init__(self, value_type: pa.DataType) -> None:
        self.result_type = pa.int64()
        self._kind = plain_type(value_type)
        if not (fits_in_a_word(self._kind) or holds_bytes(self._kind)):
            msg = f"count_distinct has no equality for type {value_type}"
            raise AggregateTypeError(
                msg, remedy="count a column of plain values, or cast it with with_columns(...)"
            )
        self._ids = None if fits_in_a_word(self._kind) else BytesInterner()
        self._sets = Chains(distinct=True)

    @property
    def nbytes(self) -> int:
        of_ids = 0
        if self._ids is not None:
            arrays = (self._ids.entries, self._ids.free, self._ids.spans, self._ids.blob)
            of_ids = sum(array.nbytes for array in arrays)
        return self._sets.nbytes + of_ids

    def reset(self, slots: Ints) -> None:
        self._sets.reset(slots)
        self._tidy()

    def add(self, slots: Ints, columns: Sequence[pa.Array], time_us: Ints) -> None:
        values = plain(columns[0], self._kind)
        if values.null_count:
            known = values.is_valid()
            values, slots = values.filter(known), slots[known.to_numpy(zero_copy_only=False)]
        if self._ids is None:
            # Kernels are compiled for words that can be written; those of Arrow cannot.
            words = np.require(words_of(values), requirements="W")
        else:
            words = self._ids.intern(as_binary(values))
        self._sets.push(slots, words)
        self._tidy()

    def copy(self, into: Ints, source: Ints) -> None:
        self._sets.reset(into)
        self.merge(into, source)

    def merge(self, into: Ints, source: Ints) -> None:
        slots = np.repeat(into, self._sets.length[source])
        self._sets.push(slots, self._sets.gather(source))
        self._tidy()

    def result(self, slots: Ints) -> pa.Array:
        return pa.array(self._sets.length[slots], pa.int64())

    def release(self, slots: Ints) -> None:
        self._sets.release(slots)
        self._tidy()

    @property
    def saved_type(self) -> pa.DataType:
        return pa.large_list(pa.int64() if self._ids is None else pa.large_binary())

    def save(self, slots: Ints) -> Callable[[], pa.Array]:
        words, lengths = self._sets.gather(slots), self._sets.length[slots]
        kind = pa.large_binary()
        values = (
            partial(pa.array, words) if self._ids is None else self._ids.take_later(words, kind)
        )

        def saved() -> pa.Array:
            ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
            return pa.LargeListArray.from_arrays(pa.array(ends), values())

        return saved

    @property
    def renumberings(self) -> int:
        return 0

    def restore(self, slots: Ints, saved: pa.Array) -> None:
        owners, values = np.repeat(slots, pc.list_value_length(saved).to_numpy()), saved.flatten()
        if self._ids is None:
            words = np.require(values.to_numpy(), requirements="W")
        else:
            words = self._ids.intern(values)
        self._sets.push(owners, words)

    def check_invariants(self) -> None:
        self._sets.check_invariants()
        if self._ids is not None:
            words = self._sets.gather(np.flatnonzero(self._sets.length))
            assert np.isin(words, self._ids.numbers()).all(), "a set holds an id that was forgotten"
            # Invariant: a new id comes with a new node, so ids are bounded as nodes are.
            assert len(self._ids) <= 2 * self._sets.used, "ids outlive their sets"

    def _tidy(self) -> None:
        if not self._sets.due:
            return
        words = self._sets.compact()
        if self._ids is not None:
            alive = np.zeros(self._ids.capacity, np.bool_)
            alive[words] = True
            if 2 * np.count_nonzero(alive) < len(self._ids):
                self._ids.keep_only(alive)
