"""An append-only log of Arrow values that accumulators refer to by position.

chunks   [ v0 v1 v2 v3 | v4 v5 | v6 ]      each chunk longer than all after it together,
refs       0  1  2  3    4  5    6         so there are few; refs grow in order of arrival
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ("ValueLog",)

Ints = NDArray[np.int64]
_LARGEST_CHUNK_BYTES = 1 << 30


class ValueLog:
    """Values of one Arrow type by position.

    Writing: `append`. Reading: `take`, `snapshot`. Forgetting: `keep`, `clear`. A position
    is a *reference*; it stays good until the next `keep` or `clear`. The log does not know which
    values are referred to: its owner does, and calls `keep` when less than half are.

    Args:
        kind: type of the values, one that `plain_type` returns.

    >>> log = ValueLog(pa.string())
    >>> log.append(pa.array(["a", "b"])), log.append(pa.array(["c"]))
    (0, 2)
    >>> log.take(np.array([2, 0])).to_pylist()
    ['c', 'a']
    """

    def __init__(self, kind: pa.DataType) -> None:
        self.kind = kind
        self._chunks: list[pa.Array] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def nbytes(self) -> int:
        """Bytes of the values held."""
        return sum(int(chunk.nbytes) for chunk in self._chunks)

    def append(self, values: pa.Array) -> int:
        """Copy values to the end and return the reference of the first.

        Cost: O(log(rows of log)) copies of each value, amortised, however small the batches.
        """
        first = self._rows
        if len(values) == 0:
            return first
        start, rows, size = len(self._chunks), len(values), int(values.nbytes)
        while start > 0 and len(self._chunks[start - 1]) <= rows:
            size += int(self._chunks[start - 1].nbytes)
            if size > _LARGEST_CHUNK_BYTES:
                break
            start -= 1
            rows += len(self._chunks[start])
        # Concatenating copies even a single array: the log never keeps a caller's batch alive.
        self._chunks[start:] = [pa.concat_arrays([*self._chunks[start:], values])]
        self._rows += len(values)
        return first

    def take(self, refs: Ints) -> pa.Array:
        """Return the values at the references, (n,) of `kind`, in their order; repeats allowed."""
        indices = pa.array(refs, pa.int64())
        if len(self._chunks) == 1:
            return self._chunks[0].take(indices)
        taken = pa.chunked_array(self._chunks, self.kind).take(indices)
        return pa.concat_arrays(taken.chunks) if taken.num_chunks else pa.array([], self.kind)

    def keep(self, wanted: NDArray[np.bool_]) -> Ints:
        """Forget every value that is not wanted; the order stays.

        Args:
            wanted: (rows,) bool, by reference.

        Returns:
            (rows,) int64: the new reference of each wanted value; of no meaning for the others.

        Cost: O(rows).
        """
        chunks, start = self._chunks, 0
        self.clear()
        for chunk in chunks:
            self.append(chunk.filter(pa.array(wanted[start : start + len(chunk)])))
            start += len(chunk)
        return np.cumsum(wanted, dtype=np.int64) - 1

    def snapshot(self) -> ValueLog:
        """Return a log of the values of now, which may be read in another thread. Cost: O(1)."""
        made = ValueLog(self.kind)
        made._chunks, made._rows = list(self._chunks), self._rows
        return made

    def clear(self) -> None:
        """Forget every value."""
        self._chunks, self._rows = [], 0

    def check_invariants(self) -> None:
        """Assert that the chunks hold all rows, are of one type, and few."""
        assert sum(map(len, self._chunks)) == self._rows, "rows of the chunks and of the log differ"
        assert all(chunk.type == self.kind for chunk in self._chunks), "a chunk has another type"
        # Filtering may have left chunks a little smaller than when they were too large to join.
        if 2 * self.nbytes + 64 < _LARGEST_CHUNK_BYTES:
            lengths = [len(chunk) for chunk in self._chunks]
            assert all(a > b for a, b in pairwise(lengths)), "chunks do not shrink"
