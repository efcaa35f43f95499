"""The engine driven by hand (S5-S9, S11): partitions fall idle, come and go; what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime.engine import Engine
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY
from windowing import SECOND, pipeline, rows

if TYPE_CHECKING:
    from collections.abc import Sequence


class Live:
    """Minutes counted over partitions that are pushed by hand; times in seconds."""

    def __init__(self, *names: str, **options: Any) -> None:
        self.clock = et.ManualClock()
        self.engine = Engine(pipeline(rows([]), **options), names, clock=self.clock)

    def push(self, name: str, *seconds: float | None) -> None:
        self.engine.push(name, rows(seconds))
        self.engine.ledger.assert_balanced()

    def silent(self, name: str, seconds: float) -> None:
        """Poll, and again that much later."""
        self.engine.poll_empty(name)
        self.clock.advance(round(seconds * SECOND))
        self.engine.poll_empty(name)

    def fired(self) -> list[tuple[float, int]]:
        """Start in seconds and count of what came out since the last time."""
        found = self.engine.results().to_pylist()
        return [((r["window_start"] - EPOCH).total_seconds(), r["n"]) for r in found]

    def late(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.engine.side("late").to_pylist()
        return found


EPOCH = pa.scalar(0, pa.timestamp("us")).as_py()
IDLE = {"idle_after": "10s"}


def test_nothing_fires_before_every_partition_known_at_the_start_was_heard() -> None:
    live = Live("a", "b")
    live.push("a", 0, 120)
    assert live.fired() == []
    live.push("b", 70)
    assert live.fired() == [(0.0, 1)]


def test_a_row_on_the_edge_closes_the_window_before_it() -> None:
    live = Live("a")
    live.push("a", 0, 59.999999)
    assert live.fired() == []
    live.push("a", 60)
    assert live.fired() == [(0.0, 2)]


def test_an_idle_partition_does_not_hold_back_the_others() -> None:
    live = Live("a", "b", watermark=IDLE)
    live.push("a", 0, 120)
    live.silent("b", 10)
    assert live.fired() == []
    live.silent("b", 0.000001)
    assert live.fired() == [(0.0, 1)]


def test_a_row_of_a_partition_that_was_idle_is_late_because_of_it() -> None:
    live = Live("a", "b", watermark=IDLE)
    live.push("a", 0, 120)
    live.silent("b", 11)
    live.push("b", 5)
    (late,) = live.late()
    assert (late["partition"], late["reason"]) == ("b", "idle_partition")
    assert (late["windows_missed"], late["windows_total"]) == (1, 1)
    assert late["late_by"].total_seconds() == 60


def test_a_row_behind_its_own_watermark_is_late_beyond_lateness() -> None:
    live = Live("a")
    live.push("a", 120, 59.5)
    (late,) = live.late()
    assert (late["reason"], late["late_by"].total_seconds()) == ("beyond_lateness", 60.0)


def test_a_row_that_missed_by_a_hair_is_late_by_zero() -> None:
    live = Live("a")
    live.push("a", 60, 59.999999)
    (late,) = live.late()
    assert late["late_by"].total_seconds() == 0


def test_flush_max_fires_when_all_fall_silent() -> None:
    live = Live("a", "b", watermark={**IDLE, "all_idle": "flush_max"})
    live.push("a", 0, 70)
    live.push("b", 10, 200)
    assert live.fired() == [(0.0, 2)]
    live.silent("a", 11)
    assert live.fired() == [(60.0, 1)]
    live.silent("b", 11)
    assert live.fired() == []
    assert live.engine.watermark_us == 200 * SECOND


def test_a_partition_found_later_begins_at_the_combined_watermark() -> None:
    live = Live("a")
    live.push("a", 0, 70)
    live.engine.add_partition("new")
    live.push("new", 5)
    assert [r["partition"] for r in live.late()] == ["new"]


def test_a_historical_partition_holds_the_others_back() -> None:
    live = Live("a")
    live.push("a", 0, 70)
    live.engine.add_partition("old", historical=True)
    live.push("a", 200)
    assert live.fired() == [(0.0, 1)]
    live.push("old", 65, 130)
    assert live.fired() == [(60.0, 2)]


def test_finish_fires_everything_only_after_the_last_partition() -> None:
    live = Live("a", "b")
    live.push("a", 0)
    live.push("b", 10)
    live.engine.finish("a")
    assert live.fired() == []
    live.engine.finish("b")
    assert live.fired() == [(0.0, 2)]
    assert live.engine.watermark_us == PLUS_INFINITY
    assert live.engine.is_empty


def test_suspend_fires_nothing_and_takes_nothing_more() -> None:
    live = Live("a")
    live.push("a", 0)
    live.engine.suspend()
    assert live.fired() == []
    assert not live.engine.is_empty
    assert live.engine.ledger.operators[0].open == 1
    with pytest.raises(et.PlanError, match="suspended"):
        live.push("a", 1)


def test_an_empty_batch_is_nothing_at_all() -> None:
    live = Live("a")
    live.push("a")
    assert live.engine.watermark_us == MINUS_INFINITY
    assert live.engine.ledger.total.rows_in == 0


def test_rows_without_a_time_go_to_the_quarantine_and_move_nothing() -> None:
    live = Live("a")
    live.push("a", None, 0, None)
    assert [r["reason"] for r in live.engine.side("quarantine").to_pylist()] == ["null_time"] * 2
    assert live.engine.watermark_us == 0


def test_live_the_future_is_measured_by_the_clock() -> None:
    live = Live("a", watermark={"max_future": "1h"})
    live.clock.advance(1_000 * SECOND)
    live.push("a", 4_600, 4_600.000001, 0)
    aside = live.engine.side("quarantine").to_pylist()
    assert [(r["reason"], r["t"].microsecond) for r in aside] == [("future", 1)]
    assert live.engine.watermark_us == 4_600 * SECOND


def test_live_no_row_is_held_back_for_its_neighbours() -> None:
    live = Live("a", watermark={"max_future": "1h"})
    live.push("a", 5)
    assert live.engine.ledger.total.waiting == 0
    assert live.engine.ledger.total.windowed == 1


def test_side_outputs_are_handed_over_once() -> None:
    live = Live("a")
    live.push("a", 120, 0)
    assert len(live.late()) == 1
    assert live.late() == []


# What it refuses


def push(engine: Engine, name: str, seconds: Sequence[float]) -> None:
    engine.push(name, rows(seconds))


def test_an_unknown_partition_is_refused_with_those_there_are() -> None:
    live = Live("a", "b")
    with pytest.raises(et.PlanError, match=r"no partition 'c'(.|\n)*partitions are a, b"):
        live.push("c", 0)


def test_a_finished_partition_takes_nothing_more() -> None:
    live = Live("a", "b")
    live.engine.finish("a")
    with pytest.raises(et.PlanError, match="'a' has finished"):
        live.push("a", 0)


def test_a_name_is_taken_once() -> None:
    live = Live("a")
    with pytest.raises(et.PlanError, match="'a' is known already"):
        live.engine.add_partition("a")


def test_a_batch_without_a_column_that_is_read_is_refused() -> None:
    engine = Engine(pipeline(rows([], x=pa.array([], pa.int64())), s=et.sum("x")), ["a"])
    with pytest.raises(et.PlanError, match="the batch has no column 'x'"):
        push(engine, "a", [0])


def test_a_column_of_another_type_is_refused_and_not_read_as_bits() -> None:
    engine = Engine(pipeline(rows([], x=pa.array([], pa.int64())), s=et.sum("x")), ["a"])
    with pytest.raises(
        et.SchemaError, match="column 'x' of the batch is of type double, not int64"
    ):
        engine.push("a", rows([0], x=[1.5]))


@pytest.mark.parametrize("kind", [pa.string_view(), pa.run_end_encoded(pa.int32(), pa.string())])
def test_views_and_run_ends_are_taken_as_a_source_takes_them(kind: pa.DataType) -> None:
    plain = rows([0, 1], x=pa.array(["b", "a"]))
    engine = Engine(pipeline(plain, s=et.last("x")), ["a"])
    engine.push("a", plain.set_column(1, "x", pa.array(["b", "a"], kind)))
    engine.finish("a")
    assert engine.results()["s"].to_pylist() == ["a"]


def test_unions_of_streams_that_differ_are_refused() -> None:
    """Nobody says whose steps a row that is pushed goes through."""
    one = et.from_arrow(rows([0], x=[1]), time="t")

    def over(other: et.Stream) -> et.Stream:
        marked = one.union(other).watermark(et.ascending())
        return marked.window(et.tumbling("10s")).aggregate(s=et.sum("x"))

    Engine(over(et.from_arrow(rows([5], x=[2]), time="t")), ["a"])
    for other in (one.filter(pc.field("x") > 0), one.map_batches(lambda batch: batch)):
        with pytest.raises(et.PlanError, match="stream 1 and stream 2 of the union differ"):
            Engine(over(other), [])


def test_a_side_output_that_does_not_exist_is_refused() -> None:
    with pytest.raises(et.PlanError, match=r"no side output 'lost'(.|\n)*late, quarantine"):
        Live("a").engine.side("lost")


@pytest.mark.parametrize("time", [1.5, True, "12:00", datetime(2013, 1, 1), 2**63])  # noqa: DTZ001
def test_a_heartbeat_that_is_no_instant_is_refused(time: Any) -> None:
    with pytest.raises(et.PlanError, match="is no instant"):
        Live("a").engine.advance_to("a", time)


def test_a_heartbeat_never_takes_a_watermark_back() -> None:
    """S5."""
    live = Live("a")
    live.engine.advance_to("a", datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC))
    live.engine.advance_to("a", 5_000_000)
    assert live.engine.watermark_us == 9_000_000
