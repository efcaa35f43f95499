"""`collect`: the values of a window as a list, in order of arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eventtime.state.arrays import plain, plain_type
from eventtime.state.chains import Chains
from eventtime.state.value_log import ValueLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("CollectAccumulator",)

Ints = NDArray[np.int64]


class CollectAccumulator:
    """Lists of the values that are not null, in order of arrival.

    Values lie once in a log, slots hold chains of references into it. References grow in order of
    arrival, so a merged list is in order of arrival too, whatever was merged with what: a
    sliding window made of slices lists its rows as they came (D10). Rows that are all null
    give null, as in SQL, and no empty list. A dictionary comes out as its values.

    Args:
        value_type: type of the input; any that pyarrow can pick by row.

    Cost: `add` and `merge` O(rows), amortised; memory 16 bytes a reference, and the values.

    >>> lists = CollectAccumulator(pa.string())
    >>> lists.reset(np.array([0, 1]))
    >>> lists.add(np.array([0, 1, 0]), [pa.array(["a", None, "b"])], np.array([5, 5, 5]))
    >>> lists.result(np.array([0, 1])).to_pylist()
    [['a', 'b'], None]
    """

    def __init__(self, value_type: pa.DataType) -> None:
        self._kind = plain_type(value_type)
        self.result_type = pa.list_(self._kind)
        self._log = ValueLog(self._kind)
        self._chains = Chains()
        self._renumberings = 0

    @property
    def nbytes(self) -> int:
        return self._log.nbytes + self._chains.nbytes

    def reset(self, slots: Ints) -> None:
        self._chains.reset(slots)
        self._tidy()

    def add(self, slots: Ints, columns: Sequence[pa.Array], time_us: Ints) -> None:
        values = plain(columns[0], self._kind)
        if values.null_count:
            known = values.is_valid()
            values, slots = values.filter(known), slots[known.to_numpy(zero_copy_only=False)]
        first = self._log.append(values)
        self._chains.push(slots, np.arange(first, first + len(values)))
        self._tidy()

    def copy(self, into: Ints, source: Ints) -> None:
        self._chains.reset(into)
        self.merge(into, source)

    def merge(self, into: Ints, source: Ints) -> None:
        slots = np.repeat(into, self._chains.length[source])
        self._chains.push(slots, self._chains.gather(source))
        self._tidy()

    def result(self, slots: Ints) -> pa.Array:
        ends = _ends(self._chains.length[slots])
        values = self._log.take(self._chains.gather(slots, ascending=True))
        # A group whose values are all null has no list (D10), as in SQL.
        empty = self._chains.length[slots] == 0
        mask = pa.array(empty) if empty.any() else None
        return pa.ListArray.from_arrays(ends.cast(pa.int32()), values, mask=mask)

    def release(self, slots: Ints) -> None:
        self._chains.release(slots)
        self._tidy()

    @property
    def saved_type(self) -> pa.DataType:
        return pa.large_list(pa.struct({"order": pa.int64(), "value": self._kind}))

    def save(self, slots: Ints) -> Callable[[], pa.Array]:
        refs, log = self._chains.gather(slots, ascending=True), self._log.snapshot()
        lengths = self._chains.length[slots]

        def saved() -> pa.Array:
            values = [pa.array(refs), log.take(refs)]
            pairs = pa.StructArray.from_arrays(values, fields=list(self.saved_type.value_type))
            return pa.LargeListArray.from_arrays(_ends(lengths), pairs)

        return saved

    @property
    def renumberings(self) -> int:
        return self._renumberings

    def restore(self, slots: Ints, saved: pa.Array) -> None:
        owners, pairs = np.repeat(slots, pc.list_value_length(saved).to_numpy()), saved.flatten()
        # References grow in order of arrival, whichever slots the values went to.
        turns = np.argsort(pairs.field("order").to_numpy(), kind="stable")
        first = self._log.append(pairs.field("value").take(pa.array(turns)))
        self._chains.push(owners[turns], np.arange(first, first + len(turns)))

    def check_invariants(self) -> None:
        self._log.check_invariants()
        self._chains.check_invariants()
        refs = self._chains.gather(np.flatnonzero(self._chains.length))
        assert np.all((refs >= 0) & (refs < len(self._log))), "a reference points outside the log"
        assert len(self._log) <= 2 * self._chains.used + 1, (
            "the log keeps values that nobody refers to"
        )

    def _tidy(self) -> None:
        if not self._chains.due:
            return
        refs = self._chains.compact()
        wanted = np.zeros(len(self._log), np.bool_)
        wanted[refs] = True
        if 2 * np.count_nonzero(wanted) < len(self._log):
            # Renumbering keeps the order of references, which is that of arrival.
            refs[:] = self._log.keep(wanted)[refs]
            self._renumberings += 1


def _ends(lengths: Ints) -> pa.Array:
    """Return where lists of these lengths begin and end, (n + 1,)."""
    return pa.array(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))
