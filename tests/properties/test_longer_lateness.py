"""Restored with a longer lateness, anywhere and again, a run is what the oracle says (S29)."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import (
    all_null_times,
    assert_ledger,
    assert_rows,
    drive_engine,
    finite,
    rows_of,
    source_of,
    stream_of,
    windowed,
)
from eventtime.compiled import compile_plan
from eventtime.engine import Engine
from eventtime.state.pack import read_pack
from eventtime.testing.reference import (
    Aggregate,
    Bounded,
    Operator,
    Oracle,
    Spec,
    replay,
)
from eventtime.testing.reference.expected import tell
from eventtime.testing.steps import Finish, Push
from lives import RESULTS, Life
from properties.test_engine_live import at
from strategies import Case, Schedule, cases, cut, cuts, schedules, specs

if TYPE_CHECKING:
    from eventtime.execution import Execution
    from eventtime.ledger import Ledger
    from eventtime.stream import Stream
    from strategies import Step

FIRST = (Aggregate("rows", "count"), Aggregate("listed", "collect", "n"))
SECOND = (Aggregate("windows", "count"), Aggregate("total", "sum", "rows"))
INFINITIES = {-(2**63): -math.inf, 2**63 - 1: math.inf}
OF_LATE_RESULTS = ("window_start", "window_end", "windows_missed", "late_by", "reason")


@dataclass(frozen=True)
class Pipeline:
    """One window, or one over the other, whose lateness may become longer."""

    first: Spec
    second: Spec | None

    def over(self, source: Stream) -> Stream:
        stream = stream_of(source, self.first)
        return stream if self.second is None else windowed(stream, self.second)

    def longer(self, by: tuple[int, int]) -> Pipeline:
        first = replace(self.first, lateness=self.first.lateness + by[0])
        second = self.second
        if second is not None:
            second = replace(second, lateness=second.lateness + by[1])
        return Pipeline(first, second)


def lengthen(oracle: Oracle, pipeline: Pipeline) -> None:
    """Tell the oracle which lateness there is from now on."""
    oracle.operator.lengthen(pipeline.first.lateness)
    if pipeline.second is not None:
        assert oracle.operator.downstream is not None
        oracle.operator.downstream.lengthen(pipeline.second.lateness)


def assert_equal(
    results: pa.Table, sides: dict[str, pa.Table], ledger: Ledger, oracle: Oracle
) -> None:
    """Results, late rows and ledger of all operators."""
    downstream = oracle.operator.downstream
    assert_rows(results, oracle.results if downstream is None else downstream.results)
    assert_rows(sides["late"], oracle.late)
    assert_ledger(ledger, oracle)
    if downstream is not None:
        assert ledger.to_dict()["operators"][1] == downstream.ledger
        late = [finite({n: row[n] for n in OF_LATE_RESULTS}) for row in downstream.late]
        # Behind plus infinity there is no saying by how much.
        late = [r | {"late_by": None if r["late_by"] == math.inf else r["late_by"]} for r in late]
        assert rows_of(sides["late_2"].select(OF_LATE_RESULTS)) == late


@st.composite
def pipelines(draw: st.DrawFn, spec: Spec, *, is_chain: bool) -> Pipeline:
    """Few windows, and lateness often zero at first; the second takes what adds up."""
    spec = replace(spec, aggregates=FIRST, lateness=draw(st.just(0) | st.just(spec.lateness)))
    if not is_chain:
        return Pipeline(spec, None)
    second = replace(draw(specs(unit=unit_of(spec))), time="start", max_future=None)
    keys = draw(st.sampled_from([spec.keys[:1], ()]))
    return Pipeline(replace(spec, mode="discarding"), replace(second, keys=keys, aggregates=SECOND))


def unit_of(spec: Spec) -> int:
    return 1_000_000 if spec.size is not None and spec.size >= 1_000 else 1


def more(spec: Spec) -> st.SearchStrategy[tuple[int, int]]:
    """By how much the latenesses of both windows grow, if they do."""
    one = st.one_of(st.just(0), *[st.integers(1, 15).map(lambda n: n * unit_of(spec))] * 2)
    return st.tuples(one, one)


# Live


@dataclass(frozen=True)
class Lengthened:
    """A live run, and after which of its steps it is restored: shards, and how much longer."""

    schedule: Schedule
    pipeline: Pipeline
    restores: list[tuple[int, tuple[int, int]] | None]


@st.composite
def pushed(draw: st.DrawFn) -> Schedule:
    """Rows some way out of order, a few at a time, in windows that overlap."""
    case = draw(cases(max_rows=50, has_global=False))
    assert case.spec.size is not None
    slide = max(1, case.spec.size // draw(st.integers(1, 3)))
    bound = draw(st.sampled_from([0, case.spec.size // 3]))
    spec = replace(case.spec, slide=slide, generator=Bounded(bound), max_future=None)
    steps: list[Step] = []
    for name, rows in case.partitions.items():
        n = draw(st.integers(1, 6))
        steps += [Push(name, rows[i : i + n]) for i in range(0, len(rows), n)]
    names = tuple(case.partitions)
    steps = [*draw(st.permutations(steps)), *(Finish(name) for name in names)]
    return Schedule(spec, names, steps)


@st.composite
def lengthened(draw: st.DrawFn) -> Lengthened:
    """Live runs of one window or two, restored after about every second step."""
    schedule = draw(pushed() | pushed() | schedules())
    is_chain = schedule.spec.size is not None and draw(st.sampled_from([False, False, True]))
    pipeline = draw(pipelines(schedule.spec, is_chain=is_chain))
    restore = st.tuples(st.sampled_from([1, 1, 3]), more(schedule.spec))
    n = len(schedule.steps) + 1
    restores = draw(st.lists(st.none() | restore, min_size=n, max_size=n))
    return Lengthened(replace(schedule, spec=pipeline.first), pipeline, restores)


def check_lengthened(case: Lengthened) -> None:
    """Nothing is taken before the end: it lies in the savepoints too."""
    pipeline, clock = case.pipeline, et.ManualClock()
    source = source_of({"a": []})
    names = list(case.schedule.names)
    engine = Engine(pipeline.over(source), names, clock=clock)
    second = pipeline.second
    downstream = None if second is None else Operator(second)
    oracle = Oracle(pipeline.first, names, Operator(pipeline.first, downstream))
    with tempfile.TemporaryDirectory() as folder:
        for i, step in enumerate([None, *case.schedule.steps]):
            if step is not None:
                drive_engine(engine, clock, step)
                tell(oracle, step)
            restore = case.restores[i]
            if restore is not None:
                engine.ledger.assert_balanced()
                engine.savepoint(Path(folder, str(i)))
                engine.suspend()
                shards, by = restore
                pipeline = pipeline.longer(by)
                stream = pipeline.over(source)
                engine = Engine.restore(stream, Path(folder, str(i)), clock=clock, shards=shards)
                lengthen(oracle, pipeline)
    sides = {tag: engine.side(tag) for tag in ["late", *(["late_2"] if second else [])]}
    assert_equal(engine.results(), sides, engine.ledger, oracle)
    assert engine.is_empty or engine.watermark_us < 2**63 - 1
    engine.suspend()


@given(lengthened())
def test_a_live_run_restored_with_longer_lateness_is_the_oracles(case: Lengthened) -> None:
    check_lengthened(case)


def test_a_row_misses_those_of_its_windows_that_had_expired_before() -> None:
    # Of the windows that hold 7, two had expired at 10; the last takes it, open or closed.
    spec = Spec(size=6, slide=2, aggregates=FIRST, generator=Bounded())
    for reached in (7, 11, 20):
        steps: list[Step] = [Push("a", at(7, 10)), Push("a", at(reached, 7)), Finish("a")]
        restores = [None, (1, (100, 0)), None, None]
        case = Lengthened(Schedule(spec, ("a",), steps), Pipeline(spec, None), restores)
        check_lengthened(case)


# Replay


@dataclass(frozen=True)
class Resumed:
    """A replay that is killed several times, and goes on with a longer lateness.

    Args:
        case: the partitions, and the spec at first.
        pipeline: at first.
        lives: of each life: where its partitions are cut, its shards, after how many steps it is
            saved and killed, and how much longer the lateness of the next one is.
        chunk_rows: rows of a step at most.
    """

    case: Case
    pipeline: Pipeline
    lives: list[tuple[dict[str, list[int]], int, int, tuple[int, int]]]
    chunk_rows: int


@st.composite
def resumed(draw: st.DrawFn) -> Resumed:
    """Replays of one window or two."""
    case = draw(cases(max_rows=50).filter(lambda c: not all_null_times(c.partitions)))
    is_chain = case.spec.size is not None and draw(st.sampled_from([False, False, True]))
    pipeline = draw(pipelines(case.spec, is_chain=is_chain))
    lives = [
        (
            {name: draw(cuts(rows)) for name, rows in case.partitions.items()},
            draw(st.sampled_from([1, 1, 3])),
            draw(st.integers(1, 6)),
            draw(more(case.spec)),
        )
        for _ in range(draw(st.integers(2, 5)))
    ]
    return Resumed(case, pipeline, lives, draw(st.sampled_from([1, 2, 3, 7])))


@dataclass(frozen=True)
class Cut:
    """Where a replay was cut, as the oracle can tell it, and what it goes on with."""

    rows: int
    watermark: float
    pipeline: Pipeline

    def is_at(self, oracle: Oracle) -> bool:
        judged = sum(counts["windowed"] + counts["late"] for counts in oracle.ledger.values())
        return judged == self.rows and oracle.operator.watermark == self.watermark


def lived(case: Resumed) -> tuple[Execution, dict[str, list[pa.RecordBatch]], list[Cut]]:
    """Run all lives, each with the lateness that it has."""
    out: dict[str, list[pa.RecordBatch]] = {}
    made: list[Cut] = []
    pipeline, saved = case.pipeline, None
    for i, (places, shards, steps, by) in enumerate(case.lives):
        pieces = {name: cut(rows, places[name]) for name, rows in case.case.partitions.items()}
        plan = compile_plan(pipeline.over(source_of({}, pieces)).node)
        one = Life(steps if i + 1 < len(case.lives) else None, out)
        if one.live(plan, shards, saved):
            return one.execution, out, made
        saved, pipeline = read_pack(pa.py_buffer(one.saved), "memory"), pipeline.longer(by)
        total = one.execution.ledger().total
        watermark_us: int = saved.head["operators"][0]["watermark_us"]
        watermark = INFINITIES.get(watermark_us, watermark_us)
        made.append(Cut(total.windowed + total.late, watermark, pipeline))
    msg = "the last life goes on to the end"
    raise AssertionError(msg)


def check_resumed(case: Resumed) -> None:
    """The oracle is told of each cut when it has judged as many rows, by the same watermark."""
    with patch("eventtime.replay.CHUNK_ROWS", case.chunk_rows):
        execution, out, made = lived(case)
    to_come = list(made)

    def between(oracle: Oracle) -> None:
        while to_come and to_come[0].is_at(oracle):
            lengthen(oracle, to_come.pop(0).pipeline)

    first, second = case.pipeline.first, case.pipeline.second
    operator = Operator(first, None if second is None else Operator(second))
    oracle = replay(case.case.partitions, first, operator, between)
    between(oracle)
    assert not to_come
    schemas = {RESULTS: case.pipeline.over(source_of({"a": []})).schema, **execution.side_schemas}
    tables = {tag: pa.Table.from_batches(out.get(tag, []), s) for tag, s in schemas.items()}
    assert_equal(tables.pop(RESULTS), tables, execution.ledger(), oracle)


@given(resumed())
def test_a_replay_resumed_with_longer_lateness_is_the_oracles(case: Resumed) -> None:
    check_resumed(case)
