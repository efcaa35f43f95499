"""The door of a partition (S1, S11, S12): quarantine, and the future guard among neighbours."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import CutSource
from windowing import SECOND, TIME, pipeline, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.run import Run

HOUR = 3600.0


def guarded(seconds: Sequence[float | None], max_future: str = "1h", **columns: Any) -> Run:
    stream = pipeline(
        rows(seconds, **columns),
        generator=et.bounded_disorder("100d"),
        watermark={"max_future": max_future},
    )
    run = stream.run()
    run.ledger.assert_balanced()
    assert run.ledger.total.waiting == 0
    return run


def futures(run: Run) -> list[float]:
    aside = run.side("quarantine").filter(pa.compute.field("reason") == "future")
    return [v / SECOND for v in aside.column("t").cast(pa.int64()).to_pylist()]


def test_a_row_far_ahead_of_those_around_it_is_from_the_future() -> None:
    assert futures(guarded([0, 1, 10 * HOUR, 2, 3])) == [10 * HOUR]


def test_a_bad_first_row_is_as_visible_as_one_in_the_middle() -> None:
    assert futures(guarded([10 * HOUR, 0, 1, 2])) == [10 * HOUR]


def test_a_bad_last_row_is_seen_though_nothing_follows() -> None:
    assert futures(guarded([0, 1, 10 * HOUR])) == [10 * HOUR]


def test_a_row_exactly_max_future_ahead_is_admitted() -> None:
    assert futures(guarded([0, HOUR])) == []
    assert futures(guarded([0, HOUR + 0.000001])) == [HOUR + 0.000001]


def test_a_row_alone_has_no_reference_and_is_admitted() -> None:
    assert futures(guarded([10 * HOUR])) == []


def test_a_jump_that_stays_is_no_outlier() -> None:
    # Half of the rows behind it, and more, are as far on as it is.
    assert futures(guarded([0, *[10 * HOUR] * 3])) == []


def test_the_reference_behind_is_the_lower_median() -> None:
    # Of two rows behind, the lower one counts.
    assert futures(guarded([10 * HOUR, 10 * HOUR, 0])) == [10 * HOUR, 10 * HOUR]


def test_a_row_from_the_future_is_no_reference_for_those_after_it() -> None:
    assert futures(guarded([0, 10 * HOUR, 1, 10 * HOUR, 2])) == [10 * HOUR, 10 * HOUR]


def test_more_rows_than_the_look_ahead_are_judged_alike() -> None:
    seconds = [float(i) for i in range(200)]
    seconds[100] = 50 * HOUR
    assert futures(guarded(seconds)) == [50 * HOUR]


def test_nulls_are_no_neighbours() -> None:
    run = guarded([10 * HOUR, None, None, 0, 1])
    assert futures(run) == [10 * HOUR]
    assert run.ledger.total.null_time == 2


def test_rows_from_the_future_do_not_move_the_watermark() -> None:
    stream = pipeline(rows([0, 10 * HOUR, 1, 2]), watermark={"max_future": "1h"})
    run = stream.run()
    assert (run.ledger.total.late, run.ledger.total.future) == (0, 1)


@given(
    st.lists(st.integers(0, 6) | st.just(500) | st.none(), min_size=1, max_size=90),
    st.lists(st.integers(1, 40), max_size=6),
)
def test_what_is_from_the_future_does_not_depend_on_cuts(
    hours: list[int | None], cuts: list[int]
) -> None:
    if all(h is None for h in hours):
        return
    whole = rows([None if h is None else h * HOUR for h in hours], i=np.arange(len(hours)))
    edges = [0, *sorted({min(c, len(hours)) for c in np.cumsum(cuts).tolist()}), len(hours)]
    parts = [whole.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    found = []
    for batches in ([whole], parts):
        stream = et.Stream.read(CutSource({"p": batches}))
        marked = stream.watermark(et.ascending(), max_future="3h")
        windows = marked.window(et.tumbling("1h"), late_columns=["i"])
        run = windows.aggregate(n=et.count(), rows=et.collect("i")).run()
        run.ledger.assert_balanced()
        found.append((run.table(), run.side("quarantine"), run.side("late"), run.ledger))
    assert found[0] == found[1]


# Quarantine


def test_rows_without_a_time_say_so_and_keep_their_columns() -> None:
    run = pipeline(rows([0, None], x=[1, 2]), n=et.sum("x")).run()
    (aside,) = run.side("quarantine").to_pylist()
    assert (aside["t"], aside["x"], aside["partition"]) == (None, 2, "memory")
    assert (aside["reason"], aside["detail"]) == ("null_time", "event time is null")


def test_times_outside_the_admitted_range_are_malformed() -> None:
    times = pa.array([2**62 + 1, -(2**62) - 1, 2**62, -(2**62), 0]).view(TIME)
    stream = pipeline(pa.record_batch({"t": times}), generator=et.bounded_disorder("1d"))
    run = stream.run()
    assert run.side("quarantine").column("reason").to_pylist() == ["malformed"] * 2
    assert (run.ledger.total.malformed, run.ledger.total.rows_in) == (2, 5)


def test_a_null_key_is_no_reason_for_quarantine() -> None:
    run = pipeline(rows([0, 0], k=[None, 1]), keys=["k"]).run()
    assert run.side("quarantine").num_rows == 0
    assert run.table().column("k").to_pylist() == [1, None]


def test_times_that_are_all_null_are_an_error_that_names_the_column() -> None:
    with pytest.raises(et.TimeColumnError, match="time column 't' is null in all 3 rows"):
        pipeline(rows([None, None, None])).run()


def test_own_columns_named_like_those_of_a_side_output_are_kept_beside_them() -> None:
    data = rows([None, 120, 0], reason=[7, 8, 9], partition=["x", "y", "z"], window_start=[1, 2, 3])
    run = pipeline(data).run()
    (aside,) = run.side("quarantine").to_pylist()
    assert (aside["row_reason"], aside["reason"]) == (7, "null_time")
    assert (aside["row_partition"], aside["partition"]) == ("x", "memory")
    (late,) = run.side("late").to_pylist()
    assert (late["row_partition"], late["partition"], late["row_window_start"]) == (
        "z",
        "memory",
        3,
    )
