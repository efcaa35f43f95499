"""What a savepoint of a hand-driven engine holds (S27, S28): every key, aggregate, generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

import eventtime as et
from engine_runs import ipc_bytes
from eventtime.engine import Engine
from windowing import SECOND, pipeline, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from eventtime.stream import Stream

KEYS: dict[str, list[Any] | pa.Array] = {
    "int8": pa.array([-1, 3, None], pa.int8()),
    "int64": pa.array([-(2**63), 2**63 - 1, None]),
    "uint64": pa.array([0, 2**64 - 1, None], pa.uint64()),
    "bool": pa.array([True, False, None]),
    "date": pa.array([-1, 5, None], pa.date32()),
    "timestamp": pa.array([-1, 5, None], pa.timestamp("ns", "Europe/Paris")),
    "string": pa.array(["", "long enough not to fit inline", None]),
    "binary": pa.array([b"", b"\xff", None], pa.large_binary()),
    "fixed": pa.array([b"ab", b"\0\0", None], pa.binary(2)),
    "dictionary": pa.array(["a", "b", None]).dictionary_encode(),
}
VALUES: dict[str, pa.Array] = {
    "f": pa.array([0.1, -0.0, None, float("nan"), 1e300, 0.3]),
    "i": pa.array([1, -5, None, 2**40, 7, 7]),
    "u": pa.array([1, 2**60, None, 0, 7, 7], pa.uint64()),
    "d": pa.array([1, -5, None, 10**30, 7, 7], pa.decimal128(38, 2)),
    "s": pa.array(["b", "", None, "a", "é", "a"]),
    "b": pa.array([True, None, False, True, True, False]),
    "l": pa.array([[1], [], None, [2, 3], None, [1]]),
}
NUMBERS = ("sum", "min", "max", "mean", "var", "stddev", "first", "last", "count_distinct")
FUNCTIONS = [
    *((f, c) for c in "fiud" for f in (*NUMBERS, "count", "collect")),
    *((f, "s") for f in ("min", "max", "first", "last", "collect", "count_distinct", "count")),
    *((f, "b") for f in ("any", "all", "sum", "first", "collect", "count_distinct")),
    *((f, "l") for f in ("first", "last", "collect", "count")),
]


def check_resumed(
    stream: Stream, batches: Sequence[pa.RecordBatch], path: Path, clock: et.Clock | None = None
) -> None:
    """Saved after each batch, into one shard or three, the outputs are those of a run left alone.

    Results are taken before every second savepoint.
    """
    alone, engine = Engine(stream, ["a"], clock=clock), Engine(stream, ["a"], clock=clock, shards=3)
    taken: list[pa.Table] = []
    for i, batch in enumerate(batches):
        alone.push("a", batch)
        engine.push("a", batch)
        if i % 2:
            taken.append(engine.results())
        engine.savepoint(path, overwrite=True)
        engine.suspend()
        engine = Engine.restore(stream, path, clock=clock, shards=(1, 3, 2)[i % 3])
        assert engine.ledger == alone.ledger
        assert engine.watermark_us == alone.watermark_us
    alone.finish_all()
    engine.finish_all()
    taken.append(engine.results())
    assert ipc_bytes(pa.concat_tables(taken)) == ipc_bytes(alone.results())
    assert ipc_bytes(engine.side("late")) == ipc_bytes(alone.side("late"))
    assert engine.ledger == alone.ledger
    assert engine.is_empty
    engine.suspend()


def waves(**columns: pa.Array) -> list[pa.RecordBatch]:
    """Five batches that go on by a minute, each with late rows of two minutes before."""
    n = len(next(iter(columns.values())))
    return [
        rows([60 * i + s * 20 - (150 if s % 2 else 0) for s in range(n)], **columns)
        for i in range(5)
    ]


@pytest.mark.parametrize("mode", ["accumulating", "discarding", "retracting"])
@pytest.mark.parametrize("kind", KEYS)
def test_every_type_of_key_survives(kind: str, mode: str, tmp_path: Path) -> None:
    window = {"allowed_lateness": "2m", "mode": mode}
    data = waves(k=KEYS[kind], x=pa.array([0.1, 0.2, 0.3]))
    sums: Any = {"x": et.sum("x"), "xs": et.collect("x")}
    check_resumed(
        pipeline(data[0], keys=["k"], window=window, **sums), data, tmp_path / "one.savepoint"
    )
    more = [b.append_column("j", pa.array([1, None, 1])) for b in data]
    check_resumed(
        pipeline(more[0], keys=["j", "k"], window=window, **sums), more, tmp_path / "two.savepoint"
    )


@pytest.mark.parametrize(("function", "column"), FUNCTIONS)
def test_every_aggregate_survives(function: str, column: str, tmp_path: Path) -> None:
    make: Callable[[str], et.Aggregate] = getattr(et, function)
    data = waves(k=pa.array(["a", "b", None] * 2), **{column: VALUES[column]})
    windows = et.sliding("2m", slide="1m")
    window = {"allowed_lateness": "2m", "mode": "retracting"}
    stream = pipeline(data[0], windows, keys=["k"], window=window, out=make(column))
    check_resumed(stream, data, tmp_path / "state.savepoint")


class Cells:
    """A user's aggregate whose arrays are of many forms."""

    dtype = np.dtype([("sum", "<f8"), ("n", "<i4")])

    def create(self, n: int) -> tuple[np.ndarray[Any, Any], ...]:
        grid, none = np.zeros((n, 2, 2), np.int16), np.zeros((n, 0))
        return np.zeros(n, self.dtype), grid, none, np.full(n, "NaT", "datetime64[s]")

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        for slot, value in zip(slots.tolist(), columns[0].to_pylist(), strict=True):
            state[0]["sum"][slot] += value
            state[0]["n"][slot] += 1
            state[1][slot, 1, 0] += 1
            state[3][slot] = np.datetime64(int(10 * value), "s")

    def merge(self, state: Any, into: Any, source: Any) -> None:
        state[0]["sum"][into] += state[0]["sum"][source]
        state[0]["n"][into] += state[0]["n"][source]
        state[1][into] += state[1][source]
        state[3][into] = state[3][source]

    def result(self, state: Any, slots: Any) -> pa.Array:
        parts = zip(state[0][slots], state[1][slots], state[3][slots], strict=True)
        return pa.array([f"{a} {b.tolist()} {c}" for a, b, c in parts], pa.string())

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        return pa.string()


class OtherCells(Cells):
    dtype = np.dtype([("sum", "<f8"), ("n", "<i8")])


OtherCells.__name__ = "Cells"


def test_a_user_aggregate_survives_whatever_its_arrays_are(tmp_path: Path) -> None:
    data = waves(k=pa.array([1, 2, None]), x=pa.array([0.1, 0.2, 0.3]))
    stream = pipeline(data[0], keys=["k"], out=et.user(Cells(), "x"))
    check_resumed(stream, data, tmp_path / "state.savepoint")


def test_a_user_aggregate_with_other_arrays_is_refused(tmp_path: Path) -> None:
    data = waves(x=pa.array([0.1]))
    engine = Engine(pipeline(data[0], out=et.user(Cells(), "x")), ["a"])
    engine.push("a", data[0])
    engine.savepoint(tmp_path / "state")
    other = pipeline(data[0], out=et.user(OtherCells(), "x"))
    with pytest.raises(et.CheckpointError, match=r"<i4(.|\n)* hold .*<i8") as refused:
        Engine.restore(other, tmp_path / "state")
    assert "the aggregates that it was saved with" in refused.value.remedy


def test_windows_over_windows_survive(tmp_path: Path) -> None:
    data = waves(k=pa.array(["a", "b", "a"]), x=pa.array([0.1, 0.2, 0.3]))
    minutes = pipeline(data[0], keys=["k"], x=et.sum("x"))
    stream = minutes.key_by("k").window(et.tumbling("3m")).aggregate(xs=et.collect("x"))
    check_resumed(stream, data, tmp_path / "state.savepoint")


# What partitions remember


def test_a_percentile_goes_on_with_what_it_learnt(tmp_path: Path) -> None:
    learning = et.percentile(0.5, initial="10m", warm_up=3, every=2)
    data = waves(x=pa.array([0.1, 0.2, 0.3]))
    check_resumed(pipeline(data[0], generator=learning), data, tmp_path / "state.savepoint")


class Greatest:
    """Remembers the greatest time by itself."""

    def __init__(self) -> None:
        self.seen = -(2**63)

    def on_batch(self, timestamps_us: Any) -> int:
        self.seen = max(self.seen, int(timestamps_us.max()) - 30 * SECOND)
        return self.seen

    def get_state(self) -> Any:
        return {"seen": self.seen}

    def set_state(self, state: Any) -> None:
        self.seen = state["seen"]


class WithoutMemory:
    def on_batch(self, timestamps_us: Any) -> int:
        return int(timestamps_us.max())


class Forgetful(Greatest):
    def get_state(self) -> Any:
        return (self.seen,)


class Failing(Greatest):
    def set_state(self, state: Any) -> None:
        msg = "nothing doing"
        raise ValueError(msg)


def test_a_custom_generator_gives_and_takes_its_state(tmp_path: Path) -> None:
    data = waves(x=pa.array([0.1, 0.2, 0.3]))
    stream = pipeline(data[0], generator=et.custom(Greatest))
    check_resumed(stream, data, tmp_path / "state.savepoint")


@pytest.mark.parametrize(
    ("generator", "what"),
    [
        (WithoutMemory, "the generator WithoutMemory has no get_state"),
        (Forgetful, r"Forgetful.get_state returned \(0,\)"),
    ],
)
def test_a_custom_generator_that_does_not_say_is_refused(
    generator: Any, what: str, tmp_path: Path
) -> None:
    engine = Engine(pipeline(rows([0]), generator=et.custom(generator)), ["a"])
    engine.push("a", rows([0 if generator is WithoutMemory else 30]))
    with pytest.raises(et.UserCodeError, match=what) as refused:
        engine.savepoint(tmp_path / "state")
    assert "partition 'a'" in refused.value.place
    assert list(tmp_path.iterdir()) == []
    # The engine itself is none the worse.
    engine.push("a", rows([90]))
    engine.ledger.assert_balanced()


def test_a_custom_generator_that_fails_to_go_on_is_named(tmp_path: Path) -> None:
    stream = pipeline(rows([0]), generator=et.custom(Failing))
    Engine(stream, ["a"]).savepoint(tmp_path / "state")
    with pytest.raises(et.UserCodeError, match=r"Failing.set_state raised ValueError: nothing"):
        Engine.restore(stream, tmp_path / "state")


# What was not taken, and what has ended


def test_outputs_not_taken_are_in_it_and_come_once(tmp_path: Path) -> None:
    stream = pipeline(rows([]), watermark={"max_future": "1h"})
    clock = et.ManualClock()
    engine = Engine(stream, ["a"], clock=clock)
    engine.push("a", rows([0, 130, 5, 9_999, None]))
    engine.savepoint(tmp_path / "state")
    other = Engine.restore(stream, tmp_path / "state", clock=clock)
    for each in (engine, other):
        assert each.results().num_rows == 1
        assert each.side("late").num_rows == 1
        assert each.side("quarantine").column("reason").to_pylist() == ["future", "null_time"]
        assert each.results().num_rows + each.side("late").num_rows == 0
    assert engine.ledger == other.ledger


def test_a_suspended_engine_can_be_saved_and_goes_on_when_restored(tmp_path: Path) -> None:
    stream = pipeline(rows([]))
    engine = Engine(stream, ["a"], shards=2)
    engine.push("a", rows([0]))
    engine.suspend()
    engine.savepoint(tmp_path / "state")
    engine = Engine.restore(stream, tmp_path / "state")
    engine.push("a", rows([60]))
    assert engine.results().num_rows == 1
    with pytest.raises(et.PlanError, match="'a' is known already"):
        engine.add_partition("a")


def test_an_engine_that_has_ended_stays_so(tmp_path: Path) -> None:
    stream = pipeline(rows([]))
    engine = Engine(stream, ["a"])
    engine.push("a", rows([0]))
    engine.finish_all()
    engine.savepoint(tmp_path / "state")
    engine = Engine.restore(stream, tmp_path / "state")
    assert engine.watermark_us == 2**63 - 1
    assert engine.is_empty
    assert engine.results().num_rows == 1
    with pytest.raises(et.PlanError, match="'a' has finished"):
        engine.push("a", rows([0]))


# A call that failed half-way


class Fails:
    """A generator of watermarks that fails from some time on."""

    def on_batch(self, timestamps_us: np.ndarray[Any, np.dtype[np.int64]]) -> int:
        if timestamps_us.max() > 100 * SECOND:
            message = "out of range"
            raise ValueError(message)
        return int(timestamps_us.max())

    def get_state(self) -> None:
        return None

    def set_state(self, state: object) -> None:
        assert state is None


def test_after_a_call_that_failed_half_way_nothing_is_taken_or_saved(tmp_path: Path) -> None:
    stream = pipeline(rows([]), generator=et.custom(Fails))
    engine = Engine(stream, ["a", "b"])
    engine.push("a", rows([0]))
    engine.savepoint(tmp_path / "state")
    with pytest.raises(et.UserCodeError, match="out of range"):
        engine.push("a", rows([200]))
    calls: list[Callable[[], None]] = [
        lambda: engine.savepoint(tmp_path / "other"),
        lambda: engine.push("b", rows([0])),
        lambda: engine.poll_empty("b"),
        engine.finish_all,
    ]
    for call in calls:
        with pytest.raises(et.PlanError, match=r"failed half-way: UserCodeError(.|\n)*restore"):
            call()
    assert not (tmp_path / "other").exists()
    engine = Engine.restore(stream, tmp_path / "state")
    engine.push("a", rows([70]))
    engine.push("b", rows([70]))
    assert engine.results().num_rows == 1


def test_what_is_refused_at_the_door_breaks_nothing(tmp_path: Path) -> None:
    engine = Engine(pipeline(rows([])), ["a"])
    with pytest.raises(et.PlanError, match="no column 't'"):
        engine.push("a", pa.record_batch({"x": [1]}))
    engine.push("a", rows([0, 60]))
    engine.savepoint(tmp_path / "state")
    assert engine.results().num_rows == 1


def test_many_keys_are_shared_out_in_threads_when_they_are_pushed_and_restored(
    tmp_path: Path,
) -> None:
    """More rows than one thread takes by itself: S24, S28."""
    n = 5_000
    times = pa.array(np.arange(n) % 50, pa.timestamp("s"))
    batch = pa.record_batch({"t": times, "k": np.arange(n), "x": np.arange(n)})
    keyed = et.from_arrow(batch, time="t").watermark(et.ascending()).key_by("k")
    stream = keyed.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    engine = et.Engine(stream, ["a"], shards=3)
    engine.push("a", batch)
    engine.savepoint(tmp_path / "now")
    engine.suspend()
    engine = et.Engine.restore(stream, tmp_path / "now", shards=3)
    engine.finish_all()
    assert engine.results().column("x").to_pylist() == list(range(n))
    engine.suspend()
