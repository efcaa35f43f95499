"""The floor's compiled parts: the replay loop, and how a row is folded into open windows.

One loop for all kinds of keys and windows: `replay_kernel` is given two compiled functions,
``fold(state, i, window)`` and ``close(state, window)``, and numba inlines them into one fused loop
over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_LOWEST = np.iinfo(np.int64).min
_HASH = np.uint64(0x9E3779B97F4A7C15)

jit = numba.njit(nogil=True, error_model="numpy", boundscheck=False)


class TumblingState(NamedTuple):
    """Open windows as hash tables: ``table[window % ring, slot]`` is one cache line.

    Its fields: key, used (0 or 1), count, sum, min, max and two of padding.
    ``table_f`` is the same memory read as floats. Groups of closed windows go to the columns
    ``out_*``.
    """

    keys: NDArray[np.int64]
    values: NDArray[np.float64]
    table: NDArray[np.int64]
    table_f: NDArray[np.float64]
    out_i: NDArray[np.int64]  # (3, groups): window, key, count
    out_f: NDArray[np.float64]  # (4, groups): sum, min, max, mean
    filled: NDArray[np.int64]  # groups written so far


class SlicedState(NamedTuple):
    """Keys interned to numbers once, then ``acc[slice, key]`` is dense: count, sum, min, max."""

    keys: NDArray[np.int64]
    values: NDArray[np.float64]
    slots: NDArray[np.int64]  # (capacity, 2): key, its number or -1
    acc: NDArray[np.float64]
    first_slice: int
    key_count: NDArray[np.int64]


class StringState(NamedTuple):
    """As `TumblingState`, for string keys in Arrow's layout.

    A cache line is: first eight bytes, next eight bytes, length + 1 (0: free), count, sum, min,
    max, first row. ``words`` is the string data, padded by sixteen bytes, read as 64-bit words;
    out_i's key is a row that has it.
    """

    offsets: NDArray[np.int32]
    words: NDArray[np.uint64]
    values: NDArray[np.float64]
    table: NDArray[np.int64]
    table_f: NDArray[np.float64]
    out_i: NDArray[np.int64]
    out_f: NDArray[np.float64]
    filled: NDArray[np.int64]


@jit
def fold_tumbling(state: TumblingState, i: int, window: int) -> None:
    """Fold row i into its group of an open window."""
    ring = window & (state.table.shape[0] - 1)
    mask = state.table.shape[1] - 1
    key = state.keys[i]
    value = state.values[i]
    mixed = np.uint64(key) * _HASH
    slot = np.int64(mixed >> np.uint64(32)) & mask
    while True:
        if state.table[ring, slot, 1] == 0:
            state.table[ring, slot, 0] = key
            state.table[ring, slot, 1] = 1
            state.table[ring, slot, 2] = 1
            state.table_f[ring, slot, 3] = value
            state.table_f[ring, slot, 4] = value
            state.table_f[ring, slot, 5] = value
            return
        if state.table[ring, slot, 0] == key:
            state.table[ring, slot, 2] += 1
            state.table_f[ring, slot, 3] += value
            state.table_f[ring, slot, 4] = min(state.table_f[ring, slot, 4], value)
            state.table_f[ring, slot, 5] = max(state.table_f[ring, slot, 5], value)
            return
        slot = (slot + 1) & mask


@jit
def close_tumbling(state: TumblingState, window: int) -> None:
    """Write out the groups of a window and empty its table."""
    ring = window & (state.table.shape[0] - 1)
    at = state.filled[0]
    for slot in range(state.table.shape[1]):
        if state.table[ring, slot, 1] != 0:
            state.out_i[0, at] = window
            state.out_i[1, at] = state.table[ring, slot, 0]
            state.out_i[2, at] = state.table[ring, slot, 2]
            state.out_f[0, at] = state.table_f[ring, slot, 3]
            state.out_f[1, at] = state.table_f[ring, slot, 4]
            state.out_f[2, at] = state.table_f[ring, slot, 5]
            state.out_f[3, at] = state.table_f[ring, slot, 3] / state.table[ring, slot, 2]
            state.table[ring, slot, 1] = 0
            at += 1
    state.filled[0] = at


@jit
def _fold_dense(group: NDArray[np.float64], value: float) -> None:
    if group[0] == 0.0:
        group[2] = value
        group[3] = value
    else:
        group[2] = min(group[2], value)
        group[3] = max(group[3], value)
    group[0] += 1.0
    group[1] += value


@jit
def fold_sliced(state: SlicedState, i: int, window: int) -> None:
    """Fold row i into the slice that starts the last window holding it."""
    mask = state.slots.shape[0] - 1
    key = state.keys[i]
    slot = np.int64((np.uint64(key) * _HASH) >> np.uint64(32)) & mask
    while state.slots[slot, 1] >= 0 and state.slots[slot, 0] != key:
        slot = (slot + 1) & mask
    if state.slots[slot, 1] < 0:
        state.slots[slot, 0] = key
        state.slots[slot, 1] = state.key_count[0]
        state.key_count[0] += 1
    _fold_dense(state.acc[window - state.first_slice, state.slots[slot, 1]], state.values[i])


@jit
def close_sliced(state: SlicedState, window: int) -> None:
    """Nothing: windows are merged from slices after the loop (`merge_slices`)."""


@jit
def _word(words: NDArray[np.uint64], start: int, stop: int) -> np.uint64:
    """Up to eight bytes from byte ``start``, zeros from ``stop`` on."""
    if start >= stop:
        return np.uint64(0)
    shift = np.uint64((start & 7) * 8)
    word: np.uint64 = words[start >> 3] >> shift
    if shift:
        word |= words[(start >> 3) + 1] << (np.uint64(64) - shift)
    if stop - start < 8:
        word &= (np.uint64(1) << np.uint64((stop - start) * 8)) - np.uint64(1)
    return word


@jit
def _same_tail(state: StringState, i: int, j: int, length: int) -> bool:
    """Whether two keys of this length agree after their first sixteen bytes."""
    a, b = np.int64(state.offsets[i]), np.int64(state.offsets[j])
    for k in range(16, length, 8):
        if _word(state.words, a + k, a + length) != _word(state.words, b + k, b + length):
            return False
    return True


@jit
def fold_string(state: StringState, i: int, window: int) -> None:
    """Fold row i into its group of an open window; keys are compared by all their bytes."""
    ring = window & (state.table.shape[0] - 1)
    mask = state.table.shape[1] - 1
    start, stop = np.int64(state.offsets[i]), np.int64(state.offsets[i + 1])
    length = stop - start
    low, high = _word(state.words, start, stop), _word(state.words, start + 8, stop)
    mixed = (low ^ np.uint64(length)) * _HASH
    mixed = (mixed ^ (mixed >> np.uint64(29)) ^ high) * _HASH
    for k in range(16, length, 8):
        mixed = (mixed ^ (mixed >> np.uint64(29)) ^ _word(state.words, start + k, stop)) * _HASH
    slot = np.int64(mixed >> np.uint64(32)) & mask
    value = state.values[i]
    key_low, key_high = np.int64(low), np.int64(high)
    while True:
        line = state.table[ring, slot]
        line_f = state.table_f[ring, slot]
        if line[2] == 0:
            line[0] = key_low
            line[1] = key_high
            line[2] = length + 1
            line[3] = 1
            line_f[4] = value
            line_f[5] = value
            line_f[6] = value
            line[7] = i
            return
        same_head = line[0] == key_low and line[1] == key_high and line[2] == length + 1
        if same_head and (length <= 16 or _same_tail(state, i, line[7], length)):
            line[3] += 1
            line_f[4] += value
            line_f[5] = min(line_f[5], value)
            line_f[6] = max(line_f[6], value)
            return
        slot = (slot + 1) & mask


@jit
def close_string(state: StringState, window: int) -> None:
    """Write out the groups of a window, a key as a row that has it, and empty its table."""
    ring = window & (state.table.shape[0] - 1)
    at = state.filled[0]
    for slot in range(state.table.shape[1]):
        line = state.table[ring, slot]
        line_f = state.table_f[ring, slot]
        if line[2] != 0:
            state.out_i[0, at] = window
            state.out_i[1, at] = line[7]
            state.out_i[2, at] = line[3]
            state.out_f[0, at] = line_f[4]
            state.out_f[1, at] = line_f[5]
            state.out_f[2, at] = line_f[6]
            state.out_f[3, at] = line_f[4] / line[3]
            line[2] = 0
            at += 1
    state.filled[0] = at


def replay_kernel(fold: Callable[..., None], close: Callable[..., None]) -> Any:
    """Compile the replay loop around ``fold`` and ``close``.

    The loop takes the next row from the partition with the smallest own watermark (ties: the lower
    index), judges it against the combined watermark before it, and closes windows the moment the
    combined watermark reaches their end.
    """

    @jit
    def replay(
        times: NDArray[np.int64],
        positions: NDArray[np.int64],
        stops: NDArray[np.int64],
        bound_us: int,
        size_us: int,
        slide_us: int,
        open_windows: int,
        late_rows: NDArray[np.int64],
        state: Any,
    ) -> tuple[int, int]:
        """Go through all rows; return how many were late, how many late for only some windows."""
        own = np.full(positions.size, _LOWEST)
        combined = _LOWEST
        next_close = times.min() // slide_us  # the first window not closed yet
        next_close_at = next_close * slide_us + size_us
        window = next_close
        window_from = window * slide_us
        late = 0
        partly = 0
        while True:
            partition = -1
            for p in range(positions.size):
                if positions[p] < stops[p] and (partition < 0 or own[p] < own[partition]):
                    partition = p
            if partition < 0:
                break
            limit = np.iinfo(
                np.int64
            ).max  # own watermark at which another partition is further behind
            for p in range(positions.size):
                if p != partition and positions[p] < stops[p]:
                    limit = min(limit, own[p] + (p > partition))
            i = positions[partition]
            mine = own[partition]
            while i < stops[partition] and mine < limit:
                if mine > combined:
                    combined = mine
                    while next_close_at <= combined:
                        close(state, next_close)
                        next_close += 1
                        next_close_at += slide_us
                t = times[i]
                if t < window_from or t >= window_from + slide_us:
                    window = t // slide_us
                    window_from = window * slide_us
                if window < next_close:
                    late_rows[late] = i
                    late += 1
                else:
                    if window - next_close >= open_windows:
                        raise OverflowError("more windows open than the ring holds")  # noqa: EM101 - numba
                    if window_from + slide_us <= combined and size_us > slide_us:
                        partly += 1
                    fold(state, i, window)
                mine = max(mine, t - bound_us)
                i += 1
            positions[partition] = i
            own[partition] = mine
        last = times.max() // slide_us
        while next_close <= last:
            close(state, next_close)
            next_close += 1
        return late, partly

    return replay


@jit
def merge_slices(
    acc: NDArray[np.float64], overlap: int, out_i: NDArray[np.int64], out_f: NDArray[np.float64]
) -> int:
    """Merge every ``overlap`` neighbouring slices by key: suffixes of a block meet prefixes.

    Each slice is merged about three times whatever the overlap (van Herk, Gil and Werman). ``acc``
    is overwritten block by block with its suffix merges. Window k of the output covers slices k to
    k + overlap - 1 of ``acc``, whose first and last ``overlap - 1`` slices are empty.
    """
    slices, keys, _ = acc.shape
    prefix = np.zeros((keys, 4))
    at = 0
    for k in range(slices - overlap + 1):
        if k % overlap == 0:
            for j in range(k + overlap - 2, k - 1, -1):
                for key in range(keys):
                    _merge(acc[j, key], acc[j + 1, key])
            prefix[:] = 0.0
        else:
            for key in range(keys):
                _merge(prefix[key], acc[k + overlap - 1, key])
        for key in range(keys):
            a = acc[k, key]
            count = a[0] + prefix[key, 0]
            if count > 0.0:
                total = a[1] + prefix[key, 1]
                low, high = a[2], a[3]
                if a[0] == 0.0:
                    low, high = prefix[key, 2], prefix[key, 3]
                elif prefix[key, 0] > 0.0:
                    low, high = min(low, prefix[key, 2]), max(high, prefix[key, 3])
                out_i[0, at] = k
                out_i[1, at] = key
                out_i[2, at] = np.int64(count)
                out_f[0, at] = total
                out_f[1, at] = low
                out_f[2, at] = high
                out_f[3, at] = total / count
                at += 1
    return at


@jit
def _merge(into: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    if other[0] > 0.0:
        if into[0] == 0.0:
            into[2] = other[2]
            into[3] = other[3]
        else:
            into[2] = min(into[2], other[2])
            into[3] = max(into[3], other[3])
        into[0] += other[0]
        into[1] += other[1]
