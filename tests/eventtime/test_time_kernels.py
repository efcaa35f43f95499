"""Kernels of time: the clamp of watermarks (S3) and the merge in replay order (D1)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.time_kernels import clamp, merge_partitions
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY
from eventtime.windows.rises import rises_of, watermarks_at

WATERMARKS = st.lists(
    st.integers(-20, 20) | st.sampled_from([MINUS_INFINITY, PLUS_INFINITY]), max_size=30
)


def clamped(raw: list[int], lag_us: int = 0, start: int = MINUS_INFINITY) -> tuple[list[int], int]:
    rises = np.empty((len(raw) + 1, 2), np.int64)
    after, n_rises = clamp(np.array(raw, np.int64), lag_us, start, rises)
    before = watermarks_at(rises[:n_rises], np.arange(len(raw)))
    assert rises[:n_rises].tolist() == rises_of(before).tolist()
    return before.tolist(), int(after)


@given(WATERMARKS, st.integers(-20, 20))
def test_a_watermark_is_the_greatest_so_far(raw: list[int], start: int) -> None:
    before, after = clamped(raw, start=start)
    assert before == [max([start, *raw[:i]]) for i in range(len(raw))]
    assert after == max([start, *raw])


def test_a_lag_does_not_take_a_watermark_below_int64() -> None:
    assert clamped([MINUS_INFINITY, MINUS_INFINITY + 5], 10)[1] < -(2**62)
    assert clamped([100], 10) == ([MINUS_INFINITY], 90)
    assert clamped([-(2**62)], 2**60)[1] == -(2**62) - 2**60


def replayed(partitions: list[list[int]], chunk: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Merge ascending partitions; returns (partition, row) and the judged watermarks."""
    n = len(partitions)
    owns, afters = [], []
    for times in partitions:
        before, after = clamped(times)
        owns.append(np.array(before, np.int64))
        afters.append(after)
    rises = [rises_of(own) for own in owns]
    addresses = np.array([r.ctypes.data for r in rises], np.int64)
    lengths = np.array([(len(o), len(r)) for o, r in zip(owns, rises, strict=True)], np.int64)
    lengths = lengths.reshape(-1, 2)
    positions, rises_taken, blocks = np.zeros(n, np.int64), np.ones(n, np.int64), np.arange(n)
    watermarks = np.array([o[0] if len(o) else MINUS_INFINITY for o in owns], np.int64)
    active, combined = np.ones(n, np.bool_), MINUS_INFINITY
    order: list[tuple[int, int]] = []
    found: list[int] = []
    while active.any():
        spans = np.empty((chunk, 5), np.int64)
        taken, n_spans, combined, needs = merge_partitions(
            addresses, lengths, positions, rises_taken, np.array(afters, np.int64), watermarks,
            active, blocks, combined, 0, chunk, spans, 0,
        )  # fmt: skip
        rows = len(order)
        for p, a, b, at_least, at_most in spans[:n_spans].tolist():
            order += [(p, i) for i in range(a, b)]
            found += [max(at_least, w) for w in owns[p][a:b].tolist()]
            assert found[-1] == at_most
        assert len(order) == rows + taken
        if needs >= 0:
            active[needs] = False
    return order, found


def by_hand(partitions: list[list[int]]) -> tuple[list[tuple[int, int]], list[int]]:
    own = [MINUS_INFINITY] * len(partitions)
    at = [0] * len(partitions)
    active = list(range(len(partitions)))
    combined = MINUS_INFINITY
    order, judged = [], []
    while active:
        p = min(active, key=lambda i: (own[i], i))
        combined = max(combined, own[p])
        if at[p] == len(partitions[p]):
            active.remove(p)
            continue
        order.append((p, at[p]))
        judged.append(combined)
        own[p] = max(own[p], partitions[p][at[p]])
        at[p] += 1
    return order, judged


@pytest.mark.parametrize("chunk", [1, 3, 1_000])
@given(partitions=st.lists(st.lists(st.integers(-9, 9), max_size=12), max_size=5))
def test_the_next_row_is_from_the_partition_furthest_behind(
    partitions: list[list[int]], chunk: int
) -> None:
    assert replayed(partitions, chunk) == by_hand(partitions)
