"""The floor's compiled parts: the replay loop, and how a row is folded into its group.

One loop for all kinds of keys and windows: `replay_kernel` is given the compiled ``fold`` and
inlines it into one fused loop over arrays. Arrays are passed one by one: packed in tuples they cost
reference counts on every row, which made the loop four times slower.

Groups of a tumbling window stand in a table: dense rows in order of first appearance, found through
a hash index. A row of ``rows`` is one cache line: three words of key, count, sum, min, max, length
of a string key; ``rows_f`` is the same memory read as floats. An entry of ``index`` is 0, or the
upper half of the hash and the row's number plus one. A closed window's warm table serves the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Words = NDArray[np.uint64]

_LOWEST = np.iinfo(np.int64).min
_HIGHEST = np.iinfo(np.int64).max
_HASH = np.uint64(0x9E3779B97F4A7C15)
_LOWER = 0xFFFFFFFF
_UPPER = ~_LOWER

jit = numba.njit(nogil=True, error_model="numpy", boundscheck=False)
# LLVM leaves a long fold as a call, with a dozen array headers to pass for every row.
inlined = numba.njit(nogil=True, error_model="numpy", boundscheck=False, inline="always")


@inlined
def _add(rows: Ints, rows_f: Floats, filled: Ints, table: int, value: float) -> int:
    """Append a group of one row; its key is the caller's to write."""
    row: int = filled[table]
    if row == rows.shape[1]:
        raise OverflowError("more groups in a window than were reckoned with")  # noqa: EM101 - numba
    filled[table] = row + 1
    rows[table, row, 3] = 1
    rows_f[table, row, 4] = value
    rows_f[table, row, 5] = value
    rows_f[table, row, 6] = value
    return row


@inlined
def _fold(rows: Ints, rows_f: Floats, table: int, row: int, value: float) -> None:
    rows[table, row, 3] += 1
    rows_f[table, row, 4] += value
    rows_f[table, row, 5] = min(rows_f[table, row, 5], value)
    rows_f[table, row, 6] = max(rows_f[table, row, 6], value)


@inlined
def fold_integer(
    keys: Ints,
    words: Words,
    value: float,
    index: Ints,
    rows: Ints,
    rows_f: Floats,
    filled: Ints,
    table: int,
    i: int,
) -> None:
    """Fold row i into its group of an open window; the key is its first key word."""
    key = keys[i]
    mask = index.shape[1] - 1
    mixed = np.int64((np.uint64(key) * _HASH) >> np.uint64(1))
    slot = (mixed >> 30) & mask
    while True:
        row = index[table, slot] - 1
        if row < 0:
            row = _add(rows, rows_f, filled, table, value)
            rows[table, row, 0] = key
            index[table, slot] = row + 1
            break
        if rows[table, row, 0] == key:
            _fold(rows, rows_f, table, row, value)
            break
        slot = (slot + 1) & mask


@inlined
def _word(words: Words, start: int, stop: int) -> np.uint64:
    """Up to eight bytes from byte ``start``, zeros from ``stop`` on; ``words`` is padded."""
    shift = np.uint64((start & 7) * 8)
    word: np.uint64 = words[start >> 3] >> shift
    # Shifting in two steps, as a shift by 64 is undefined.
    word |= (words[(start >> 3) + 1] << np.uint64(1)) << (np.uint64(63) - shift)
    left = stop - start
    if left < 8:
        word &= (np.uint64(1) << np.uint64(max(left, 0) * 8)) - np.uint64(1)
    return word


@jit
def _same_tail(keys: NDArray[np.int32], words: Words, i: int, j: int, length: int) -> bool:
    """Whether two keys of this length agree after their first sixteen bytes."""
    a, b = np.int64(keys[i]), np.int64(keys[j])
    for k in range(16, length, 8):
        if _word(words, a + k, a + length) != _word(words, b + k, b + length):
            return False
    return True


@inlined
def fold_string(
    keys: NDArray[np.int32],
    words: Words,
    value: float,
    index: Ints,
    rows: Ints,
    rows_f: Floats,
    filled: Ints,
    table: int,
    i: int,
) -> None:
    """Fold row i into its group of an open window; keys are Arrow's offsets and bytes (as words).

    The key words of a group are its first eight bytes, the next eight, and the first row that has
    it.
    """
    mask = index.shape[1] - 1
    start, stop = np.int64(keys[i]), np.int64(keys[i + 1])
    length = stop - start
    low, high = _word(words, start, stop), _word(words, start + 8, stop)
    hashed = (low ^ np.uint64(length)) * _HASH
    hashed = (hashed ^ (hashed >> np.uint64(29)) ^ high) * _HASH
    for k in range(16, length, 8):
        hashed = (hashed ^ (hashed >> np.uint64(29)) ^ _word(words, start + k, stop)) * _HASH
    mixed = np.int64(hashed >> np.uint64(1))
    tag = mixed & _UPPER
    slot = (mixed >> 30) & mask
    while True:
        entry = index[table, slot]
        if entry == 0:
            row = _add(rows, rows_f, filled, table, value)
            rows[table, row, 0] = np.int64(low)
            rows[table, row, 1] = np.int64(high)
            rows[table, row, 2] = i
            rows[table, row, 7] = length
            index[table, slot] = tag | (row + 1)
            break
        if entry & _UPPER == tag:
            row = (entry & _LOWER) - 1
            same = (
                rows[table, row, 0] == np.int64(low)
                and rows[table, row, 1] == np.int64(high)
                and rows[table, row, 7] == length
            )
            if same and (length <= 16 or _same_tail(keys, words, i, rows[table, row, 2], length)):
                _fold(rows, rows_f, table, row, value)
                break
        slot = (slot + 1) & mask


@inlined
def fold_sliced(
    keys: Ints,
    words: Words,
    value: float,
    index: Ints,
    rows: Ints,
    rows_f: Floats,
    filled: Ints,
    table: int,
    i: int,
) -> None:
    """Fold row i into slice ``table``: keys are numbered once, ``rows_f`` is count, sum, min, max.

    ``words`` has the key of every number.
    """
    key = np.uint64(keys[i])
    mask = index.shape[1] - 1
    slot = np.int64((key * _HASH) >> np.uint64(31)) & mask
    while index[0, slot] != 0 and words[index[0, slot] - 1] != key:
        slot = (slot + 1) & mask
    if index[0, slot] == 0:
        words[filled[0]] = key
        filled[0] += 1
        index[0, slot] = filled[0]
    number = index[0, slot] - 1
    if rows_f[table, number, 0] == 0.0:
        rows_f[table, number, 2] = value
        rows_f[table, number, 3] = value
    else:
        rows_f[table, number, 2] = min(rows_f[table, number, 2], value)
        rows_f[table, number, 3] = max(rows_f[table, number, 3], value)
    rows_f[table, number, 0] += 1.0
    rows_f[table, number, 1] += value


@jit
def _write_window(
    window: int, rows: Ints, rows_f: Floats, key_word: int, at: int, out_i: Ints, out_f: Floats
) -> None:
    """Write out the groups of a window."""
    for row in range(rows.shape[0]):
        out_i[0, at + row] = window
        out_i[1, at + row] = rows[row, key_word]
        out_i[2, at + row] = rows[row, 3]
        out_f[0, at + row] = rows_f[row, 4]
        out_f[1, at + row] = rows_f[row, 5]
        out_f[2, at + row] = rows_f[row, 6]
        out_f[3, at + row] = rows_f[row, 4] / rows[row, 3]


@jit
def _close(
    first: int,
    stop: int,
    index: Ints,
    rows: Ints,
    rows_f: Floats,
    filled: Ints,
    home: Ints,
    free: Ints,
    key_word: int,
    written: int,
    out_i: Ints,
    out_f: Floats,
) -> int:
    """Write out windows from first to before stop, free their tables; return groups so far."""
    for window in range(first, first + min(stop - first, home.size)):
        table = home[window % home.size]
        if table >= 0:
            groups = filled[table]
            open_rows, open_rows_f = rows[table, :groups], rows_f[table, :groups]
            _write_window(window, open_rows, open_rows_f, key_word, written, out_i, out_f)
            written += groups
            filled[table] = 0
            index[table] = 0
            home[window % home.size] = -1
            free[free[-1]] = table
            free[-1] += 1
    return written


@jit
def _table_of(window: int, home: Ints, free: Ints) -> int:
    """The window's table; a free one, of which ``free[-1]`` are listed, if it has none yet."""
    at = window % home.size
    if home[at] < 0:
        free[-1] -= 1
        home[at] = free[free[-1]]
    table: int = home[at]
    return table


@jit
def _furthest_behind(own: Ints, positions: Ints, stops: Ints) -> tuple[int, int]:
    """The partition of the next row (-1: none), and its watermark at which another's turn comes."""
    partition = -1
    for p in range(positions.size):
        if positions[p] < stops[p] and (partition < 0 or own[p] < own[partition]):
            partition = p
    limit = _HIGHEST
    for p in range(positions.size):
        if p != partition and positions[p] < stops[p]:
            limit = min(limit, own[p] + (p > partition))
    return partition, limit


def replay_kernel(fold: Callable[..., None]) -> Any:
    """Compile the replay loop around ``fold``.

    The loop takes the next row from the partition with the smallest own watermark (ties: the lower
    index), judges it against the combined watermark before it, and closes windows the moment the
    combined watermark reaches their end. Sliding windows (size above slide) keep every slice, and
    write nothing. Returned are the groups written, the rows late, and the rows late for some of
    their windows only.
    """

    @jit
    def replay(
        times: Ints,
        positions: Ints,
        stops: Ints,
        spans_us: tuple[int, int, int],
        late_rows: Ints,
        keys: Any,
        words: Words,
        values: Floats,
        index: Ints,
        rows: Ints,
        rows_f: Floats,
        filled: Ints,
        key_word: int,
        out_i: Ints,
        out_f: Floats,
    ) -> tuple[int, int, int]:
        bound_us, size_us, slide_us = spans_us
        sliced = size_us > slide_us
        home = np.full(filled.size, -1)  # by window % tables: the table it has
        free = np.arange(filled.size + 1)
        tables = (index, rows, rows_f, filled, home, free)
        own = np.full(positions.size, _LOWEST)
        combined = _LOWEST
        next_close = first = times.min() // slide_us  # the first window not closed yet
        window, window_from, table = first, _HIGHEST, 0
        written, late, partly = 0, 0, 0
        partition, limit = _furthest_behind(own, positions, stops)
        while partition >= 0:
            i, stop, mine = positions[partition], stops[partition], own[partition]
            while i < stop and mine < limit:
                if mine > combined:
                    combined = mine
                    if next_close * slide_us + size_us <= combined:
                        due = (combined - size_us) // slide_us + 1
                        written = _close(next_close, due, *tables, key_word, written, out_i, out_f)
                        next_close = due
                t = times[i]
                if t < window_from or t >= window_from + slide_us:
                    window = t // slide_us
                    window_from = window * slide_us
                    if not sliced and window - next_close >= filled.size:
                        raise OverflowError("too many windows open")  # noqa: EM101 - numba
                    if window >= next_close:
                        table = window - first if sliced else _table_of(window, home, free)
                if window < next_close:
                    late_rows[late] = i
                    late += 1
                else:
                    partly += sliced and window_from + slide_us <= combined
                    fold(keys, words, values[i], index, rows, rows_f, filled, table, i)
                mine = max(mine, t - bound_us)
                i += 1
            positions[partition], own[partition] = i, mine
            partition, limit = _furthest_behind(own, positions, stops)
        written = _close(next_close, _HIGHEST, *tables, key_word, written, out_i, out_f)
        return written, late, partly

    return replay
