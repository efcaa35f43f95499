"""Which shard a row belongs to: keys are shared out, so that no two shards hold the same."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.memory_kernels import words_at
from eventtime.windows.chunk_kernels import KEYS

__all__ = ("rows_of_shard", "shard_of")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(inline="always", **_options)
def shard_of(key, shards):  # type: ignore[no-untyped-def]
    """Choose the shard of a key word; cheap, for each shard computes it for all rows."""
    spread = (np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    return np.int64((spread * np.uint64(shards)) >> np.uint64(32))


@njit(**_options)
def rows_of_shard(spans, addresses, shards, shard, out):  # type: ignore[no-untyped-def]
    """List the positions of rows whose key falls to a shard.

    No branch: it would be guessed wrong too often.
    """
    n, position = np.uint64(0), np.int64(0)
    for s in range(spans.shape[0]):
        length = spans[s, 2] - spans[s, 1]
        keys = words_at(addresses[spans[s, 0], KEYS] + 8 * spans[s, 1], length)
        for i in range(np.uint64(length)):
            out[n] = position + np.int64(i)
            n += np.uint64(shard_of(keys[i], shards) == shard)
        position += length
    return np.int64(n)
