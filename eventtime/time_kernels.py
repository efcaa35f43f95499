"""Kernels of time: the clamp of watermarks, the future guard, the merge in replay order."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventtime.state.memory_kernels import words_at

__all__ = ("clamp", "future_rows", "merge_partitions")

_options = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}


# Rows that are looked at together for a new watermark: most bring none.
_TOGETHER = 4


@njit(inline="always", **_options)
def _row(raw, i, highest, lag_us, rises, n_rises, due):  # type: ignore[no-untyped-def]
    """Note the rise that is due, if it is: a branch would be guessed wrong too often."""
    rises[n_rises, 0], rises[n_rises, 1] = i, highest - lag_us
    return max(highest, raw), n_rises + due, np.uint64(raw > highest)


@njit(**_options)
def clamp(raw, lag_us, watermark_us, rises):  # type: ignore[no-untyped-def]
    """Find where the watermark rises: it never goes back (S3, S4).

    Args:
        raw: (n,) of each row; lag_us: taken from it.
        watermark_us: the one before all.
        rises: (n + 1, 2) out: row 0 and each before which it rose, and to what; see `rises`.

    Returns:
        The watermark after all, and how many rises there are.
    """
    n = np.uint64(raw.size)
    rises[0, 0], rises[0, 1] = 0, watermark_us
    # A rise is due before the next row; `highest` is the watermark with the lag added.
    n_rises, due = np.uint64(raw.size > 0), np.uint64(0)
    most = np.int64(2**63 - 1)
    highest = watermark_us + lag_us if watermark_us <= most - lag_us else most
    whole = n // np.uint64(_TOGETHER) * np.uint64(_TOGETHER)
    for start in range(np.uint64(0), whole, np.uint64(_TOGETHER)):
        if due == np.uint64(0):
            latest = raw[start]
            for j in range(1, _TOGETHER):
                latest = max(latest, raw[start + np.uint64(j)])
            if latest <= highest:
                continue
        for j in range(_TOGETHER):
            i = start + np.uint64(j)
            highest, n_rises, due = _row(raw[i], i, highest, lag_us, rises, n_rises, due)
    for last in range(whole, n):
        highest, n_rises, due = _row(raw[last], last, highest, lag_us, rises, n_rises, due)
    return max(watermark_us, highest - lag_us), np.int64(n_rises)


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


@njit(inline="always", **_options)
def _reach(rises, count, r, own, last, bound):  # type: ignore[no-untyped-def]
    """Return the first row, up to `last`, before which the watermark is beyond `bound`.

    And the watermark until there, and how many of `count` rises were passed, of which `r` before.
    """
    while r < count and rises[2 * r] < last:
        if rises[2 * r + 1] > bound:
            return rises[2 * r], own, r
        own = rises[2 * r + 1]
        r += 1
    return last, own, r


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
        after, own, r = _reach(rises, lengths[p, 1], rises_taken[p], watermarks[p], last, bound)
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
