"""Kernels of time: the clamp of watermarks, the future guard, the merge in replay order."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.pointers import words_at

__all__ = ("clamp", "future_rows", "judge", "merge_partitions", "rises_in")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


# Rows that are looked at together for a new watermark: most bring none.
_TOGETHER = 4


@njit(inline="always", **_options)
def _less(raw, lag_us):  # type: ignore[no-untyped-def]
    """Subtract, but stop at minus infinity."""
    return raw - lag_us if raw >= -(2**62) - (2**62) + lag_us else np.int64(-(2**63))


@njit(**_options)
def clamp(raw, lag_us, watermark_us, before, rises):  # type: ignore[no-untyped-def]
    """Write the watermark before each row: it never goes back (S3, S4).

    Args:
        raw: (n,) of each row; lag_us: taken from it.
        watermark_us: the one before all.
        before: (n,) out.
        rises: (n, 2) out: each row but the first before which the watermark rose, and to what.

    Returns:
        The watermark after all, and how many rises there are.
    """
    n_rises, n, rose = np.uint64(0), np.uint64(raw.size), np.uint64(0)
    for start in range(np.uint64(0), n, np.uint64(_TOGETHER)):
        count = min(np.uint64(_TOGETHER), n - start)
        if count == np.uint64(_TOGETHER) and rose == np.uint64(0):
            highest = raw[start]
            for j in range(1, _TOGETHER):
                highest = max(highest, raw[start + np.uint64(j)])
            if _less(highest, lag_us) <= watermark_us:
                for j in range(_TOGETHER):
                    before[start + np.uint64(j)] = watermark_us
                continue
        for i in range(start, start + count):
            before[i] = watermark_us
            rises[n_rises, 0], rises[n_rises, 1] = i, watermark_us
            n_rises += rose
            own = _less(raw[i], lag_us)
            rose = np.uint64(own > watermark_us)
            watermark_us = max(watermark_us, own)
    return watermark_us, np.int64(n_rises)


@njit(**_options)
def rises_in(before, rises):  # type: ignore[no-untyped-def]
    """Write rows and watermarks of `before` where it rises, as `clamp` does; returns how many."""
    n = np.uint64(0)
    for i in range(np.uint64(1), np.uint64(before.size)):
        rises[n, 0], rises[n, 1] = i, before[i]
        n += np.uint64(before[i] > before[i - np.uint64(1)])
    return np.int64(n)


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
    rises_taken,
    afters,
    watermarks,
    active,
    blocks,
    combined_us,
    n,
    limit,
    spans,
    n_spans,
):
    """Take rows in replay order: always from the partition furthest behind (S10, D1).

    Args:
        addresses: (p,) of each partition's rises, (r, 2): row and own watermark before it.
        lengths: (p, 2) rows buffered, and rises.
        positions: (p,) rows already taken; rises_taken: (p,) rises before them.
        afters: (p,) own watermark after the buffered rows.
        watermarks: (p,) own watermark before the next row.
        active: (p,) whether the partition is unfinished.
        blocks: (p,) number that stands for the partition's buffer in `spans`.
        combined_us: the combined watermark so far.
        n, n_spans: rows taken and spans in `spans` already.
        limit: rows are taken up to this many.
        spans: (limit, 5) out: block, first row, row after the last, and the combined watermark
            before the first row and before the last. A row is judged by the former or, where it is
            more, by its partition's own.

    Returns:
        Rows, spans, the combined watermark, and the partition that needs rows (-1: none).
    """
    heap, size = _heap_of(active, watermarks)
    while size > 0 and n < limit:
        p = heap[0]
        combined_us = max(combined_us, watermarks[p])
        first = positions[p]
        if first == lengths[p, 0]:
            return n, n_spans, combined_us, p
        rises = words_at(addresses[p], 2 * lengths[p, 1])
        bound = np.int64(2**63 - 1)
        if size > 1:
            second = heap[1]
            if size > 2 and _behind(heap[2], second, watermarks):
                second = heap[2]
            # Of equal watermarks the first partition goes first.
            bound = watermarks[second] if p < second else watermarks[second] - 1
        last = min(lengths[p, 0], first + limit - n)
        after, own, r = last, watermarks[p], rises_taken[p]
        while r < lengths[p, 1] and rises[2 * r] < last:
            if rises[2 * r + 1] > bound:
                after = rises[2 * r]
                break
            own = rises[2 * r + 1]
            r += 1
        spans[n_spans, 0], spans[n_spans, 1], spans[n_spans, 2] = blocks[p], first, after
        spans[n_spans, 3] = combined_us
        combined_us = max(combined_us, own)
        spans[n_spans, 4] = combined_us
        n_spans += 1
        n += after - first
        if after == lengths[p, 0]:
            own = afters[p]
        elif r < lengths[p, 1] and rises[2 * r] == after:
            own = rises[2 * r + 1]
            r += 1
        positions[p], rises_taken[p], watermarks[p] = after, r, own
        _sift_down(heap, size, 0, watermarks)
    if size > 0:
        combined_us = max(combined_us, watermarks[heap[0]])
    return n, n_spans, combined_us, np.int64(-1)
