"""Small stable ids for strings, binary values, rows of words; those of dead values are reused."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import NO_NULLS
from eventtime.state import intern_kernels as k

__all__ = ("BytesInterner", "RowInterner")

Ints = NDArray[np.int64]
_FIRST_IDS = 256
_NO_ROWS = np.empty((0, 0), np.int64)
_NO_SPANS = np.empty((0, 2), np.int64)
_NO_BYTES = np.empty(0, np.uint8)


@dataclass
class _Ids:
    """What both interners share: entries, free ids, growth."""

    entries: Ints = field(default_factory=lambda: np.zeros(2 * _FIRST_IDS, np.int64))
    free: Ints = field(default_factory=lambda: np.arange(_FIRST_IDS - 1, -1, -1))
    counts: Ints = field(default_factory=lambda: np.array([0, 0, _FIRST_IDS], np.int64))
    version: int = 0

    @property
    def capacity(self) -> int:
        """One more than the largest id that can be given out now."""
        return len(self.free)

    def __len__(self) -> int:
        return int(self.counts[0])

    def numbers(self) -> Ints:
        """Return the ids in use."""
        used = np.ones(self.capacity, np.bool_)
        used[self.free[: self.counts[2]]] = False
        return np.flatnonzero(used)

    def _more_ids(self) -> None:
        old = self.capacity
        self.free = np.empty(2 * old, np.int64)
        self.free[:old] = np.arange(2 * old - 1, old - 1, -1)
        self.counts[2] = old

    def _forget(self, alive: NDArray[np.bool_]) -> Ints:
        kept = self.numbers()
        kept = kept[alive[kept]]
        gone = np.ones(self.capacity, np.bool_)
        gone[kept] = False
        free = np.flatnonzero(gone)[::-1]
        self.free[: len(free)] = free
        self.counts[0], self.counts[2] = len(kept), len(free)
        self.entries = np.zeros(
            max(2 * _FIRST_IDS, 1 << (len(kept) * 5 // 3).bit_length()), np.int64
        )
        self.version += 1
        return kept


class BytesInterner(_Ids):
    """Ids for strings and binary values.

    Making: `intern`. Reading: `take`. Forgetting: `keep_only`.
    Ids do not follow any order; nothing that is seen outside may depend on them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spans = np.zeros((_FIRST_IDS, 2), np.int64)
        self.blob = np.empty(16 * _FIRST_IDS, np.uint8)

    def intern(self, array: pa.Array) -> Ints:
        """Return the id of each value, (n,) int64; 0 for nulls (the caller keeps track of them).

        Args:
            array: (n,) string, binary or their large forms.

        Cost: one hash a row; O(bytes).
        """
        wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
        _, offsets_buffer, data = array.buffers()
        out = np.empty(len(array), np.int64)
        if not len(array):
            return out
        offsets = np.frombuffer(offsets_buffer, np.int64 if wide else np.int32)
        offsets = offsets[array.offset : array.offset + len(array) + 1]
        valid = (
            array.is_valid().to_numpy(zero_copy_only=False).view(np.uint8)
            if array.null_count
            else NO_NULLS
        )
        address, position, before = (data.address if data is not None else 0), 0, len(self)
        while position < len(array):
            position, short = k.intern_bytes(
                address,
                offsets,
                valid,
                position,
                self.entries,
                self.spans,
                self.blob,
                self.free,
                self.counts,
                out,
            )
            self._make_room(short, int(offsets[position + 1] - offsets[position]) if short else 0)
        self.version += len(self) != before
        return out

    def take(self, ids: Ints, kind: pa.DataType) -> pa.Array:
        """Return the values of ids as a column of type `kind` (string, binary, or large ones)."""
        lengths = self.spans[ids, 1]
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        k.copy_bytes(self.spans, ids, self.blob, offsets, data)
        wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
        # What went in as text was valid text.
        plain = pa.py_buffer(offsets if wide else offsets.astype(np.int32))
        return pa.Array.from_buffers(kind, len(ids), [None, plain, pa.py_buffer(data)])

    def keep_only(self, alive: NDArray[np.bool_]) -> None:
        """Forget all ids but those alive, (capacity,) bool. Cost: O(ids + bytes)."""
        kept = self._forget(alive)
        lengths = self.spans[kept, 1]
        starts = np.cumsum(lengths) - lengths
        blob = np.empty(max(16 * _FIRST_IDS, 2 * int(lengths.sum())), np.uint8)
        index = np.repeat(self.spans[kept, 0] - starts, lengths) + np.arange(lengths.sum())
        blob[: len(index)] = self.blob[index]
        self.spans[kept, 0] = starts
        self.blob, self.counts[1] = blob, len(index)
        k.rebuild(kept, self.spans, self.blob, _NO_ROWS, self.entries)

    def _make_room(self, short: int, length: int) -> None:
        if short == 1:
            self.entries = np.zeros(2 * len(self.entries), np.int64)
            k.rebuild(self.numbers(), self.spans, self.blob, _NO_ROWS, self.entries)
        elif short == 2:
            self._more_ids()
            self.spans = np.concatenate([self.spans, np.zeros_like(self.spans)])
        elif short == 3:
            more = np.empty(max(len(self.blob), length), np.uint8)
            self.blob = np.concatenate([self.blob, more])


class RowInterner(_Ids):
    """Ids for rows of words: the keys of several columns.

    Args:
        width: words in a row.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.known = np.zeros((_FIRST_IDS, width), np.int64)

    def intern(self, rows: Ints) -> Ints:
        """Return the id of each row, (n,) int64, of (n, width) words. Cost: one hash a row."""
        out = np.empty(len(rows), np.int64)
        position, before = 0, len(self)
        while position < len(rows):
            position, short = k.intern_rows(
                rows, position, self.entries, self.known, self.free, self.counts, out
            )
            if short == 1:
                self.entries = np.zeros(2 * len(self.entries), np.int64)
                k.rebuild(self.numbers(), _NO_SPANS, _NO_BYTES, self.known, self.entries)
            elif short == 2:
                self._more_ids()
                self.known = np.concatenate([self.known, np.zeros_like(self.known)])
        self.version += len(self) != before
        return out

    def take(self, ids: Ints) -> Ints:
        """Return the rows of ids, (n, width)."""
        return self.known[ids]

    def keep_only(self, alive: NDArray[np.bool_]) -> None:
        """Forget all ids but those alive, (capacity,) bool. Cost: O(ids)."""
        kept = self._forget(alive)
        k.rebuild(kept, _NO_SPANS, _NO_BYTES, self.known, self.entries)
