"""Batches, chunks and shards do not show: the same rows give the same bytes (S4, S24)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import (
    all_null_times,
    assert_rows,
    batch_of,
    ipc_bytes,
    source_of,
    stream_of,
    windowed,
)
from eventtime.compiled import compile_plan
from eventtime.engine import Engine
from eventtime.execution import Execution
from eventtime.testing.reference import Aggregate, replay
from eventtime.testing.steps import Push
from strategies import Case, cases, cut, cut_cases, schedules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventtime.stream import Stream
    from strategies import Schedule


@dataclass(frozen=True)
class Outcome:
    """All that a run gives, as bytes."""

    results: bytes
    late: bytes
    quarantine: bytes
    ledger: str


def outcome(stream: Stream, *, shards: int = 1, chunk_rows: int = 65_536) -> Outcome:
    """Run a stream whose chunks have this many rows at the most."""
    with patch("eventtime.replay.CHUNK_ROWS", chunk_rows):
        run = stream.run(shards=shards)
    run.ledger.assert_balanced()
    late, quarantine = run.side("late"), run.side("quarantine")
    return Outcome(ipc_bytes(run.table()), ipc_bytes(late), ipc_bytes(quarantine), str(run.ledger))


def check_cuts(drawn: tuple[Case, Mapping[str, list[int]]]) -> None:
    """Whole partitions in one chunk, and small batches in chunks of few rows."""
    case, places = drawn
    if all_null_times(case.partitions):
        return
    cuts = {name: cut(rows, places[name]) for name, rows in case.partitions.items()}
    wanted = outcome(stream_of(source_of(case.partitions), case.spec))
    for chunk_rows in (1, 3, 65_536):
        got = outcome(stream_of(source_of({}, cuts), case.spec), chunk_rows=chunk_rows)
        assert got == wanted, f"chunks of {chunk_rows} rows, cut at {places}"


@given(cut_cases())
def test_cuts_into_batches_and_chunks_do_not_show(
    drawn: tuple[Case, Mapping[str, list[int]]],
) -> None:
    check_cuts(drawn)


def check_shards(drawn: tuple[Case, Mapping[str, list[int]]]) -> None:
    """One shard, two and three, the latter over chunks of few rows."""
    case, places = drawn
    if all_null_times(case.partitions):
        return
    cuts = {name: cut(rows, places[name]) for name, rows in case.partitions.items()}
    stream = stream_of(source_of({}, cuts), case.spec)
    wanted = outcome(stream)
    for shards in (2, 3):
        assert outcome(stream, shards=shards) == wanted
        assert outcome(stream, shards=shards, chunk_rows=4) == wanted


@given(cut_cases())
def test_shards_do_not_show(drawn: tuple[Case, Mapping[str, list[int]]]) -> None:
    check_shards(drawn)


def check_pushes(schedule: Schedule) -> None:
    """A push of many rows is that many pushes of one."""
    whole, single = (
        Engine(stream_of(source_of({"a": []}), schedule.spec), list(schedule.names))
        for _ in range(2)
    )
    for step in schedule.steps:
        if isinstance(step, Push) and step.partition in schedule.names:
            whole.push(step.partition, batch_of(step.rows))
            for row in step.rows:
                single.push(step.partition, batch_of([row]))
            whole.ledger.assert_balanced()
            single.ledger.assert_balanced()
            assert whole.watermark_us == single.watermark_us
    for engine in (whole, single):
        engine.finish_all()
        assert engine.is_empty
    assert ipc_bytes(whole.results()) == ipc_bytes(single.results())
    for tag in ("late", "quarantine"):
        assert ipc_bytes(whole.side(tag)) == ipc_bytes(single.side(tag))
    assert str(whole.ledger) == str(single.ledger)


@given(schedules())
def test_pushes_of_one_row_are_a_push_of_many(schedule: Schedule) -> None:
    check_pushes(replace(schedule, spec=replace(schedule.spec, max_future=None)))


@st.composite
def finite_cases(draw: st.DrawFn) -> Case:
    """Sliding windows over any finite floats, whose sums depend on the order of addition."""
    case = draw(cases(has_global=False))
    numbers = st.one_of(st.none(), st.floats(-1e9, 1e9))
    rows = {
        name: [row | {"x": draw(numbers)} for row in rows] for name, rows in case.partitions.items()
    }
    sums = (Aggregate("sum_x", "sum", "x"), Aggregate("mean_x", "mean", "x"))
    return Case(replace(case.spec, aggregates=sums, keys=()), rows)


def check_sums(case: Case) -> None:
    """To the last bit."""
    if not all_null_times(case.partitions):
        run = stream_of(source_of(case.partitions), case.spec).run()
        assert_rows(run.table(), replay(case.partitions, case.spec).results)


@given(finite_cases())
def test_float_sums_have_the_bits_that_the_order_of_slices_defines(case: Case) -> None:
    check_sums(case)


def check_iteration(case: Case) -> None:
    """The ledger balances whenever results come out; the watermark never goes back."""
    if all_null_times(case.partitions):
        return
    cuts = {name: cut(rows, range(len(rows))) for name, rows in case.partitions.items()}
    plan = compile_plan(stream_of(source_of({}, cuts), case.spec).node)
    with patch("eventtime.replay.CHUNK_ROWS", 3):
        execution = Execution(plan, lambda _tag, _batch: None)
        reached: list[int] = []
        for _ in execution.results(lambda report: reached.append(report.watermark_us)):
            execution.ledger().assert_balanced()
        execution.ledger().assert_balanced()
    assert reached == sorted(reached)
    assert execution.is_empty
    assert all(operator.open == 0 for operator in execution.ledger().operators)


@given(cases())
def test_the_ledger_balances_while_iterating_and_nothing_is_left(case: Case) -> None:
    check_iteration(case)


def check_percentile(drawn: tuple[Case, Mapping[str, list[int]]]) -> None:
    """A bound that is learnt from rows is learnt from the same rows."""
    case, places = drawn
    if all_null_times(case.partitions):
        return
    generator = et.percentile(0.8, initial="3us", warm_up=4, every=3)
    cuts = {name: cut(rows, places[name]) for name, rows in case.partitions.items()}
    whole, pieces = (
        windowed(source.watermark(generator), case.spec)
        for source in (source_of(case.partitions), source_of({}, cuts))
    )
    assert outcome(pieces, chunk_rows=2) == outcome(whole)
    assert outcome(pieces, shards=2) == outcome(whole)


@given(cut_cases())
def test_cuts_do_not_show_in_a_learnt_bound(
    drawn: tuple[Case, Mapping[str, list[int]]],
) -> None:
    check_percentile(drawn)
