"""Which shard a row belongs to: keys are shared out, so that no two shards hold the same."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.memory_kernels import words_at
from eventtime.windows.chunk_kernels import KEYS, N_RISES, RISES
from eventtime.windows.rises import rise_before

__all__ = ("keys_of_shard", "share_rows")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}
_ONE, _TWO, _HALF = np.uint64(1), np.uint64(2), np.uint64(32)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@njit(inline="always", **_options)
def _range(shards, shard):  # type: ignore[no-untyped-def]
    """Return the least of a shard's spread keys, and how far above that the greatest is."""
    low = ((np.uint64(shard) << _HALF) // np.uint64(shards)) << _HALF
    # The end of the last range wraps to 0, and what is below it is the greatest number.
    end = ((np.uint64(shard + 1) << _HALF) // np.uint64(shards)) << _HALF
    return low, end - low - _ONE


@njit(inline="always", **_options)
def _list(keys, first, last, position, low, width, positions, n):  # type: ignore[no-untyped-def]
    """List rows whose key falls to the shard. No branch: it would be guessed wrong too often."""
    for i in range(first, last):
        positions[n] = np.int64(position + i)
        n += np.uint64(np.uint64(keys[i]) * _SPREAD - low <= width)
    return n


@njit(inline="always", **_options)
def _raise(rises, n_rises, n, watermark):  # type: ignore[no-untyped-def]
    """Note the watermark before row `n`; of several that fall on one row the last holds."""
    if n_rises > 0 and np.uint64(rises[_TWO * (n_rises - _ONE)]) == n:
        n_rises -= _ONE
    rises[_TWO * n_rises], rises[_TWO * n_rises + _ONE] = np.int64(n), watermark
    return n_rises + _ONE


@njit(**_options)
def keys_of_shard(keys, shards, shard, positions):  # type: ignore[no-untyped-def]
    """List the positions of the keys that fall to a shard, and one more; returns how many."""
    low, width = _range(shards, shard)
    zero = np.uint64(0)
    return np.int64(_list(keys, zero, np.uint64(keys.size), zero, low, width, positions, zero))


@njit(**_options)
def share_rows(spans, starts, addresses, shards, shard, positions, kept, rises):  # type: ignore[no-untyped-def]
    """List the positions of rows whose key falls to a shard, and their rises; returns how many.

    `positions` takes one more than there are rows: the next is written before it is known whether
    it counts. `kept` takes, as `starts` does for all rows, where those of each span begin.
    """
    low, width = _range(shards, shard)
    n, n_rises, reached = np.uint64(0), np.uint64(0), np.int64(0)
    for s in range(np.uint64(spans.shape[0])):
        kept[s] = n
        block, row, last = spans[s, 0], spans[s, 1], spans[s, 2]
        at_least, watermark = spans[s, 3], spans[s, 4]
        first, position = row, np.uint64(starts[s])
        keys = words_at(addresses[block, KEYS] + 8 * first, last - first)
        count = addresses[block, N_RISES]
        own = words_at(addresses[block, RISES], 2 * count)
        r = count - 1
        # Most spans see no rise.
        if at_least != watermark:
            r = rise_before(own, count, first)
            watermark = max(own[2 * r + 1], at_least)
        while row < last:
            # A rise to less than the span began with is none.
            if n_rises == 0 or watermark > reached:
                n_rises = _raise(rises, n_rises, n, watermark)
                reached = watermark
            r += 1
            until = last
            if r < count:
                until, watermark = min(own[2 * r], last), own[2 * r + 1]
            at, end = np.uint64(row - first), np.uint64(until - first)
            n = _list(keys, at, end, position, low, width, positions, n)
            row = until
    kept[spans.shape[0]] = n
    if n_rises > 0 and np.uint64(rises[_TWO * (n_rises - _ONE)]) == n:
        n_rises -= _ONE
    return np.int64(n_rises)
