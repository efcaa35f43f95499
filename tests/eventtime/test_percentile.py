"""The generator that learns its bound (S3): buckets, warm-up, and no trace of cuts (S4)."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.running_percentile import BUCKETS, RunningPercentile, bucket_edges, count_disorder
from eventtime.timestamp import LATEST, MINUS_INFINITY

NO_COLUMNS = pa.record_batch({"t": pa.array([], pa.int64())})


def watermarks(generator: RunningPercentile, times: list[int]) -> list[int]:
    found: list[int] = generator.advance(np.array(times, np.int64), NO_COLUMNS).tolist()
    return found


def test_bucket_edges_ascend_and_reach_beyond_every_disorder() -> None:
    edges = bucket_edges()
    assert len(edges) == BUCKETS
    assert edges[0] == 1
    assert (np.diff(edges) >= 0).all()
    assert edges[-1] >= LATEST


def test_steps_are_about_six_percent() -> None:
    edges = np.unique(bucket_edges())
    large = edges[edges > 100].astype(np.float64)
    assert (large[1:] / large[:-1] < 1.07).all()


@given(st.lists(st.integers(0, 2**61), min_size=1, max_size=30))
def test_a_delay_is_counted_below_the_first_edge_above_it(delays: list[int]) -> None:
    edges, counts = bucket_edges(), np.zeros(BUCKETS, np.int64)
    top = 2**61
    latest = MINUS_INFINITY
    times = np.array([top, *(top - d for d in delays)], np.int64)
    assert count_disorder(times, latest, counts, edges) == top
    wanted = np.zeros(BUCKETS, np.int64)
    for delay in delays:
        wanted[np.searchsorted(edges, delay, side="right")] += 1
    assert counts.tolist() == wanted.tolist()


def test_until_warm_the_initial_bound_counts() -> None:
    generator = RunningPercentile(0.99, 50, 1_000, 1)
    assert watermarks(generator, [100, 90, 200]) == [50, 50, 150]


def test_the_learnt_bound_keeps_the_share_within() -> None:
    generator = RunningPercentile(1.0, 10**9, 4, 1)
    found = watermarks(generator, [1_000, 990, 1_000, 1_000])
    assert found[:3] == [1_000 - 10**9] * 3
    # The greatest delay was 10: the bound is the last delay of its bucket.
    assert 990 >= found[3] >= 989


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
@given(
    times=st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=80),
    cuts=st.lists(st.integers(0, 80)),
)
def test_cuts_do_not_show(share: float, times: list[int], cuts: list[int]) -> None:
    whole = watermarks(RunningPercentile(share, 100, 5, 3), times)
    cut = RunningPercentile(share, 100, 5, 3)
    edges = sorted({0, len(times), *(min(c, len(times)) for c in cuts)})
    parts = [watermarks(cut, times[a:b]) for a, b in itertools.pairwise(edges)]
    assert [w for part in parts for w in part] == whole
