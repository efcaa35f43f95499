"""Small stable ids for strings, binary values, rows of words; those of dead values are reused."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import address_of
from eventtime.state import intern_kernels as k
from eventtime.state.arrays import grown
from eventtime.validity import NO_NULLS, bitmap_of, valid_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("RANGE_IDS", "BytesInterner", "RowInterner")

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Offsets = NDArray[np.int32] | NDArray[np.int64]
_FIRST_IDS = 256
# Ids are saved by ranges of so many: those that did not change are not written again.
RANGE_IDS = 1 << 14
_ALL = np.empty(0, np.bool_)
_FEW_ROWS = 64


class _Ids:
    """Spans of bytes by id, whatever they stand for: the tables, growth, forgetting."""

    def __init__(self) -> None:
        self.entries = np.zeros((2 * _FIRST_IDS, k.ENTRY_WORDS), np.uint64)
        self.free: Ints = np.arange(_FIRST_IDS - 1, -1, -1)
        self.spans: Ints = np.zeros((_FIRST_IDS, 2), np.int64)
        self.blob: Bytes = np.empty(16 * _FIRST_IDS, np.uint8)
        self.version = 0
        self._counts: Ints = np.array([0, 0, _FIRST_IDS], np.int64)
        self._changed_at: Ints = np.zeros(-(-_FIRST_IDS // RANGE_IDS), np.int64)

    @property
    def capacity(self) -> int:
        """One more than the largest id that can be given out now."""
        return len(self.free)

    def __len__(self) -> int:
        return int(self._counts[0])

    def numbers(self) -> Ints:
        """Return the ids in use."""
        used = np.ones(self.capacity, np.bool_)
        used[self.free[: self._counts[2]]] = False
        return np.flatnonzero(used)

    def versions(self, cut: int) -> dict[int, int]:
        """Return for each range that has ids the cut that first saw them as they are now.

        Args:
            cut: number of the cut under way, above all before; never 0.
        """
        self._changed_at[self._changed_at == 0] = cut
        edges = np.arange(-(-self.capacity // RANGE_IDS) + 1) * RANGE_IDS
        edges[-1] = self.capacity
        some = np.diff(edges) > np.diff(np.searchsorted(self._unused(), edges))
        return {int(i): int(self._changed_at[i]) for i in np.flatnonzero(some)}

    def numbers_of(self, i: int) -> Ints:
        """Return the ids in use of the range at `i`."""
        first, end = i * RANGE_IDS, min((i + 1) * RANGE_IDS, self.capacity)
        unused = self._unused()
        low, high = np.searchsorted(unused, [first, end])
        used = np.ones(end - first, np.bool_)
        used[unused[low:high] - first] = False
        return np.flatnonzero(used) + first

    def _unused(self) -> Ints:
        # Invariant: ids are given out in ascending order, until all are or some are forgotten.
        return self.free[: self._counts[2]][::-1]

    def keep_only(self, alive: NDArray[np.bool_]) -> None:
        """Forget all ids but those alive, (capacity,) bool. Cost: O(ids + bytes)."""
        used = self.numbers()
        kept = used[alive[used]]
        self._changed_at[used[~alive[used]] // RANGE_IDS] = 0
        gone = np.ones(self.capacity, np.bool_)
        gone[kept] = False
        free = np.flatnonzero(gone)[::-1]
        self.free[: len(free)] = free
        offsets = np.empty(len(kept) + 1, np.int64)
        size = k.lay_out(self.spans, kept, offsets)
        blob = np.empty(max(16 * _FIRST_IDS, 2 * size + k.SLACK), np.uint8)
        k.copy_bytes(self.spans, kept, self.blob, offsets, blob)
        self.spans[kept, 0], self.blob = offsets[:-1], blob
        self._counts[:] = len(kept), size, len(free)
        self._move(max(2 * _FIRST_IDS, 1 << (len(kept) * 5 // 3).bit_length()), ~gone)
        self.version += 1

    def _intern(self, address: int, offsets: Offsets, valid: Bytes) -> Ints:
        n = len(offsets) - 1
        out, position, before = np.empty(n, np.int64), 0, len(self)
        while position < n:
            n_free = int(self._counts[2])
            position, short = k.intern_bytes(
                address,
                offsets,
                valid,
                position,
                self.entries,
                self.spans,
                self.blob,
                self.free,
                self._counts,
                out,
            )
            if self._counts[2] < n_free:
                self._changed_at[self.free[self._counts[2] : n_free] // RANGE_IDS] = 0
            if short == 1:
                self._move(2 * len(self.entries), _ALL)
            elif short == 2:
                self._more_ids()
            elif short == 3:
                length = int(offsets[position + 1] - offsets[position])
                more = np.empty(max(len(self.blob), length), np.uint8)
                self.blob = np.concatenate([self.blob, more])
        self.version += len(self) != before
        return out

    def _move(self, places: int, alive: NDArray[np.bool_]) -> None:
        old, self.entries = self.entries, np.zeros((places, k.ENTRY_WORDS), np.uint64)
        k.move_entries(old, alive, self.entries)

    def _more_ids(self) -> None:
        old = self.capacity
        self.free = np.empty(2 * old, np.int64)
        self.free[:old] = np.arange(2 * old - 1, old - 1, -1)
        self._counts[2] = old
        self.spans = np.concatenate([self.spans, np.zeros_like(self.spans)])
        self._changed_at = grown(self._changed_at, -(-self.capacity // RANGE_IDS), 0)


class BytesInterner(_Ids):
    """Ids for strings and binary values.

    Making: `intern`. Reading: `take`, `take_later`. Forgetting: `keep_only`.
    Ids do not follow any order; nothing that is seen outside may depend on them.
    """

    def intern(self, array: pa.Array, valid: Bytes | None = None) -> Ints:
        """Return the id of each value, (n,) int64; 0 for nulls (the caller keeps track of them).

        Args:
            array: (n,) string, binary or their large forms.
            valid: (n,) uint8, or NO_NULLS, as `valid_bytes` gives it; None: not known yet.

        Cost: one hash a row; O(bytes).
        """
        if not len(array):
            return np.empty(0, np.int64)
        wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
        _, offsets_buffer, data = array.buffers()
        offsets: Offsets = (
            np.frombuffer(offsets_buffer, np.int64)
            if wide
            else np.frombuffer(offsets_buffer, np.int32)
        )
        return self._intern(
            data.address if data is not None else 0,
            offsets[array.offset : array.offset + len(array) + 1],
            valid_bytes(array) if valid is None else valid,
        )

    def take(self, ids: Ints, kind: pa.DataType, valid: Bools | None = None) -> pa.Array:
        """Return the values of ids as a column.

        Args:
            ids: (n,) int64.
            kind: string, binary, or their large forms.
            valid: (n,) bool; the others are null, whatever their ids. None: all are.
        """
        return _values(self.spans, self.blob, ids, kind, valid)

    def take_later(
        self, ids: Ints, kind: pa.DataType, valid: Bools | None = None
    ) -> Callable[[], pa.Array]:
        """Return what gives the values of now, whatever is interned and forgotten meanwhile."""
        # Bytes are never written over: what grows or forgets has another array for them.
        return partial(_values, self.spans[ids], self.blob, np.arange(len(ids)), kind, valid)


class RowInterner(_Ids):
    """Ids for rows of words: the keys of several columns.

    Args:
        width: words in a row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width
        self._offsets = _first_ends(width)

    def intern(self, rows: Ints) -> Ints:
        """Return the id of each row, (n,) int64, of (n, width) words. Cost: one hash a row."""
        if len(self._offsets) <= len(rows):
            self._offsets = _ends(self._width, len(rows))
        return self._intern(address_of(rows), self._offsets[: len(rows) + 1], NO_NULLS)

    def take(self, ids: Ints) -> Ints:
        """Return the rows of ids, (n, width)."""
        offsets = np.arange(len(ids) + 1) * (8 * self._width)
        data = np.empty(int(offsets[-1]) + k.SLACK, np.uint8)
        k.copy_bytes(self.spans, ids, self.blob, offsets, data)
        return data[: -k.SLACK].view(np.int64).reshape(-1, self._width)


@cache
def _first_ends(width: int) -> Ints:
    return _ends(width, _FEW_ROWS)


def _ends(width: int, n: int) -> Ints:
    """Return where rows begin and end; read-only, as what kernels are compiled for is."""
    ends = np.arange(n + 1) * (8 * width)
    ends.flags.writeable = False
    return ends


def _values(
    spans: Ints, blob: Bytes, ids: Ints, kind: pa.DataType, valid: Bools | None
) -> pa.Array:
    n, bitmap = len(ids), None
    if valid is None or (bitmap := bitmap_of(valid)) is None:
        offsets, data = _texts(spans, blob, ids, kind)
    else:
        offsets, data = _texts(spans, blob, ids[valid], kind)
        # Of a null there are no bytes: it ends where it begins.
        offsets = offsets[np.concatenate([[0], np.cumsum(valid)])]
    # What went in as text was valid text.
    return pa.Array.from_buffers(kind, n, [bitmap, pa.py_buffer(offsets), pa.py_buffer(data)])


def _texts(spans: Ints, blob: Bytes, ids: Ints, kind: pa.DataType) -> tuple[NDArray[Any], Bytes]:
    """Return where the bytes of each begin and end, and all bytes."""
    wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    offsets = np.empty(len(ids) + 1, np.int64 if wide else np.int32)
    size = k.lay_out(spans, ids, offsets)
    data = np.empty(size + k.SLACK, np.uint8)
    k.copy_bytes(spans, ids, blob, offsets, data)
    return offsets, data[:size]
