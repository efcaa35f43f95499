"""How many keys of a process function are in memory does not show: the same bytes (S28)."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from engine_runs import ipc_bytes
from eventtime.engine import Engine

if TYPE_CHECKING:
    from eventtime.memory import MemoryLike
    from eventtime.stream import Stream

OUTPUT = pa.schema(
    {
        "at": pa.int64(),
        "what": pa.string(),
        "before": pa.int64(),
        "total": pa.float64(),
        "least": pa.int64(),
        "flag": pa.bool_(),
        "n": pa.int64(),
    }
)
KINDS = {"number": ["k"], "text": ["name"], "two": ["k", "name"]}


class Numbers(et.ProcessFunction):
    """State that can leave memory, some with a life, one that all keys share."""

    timers_at_least = "1us"

    def __init__(self, ttl_us: int | None, *, has_timers: bool) -> None:
        ttl = None if ttl_us is None else f"{ttl_us}us"
        self.before: Any = et.value_state(pa.int64(), ttl=ttl)
        self.total: Any = et.reducing_state(pa.float64(), "sum")
        self.least: Any = et.reducing_state(pa.int64(), "min", ttl=ttl)
        self.flag: Any = et.value_state(pa.bool_(), default=False)
        self.shared: Any = et.operator_state(et.value_state(pa.int64(), default=0))
        self.has_timers = has_timers


class ByRow(Numbers):
    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        self.shared.value += 1
        before, self.before.value = self.before.value, row["n"]
        flag, self.flag.value = self.flag.value, row["n"] % 2 == 0
        if row["n"] == 3:
            self.total.clear()
        total, least = self.total.add(row["x"]), self.least.add(row["n"])
        n = self.shared.value
        ctx.emit(
            at=ctx.time_us, what="row", before=before, total=total, least=least, flag=flag, n=n
        )
        if self.has_timers and row["n"] % 5 == 0:
            ctx.set_timer(max(ctx.time_us, ctx.watermark_us) + 40 * row["n"] + 1)

    def on_timer(self, ctx: Any, time_us: int) -> None:
        states = (self.before, self.total, self.least, self.flag, self.shared)
        before, total, least, flag, n = (state.value for state in states)
        self.before.clear()
        at = time_us
        ctx.emit(at=at, what="timer", before=before, total=total, least=least, flag=flag, n=n)


class ByBatch(Numbers):
    def on_batch(self, ctx: Any, batch: pa.RecordBatch) -> None:
        numbers = batch["n"].to_numpy()
        start = self.shared.value
        self.shared.value = start + len(ctx)
        before, flag = self.before.swap_rows(numbers), self.flag.swap_rows(numbers % 2 == 0)
        total: list[Any] = [None] * len(ctx)
        for rows in ctx.rounds():
            self.total.clear_rows(rows[numbers[rows] == 3])
            sums = self.total.add_rows(batch["x"].to_numpy()[rows], rows).to_pylist()
            for row, value in zip(rows.tolist(), sums, strict=True):
                total[row] = value
        least = self.least.add_rows(numbers)
        n = start + 1 + np.arange(len(ctx))
        self.emit(ctx, "row", before, total, least, flag, n)
        if self.has_timers:
            ahead = np.maximum(ctx.times_us, ctx.watermarks_us) + 40 * numbers + 1
            some = np.flatnonzero(numbers % 5 == 0)
            ctx.set_timers(ahead[some], some)

    def on_timers(self, ctx: Any) -> None:
        for rows in ctx.rounds():
            states = (self.before, self.total, self.least, self.flag)
            held = [state.get_rows(rows) for state in states]
            self.before.clear_rows(rows)
            self.emit(ctx, "timer", *held, self.shared.value, rows=rows)

    def emit(self, ctx: Any, what: str, *values: Any, rows: Any = None) -> None:
        at = ctx.times_us if rows is None else ctx.times_us[rows]
        names = ("before", "total", "least", "flag", "n")
        columns = dict(zip(names, values, strict=True))
        ctx.emit_rows({"at": at, "what": what, **columns}, rows)


@dataclass(frozen=True)
class Job:
    """Rows, and what is done with them."""

    seed: int
    keys: int
    kind: str
    is_batch: bool
    has_timers: bool
    ttl_us: int | None

    def rows(self) -> pa.RecordBatch:
        """Some keys often, most seldom, some come late, one is null."""
        rng, n = np.random.default_rng(self.seed), 900
        keys = np.where(rng.random(n) < 0.3, rng.integers(0, 5, n), rng.integers(0, self.keys, n))
        times = np.arange(n) * 10 + rng.integers(0, 200, n)
        of_key = pa.array(keys, mask=keys == 4)
        columns = {"t": pa.array(times).view(pa.timestamp("us")), "k": of_key}
        columns["name"] = pc.cast(of_key, pa.string())
        return pa.record_batch({**columns, "n": rng.integers(0, 30, n), "x": rng.normal(0, 1e6, n)})

    def stream(self, rows: pa.RecordBatch) -> Stream:
        marked = et.from_arrow(rows, time="t").watermark(et.bounded_disorder("150us"))
        function = (ByBatch if self.is_batch else ByRow)(self.ttl_us, has_timers=self.has_timers)
        by_key = marked.key_by(*KINDS[self.kind])
        return by_key.process(function, output=OUTPUT, columns=["n", "x"])


def jobs() -> st.SearchStrategy[Job]:
    return st.builds(
        Job,
        st.integers(0, 1000),
        st.sampled_from([3, 200, 2000]),
        st.sampled_from([*KINDS]),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, 1, 300, 3000]),
    )


BUDGETS = st.sampled_from([1, 20_000, 60_000, 10**9])


def small() -> ExitStack:
    """Keys are forgotten often."""
    stack = ExitStack()
    stack.enter_context(patch("eventtime.state.keyed._SMALL", 8))
    stack.enter_context(patch("eventtime.process.operator._SMALL_DICTIONARY", 8))
    return stack


def outcome(stream: Stream, memory: MemoryLike | None, shards: int, chunk_rows: int) -> bytes:
    with small(), patch("eventtime.replay.CHUNK_ROWS", chunk_rows):
        run = stream.run(shards=shards, memory=memory)
    run.assert_balanced()
    return ipc_bytes(run.table())


def check_budgets(job: Job, budget: int, shards: int, chunk_rows: int) -> None:
    """In memory, and above a budget."""
    stream = job.stream(job.rows())
    wanted = outcome(stream, None, 1, 65_536)
    assert outcome(stream, budget, shards, chunk_rows) == wanted


@settings(max_examples=40)
@given(jobs(), BUDGETS, st.sampled_from([1, 2]), st.sampled_from([7, 100, 65_536]))
def test_a_budget_does_not_show(job: Job, budget: int, shards: int, chunk_rows: int) -> None:
    check_budgets(job, budget, shards, chunk_rows)


@settings(max_examples=5)
@given(jobs())
def test_rocksdb_gives_the_same(job: Job) -> None:
    stream = job.stream(job.rows())
    with tempfile.TemporaryDirectory() as folder:
        limit = et.memory_limit(1, backend="rocksdb", scratch=folder)
        assert outcome(stream, limit, 1, 300) == outcome(stream, None, 1, 65_536)
        assert not list(Path(folder).iterdir())


def check_restores(job: Job, steps: list[tuple[int | None, int]]) -> None:
    """Saved under one budget and restored under the next, into any shards; empty at the end."""
    rows, stream = job.rows(), job.stream(job.rows())
    wanted = ipc_bytes(stream.run().table())
    n = len(rows) // len(steps) + 1
    with small(), tempfile.TemporaryDirectory() as folder:
        engine = Engine(stream, ["a"], memory=steps[0][0])
        for i, (memory, shards) in enumerate(steps):
            path = Path(folder) / f"{i}.savepoint"
            engine.savepoint(path)
            engine.suspend()
            engine = Engine.restore(stream, path, shards=shards, memory=memory)
            for at in range(i * n, min((i + 1) * n, len(rows)), 90):
                engine.push("a", rows[at : min(at + 90, (i + 1) * n)])
        engine.finish_all()
        assert engine.is_empty
        assert ipc_bytes(engine.results()) == wanted
        engine.suspend()


STEPS = st.lists(
    st.tuples(st.one_of(st.none(), BUDGETS), st.integers(1, 2)), min_size=1, max_size=4
)


@settings(max_examples=25)
@given(jobs(), STEPS)
def test_restores_do_not_show(job: Job, steps: list[tuple[int | None, int]]) -> None:
    check_restores(job, steps)


class KilledError(BaseException):
    """What a process that is killed sees last."""


@dataclass(frozen=True)
class Life:
    """One process with checkpoints: it is killed, or interrupted, at a step, or gets to the end.

    Args:
        memory: its limit; None: there is none.
        shards: threads.
        every_rows: from one checkpoint to the next.
        step: at which it ends; is_killed: with no word.
    """

    memory: et.MemoryLimit | None
    shards: int
    every_rows: int
    step: int
    is_killed: bool

    def run(self, stream: Stream, folder: Path, *, is_last: bool = False) -> et.Run | None:
        """Go on from the last checkpoint; None: it did not get to the end."""
        steps = 0

        def ends(*_: object) -> bool:
            nonlocal steps
            steps += 1
            is_over = not is_last and steps == self.step
            if is_over and self.is_killed:
                raise KilledError
            return is_over

        watching: dict[str, Any] = {"progress" if self.is_killed else "stop": ends}
        where = et.checkpoints(folder / "state", every=None, every_rows=self.every_rows)
        sink = et.to_parquet(folder / "out", parts=True)
        with small(), patch("eventtime.replay.CHUNK_ROWS", 90):
            try:
                run = stream.run(
                    sink=sink,
                    checkpoint=where,
                    memory=self.memory,
                    shards=self.shards,
                    **watching,
                )
            except KilledError:
                return None
        run.assert_balanced()
        return run if run.is_finished else None


LIMITS = (
    None,
    et.memory_limit(1),
    et.memory_limit(20_000),
    et.memory_limit(1, backend="rocksdb"),
)
LIVES = st.lists(
    st.builds(
        Life,
        st.sampled_from(LIMITS),
        st.integers(1, 2),
        st.sampled_from([100, 500]),
        st.integers(1, 20),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


def check_lives(job: Job, lives: list[Life]) -> None:
    """Killed and resumed under other budgets, with a checkpoint after so many rows."""
    stream = job.stream(job.rows())
    wanted = stream.run().table()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = None
        for life in lives:
            run = life.run(stream, folder)
        run = run or lives[-1].run(stream, folder, is_last=True)
        assert run is not None
        parts = sorted((folder / "out").glob("part-*"))
        got = pa.concat_tables([pq.read_table(path, partitioning=None) for path in parts])
        assert ipc_bytes(got) == ipc_bytes(wanted)


@settings(max_examples=15)
@given(jobs(), LIVES)
def test_a_run_with_checkpoints_that_died_is_one_that_did_not(job: Job, lives: list[Life]) -> None:
    with patch("os.fsync"):
        check_lives(job, lives)
