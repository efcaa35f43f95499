"""Kernels of time: the clamp of watermarks, the future guard, the merge in replay order."""

from __future__ import annotations

import numpy as np
from numba import carray, njit

from eventtime.state.kernels import address_of

__all__ = ("clamp", "future_rows", "gather_rows", "judge", "merge_partitions")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


@njit(**_options)
def clamp(raw, lag_us, watermark_us, before):  # type: ignore[no-untyped-def]
    """Write the watermark before each row, return the last: it never goes back (S3, S4)."""
    for i in range(raw.size):
        before[i] = watermark_us
        watermark_us = max(
            watermark_us, raw[i] - lag_us if raw[i] > -(2**62) - (2**62) + lag_us else raw[i]
        )
    return watermark_us


@njit(**_options)
def judge(own_before, others_us, combined_us, out):  # type: ignore[no-untyped-def]
    """Write the combined watermark before each row of one partition, the others still (S5)."""
    for i in range(own_before.size):
        combined_us = max(combined_us, min(own_before[i], others_us))
        out[i] = combined_us
    return combined_us


@njit(**_options)
def future_rows(time_us, n, latest_us, seen, max_future_us, ahead, out):  # type: ignore[no-untyped-def]
    """Mark those of the first `n` rows that are more than `max_future_us` ahead of the rest (D8).

    A row is compared with the latest admitted before it and with the lower median of the next
    `ahead` rows. Returns the latest admitted time and whether there is any.
    """
    neighbours = np.empty(ahead, np.int64)
    for i in range(n):
        t = time_us[i]
        out[i] = False
        if not seen or t > latest_us + max_future_us:
            m = min(ahead, time_us.size - i - 1)
            if m > 0 or seen:
                reference = latest_us if seen else np.int64(-(2**62))
                if m > 0:
                    neighbours[:m] = time_us[i + 1 : i + 1 + m]
                    reference = max(reference, np.sort(neighbours[:m])[(m - 1) // 2])
                out[i] = t > reference + max_future_us
        if not out[i] and (not seen or t > latest_us):
            latest_us, seen = t, True
    return latest_us, seen


@njit(inline="always", **_options)
def _behind(a, b, watermarks):  # type: ignore[no-untyped-def]
    return watermarks[a] < watermarks[b] or (watermarks[a] == watermarks[b] and a < b)


@njit(**_options)
def _sift_down(heap, size, at, watermarks):  # type: ignore[no-untyped-def]
    moving = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _behind(heap[child + 1], heap[child], watermarks):
            child += 1
        if not _behind(heap[child], moving, watermarks):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moving


@njit(**_options)
def _heap_of(active, watermarks):  # type: ignore[no-untyped-def]
    heap = np.empty(active.size, np.int64)
    size = 0
    for p in range(active.size):
        if active[p]:
            heap[size] = p
            size += 1
    for at in range(size // 2 - 1, -1, -1):
        _sift_down(heap, size, at, watermarks)
    return heap, size


@njit(**_options)
def merge_partitions(  # type: ignore[no-untyped-def]
    addresses,
    lengths,
    positions,
    afters,
    watermarks,
    active,
    pieces,
    combined_us,
    n,
    limit,
    judged,
    segments,
    n_segments,
):
    """Take rows in replay order: always from the partition furthest behind (S10, D1).

    Args:
        addresses: (p,) of each partition's own watermarks before its buffered rows.
        lengths, positions: (p,) rows buffered, and already taken.
        afters: (p,) own watermark after the buffered rows.
        watermarks: (p,) own watermark before the next row.
        active: (p,) whether the partition is unfinished.
        pieces: (p,) number that stands for the partition's buffer in `segments`.
        combined_us: the combined watermark so far.
        n, n_segments: rows and segments in `judged` and `segments` already.
        limit: rows are taken up to this many.
        judged: (limit,) out: the combined watermark before each row.
        segments: (limit, 3) out: piece, first row, row after the last.

    Returns:
        Rows, segments, the combined watermark, and the partition that needs rows (-1: none).
    """
    heap, size = _heap_of(active, watermarks)
    while size > 0 and n < limit:
        p = heap[0]
        combined_us = max(combined_us, watermarks[p])
        first = positions[p]
        if first == lengths[p]:
            return n, n_segments, combined_us, p
        own = carray(address_of(addresses[p]), (lengths[p],))
        bound, tie = np.int64(2**63 - 1), True
        if size > 1:
            second = heap[1]
            if size > 2 and _behind(heap[2], second, watermarks):
                second = heap[2]
            bound, tie = watermarks[second], p < second
        i, last = np.uint64(first), np.uint64(min(lengths[p], first + limit - n))
        shift = np.uint64(n - first)
        while i < last:
            w = own[i]
            if w > bound or (w == bound and not tie):
                break
            combined_us = max(combined_us, w)
            judged[i + shift] = combined_us
            i += np.uint64(1)
        after = np.int64(i)
        if after > first:
            segments[n_segments, 0] = pieces[p]
            segments[n_segments, 1], segments[n_segments, 2] = first, after
            n_segments += 1
        n += after - first
        positions[p] = after
        watermarks[p] = own[i] if after < lengths[p] else afters[p]
        _sift_down(heap, size, 0, watermarks)
    if size > 0:
        combined_us = max(combined_us, watermarks[heap[0]])
    return n, n_segments, combined_us, np.int64(-1)


@njit(**_options)
def gather_rows(addresses, segments, n_segments, width, out):  # type: ignore[no-untyped-def]
    """Copy the rows of segments one after another; `width` 8-byte words a row."""
    at = np.uint64(0)
    for s in range(n_segments):
        first, n = segments[s, 1] * width, np.uint64((segments[s, 2] - segments[s, 1]) * width)
        source = carray(address_of(addresses[segments[s, 0]] + 8 * first), (n,))
        for i in range(n):
            out[at + i] = source[i]
        at += n
