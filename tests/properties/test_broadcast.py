"""Broadcast state, and state by key and window, equal the oracle: cut, killed, live, restored."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from unittest.mock import patch

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from broadcast_model import SETS, WIPES, Told, ToldOperator
from broadcast_runs import limited, told
from engine_runs import (
    all_null_times,
    assert_rows,
    batch_of,
    drive_engine,
    ipc_bytes,
    source_of,
    stream_of,
)
from eventtime.compiled import compile_plan
from eventtime.engine import Engine
from eventtime.state.pack import Pack, read_pack
from eventtime.testing.reference import TIME_LIMIT, Aggregate, Oracle, Row, replay
from eventtime.testing.reference.expected import tell
from eventtime.testing.steps import Push
from lives import RESULTS, Life
from strategies import Case, Schedule, cases, cells, cut, cuts, schedules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.stream import Stream
    from strategies import Step

Changes: TypeAlias = dict[str, list[Row]]


# What changes, and when


@st.composite
def told_rows(draw: st.DrawFn, near: Sequence[Row], unit: int) -> list[Row]:
    """Changes at about the times of some rows, where those before and behind can be told apart."""
    times = sorted({r["t"] for r in near if r["t"] is not None and abs(r["t"]) < TIME_LIMIT})
    time = st.sampled_from(times or [0]).flatmap(
        lambda t: st.integers(-2, 2).map(lambda n: min(max(t + n * unit, -TIME_LIMIT), TIME_LIMIT))
    )
    one = st.tuples(st.one_of(st.none(), *[time] * 9), cells())
    return [row | {"t": t} for t, row in draw(st.lists(one, max_size=6))]


def changes(near: Sequence[Row], unit: int) -> st.SearchStrategy[Changes]:
    return st.fixed_dictionaries({name: told_rows(near, unit) for name in (SETS, WIPES)})


def valid(rows: Sequence[Row]) -> list[Row]:
    """Those that the filter of the stream leaves."""
    return [row for row in rows if row["t"] is not None]


def unit_of(size: int | None) -> int:
    return 1_000_000 if size is not None and size >= 1_000_000 else 1


def hows(unit: int) -> st.SearchStrategy[Told]:
    sizes = st.integers(1, 6).map(lambda n: n * unit)
    return st.builds(Told, sizes, st.booleans(), st.sampled_from([True, True, False]))


# Replay


@dataclass(frozen=True)
class Replayed:
    """Partitions and changes, and where they are cut."""

    case: Case
    how: Told
    changes: Changes
    places: dict[str, list[int]]

    def stream(self, places: dict[str, list[int]] | None = None) -> Stream:
        rows = self.case.partitions
        pieces = None if places is None else {n: cut(r, places[n]) for n, r in rows.items()}
        return told(source_of(rows, pieces), self.case.spec, self.how, self.changes)


@st.composite
def replayed(draw: st.DrawFn) -> Replayed:
    case = draw(cases().filter(lambda c: not all_null_times(c.partitions)))
    unit = unit_of(case.spec.size)
    keys = draw(st.sampled_from([("key",), ("name",), ("b", "name")]))
    case = replace(case, spec=replace(case.spec, keys=keys))
    rows = [row for some in case.partitions.values() for row in some]
    places = {name: draw(cuts(some)) for name, some in case.partitions.items()}
    return Replayed(case, draw(hows(unit)), draw(changes(rows, unit)), places)


def outcome(stream: Stream, *, shards: int = 1, chunk_rows: int = 65_536) -> list[bytes]:
    with patch("eventtime.replay.CHUNK_ROWS", chunk_rows):
        run = stream.run(shards=shards)
    return [ipc_bytes(run.table()), ipc_bytes(run.side("missed"))]


def check_told(drawn: Replayed) -> None:
    """Results and side output are the oracle's, which is told all changes before it begins.

    Between which rows a change falls depends on neither batches nor chunks nor shards (S4).
    """
    operator = ToldOperator(drawn.how, drawn.case.spec.keys)
    for name in (SETS, WIPES):
        operator.tell(name, valid(drawn.changes[name]))
    replay(drawn.case.partitions, drawn.case.spec, operator=operator)
    run = drawn.stream().run()
    assert_rows(run.table(), operator.results)
    assert_rows(run.side("missed"), operator.missed)
    run.ledger.assert_balanced()
    wanted = [ipc_bytes(run.table()), ipc_bytes(run.side("missed"))]
    assert outcome(drawn.stream(drawn.places), chunk_rows=3) == wanted
    assert outcome(drawn.stream(drawn.places), shards=2, chunk_rows=4) == wanted


@given(replayed())
def test_broadcast_state_is_that_of_the_oracle_however_rows_are_cut(drawn: Replayed) -> None:
    check_told(drawn)


# Killed


@dataclass(frozen=True)
class Disturbed:
    """A replay that is killed several times.

    Args:
        drawn: partitions and changes.
        is_behind: whether the function stands behind a window.
        lives: of each life: where partitions are cut, its shards, and after how many steps it is
            saved and killed. The last life goes on to the end.
        chunk_rows: rows of a step at most.
    """

    drawn: Replayed
    is_behind: bool
    lives: list[tuple[dict[str, list[int]], int, int]]
    chunk_rows: int

    def stream(self, places: dict[str, list[int]]) -> Stream:
        if not self.is_behind:
            return self.drawn.stream(places)
        rows, spec, how = self.drawn.case.partitions, self.drawn.case.spec, self.drawn.how
        spec = replace(spec, keys=("name",), aggregates=(Aggregate("rows", "count"),))
        pieces = {name: cut(some, places[name]) for name, some in rows.items()}
        windows = stream_of(source_of({}, pieces), spec)
        return limited(windows, ("name",), how, self.drawn.changes)


@st.composite
def disturbed(draw: st.DrawFn) -> Disturbed:
    drawn = draw(replayed())
    times = [row["t"] for rows in drawn.case.partitions.values() for row in rows]
    # Windows start before the first time of all, where there are no timers.
    is_inside = all(abs(t) < TIME_LIMIT // 2 for t in times if t is not None)
    is_behind = is_inside and drawn.case.spec.size is not None and draw(st.booleans())
    lives = [
        (
            {name: draw(cuts(rows)) for name, rows in drawn.case.partitions.items()},
            draw(st.sampled_from([1, 1, 3])),
            draw(st.integers(1, 6)),
        )
        for _ in range(draw(st.integers(2, 5)))
    ]
    return Disturbed(drawn, is_behind, lives, draw(st.sampled_from([1, 2, 3, 7])))


def lived(
    case: Disturbed, i: int, saved: Pack | None, out: dict[str, list[pa.RecordBatch]]
) -> Life:
    """Run one life to its end, or to its death."""
    places, shards, steps = case.lives[i]
    one = Life(steps if i + 1 < len(case.lives) else None, out)
    plan = compile_plan(case.stream(places).node)
    one.live(plan, shards, saved)
    return one


def check_killed(case: Disturbed) -> None:
    """Changes that waited, and those that hold, are there again (S27, S28)."""
    out: dict[str, list[pa.RecordBatch]] = {}
    with patch("eventtime.replay.CHUNK_ROWS", case.chunk_rows):
        i, life = 0, lived(case, 0, None, out)
        while life.saved:
            i += 1
            life = lived(case, i, read_pack(pa.py_buffer(life.saved), "memory"), out)
    stream = case.stream(case.lives[0][0])
    run = stream.run()
    wanted = {RESULTS: run.table(), "missed": run.side("missed")}
    for tag, table in wanted.items():
        got = pa.Table.from_batches(out.get(tag, []), table.schema)
        assert ipc_bytes(got) == ipc_bytes(table)
    assert life.execution.ledger().to_dict() == run.ledger.to_dict()


@given(disturbed())
def test_killed_a_replay_with_broadcast_state_is_one_that_was_not(case: Disturbed) -> None:
    check_killed(case)


# Live


@dataclass(frozen=True)
class Tell:
    """Rows arrive in a broadcast stream."""

    name: str
    rows: list[Row]


@dataclass(frozen=True)
class Live:
    """A live run, and into how many shards it is restored after each step; None: it is not."""

    schedule: Schedule
    how: Told
    steps: list[Step | Tell]
    restored: list[int | None]


@st.composite
def lives(draw: st.DrawFn) -> Live:
    """Changes come before rows of their times, between them, behind them, and after the end."""
    schedule = draw(schedules())
    unit = unit_of(schedule.spec.size)
    keys = draw(st.sampled_from([("key",), ("name",), ("b", "name")]))
    schedule = replace(schedule, spec=replace(schedule.spec, keys=keys))
    rows = [row for step in schedule.steps if isinstance(step, Push) for row in step.rows]
    steps: list[Step | Tell] = list(schedule.steps)
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from([SETS, SETS, WIPES]))
        at = draw(st.integers(0, len(steps)))
        steps.insert(at, Tell(name, draw(told_rows(rows, unit))))
    n = len(steps)
    restored = draw(st.lists(st.sampled_from([None, None, 1, 2]), min_size=n, max_size=n))
    return Live(schedule, draw(hows(unit)), steps, restored)


def check_live(live: Live) -> None:
    """Pushed at any time, saved while changes wait, restored anywhere: the oracle's rows."""
    spec, how = live.schedule.spec, live.how
    operator, clock = ToldOperator(how, spec.keys), et.ManualClock()
    oracle = Oracle(spec, live.schedule.names, operator=operator)
    stream = told(source_of({"a": []}), spec, how)
    engine = Engine(stream, list(live.schedule.names), clock=clock)
    with tempfile.TemporaryDirectory() as folder:
        for i, (step, shards) in enumerate(zip(live.steps, live.restored, strict=True)):
            if isinstance(step, Tell):
                operator.tell(step.name, valid(step.rows))
                engine.push(step.name, batch_of(step.rows))
            else:
                tell(oracle, step)
                drive_engine(engine, clock, step)
            if shards is not None:
                path = Path(folder) / f"{i}.savepoint"
                engine.savepoint(path)
                engine.suspend()
                engine = Engine.restore(stream, path, clock=clock, shards=shards)
    assert_rows(engine.results(), operator.results)
    assert_rows(engine.side("missed"), operator.missed)
    engine.ledger.assert_balanced()
    if operator.watermark == math.inf:
        assert engine.is_empty
    engine.suspend()


@given(lives())
def test_live_and_restored_broadcast_state_is_that_of_the_oracle(live: Live) -> None:
    check_live(live)
