"""The percentile generator at work: a histogram of disorder, in a compiled kernel (S3, S4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from eventtime.timestamp import MINUS_INFINITY

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ("BUCKETS", "RunningPercentile", "bucket_edges", "count_disorder")

Ints = NDArray[np.int64]
_STEPS = 16
BUCKETS = 62 * _STEPS

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


def bucket_edges() -> Ints:
    """Return exclusive upper edges of buckets, (BUCKETS,) int64 µs: 16 steps a doubling."""
    octave, step = np.divmod(np.arange(BUCKETS), _STEPS)
    wide = np.maximum(octave - 4, 0)
    edges = [
        (int(s) + 1)
        if o == 0
        else ((_STEPS + int(s) + 1) << int(w)) >> (0 if o >= 4 else 4 - int(o))
        for o, s, w in zip(octave, step, wide, strict=True)
    ]
    return np.maximum.accumulate(np.array([max(1, e) for e in edges], np.int64))


@njit(**_options)
def _bucket(delay, edges):  # type: ignore[no-untyped-def]
    """Return the first bucket whose edge is above the delay, by bisection."""
    low, high = 0, edges.size - 1
    while low < high:
        middle = (low + high) // 2
        if edges[middle] > delay:
            high = middle
        else:
            low = middle + 1
    return low


@njit(**_options)
def count_disorder(time_us, latest, counts, edges):  # type: ignore[no-untyped-def]
    """Count how far each row is behind the latest before it; returns the latest time."""
    for i in range(time_us.size):
        t = time_us[i]
        if latest != MINUS_INFINITY:
            counts[_bucket(max(latest - t, 0), edges)] += 1
        latest = max(latest, t)
    return latest


@njit(**_options)
def _advance(time_us, state, counts, edges, share, warm_up, every, out):  # type: ignore[no-untyped-def]
    latest, seen, bound = state[0], state[1], state[2]
    for i in range(time_us.size):
        t = time_us[i]
        if latest != MINUS_INFINITY:
            counts[_bucket(max(latest - t, 0), edges)] += 1
        latest = max(latest, t)
        seen += 1
        if seen >= warm_up and seen % every == 0:
            wanted = share * counts.sum()
            total = np.int64(0)
            for b in range(counts.size):
                total += counts[b]
                if total >= wanted:
                    bound = edges[b] - 1
                    break
        out[i] = latest - bound
    state[0], state[1], state[2] = latest, seen, bound


class RunningPercentile:
    """The generator of one partition.

    Args:
        share: of rows to be on time.
        initial_us: bound until `warm_up` rows were seen.
        warm_up: rows.
        every: rows between two looks at the histogram.
    """

    lag_us = 0

    def __init__(self, share: float, initial_us: int, warm_up: int, every: int) -> None:
        self._share, self._warm_up, self._every = share, warm_up, every
        self._state = np.array([MINUS_INFINITY, 0, initial_us], np.int64)
        self._counts = np.zeros(BUCKETS, np.int64)
        self._edges = bucket_edges()

    def advance(self, time_us: Ints, batch: pa.RecordBatch) -> Ints:
        """Return the watermark after each row, (n,) int64."""
        out = np.empty(len(time_us), np.int64)
        _advance(
            time_us,
            self._state,
            self._counts,
            self._edges,
            self._share,
            self._warm_up,
            self._every,
            out,
        )
        return out

    def get_state(self) -> dict[str, Any]:
        """Return what was learnt."""
        return {"state": self._state.tolist(), "counts": self._counts.tolist()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what was learnt."""
        self._state[:], self._counts[:] = state["state"], state["counts"]
