"""Process functions by hand: when timers fire, what follows them, what they leave behind."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime.engine import Engine
from eventtime.process.contexts import BatchContext
from eventtime.process.function import known_function
from eventtime.process.rows import python_rows

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000
OUTPUT = pa.schema({"t": pa.timestamp("us"), "k": pa.string(), "n": pa.int64()})


def rows(*seconds: float, keys: str = "a") -> pa.RecordBatch:
    """Rows at these seconds; of several keys each row has the next."""
    times = pa.array([round(s * SECOND) for s in seconds], pa.timestamp("us"))
    named = [keys[i % len(keys)] for i in range(len(seconds))]
    return pa.record_batch({"t": times, "k": named})


def by_key(batch: pa.RecordBatch, bound: str = "0s") -> et.KeyedStream:
    stream = et.from_arrow(batch, time="t").watermark(et.bounded_disorder(bound))
    return stream.key_by("k")


class Reminder(et.ProcessFunction):
    """Counts rows; tells the number five seconds after the last."""

    n = et.value_state(pa.int64(), default=0)
    due = et.value_state(pa.int64())

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        self.n.value += 1
        if self.due.value is not None:
            ctx.delete_timer(self.due.value)
        self.due.value = ctx.time_us + 5 * SECOND
        ctx.set_timer(self.due.value)

    def on_timer(self, ctx: Any, time_us: int) -> None:
        ctx.emit(t=time_us, k=ctx.key[0], n=self.n.value)
        self.n.clear()
        self.due.clear()


def reminded(batch: pa.RecordBatch, bound: str = "0s", **options: Any) -> et.Stream:
    return by_key(batch, bound).process(Reminder(), output=OUTPUT, **options)


def seen(table: pa.Table) -> list[tuple[float, str, int]]:
    times = [t / SECOND for t in table["t"].cast(pa.int64()).to_pylist()]
    return list(zip(times, table["k"].to_pylist(), table["n"].to_pylist(), strict=True))


def test_a_timer_fires_once_the_watermark_is_there_and_not_before() -> None:  # S2
    engine = Engine(reminded(rows(0)), ["p"])
    engine.push("p", rows(0))
    engine.push("p", rows(4.999999, keys="b"))
    assert engine.results().num_rows == 0
    engine.push("p", rows(5, keys="b"))
    assert seen(engine.results()) == [(5, "a", 1)]


def test_timers_of_one_time_fire_in_the_order_of_keys_nulls_last() -> None:  # S24
    batch = rows(0, 0, 0)
    batch = pa.record_batch({"t": batch["t"], "k": pa.array(["b", None, "a"])})
    assert [k for _, k, _ in seen(reminded(batch).to_table())] == ["a", "b", None]


def test_a_session_ends_for_each_key_when_it_is_quiet() -> None:  # S4
    # The row of b at 21 comes after its timer at 6: the row of a at 20 has moved the watermark.
    batch = rows(0, 1, 20, 21, keys="ab")
    assert seen(reminded(batch).to_table()) == [(6, "b", 1), (25, "a", 2), (26, "b", 1)]


def test_what_timers_send_is_in_time_for_windows_that_follow() -> None:  # S25
    stream = reminded(rows(0, 1, 20, 21, keys="ab"), time="t")
    run = stream.window(et.tumbling("10s")).aggregate(n=et.sum("n")).run()
    assert run.table().column("n").to_pylist() == [1, 3]
    assert run.side("late").num_rows == 0
    run.assert_balanced()


class Start(et.ProcessFunction):
    """Sends the time of the row five seconds before."""

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        ctx.emit(t=ctx.time_us - 5 * SECOND, k="", n=1)


@pytest.mark.parametrize(("behind", "late"), [("0s", 3), ("4s", 0), ("3s", 3)])
def test_results_may_lie_behind_the_watermark_as_far_as_said(behind: str, late: int) -> None:
    stream = by_key(rows(10, 11, 12, 13)).process(Start(), output=OUTPUT, time="t", behind=behind)
    run = stream.window(et.tumbling("1s")).aggregate(n=et.count()).run()
    assert run.side("late").num_rows == late
    assert run.ledger.operators[1].assigned == 4


def test_a_process_function_takes_results_of_windows() -> None:
    windows = by_key(rows(0, 1, 2, 3, keys="ab")).window(et.tumbling("2s")).aggregate(n=et.count())
    seen_by: list[Any] = []

    def note(ctx: Any, row: dict[str, Any]) -> None:
        seen_by.append((ctx.key, ctx.time_us, row["n"], row["version"]))
        ctx.emit(n=row["n"])

    run = windows.key_by("k").process(note, output=pa.schema({"n": pa.int64()})).run()
    assert seen_by == [(("a",), 0, 1, 1), (("b",), 0, 1, 1), (("a",), 2 * SECOND, 1, 1),
                       (("b",), 2 * SECOND, 1, 1)]  # fmt: skip
    assert run.table().num_rows == 4


class Once(et.ProcessFunction):
    """Drops what was there within ten seconds."""

    was = et.value_state(pa.bool_(), ttl="10s")

    def on_batch(self, ctx: Any, batch: pa.RecordBatch) -> None:
        is_new = self.was.swap_rows(values=True).is_null().to_numpy(zero_copy_only=False)
        ctx.emit_rows(
            {"t": ctx.times_us[is_new], "k": batch["k"].filter(pa.array(is_new)), "n": 1}, is_new
        )


def test_state_is_bounded_by_its_time_to_live() -> None:  # S30
    stream = by_key(rows(0)).process(Once(), output=OUTPUT)
    engine = Engine(stream, ["p"])
    for part in range(40):
        times = np.arange(1_000) * 30_000 + part * 30 * SECOND
        named = [f"{part}-{i}" for i in range(1_000)]
        engine.push("p", pa.record_batch({"t": pa.array(times, pa.timestamp("us")), "k": named}))
    operator: Any = engine._core.stages.stages[0].operator
    assert len(operator._held._slots) < 10_000
    assert len(engine._core.stages.codec) < 10_000
    assert engine.results().num_rows == 40_000
    engine.finish("p")
    assert engine.is_empty


def test_a_key_that_comes_back_in_time_is_dropped_and_later_it_is_not() -> None:
    # The row of b moves the watermark to right before that of a; each row of a renews its life.
    places = [0, 5, 14.999999, 24.999999, 34.999998]
    batch = rows(*(t for t in places for _ in "ba"), keys="ba")
    out = by_key(batch).process(Once(), output=OUTPUT).to_table()
    assert [t for t, k, _ in seen(out) if k == "a"] == [0, 24.999999]


class Shapes(et.ProcessFunction):
    """Reducing by a function, aggregating, and a list, of structs and text."""

    joined = et.reducing_state(pa.string(), lambda held, new: f"{held}+{new}")
    mean = et.aggregating_state(
        pa.struct({"n": pa.int64(), "sum": pa.float64()}),
        start={"n": 0, "sum": 0.0},
        add=lambda held, x: {"n": held["n"] + 1, "sum": held["sum"] + x},
        result=lambda held: held["sum"] / held["n"] if held["n"] else None,
    )
    pair = et.value_state(pa.struct({"a": pa.int64(), "b": pa.list_(pa.string())}))

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        before = self.mean.value
        self.mean.add(ctx.time_us / SECOND)
        pair = self.pair.value or {"a": 0, "b": []}
        self.pair.value = {"a": pair["a"] + 1, "b": [*pair["b"], row["k"]]}
        ctx.emit(text=f"{self.joined.add(row['k'])} {before} {self.mean.value} {self.pair.value}")


def test_states_of_any_type_survive_a_savepoint(tmp_path: Path) -> None:  # S28
    stream = by_key(rows(0)).process(Shapes(), output=pa.schema({"text": pa.string()}))
    engine = Engine(stream, ["p"])
    engine.push("p", rows(1, 2))
    engine.savepoint(tmp_path / "now")
    engine = Engine.restore(stream, tmp_path / "now")
    engine.push("p", rows(6))
    assert engine.results()["text"].to_pylist() == [
        "a None 1.0 {'a': 1, 'b': ['a']}",
        "a+a 1.0 1.5 {'a': 2, 'b': ['a', 'a']}",
        "a+a+a 1.5 3.0 {'a': 3, 'b': ['a', 'a', 'a']}",
    ]


def test_a_savepoint_of_another_state_is_refused(tmp_path: Path) -> None:  # S29
    engine = Engine(reminded(rows(0)), ["p"])
    engine.savepoint(tmp_path / "now")

    class Reminder(et.ProcessFunction):
        n = et.value_state(pa.int32(), default=0)
        due = et.value_state(pa.int64())

        def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
            pass

    other = by_key(rows(0)).process(Reminder(), output=OUTPUT)
    with pytest.raises(et.CheckpointError, match=r"state n: value\(int64\)\n    now: .*int32"):
        Engine.restore(other, tmp_path / "now")


class KilledError(BaseException):
    """What a process that is killed sees last."""


@pytest.mark.parametrize("shards", [1, 3])
def test_a_replay_that_is_killed_goes_on_where_its_checkpoint_was(
    tmp_path: Path, shards: int
) -> None:  # S28
    seconds = (np.arange(400) % 7 * 3 + np.arange(400) * 0.4).tolist()
    batch = rows(*seconds, keys="abcdefghijk")
    lives = 0

    def dies(report: et.ProgressReport) -> None:
        nonlocal lives
        lives += 1
        if lives < 30 and lives % 4 == 0:
            raise KilledError

    with patch("eventtime.replay.CHUNK_ROWS", 32):
        wanted = reminded(batch, "20s").run().table()
        while True:
            where = et.checkpoints(tmp_path / "state", every=None, every_rows=1)
            try:
                run = reminded(batch, "20s").run(checkpoint=where, progress=dies, shards=shards)
            except KilledError:
                continue
            break
    assert lives > 15
    assert run.table() == wanted


def test_runs_share_nothing_but_the_declaration() -> None:
    stream = reminded(rows(0, 1))
    assert stream.to_table() == stream.to_table()


def test_times_python_has_no_date_for_are_numbers() -> None:
    far = pa.array([2**60, 0], pa.timestamp("us"))
    (first, second) = python_rows(["t"], [far], 2)
    assert first == {"t": 2**60}
    assert second["t"].year == 1970


def test_a_key_of_nanoseconds_is_a_plain_time_as_in_rows() -> None:
    # With pandas installed, pyarrow gives its Timestamp; without, it raises.
    times = pa.array([1_000_000_007], pa.timestamp("ns"))
    stream = et.from_arrow(pa.record_batch({"t": times, "k": times}), time="t")
    seen_by: list[Any] = []

    def note(ctx: Any, row: dict[str, Any]) -> None:
        seen_by.extend([ctx.key[0], row["k"]])

    stream.watermark(et.ascending()).key_by("k").process(note, output=OUTPUT).run()
    assert seen_by == [datetime(1970, 1, 1, 0, 0, 1)] * 2  # noqa: DTZ001 - its type has no zone
    assert {type(value) for value in seen_by} == {datetime}


def test_rounds_first_and_last_of_rows_with_equal_keys() -> None:
    ctx = BatchContext(known_function(Once(), None))
    ctx.slots = np.array([3, 1, 3, 3, 1])
    assert [r.tolist() for r in ctx.rounds()] == [[0, 1], [2, 4], [3]]
    assert ctx.first().tolist() == [0, 1]
    assert ctx.last().tolist() == [3, 4]


class Flagged(et.ProcessFunction):
    """Tells of each row the limit that holds for it."""

    limits = et.broadcast_state(pa.string(), pa.int64())

    def on_broadcast(self, ctx: Any, name: str, row: dict[str, Any]) -> None:
        self.limits[row["k"]] = row["limit"]

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        ctx.emit(n=self.limits.get(row["k"]))


LIMITS = pa.record_batch({"since": pa.array([10, 5, 20], pa.timestamp("s")), "k": ["a", "a", "b"],
                          "limit": [2, 1, 3]})  # fmt: skip


def flagged(batch: pa.RecordBatch, function: et.ProcessFunction | None = None) -> et.Stream:
    limits = et.from_arrow(LIMITS, time="since")
    return by_key(batch).process(
        function or Flagged(), output=pa.schema({"n": pa.int64()}), broadcast={"limits": limits}
    )


TOLD = (0, 5, 6, 10, 11, 19, 20, 21)
"""A change holds for the rows before which the watermark has reached its time."""
HOLDS = [None, None, 1, 1, 2, 2, 2, 2]


def test_a_broadcast_change_holds_once_the_watermark_is_at_its_time() -> None:
    assert flagged(rows(*TOLD)).to_table()["n"].to_pylist() == HOLDS
    with patch("eventtime.replay.CHUNK_ROWS", 3):
        run = flagged(rows(*TOLD)).run(shards=2)
    assert run.table()["n"].to_pylist() == HOLDS


def test_a_batch_ends_where_a_broadcast_change_holds() -> None:  # S4
    class Batches(et.ProcessFunction):
        limits = Flagged.limits
        on_broadcast = Flagged.on_broadcast

        def on_batch(self, ctx: Any, batch: pa.RecordBatch) -> None:
            ctx.emit_rows({"n": self.limits.get_rows(batch["k"])})

    assert flagged(rows(*TOLD), Batches()).to_table()["n"].to_pylist() == HOLDS


def test_a_broadcast_change_after_the_end_leaves_nothing() -> None:  # S30
    engine = Engine(flagged(rows(0)), ["p"])
    engine.push("p", rows(*TOLD))
    engine.finish_all()
    engine.push("limits", LIMITS)
    assert engine.is_empty


def test_steps_of_a_broadcast_stream_are_taken_when_its_rows_are_pushed() -> None:
    limits = et.from_arrow(LIMITS, time="since").filter(pc.field("limit") < 2)
    stream = by_key(rows(0)).process(
        Flagged(),
        output=pa.schema({"n": pa.int64()}),
        broadcast={"limits": limits.with_columns(k=pc.field("k"))},
    )
    engine = Engine(stream, ["p"])
    engine.push("limits", LIMITS)
    engine.push("p", rows(*TOLD))
    assert engine.results()["n"].to_pylist() == [None, None, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("at", range(len(TOLD)))
def test_broadcast_changes_are_pushed_wait_and_survive(tmp_path: Path, at: int) -> None:
    stream = flagged(rows(0))
    engine = Engine(stream, ["p"])
    engine.push("limits", LIMITS.slice(0, 2))
    got: list[Any] = []
    for i, row in enumerate(TOLD):
        if i == at:
            engine.savepoint(tmp_path / "now")
            engine = Engine.restore(stream, tmp_path / "now", shards=2)
        engine.push("p", rows(row))
        got += engine.results()["n"].to_pylist()
    assert got == HOLDS
    engine.push("limits", LIMITS.slice(2))
    engine.push("p", rows(22, 23, keys="b"))
    assert engine.results()["n"].to_pylist() == [3, 3]
    engine.finish_all()
    assert engine.is_empty


def test_broadcast_state_changes_by_its_stream_alone() -> None:
    class Meddling(Flagged):
        def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
            self.limits["a"] = 5

    with pytest.raises(et.UserCodeError, match="only on_broadcast changes it"):
        flagged(rows(0), Meddling()).run()


def test_a_broadcast_stream_that_cannot_be() -> None:
    with pytest.raises(et.PlanError, match="no on_broadcast"):
        flagged(rows(0), Reminder())
    with pytest.raises(et.PlanError, match="an on_broadcast"):
        by_key(rows(0)).process(Flagged(), output=OUTPUT)
    marked: Any = et.from_arrow(LIMITS, time="since").watermark(et.ascending())
    wrongs: list[Any] = [5, marked]
    for wrong in wrongs:
        with pytest.raises(et.PlanError, match="no source with steps"):
            by_key(rows(0)).process(Flagged(), output=OUTPUT, broadcast={"x": wrong})


def test_rows_that_cannot_be_broadcast() -> None:
    odd = LIMITS.set_column(2, "limit", pa.array(["1", "2", "3"]))
    with pytest.raises(et.SchemaError, match="column 'limit' of the batch is of type string"):
        Engine(flagged(rows(0)), ["p"]).push("limits", odd)
    null = LIMITS.set_column(0, "since", pa.array([1, None, 2], pa.timestamp("s")))
    with pytest.raises(et.SourceError, match="row 1 of the broadcast stream 'limits'"):
        Engine(flagged(rows(0)), ["p"]).push("limits", null)
