"""Keys of one or several columns as one int64 word a row, with their order and the way back (D11).

A single column of up to eight bytes is its own word. Strings, binary values and several columns get
ids from an interner. Null is a group of its own, told apart by a byte beside the word.
"""

from __future__ import annotations

from functools import partial
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eventtime.errors import PlanError
from eventtime.lanes import INT, UINT64, lane_kind, lane_of, to_arrow
from eventtime.state.interner import BytesInterner, RowInterner
from eventtime.state.order_kernels import sorted_order
from eventtime.state.parts import CutPart
from eventtime.validity import NO_NULLS, valid_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ("KeyCodec", "check_key_type")

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
_SIGN = np.int64(-(2**63))
_FEW = 512
_FEW_OF_ALL = 16


_BYTES = frozenset(t.id for t in (pa.string(), pa.binary(), pa.large_string(), pa.large_binary()))


def _is_bytes(kind: pa.DataType) -> bool:
    return kind.id in _BYTES


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return _plain_type(kind.value_type) if pa.types.is_dictionary(kind) else kind


def _storage_type(kind: pa.DataType) -> pa.DataType:
    """Choose the type under which values that are not plain offsets and bytes are interned."""
    t = pa.types
    if _is_bytes(kind):
        return kind
    if t.is_string_view(kind):
        return pa.large_string()
    if t.is_binary_view(kind) or t.is_fixed_size_binary(kind):
        return pa.large_binary()
    return kind


def check_key_type(name: str, kind: pa.DataType) -> None:
    """Refuse types that make no good key.

    Raises:
        PlanError: floats (NaN and -0.0 have no one identity), nested and other types.
    """
    plain = _storage_type(_plain_type(kind))
    if lane_kind(plain) in {INT, UINT64} or _is_bytes(plain):
        return
    msg = f"column {name!r} of type {kind} cannot be a key"
    remedy = (
        "keys are integers, strings, binary, booleans, dates, times or timestamps; "
        "cast it with with_columns(...)"
    )
    raise PlanError(msg, place="key_by(...)", remedy=remedy)


class KeyCodec:
    """Turns key columns into words and back.

    Into words: `encode`. Back: `decode`. Order: `order`, `cuts`, `groups_of`. Memory:
    `keep_only`, `interned`. Surviving, of codecs that are `interned`: `save`, `restore`.

    Args:
        types: of the key columns; none: one group for all rows.
    """

    def __init__(self, types: Sequence[pa.DataType]) -> None:
        self.types = [_plain_type(t) for t in types]
        self._storage = [_storage_type(t) for t in self.types]
        self._bytes = [BytesInterner() if _is_bytes(t) else None for t in self._storage]
        self._rows = RowInterner(len(types) + 1) if len(types) > 1 else None
        self._zeros = np.zeros(0, np.int64)
        self._ranks: tuple[int, Ints] = (-1, self._zeros)
        # One thread encodes the keys of later rows while others put earlier ones in order.
        self._lock = RLock()

    def encode(self, columns: Sequence[pa.Array]) -> tuple[Ints, Bytes]:
        """Return ``words`` (n,) int64 and ``nulls`` (n,) uint8 (empty: none is null)."""
        with self._lock:
            return self._encode(columns)

    def _encode(self, columns: Sequence[pa.Array]) -> tuple[Ints, Bytes]:
        pairs = [self._encode_one(i, column) for i, column in enumerate(columns)]
        if self._rows is None:
            return pairs[0]
        rows = np.zeros((len(columns[0]), len(pairs) + 1), np.int64)
        for i, (words, nulls) in enumerate(pairs):
            rows[:, i] = words
            if nulls.size:
                rows[:, -1] |= nulls.astype(np.int64) << i
        return self._rows.intern(rows), NO_NULLS

    def no_key(self, n: int) -> Ints:
        """Return the words of `n` rows without a key: zeros, shared, never written."""
        if len(self._zeros) < n:
            self._zeros = np.zeros(n, np.int64)
        return self._zeros[:n]

    def decode(self, words: Ints, nulls: NDArray[np.bool_]) -> list[pa.Array]:
        """Return the key columns of words, (n,) each, in the input's types or their value types."""
        if not self.types:
            return []
        with self._lock:
            return [column() for column in self._columns(words, nulls, later=False)]

    def _columns(
        self, words: Ints, nulls: NDArray[np.bool_], *, later: bool
    ) -> list[Callable[[], pa.Array]]:
        """Return what gives the key columns of words: at once, or `later`, as they are now."""
        if self._rows is None:
            return [self._column(0, words, nulls, later=later)]
        rows = self._rows.take(words)
        return [
            self._column(i, rows[:, i].copy(), (rows[:, -1] >> i) & 1 != 0, later=later)
            for i in range(len(self.types))
        ]

    def order(self, words: Ints, nulls: NDArray[np.bool_]) -> Ints:
        """Return the permutation that sorts keys ascending, column by column, nulls last (S24)."""
        if not self.types or len(words) < 2:
            return np.arange(len(words))
        sortable = self._sortable(words, nulls)
        if nulls.any():
            return np.lexsort((sortable, nulls))
        return _order(sortable)

    def cuts(self, words: Ints, groups: int) -> Ints:
        """Choose keys that cut others into groups of about as many, which follow each other.

        Args:
            words: (n,) of keys, none null and none twice, n at least `groups`.
            groups: how many, at least 1.

        Returns:
            (groups - 1,) words, ascending: the first key of each group but the first.
        """
        order = self.order(words, np.zeros(len(words), np.bool_))
        return words[order[len(words) * np.arange(1, groups) // groups]]

    def groups_of(self, words: Ints, nulls: NDArray[np.bool_], cuts: Ints) -> Ints:
        """Return the group of each key, (n,) int64, as `cuts` divide them; null is in the last."""
        n, no_nulls = len(cuts), np.zeros(len(cuts), np.bool_)
        all_nulls = np.concatenate([no_nulls, nulls])
        sortable = self._sortable(np.concatenate([cuts, words]), all_nulls)
        groups: Ints = np.searchsorted(sortable[:n], sortable[n:], side="right")
        groups[nulls] = n
        return groups

    def _sortable(self, words: Ints, nulls: NDArray[np.bool_]) -> Ints:
        """Return numbers in the order of the keys; those of null keys have no meaning."""
        if self.interned:
            with self._lock:
                return self._ranks_of(words, nulls)
        return words ^ _SIGN if self.types and lane_kind(self.types[0]) == UINT64 else words

    @property
    def interned(self) -> bool:
        """Whether words are ids, whose memory `keep_only` bounds."""
        return self._rows is not None or (bool(self.types) and self._bytes[0] is not None)

    def __len__(self) -> int:
        """Return how many ids are held."""
        outer = self._rows if self._rows is not None else (self._bytes[0] if self._bytes else None)
        return 0 if outer is None else len(outer)

    def keep_only(self, held: Iterable[Ints]) -> None:
        """Forget all ids but those in any of the arrays: closed windows leave no key behind (S30).

        Args:
            held: arrays of ids; repeats allowed.
        """
        if self._rows is not None:
            self._rows.keep_only(_flags(held, self._rows.capacity))
            rows = self._rows.take(self._rows.numbers())
            for i, interner in enumerate(self._bytes):
                if interner is not None:
                    present = (rows[:, -1] >> i) & 1 == 0
                    interner.keep_only(_flags([rows[present, i]], interner.capacity))
        elif self.types and self._bytes[0] is not None:
            self._bytes[0].keep_only(_flags(held, self._bytes[0].capacity))

    def save(self, cut: int) -> list[CutPart]:
        """List ranges of ids, and the key columns that they stand for.

        Args:
            cut: number of the cut under way.
        """
        with self._lock:
            versions = self._ids().versions(cut)
        return [CutPart({"at": i}, v, partial(self._copy, i)) for i, v in versions.items()]

    def _copy(self, i: int) -> Callable[[], pa.RecordBatch]:
        with self._lock:
            ids = self._ids().numbers_of(i)
            columns = self._columns(ids, np.zeros(len(ids), np.bool_), later=True)
        names = ["id", *(f"key_{i}" for i in range(len(columns)))]
        return lambda: pa.record_batch([pa.array(ids), *(column() for column in columns)], names)

    def restore(self, saved: Sequence[pa.RecordBatch]) -> Ints:
        """Take in the keys that another codec has saved.

        Returns:
            Their ids here, by their ids there.
        """
        there = [batch.column(0).to_numpy() for batch in saved]
        ids = np.zeros(max(int(t.max(initial=0)) for t in there) + 1, np.int64)
        for batch, numbers in zip(saved, there, strict=True):
            ids[numbers], _ = self.encode(batch.columns[1:])
        return ids

    def _ids(self) -> BytesInterner | RowInterner:
        outer = self._rows if self._rows is not None else self._bytes[0]
        assert outer is not None
        return outer

    def _encode_one(self, i: int, column: pa.Array) -> tuple[Ints, Bytes]:
        if pa.types.is_dictionary(column.type):
            return self._encode_dictionary(i, column)
        interner = self._bytes[i]
        if interner is None:
            lane = lane_of(column)
            words = lane.values.view(np.int64)
            if not lane.valid.size:
                return words, NO_NULLS
            return np.where(lane.valid != 0, words, 0), (lane.valid == 0).view(np.uint8)
        storage, valid = self._storage[i], valid_bytes(column)
        plain = column if storage == column.type else column.cast(storage)
        return interner.intern(plain, valid), (valid == 0).view(np.uint8)

    def _encode_dictionary(self, i: int, column: pa.DictionaryArray) -> tuple[Ints, Bytes]:
        values, value_nulls = self._encode_one(i, column.dictionary)
        codes = pc.fill_null(column.indices.cast(pa.int64()), 0).to_numpy()
        nulls = column.indices.is_null().to_numpy(zero_copy_only=False).view(np.uint8)
        if not len(values):
            return np.zeros(len(column), np.int64), nulls
        if value_nulls.size:
            nulls = nulls | value_nulls[codes]
        if not nulls.any():
            return values[codes], NO_NULLS
        # One word for all nulls, whatever stands first in the dictionary.
        return np.where(nulls != 0, 0, values[codes]), nulls

    def _column(
        self, i: int, words: Ints, nulls: NDArray[np.bool_], *, later: bool
    ) -> Callable[[], pa.Array]:
        interner, kind, storage = self._bytes[i], self.types[i], self._storage[i]
        if interner is None:
            return partial(to_arrow, words, kind, ~nulls)
        of = words, storage, ~nulls
        values = interner.take_later(*of) if later else partial(interner.take, *of)
        return values if storage == kind else lambda: values().cast(kind)

    def _ranks_of(self, words: Ints, nulls: NDArray[np.bool_]) -> Ints:
        """Return numbers in the order of the keys; those of null keys have no meaning."""
        outer = self._ids()
        if self._ranks[0] != outer.version:
            # Of few keys, such as those of a timer, the others need no order.
            few = np.unique(words[~nulls]) if _FEW_OF_ALL * len(words) < len(outer) else None
            if few is not None and len(few):
                ranks = np.empty(len(few), np.int64)
                ranks[self._sorted(few)] = np.arange(len(few))
                found: Ints = ranks[np.minimum(np.searchsorted(few, words), len(few) - 1)]
                return found
            numbers = outer.numbers()
            ranks = np.zeros(outer.capacity, np.int64)
            ranks[numbers[self._sorted(numbers)]] = np.arange(len(numbers))
            self._ranks = (outer.version, ranks)
        return self._ranks[1][words]

    def _sorted(self, ids: Ints) -> Ints:
        """Return the permutation that sorts ids by their keys."""
        decoded = self.decode(ids, np.zeros(len(ids), np.bool_))
        # Arrow sorts no views.
        columns = [
            c if c.type == (kind := _storage_type(c.type)) else c.cast(kind) for c in decoded
        ]
        names = [str(i) for i in range(len(columns))]
        rows = pa.RecordBatch.from_arrays(columns, names)
        keys = [(name, "ascending") for name in names]
        order: Ints = pc.sort_indices(rows, sort_keys=keys).to_numpy()
        return order


def _flags(held: Iterable[Ints], capacity: int) -> NDArray[np.bool_]:
    flags = np.zeros(capacity, np.bool_)
    for ids in held:
        flags[ids] = True
    return flags


def _order(keys: Ints) -> Ints:
    """Return the stable order of keys; by radix, for their range is often small."""
    if len(keys) < _FEW:
        return np.argsort(keys, kind="stable")
    low, high = int(keys.min()), int(keys.max())
    order, spare = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    return spare if sorted_order(keys, low, (high - low).bit_length(), order, spare) else order
