"""Push mode equals the oracle after every step: idle and new partitions, finish, suspend."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

import eventtime as et
from engine_runs import (
    assert_ledger,
    assert_rows,
    batch_of,
    drive_engine,
    rows_of,
    source_of,
    stream_of,
    without_detail,
)
from eventtime.engine import Engine
from eventtime.testing.reference import Aggregate, Bounded, Oracle, Spec
from eventtime.testing.reference.expected import tell
from eventtime.testing.steps import AddPartition, AdvanceClock, Finish, PollEmpty, Push
from strategies import Schedule, schedules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.testing.reference import Row
    from strategies import Step

INFINITIES = {-(2**63): -math.inf, 2**63 - 1: math.inf}
VALUES = {"key": 1, "name": None, "n": None, "x": None, "b": None, "mark": None, "is_mark": None}


class Live:
    """One pipeline run by both, step by step, with all that came out of the engine so far."""

    def __init__(self, spec: Spec, names: Sequence[str], *, shards: int = 1) -> None:
        self.oracle = Oracle(spec, names)
        self.clock = et.ManualClock()
        stream = stream_of(source_of({"a": []}), spec)
        self.engine = Engine(stream, list(names), clock=self.clock, shards=shards)
        self.results: list[Row] = []
        self.watermark = self.engine.watermark_us

    def do(self, *steps: Step) -> None:
        """Do steps in both; after each, everything is the same."""
        for step in steps:
            tell(self.oracle, step)
            drive_engine(self.engine, self.clock, step)
            self.check()

    def check(self) -> None:
        """Compare what came out since the last time, and how things stand."""
        engine, oracle = self.engine, self.oracle
        table = engine.results()
        taken, self.results = len(self.results), [*self.results, *rows_of(table)]
        assert_rows(table, oracle.results[taken:])
        assert_rows(engine.side("late"), oracle.late)
        assert_rows(without_detail(engine.side("quarantine")), oracle.quarantine)
        oracle.late.clear()
        oracle.quarantine.clear()
        assert_ledger(engine.ledger, oracle)
        watermark = engine.watermark_us
        assert watermark >= self.watermark
        assert INFINITIES.get(watermark, watermark) == oracle.operator.watermark
        self.watermark = watermark


def check_live(schedule: Schedule) -> Live:
    """Run a schedule by both; nothing is left once the watermark is plus infinity."""
    live = Live(schedule.spec, schedule.names)
    live.do(*schedule.steps)
    if live.engine.watermark_us == 2**63 - 1:
        assert live.engine.is_empty
    return live


@given(schedules())
def test_a_live_run_equals_the_oracle_after_every_step(schedule: Schedule) -> None:
    check_live(schedule)


@given(schedules())
def test_suspend_fires_nothing_and_takes_nothing_more(schedule: Schedule) -> None:
    live = check_live(schedule)
    is_empty = live.engine.is_empty
    live.engine.suspend()
    live.check()
    assert live.engine.is_empty == is_empty
    with pytest.raises(et.PlanError):
        live.engine.push("a", batch_of([{"t": 0, **VALUES}]))


def at(*times: int | None) -> list[Row]:
    """Rows of one key at these times."""
    return [{"t": t, **VALUES} for t in times]


def test_finish_all_fires_everything_and_leaves_nothing() -> None:
    live = Live(Spec(size=10, lateness=5, generator=Bounded(3)), ["a", "b"])
    live.do(Push("a", at(1, 12, 4)), Push("b", at(2)))
    assert not live.engine.is_empty
    live.engine.finish_all()
    tell(live.oracle, Finish("a"))
    tell(live.oracle, Finish("b"))
    live.check()
    assert live.engine.is_empty


def test_a_row_is_late_by_idleness_only_if_its_own_partition_would_have_taken_it() -> None:
    spec = Spec(size=10, generator=Bounded(), idle_after=5)
    live = Live(spec, ["a", "b"])
    live.do(Push("a", at(1)), PollEmpty("a"), AdvanceClock(6), PollEmpty("a"), Push("b", at(35)))
    live.do(Push("a", at(12, 36, 13)))
    assert live.oracle.ledger["a"]["late"] == 2
    # It counts again: the other one cannot go on without it.
    live.do(Push("b", at(100)))
    assert live.engine.watermark_us == 36


def test_all_idle_flushes_to_the_furthest_partition_or_holds() -> None:
    quiet: list[Step] = [
        PollEmpty("b"),
        PollEmpty("a"),
        AdvanceClock(6),
        PollEmpty("b"),
        PollEmpty("a"),
    ]
    for policy, reached in (("hold", 1), ("flush_max", 35)):
        live = Live(Spec(size=10, generator=Bounded(), idle_after=5, all_idle=policy), ["a", "b"])
        live.do(Push("a", at(1)), Push("b", at(35)), *quiet)
        assert live.engine.watermark_us == reached


def test_a_partition_found_after_the_end_has_only_late_rows() -> None:
    live = Live(Spec(size=10, generator=Bounded()), ["a"])
    live.do(Push("a", at(1, 15)), Finish("a"), AddPartition("b", historical=False))
    live.engine.push("b", batch_of(at(20, -20)))
    late = rows_of(live.engine.side("late"))
    shown = ("t", "window_start", "windows_missed", "windows_total", "watermark", "late_by")
    assert [tuple(row[name] for name in shown) for row in late] == [
        (20, 20, 1, 1, None, None),
        (-20, -20, 1, 1, None, None),
    ]
    assert live.engine.results().num_rows == 0
    live.engine.ledger.assert_balanced()


def test_a_row_after_the_end_is_late_for_the_global_window_too() -> None:
    live = Live(Spec(size=None, generator=Bounded()), ["a"])
    live.do(Push("a", at(1, 15)), Finish("a"), AddPartition("b", historical=False))
    live.engine.push("b", batch_of(at(20)))
    late = rows_of(live.engine.side("late"))
    assert [(row["t"], row["window_start"], row["windows_missed"]) for row in late] == [
        (20, None, 1)
    ]
    assert live.engine.is_empty
    live.engine.ledger.assert_balanced()


def with_values(*cells: tuple[int, float]) -> list[Row]:
    """Rows of one key at these times with these values."""
    return [row | {"x": x} for row, (_, x) in zip(at(*(t for t, _ in cells)), cells, strict=True)]


SUM = (Aggregate("sum_x", "sum", "x"), Aggregate("rows", "count"))


def test_a_partition_found_late_is_late_by_itself() -> None:
    live = Live(Spec(size=10, generator=Bounded()), ["a"])
    live.do(Push("a", at(1, 35)), AddPartition("c", historical=False), Push("c", at(12)))
    live.do(AddPartition("d", historical=True), Push("d", at(13)))
    assert live.oracle.ledger["c"]["late"] == 1


def test_a_correction_shows_in_the_windows_that_are_still_open() -> None:
    spec = Spec(size=8, slide=1, lateness=6, generator=Bounded(), aggregates=SUM, keys=())
    live = Live(spec, ["a"])
    for t in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 7, 6, 11, 9, 12, 8, 13, 14, 12, 15, 16, 20):
        live.do(Push("a", with_values((t, t / 8))))


def test_floats_add_up_by_suffix_and_prefix_at_first_and_in_corrections() -> None:
    spec = Spec(size=4, slide=1, lateness=9, generator=Bounded(), aggregates=SUM, keys=())
    cells = list(enumerate((1.0, 1e16, -1e16, 3.0, 1.0, -1e16, 1e16, 0.1, 0.2, 0.3)))
    for offset in range(4):
        live = Live(replace(spec, offset=offset), ["a"])
        live.do(Push("a", with_values(*cells)), Push("a", with_values((4, 0.0), (3, 0.7), (10, 0))))
        live.do(Push("a", with_values((12, 0.1))), Finish("a"))


def test_a_window_expires_at_its_end_plus_lateness_not_after() -> None:
    for reached, late in ((6, 0), (7, 1), (8, 1), (9, 1), (10, 1)):
        live = Live(Spec(size=4, slide=2, lateness=3, generator=Bounded(), keys=()), ["a"])
        live.do(Push("a", at(3, reached, 3)))
        assert live.oracle.ledger["a"]["late"] == late


def test_a_late_row_whose_closed_windows_have_all_expired_leaves_nothing() -> None:
    """S18, S30: it waits for a correction that is none, and nothing else fires with it."""
    spec = Spec(size=8, slide=6, lateness=1, aggregates=(Aggregate("rows", "count"),))
    check_live(Schedule(spec, ("a",), [Push("a", at(3, 0, 7)), Finish("a")]))
