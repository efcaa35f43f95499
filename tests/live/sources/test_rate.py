"""Rows made up: by seed and number alone, and as many as the clock says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.sources.base import Poll

if TYPE_CHECKING:
    from eventtime.sources.rate import RateReader, RateSource

SECOND = 1_000_000


def source(rate: float = 1_000, **more: Any) -> RateSource:
    read: Any = et.generate(rate, **more).node
    made: RateSource = read.source
    return made


def reader(made: RateSource, clock: et.ManualClock, held: Any = None) -> RateReader:
    feed = made.follow(None, held, clock)
    one: Any = feed._asked["generated-0"].reader
    return one  # type: ignore[no-any-return]


@given(st.lists(st.integers(1, 200), min_size=1, max_size=8), st.integers(0, 2**40))
def test_rows_do_not_depend_on_how_they_are_cut(cuts: list[int], seed: int) -> None:
    """S4."""
    made = source(seed=seed, partitions=3, disorder="5s", late_share=0.1)
    ends = [sum(cuts[: n + 1]) for n in range(len(cuts))]
    starts = [0, *ends[:-1]]
    pieces = [made.batch(1, a, b, 7 * SECOND) for a, b in zip(starts, ends, strict=True)]
    whole = pa.Table.from_batches([made.batch(1, 0, ends[-1], 7 * SECOND)])
    assert pa.Table.from_batches(pieces).combine_chunks().equals(whole)


def test_as_many_fall_due_as_the_clock_says() -> None:
    clock = et.ManualClock(5 * SECOND)
    one = reader(source(1_000), clock)
    first = one.read()
    assert not isinstance(first, Poll)
    assert first.num_rows == 1
    assert one.read() is Poll.PAUSE
    clock.advance(SECOND)
    second = one.read()
    assert not isinstance(second, Poll)
    assert second.num_rows == 1_000
    assert second.column("number").to_pylist() == list(range(1, 1_001))
    assert second.column("time").cast(pa.int64()).to_pylist()[-1] == 6 * SECOND
    clock.advance(-60 * SECOND)
    assert one.read() is Poll.PAUSE


def test_a_position_is_a_row_number() -> None:
    """S28: what fell due while nobody asked comes first, with its own times."""
    clock = et.ManualClock()
    made = source(1_000, disorder="2s")
    one = reader(made, clock)
    clock.advance(SECOND)
    one.read()
    held = {"generated-0": one.position}
    clock.advance(3 * SECOND)
    after, again = one.read(), reader(made, clock, held).read()
    assert not isinstance(after, Poll)
    assert after.equals(again)


def test_a_trial_ends_after_its_rows() -> None:
    """S9, S26: all of them counted, over all partitions; late ones told."""
    stream = et.generate(1e6, partitions=3, rows=10_000, late_share=0.05, late_by="1h", seed=3)
    windows = stream.watermark(et.bounded_disorder("1s")).key_by("key").window(et.tumbling("1m"))
    ran = windows.aggregate(n=et.count()).run()
    ran.assert_balanced()
    late = ran.side("late").num_rows
    assert sum(ran.table().column("n").to_pylist()) + late == 10_000
    assert late > 0


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0}, {"rate": True}, {"partitions": 0}, {"late_share": 2}, {"rows": 0}, {"keys": 0}],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(et.PlanError):
        et.generate(**{"rate": 10, **wrong})
