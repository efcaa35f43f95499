"""Disorder is counted row by row; bounds cost exactly the rows that come behind the watermark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.disorder import Disorder, DisorderTally
from tree import ROOT

MINUTE = 60_000_000
BUNDLED = ROOT / "eventtime" / "data" / "flights"
SHARED = ROOT.parent / "shared" / "data" / "flights"


def stream(*times: int | None, unit: str = "us") -> et.Stream:
    return et.from_arrow(pa.table({"t": pa.array(times, pa.timestamp(unit))}), time="t")


def tally(times: list[int], *, distinct: int = 1_000, batch: int = 100) -> Disorder:
    counted = DisorderTally("p", distinct=distinct)
    for i in range(0, len(times), batch):
        counted.add(np.array(times[i : i + batch], np.int64), None, null_times=0)
    return counted.result()


def behind(times: list[int]) -> list[int]:
    latest = -(2**63)
    found = []
    for t in times:
        latest = max(latest, t)
        found.append(latest - t)
    return found


def test_a_row_is_as_disordered_as_it_is_behind_the_latest_before_it() -> None:
    # times  10  7  10  12  2
    # behind  0  3   0   0 10
    part = et.advise(stream(10, 7, 10, 12, 2)).partitions["memory"]
    assert part.behind_us.tolist() == [3, 10]
    assert (part.rows, part.out_of_order, part.max_us) == (5, 2, 10)
    assert [part.late(b) for b in (0, 2, 3, 9, 10)] == [2, 2, 1, 1, 0]


@given(
    st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=60),
    st.integers(1, 7),
    st.integers(0, 2_000),
)
def test_a_bound_costs_the_rows_behind_the_watermark_whatever_the_cut(
    times: list[int], batch: int, bound: int
) -> None:
    part = tally(times, batch=batch)
    delays = behind(times)
    assert part.late(bound) == sum(d > bound for d in delays)
    for share in (0.01, 0.5, 0.9, 1.0):
        wanted = part.quantile_us(share)
        assert sum(d <= wanted for d in delays) >= round(share * len(times), 6)
        assert wanted in {0, *delays}


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=80))
def test_many_different_delays_are_rounded_up_by_a_thousandth(times: list[int]) -> None:
    exact, coarse = tally(times, distinct=10_000), tally(times, distinct=0, batch=3)
    assert coarse.out_of_order == exact.out_of_order
    for share in (0.5, 0.9, 1.0):
        delay, rounded = exact.quantile_us(share), coarse.quantile_us(share)
        assert delay <= rounded <= delay + delay // 1_000
    assert coarse.max_us == exact.max_us
    assert coarse.exact == (exact.out_of_order == 0)


def test_rows_without_a_time_count_apart_and_move_nothing() -> None:
    advice = et.advise(stream(10, None, 4))
    part = advice.partitions["memory"]
    assert (part.rows, part.null_times, part.timed, part.max_us) == (3, 1, 2, 6)


def test_partitions_are_compared_with_themselves_only() -> None:
    parts = {name: pa.table({"t": pa.array(t, pa.timestamp("us"))}) for name, t in
             {"early": [1, 2, 3], "late": [100, 90]}.items()}  # fmt: skip
    advice = et.advise(et.from_arrow(parts, time="t"))
    assert {n: p.out_of_order for n, p in advice.partitions.items()} == {"early": 0, "late": 1}
    assert advice.total.max_us == 10


def test_rows_in_order_need_no_bound() -> None:
    advice = et.advise(stream(1, 1, 2))
    assert advice.flag == "--ascending"
    assert [cost.late for cost in advice.costs()] == [0]


def test_the_recommended_bound_reads_well_and_suffices() -> None:
    step = 61 * MINUTE + 1
    advice = et.advise(stream(step, 0), on_time=1)
    assert advice.flag == "--max-disorder 1h2m"
    assert advice.total.late(advice.bound_us) == 0


def test_a_time_far_ahead_is_named() -> None:
    year = 365 * 86_400_000_000
    advice = et.advise(stream(0, 1, year, 2, 3))
    assert "--max-future" in advice.note
    assert "364 days" in advice.note
    assert not et.advise(stream(0, 5, 2)).note


def test_steps_before_the_watermark_are_applied() -> None:
    filtered = stream(10, 3, 20, 1).filter(pc.field("t") > pa.scalar(2, pa.timestamp("us")))
    assert et.advise(filtered).total.rows == 3
    assert et.advise(stream(1, 2).union(stream(3))).total.rows == 3


def test_costs_of_chosen_bounds() -> None:
    costs = et.advise(stream(10, 7, 10, 12, 2)).costs(["9us", "0s"])
    assert [(c.bound_us, c.late, c.share) for c in costs] == [(0, 2, 0.4), (9, 1, 0.2)]


def test_what_cannot_be_advised_on_is_refused() -> None:
    windowed = (
        stream(1, 2).watermark(et.ascending()).window(et.tumbling("1s")).aggregate(n=et.count())
    )
    with pytest.raises(et.PlanError, match="behind the watermark"):
        et.advise(windowed)
    with pytest.raises(et.PlanError, match=r"share 1\.5"):
        et.advise(stream(1), on_time=1.5)
    with pytest.raises(et.TimeColumnError, match="null in all 2 rows"):
        et.advise(stream(None, None))
    with pytest.raises(et.ColumnError, match="'u'"):
        et.advise(et.from_arrow(pa.table({"t": [1]}), time="u"))


def test_no_rows_are_no_failure() -> None:
    advice = et.advise(stream())
    assert (advice.total.rows, advice.flag) == (0, "--ascending")
    assert "recommended" in str(advice)


def test_a_source_does_as_well_as_a_stream() -> None:
    source: Any = et.from_arrow(pa.table({"t": [5, 1]}), time="t", time_unit="s").node.source  # type: ignore[union-attr]
    assert et.advise(source).total.max_us == 4_000_000


def test_the_bundled_month() -> None:
    advice = et.advise(et.read_parquet(str(BUNDLED), time="departed"))
    jfk = advice.partitions["JFK.parquet"]
    assert (jfk.rows, jfk.null_times) == (9_029, 100)
    assert [jfk.quantile_us(s) // MINUTE for s in (0.5, 0.99, 1.0)] == [92, 329, 608]
    assert advice.flag == "--max-disorder 5h29m"
    run = (
        et.read_parquet(str(BUNDLED / "JFK.parquet"), time="departed")
        .watermark(et.bounded_disorder("329m"))
        .window(et.tumbling("1us"))
        .aggregate(n=et.count())
        .run()
    )
    # In windows of one microsecond a row is late exactly when it is behind the watermark.
    assert run.ledger.total.late == jfk.late(329 * MINUTE)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the whole year lies beside the repository")
def test_the_year_of_jfk() -> None:
    advice = et.advise(et.read_parquet(str(SHARED / "JFK.parquet"), time="departed"))
    jfk = advice.partitions["JFK.parquet"]
    assert (jfk.rows, jfk.null_times) == (111_279, 1_863)
    assert jfk.quantile_us(0.5) == 88 * MINUTE
    assert jfk.quantile_us(0.99) == 317 * MINUTE
    assert advice.flag == "--max-disorder 5h17m"
