"""The harness: what is driven by hand, and what can be seen (S2, S5–S9, S12, S20, S27, S28)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import eventtime as et
from engine_runs import ipc_bytes
from eventtime.testing import (
    AddPartition,
    AdvanceClock,
    Finish,
    Harness,
    Heartbeat,
    PollEmpty,
    Push,
    Restart,
    Streams,
)
from eventtime.testing.rows import batch_of
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.stream import Stream

SCHEMA = pa.schema({"t": pa.timestamp("ms", "UTC"), "key": pa.string(), "x": pa.int64()})


def pipeline(watermark: dict[str, Any] | None = None, **window: Any) -> Stream:
    stream = et.from_arrow(SCHEMA.empty_table(), time="t")
    marked = stream.watermark(et.bounded_disorder("10s"), **(watermark or {}))
    windows = marked.key_by("key").window(et.tumbling("1m"), **window)
    return windows.aggregate(n=et.count(), x=et.sum("x"))


def row(seconds: float, x: int = 1, key: str = "k") -> dict[str, Any]:
    return {"t": round(seconds * 1_000), "key": key, "x": x}


def sums(table: pa.Table) -> list[int]:
    found: list[int] = table.column("x").to_pylist()
    return found


def test_times_are_text_datetimes_or_whole_units() -> None:
    harness = Harness(pipeline())
    berlin = timezone(timedelta(hours=1))
    same = [
        5_000,
        np.int64(5_000),
        "1970-01-01T00:00:05Z",
        "1970-01-01 00:00:05",
        "1970-01-01T01:00:05+01:00",
        datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC),
        datetime(1970, 1, 1, 1, 0, 5, tzinfo=berlin),
        datetime(1970, 1, 1, 0, 0, 5),  # noqa: DTZ001 - UTC, where no zone is said
    ]
    for time in same:
        harness.push("a", [{"t": time, "x": 1}])
        assert harness.watermark == "1969-12-31T23:59:55Z"
    harness.finish_all()
    (found,) = harness.results().to_pylist()
    assert (found["key"], found["n"]) == (None, len(same))


def test_rows_may_be_batches_or_tables() -> None:
    harness = Harness(pipeline())
    batch = pa.RecordBatch.from_pylist([row(1)], SCHEMA)
    harness.push("a", batch)
    harness.push("a", pa.Table.from_batches([batch, batch]))
    before = harness.ledger
    harness.push("a", SCHEMA.empty_table())
    harness.push("a", batch)
    assert (before.total.rows_in, harness.ledger.total.rows_in) == (3, 4)


@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        ([{"t": 0, "y": 1}], et.PlanError, "there is no column 'y'"),
        (5, et.PlanError, "5 are no rows"),
        ([{"t": "soon"}], et.SchemaError, "'soon' is no timestamp"),
        ([{"t": "1970-01-01T00:00:00.0001Z"}], et.SchemaError, "is no timestamp"),
        ([{"t": 0, "x": "one"}], et.SchemaError, "'one' is no int64"),
        ([{"t": 0}, {"t": 0, "x": 2**70}], et.SchemaError, f"{2**70} is no int64"),
        ([{"t": 0, "x": 2.0}, {"t": 0, "x": 2.5}], et.SchemaError, "2.5 is no int64"),
        ([{"t": "1970-01-01T00:00:00Z"}, {"t": "soon"}], et.SchemaError, "^'soon' is no timestamp"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Harness(pipeline()).push("a", rows)


def test_what_pandas_has_not_is_null() -> None:
    harness = Harness(pipeline())
    harness.push("a", [{"t": pd.Timestamp(5, unit="s"), "x": pd.NA}, {"t": pd.NaT, "x": 1}])
    assert harness.ledger.total.null_time == 1
    assert harness.ledger.total.windowed == 1


def test_why_a_value_does_not_fit_is_said_in_one_line() -> None:
    schema = pa.schema({"d": pa.duration("s")})
    with pytest.raises(et.SchemaError, match=r"or None \(nan is not a duration\)$"):
        batch_of([{"d": float("nan")}], schema)


def test_what_is_no_step_is_refused() -> None:
    nothing: Any = "push"
    with pytest.raises(et.PlanError, match="'push' is no step"):
        Harness(pipeline()).do(nothing)


def test_a_restart_that_cannot_be_is_none() -> None:
    harness = Harness(pipeline())
    harness.push("a", [row(0, 1)])
    with pytest.raises(et.PlanError, match="0 is not a number above zero"):
        harness.restart(shards=0)
    harness.push("a", [row(70, 2)])
    assert (harness.shards, sums(harness.results()), len(harness.streams.steps)) == (1, [1], 2)


def test_integers_dates_and_durations_are_written_as_text_too() -> None:
    kinds = {"t": pa.int64(), "day": pa.date32(), "for": pa.duration("s")}
    data = pa.schema(kinds).empty_table()
    stream = et.from_arrow(data, time="t", time_unit="s").watermark(et.ascending())
    last = {"day": et.last("day"), "for_": et.last("for")}
    harness = Harness(stream.window(et.global_window()).aggregate(**last))
    harness.push("a", [{"t": "1970-01-01T00:01:00Z", "day": "2024-02-29", "for": "90s"}])
    assert harness.watermark_us == 60_000_000
    harness.finish_all()
    (found,) = harness.results().to_pylist()
    assert found["day"].isoformat() == "2024-02-29"
    assert found["for_"] == timedelta(seconds=90)


def test_results_are_what_is_new_and_all_results_is_all() -> None:
    harness = Harness(pipeline())
    harness.push("a", [row(0, 1), row(70, 2)])
    assert sums(harness.all_results) == [1]
    assert sums(harness.results()) == [1]
    assert sums(harness.results()) == []
    harness.finish("a")
    assert sums(harness.all_results) == [1, 2]
    assert sums(harness.results()) == [2]
    assert sums(harness.all_results) == [1, 2]
    assert harness.is_empty  # S30


def test_late_and_quarantined_rows_come_out_of_sides() -> None:
    harness = Harness(pipeline())
    harness.push("a", [row(70), row(5, 7), {"x": 8}])
    assert sums(harness.late) == sums(harness.side("late")) == [7]
    assert sums(harness.side("late")) == []
    assert sums(harness.late) == [7]
    assert harness.quarantine.column("reason").to_pylist() == ["null_time"]
    assert harness.all_of("quarantine") == harness.quarantine
    with pytest.raises(et.PlanError, match="no late rows are kept"):
        _ = Harness(pipeline(late=et.DROP)).late


def test_a_heartbeat_moves_the_watermark_and_never_back() -> None:
    harness = Harness(pipeline(), ["a", "b"])
    assert (harness.watermark, harness.watermark_us) == ("-inf", MINUS_INFINITY)
    harness.advance_watermark("a", "1970-01-01T00:02Z")
    assert harness.watermark == "-inf"
    assert harness.held_by == "b"
    harness.advance_watermark("b", datetime(1970, 1, 1, 0, 1, tzinfo=UTC))
    harness.advance_watermark("b", 5)
    assert harness.watermark == harness.watermark_of("b") == "1970-01-01T00:01:00Z"
    assert harness.watermark_of("a") == "1970-01-01T00:02:00Z"
    harness.finish_all()
    assert (harness.watermark, harness.watermark_us) == ("+inf", PLUS_INFINITY)
    assert harness.look().held_by is None
    with pytest.raises(et.PlanError, match="'soon' is no instant"):
        harness.advance_watermark("a", "soon")
    with pytest.raises(et.PlanError, match="no partition 'c'"):
        harness.watermark_of("c")


def test_silence_goes_by_the_clock_that_is_moved_by_hand() -> None:
    harness = Harness(pipeline({"idle_after": "5s"}), ["a", "b"], start="2024-01-01")
    harness.push("a", [row(30)])
    harness.poll_empty("b")
    harness.advance_clock("5s")
    harness.poll_empty("b")
    assert not harness.is_idle("b")
    harness.advance_clock("1us")
    harness.poll_empty("b")
    assert harness.is_idle("b")
    assert harness.held_by == "a"
    assert harness.watermark == "1970-01-01T00:00:20Z"
    assert harness.clock.now_us() == 1_704_067_205_000_001


def test_steps_are_done_in_order() -> None:
    steps = (
        Push("a", [row(50, 1)]),
        PollEmpty("b"),
        AdvanceClock(6_000_000),
        PollEmpty("b"),
        AddPartition("c"),
        Heartbeat("c", 45_000_000),
        Restart(),
        Push("a", [row(75, 2)]),
        Finish("c"),
    )
    streams = Streams(("a", "b"), steps, start_us=9)
    harness = Harness.of(pipeline({"idle_after": "5s"}), streams)
    assert harness.clock.now_us() == 6_000_009
    assert harness.is_idle("b")
    assert harness.partition("c").is_finished
    assert harness.watermark == "1970-01-01T00:01:05Z"
    assert sums(harness.all_results) == [1]


def test_what_it_went_through_can_be_drawn_and_done_again() -> None:
    harness = Harness(pipeline(), start=5)
    harness.push("a", [row(1), row(61)])
    harness.advance_clock("1s")
    harness.advance_watermark("a", 60_000_000)
    harness.restart()
    harness.finish_all()
    streams = harness.streams
    assert [type(step) for step in streams.steps] == [
        Push,
        AdvanceClock,
        Heartbeat,
        Restart,
        Finish,
    ]
    assert (streams.partitions, streams.start_us) == (("a",), 5)
    again = Harness.of(pipeline(), streams)
    assert again.all_results == harness.all_results
    assert "finish a" in harness.timeline()
    with pytest.raises(et.PlanError, match="not known"):
        _ = Harness.restore(pipeline(), again.snapshot()).streams


def test_what_is_lost_in_a_crash_comes_again_and_counts_once() -> None:
    """S28: back to the last checkpoint, or to the beginning; the clock comes again, too."""
    harness = Harness(pipeline({"idle_after": "5s"}), ["a", "b"], start=7)
    harness.push("a", [row(1, 1), row(75, 2)])
    harness.crash()
    harness.poll_empty("b")
    harness.checkpoint()
    harness.advance_clock("6s")
    harness.poll_empty("b")
    assert sums(harness.results()) == [1]
    harness.restart(shards=2)
    harness.push("a", [row(135, 4)])
    before = harness.clock.now_us(), harness.watermark, harness.ledger.to_dict()
    for _ in range(2):
        harness.crash()
        assert (harness.clock.now_us(), harness.watermark, harness.ledger.to_dict()) == before
        assert sums(harness.all_results) == [1, 2]
        assert harness.is_idle("b")
    assert sums(harness.results()) == [1, 2]  # the first of them once more
    again = Harness.restore(pipeline({"idle_after": "5s"}), harness.snapshot())
    again.finish_all()
    again.crash()
    assert sums(again.all_results) == [4]
    again.close()
    harness.close()


def test_what_was_refused_did_not_happen() -> None:
    harness = Harness(pipeline())
    harness.push("a", [row(1)])
    for partition, x in (("z", 1), ("a", "one")):
        with pytest.raises((et.PlanError, et.SchemaError)):
            harness.push(partition, [{"t": 0, "x": x}])
    harness.finish_all()
    assert [type(step) for step in harness.streams.steps] == [Push, Finish]


def test_a_snapshot_goes_on_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S28: also what was not taken; and no file is left."""
    monkeypatch.chdir(tmp_path)
    first, second = [row(0, 1), row(30, 5), row(75, 2)], [row(20, 9), row(100, 3), row(130, 4)]
    alone = Harness(pipeline())
    alone.push("a", first)
    saved = alone.snapshot()
    alone.push("a", second)
    alone.finish_all()
    for shards in (1, 3):
        with Harness.restore(pipeline(), saved, shards=shards) as other:
            other.push("a", second)
            other.finish_all()
            assert ipc_bytes(other.all_results) == ipc_bytes(alone.all_results)
            assert ipc_bytes(other.late) == ipc_bytes(alone.late)
            assert other.ledger == alone.ledger
    assert not list(tmp_path.iterdir())
    with pytest.raises(et.CheckpointError, match="'stream'"):
        Harness.restore(pipeline(), saved[:-1])
    with pytest.raises(et.CheckpointError, match="another pipeline"):
        Harness.restore(pipeline(mode="retracting"), saved)
    path: Any = "x.savepoint"
    with pytest.raises(et.PlanError, match=r"'x\.savepoint' is no snapshot"):
        Harness.restore(pipeline(), path)


def test_a_restart_does_not_show() -> None:
    """S28: in any number of shards, whatever was taken before."""
    alone, harness = Harness(pipeline()), Harness(pipeline())
    for i, shards in enumerate((None, 2, None, 1)):
        rows = [row(30 * i + s, i, key) for s, key in ((0, "a"), (25, "b"), (-40, "c"))]
        alone.push("a", rows)
        harness.push("a", rows)
        if i % 2:
            harness.results()
        harness.restart(shards=shards)
        assert harness.look().partitions == alone.look().partitions
        assert harness.state[0].rows == alone.state[0].rows
    assert ipc_bytes(harness.all_results) == ipc_bytes(alone.all_results)
    assert ipc_bytes(harness.late) == ipc_bytes(alone.late)
    harness.close()


def test_state_is_counted() -> None:
    harness = Harness(pipeline())
    harness.push("a", [row(0, key="a"), row(1, key="b"), row(61, key="a"), row(62, key="a")])
    (held,) = harness.state
    assert (held.keys, held.rows) == (3, 4)
    assert held.nbytes > 0
    assert [(s.start_us, s.keys, s.rows) for s in held.slices] == [(0, 2, 2), (60_000_000, 1, 2)]


class Reminder(et.ProcessFunction):
    seen = et.value_state(pa.int64())

    def on_row(self, context: Any, row: Any) -> None:
        self.seen.value = row["x"]
        context.set_timer(context.time_us + 60_000_000)
        if row["x"] > 1:
            context.set_processing_timer(context.processing_us + 5)

    def on_timer(self, context: Any, time_us: int) -> None:
        context.emit(x=self.seen.value)
        self.seen.clear()

    def on_processing_timer(self, context: Any, time_us: int) -> None: ...


def process() -> Stream:
    marked = et.from_arrow(SCHEMA.empty_table(), time="t").watermark(et.ascending())
    return marked.key_by("key").process(Reminder(), output=pa.schema({"x": pa.int64()}))


@pytest.mark.parametrize("memory", [None, "1MB"])
def test_timers_can_be_seen_and_survive(memory: str | None) -> None:
    harness = Harness(process(), memory=memory)
    harness.push("a", [row(1, 2, "b"), row(2, 1, "a")])
    for _ in range(2):
        told = [(timer.kind, timer.time_us, timer.key) for timer in harness.timers]
        assert told == [
            ("processing", 5, ("b",)),
            ("event", 61_000_000, ("b",)),
            ("event", 62_000_000, ("a",)),
        ]
        assert harness.state[0].keys == 2
        harness.restart()
    harness.advance_watermark("a", 61_000_000)
    assert sums(harness.results()) == [2]
    assert [timer.key for timer in harness.timers if timer.kind == "event"] == [("a",)]
    harness.finish_all()
    assert harness.timers == ()
    assert harness.is_empty
    harness.close()
