"""Windows over windows: hours into days, event time and watermark of results (S25, D12)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from windowing import pipeline, rows

HOUR = 3600


def days(seconds: Any, *, shards: int = 1, **window: Any) -> et.Run:
    data = rows(seconds, k=np.arange(len(seconds)) % 3)
    hours = pipeline(data, et.tumbling("1h"), keys=["k"], window=window, n=et.count())
    found = (
        hours.key_by("k")
        .window(et.tumbling("1d"))
        .aggregate(n=et.sum("n"), hours=et.count())
        .run(shards=shards)
    )
    found.assert_balanced()
    return found


def test_hours_add_up_to_days() -> None:
    found = days([float(t) for t in range(0, 3 * 86_400, 600)])
    assert found.table()["n"].to_pylist() == [48] * 9
    assert found.table()["hours"].to_pylist() == [24] * 9
    assert found.side("late_2").num_rows == 0


def test_nothing_of_a_run_is_late_for_the_second_window() -> None:
    # The last hour of a day closes at midnight exactly, when the day does.
    found = days([0.0, 86_399.0, 86_400.0, 86_400.0 + HOUR])
    assert sum(found.table()["n"].to_pylist()) == 4
    assert found.ledger.operators[1].missed == 0


def test_each_operator_has_its_balance() -> None:
    found = days([0.0, 10.0, 7_200.0, 20.0])
    first, second = found.ledger.operators
    assert (first.assigned, first.emitted, first.missed) == (4, 3, 1)
    assert (second.assigned, second.emitted, second.open) == (3, 3, 0)


def test_versions_that_add_up_reach_the_day_or_its_late_rows() -> None:
    found = days([0.0, 90_000.0, 1.0, 100_000.0], allowed_lateness="2d", mode="discarding")
    in_days = sum(found.table()["n"].to_pylist())
    beyond = found.side("late_2")
    assert in_days + sum(beyond["n"].to_pylist()) == 4
    assert beyond["reason"].to_pylist() == ["beyond_lateness"]
    assert beyond["partition"].to_pylist() == ["window 1"]


def test_results_can_be_filtered_and_reshaped_between_windows() -> None:
    hours = pipeline(rows([0, 1, HOUR, 2 * HOUR]), et.tumbling("1h"))
    busy = hours.filter(pc.field("n") > 1).with_columns(twice=pc.field("n") * 2)
    table = busy.window(et.tumbling("1d")).aggregate(hours=et.count(), s=et.sum("twice")).to_table()
    assert table.select(["hours", "s"]).to_pylist() == [{"hours": 1, "s": 4}]


def test_results_of_the_last_window_can_be_reshaped() -> None:
    hours = pipeline(rows([0, 1, HOUR]), et.tumbling("1h"))
    final = hours.filter(pc.field("n") > 1).select("n").map_batches(lambda b: b)
    assert final.to_table().to_pylist() == [{"n": 2}]
    assert final.schema.names == ["n"]


def test_three_windows_in_a_row() -> None:
    minutes = pipeline(rows([float(t) for t in range(0, 7_200, 30)]))
    hours = minutes.window(et.tumbling("1h")).aggregate(n=et.sum("n"))
    table = hours.window(et.tumbling("1d")).aggregate(n=et.sum("n")).to_table()
    assert table["n"].to_pylist() == [240]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=40))
def test_days_hold_what_hours_did_not_miss(hours: list[int]) -> None:
    found = days([float(h * HOUR) for h in hours])
    late = found.side("late").num_rows
    assert sum(found.table()["n"].to_pylist()) == len(hours) - late
    assert days([float(h * HOUR) for h in hours], shards=2).table() == found.table()
