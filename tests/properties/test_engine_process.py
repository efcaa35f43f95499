"""Process functions equal the oracle: row by row and by batches, cut, live, restored (S4, S28)."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import (
    all_null_times,
    assert_rows,
    drive_engine,
    ipc_bytes,
    source_of,
    without_detail,
)
from eventtime.engine import Engine
from eventtime.testing.reference import Oracle, replay
from eventtime.testing.reference.expected import tell
from eventtime.testing.steps import Finish, Heartbeat, PollEmpty, Push
from process_model import KeyedOperator, Settings
from process_runs import forgetting_often, processed
from strategies import Case, Schedule, cases, cut, cuts, schedules

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.stream import Stream
    from eventtime.testing.reference import Spec
    from strategies import Step


@st.composite
def settings(draw: st.DrawFn, *, is_live: bool = False) -> Settings:
    """Times to live of a few rows' distance, or none."""
    unit = draw(st.sampled_from([1, 1_000_000]))
    ttl = draw(st.one_of(st.none(), st.integers(1, 12).map(lambda n: n * unit)))
    brief = draw(st.integers(1, 6)) * unit if is_live else None
    is_by_clock = is_live and draw(st.booleans())
    return Settings(unit, ttl, brief, draw(st.booleans()), is_by_clock)


def keyed(spec: Spec) -> Spec:
    return spec if spec.keys else replace(spec, keys=("key",))


Drawn = tuple[Case, Settings, dict[str, list[int]]]


@st.composite
def process_cases(draw: st.DrawFn) -> Drawn:
    """A replay, lives of state, and cuts of each partition."""
    case = draw(cases())
    case = Case(keyed(case.spec), case.partitions)
    return case, draw(settings()), {n: draw(cuts(rows)) for n, rows in case.partitions.items()}


def check_process(drawn: Drawn) -> None:
    """Results, side outputs and ledger of a replay are those of the oracle."""
    case, how, _ = drawn
    if all_null_times(case.partitions):
        return
    operator = KeyedOperator(how, case.spec.keys)
    oracle = replay(case.partitions, case.spec, operator=operator)
    run = processed(source_of(case.partitions), case.spec, how).run()
    assert_rows(run.table(), operator.results)
    assert_rows(run.side("noted"), operator.noted)
    assert_rows(without_detail(run.side("quarantine")), oracle.quarantine)
    counted = run.ledger.to_dict()["partitions"]
    assert {n: p["windowed"] for n, p in counted.items()} == {
        n: p["windowed"] for n, p in oracle.ledger.items()
    }
    run.ledger.assert_balanced()


@given(process_cases())
def test_a_process_function_equals_the_oracle(drawn: Drawn) -> None:
    check_process(drawn)


def crowded() -> Any:
    """Under a limit there is room for two keys at a time."""
    return patch("eventtime.state.keyed_room._LEAST_SLOTS", 2)


def outcome(
    stream: Stream, *, shards: int, chunk_rows: int, memory: int | None = None
) -> list[bytes]:
    with crowded(), forgetting_often(), patch("eventtime.replay.CHUNK_ROWS", chunk_rows):
        run = stream.run(shards=shards, memory=memory)
    return [ipc_bytes(t) for t in (run.table(), run.side("noted"), run.side("quarantine"))]


def check_process_cuts(drawn: Drawn) -> None:
    """Neither batches nor chunks nor shards nor memory show."""
    case, how, places = drawn
    if all_null_times(case.partitions):
        return
    pieces = {name: cut(rows, places[name]) for name, rows in case.partitions.items()}
    whole = processed(source_of(case.partitions), case.spec, how)
    wanted = outcome(whole, shards=1, chunk_rows=65_536)
    for shards, chunk_rows, memory in ((1, 1, None), (1, 3, 1), (2, 4, None), (3, 65_536, None)):
        stream = processed(source_of({}, pieces), case.spec, how)
        assert outcome(stream, shards=shards, chunk_rows=chunk_rows, memory=memory) == wanted


@given(process_cases())
def test_cuts_and_shards_do_not_show_in_a_process_function(drawn: Drawn) -> None:
    check_process_cuts(drawn)


@dataclass(frozen=True)
class Live:
    """A live run.

    Args:
        schedule: what happens.
        settings: of the function.
        restored: after each step, into how many shards and how much memory; None: it is not.
    """

    schedule: Schedule
    settings: Settings
    restored: list[tuple[int, int | None] | None]


@st.composite
def live_runs(draw: st.DrawFn) -> Live:
    schedule = draw(schedules())
    schedule = replace(schedule, spec=keyed(schedule.spec))
    n = len(schedule.steps)
    place = st.tuples(st.sampled_from([1, 2]), st.sampled_from([None, 1]))
    places = st.one_of(st.none(), st.none(), place)
    restored = draw(st.lists(places, min_size=n, max_size=n))
    return Live(schedule, draw(settings(is_live=True)), restored)


@dataclass
class Outputs:
    results: list[pa.Table]
    noted: list[pa.Table]


def read_clock(operator: KeyedOperator, step: Step, now: int) -> None:
    """The engine looks at the clock when it is given something."""
    if isinstance(step, PollEmpty | Finish | Heartbeat) or (isinstance(step, Push) and step.rows):
        operator.read_clock(now)


def check_live_process(live: Live) -> None:
    """Live, with processing time, saved and restored anywhere: the oracle's rows, and empty."""
    spec, how = live.schedule.spec, live.settings
    operator, clock = KeyedOperator(how, spec.keys), et.ManualClock()
    oracle = Oracle(spec, live.schedule.names, operator=operator)

    def stream() -> Stream:
        return processed(source_of({"a": []}), spec, how)

    engine = Engine(stream(), list(live.schedule.names), clock=clock)
    with crowded(), forgetting_often(), tempfile.TemporaryDirectory() as folder:
        for i, (step, place) in enumerate(zip(live.schedule.steps, live.restored, strict=True)):
            read_clock(operator, step, clock.now_us())
            tell(oracle, step)
            drive_engine(engine, clock, step)
            if place is not None:
                path = Path(folder) / f"{i}.savepoint"
                engine.savepoint(path)
                engine.suspend()
                shards, memory = place
                engine = Engine.restore(stream(), path, clock=clock, shards=shards, memory=memory)
        assert_rows(engine.results(), operator.results)
        assert_rows(engine.side("noted"), operator.noted)
        engine.ledger.assert_balanced()
        if operator.watermark == math.inf:
            assert engine.is_empty
        engine.suspend()


@given(live_runs())
def test_live_and_restored_a_process_function_equals_the_oracle(live: Live) -> None:
    check_live_process(live)
