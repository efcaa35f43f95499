"""The checks hold for the engine, each notices what it is for, and says so that one can read it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings

import eventtime as et
from engine_runs import SCHEMA
from eventtime.progress import Progress
from eventtime.state.checkpoints import CheckpointWriter, KeptBlock
from eventtime.testing import (
    AddPartition,
    AdvanceClock,
    Checkpoint,
    Crash,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
    Restart,
    Streams,
    check,
    check_batches,
    check_empty,
    check_ledger,
    check_order,
    check_restores,
    check_shards,
)
from eventtime.testing.checking.case import Case
from eventtime.testing.checking.equal import equals_oracle
from eventtime.testing.checking.invariance import restarts_do_not_show
from eventtime.testing.checking.order import order_does_not_show
from eventtime.testing.checking.runs import RESULTS
from eventtime.testing.checking.standing import (
    ledger_balances,
    nothing_is_early,
    nothing_is_left,
    watermark_is_monotone,
)
from eventtime.testing.checking.versions import versions_fold
from eventtime.testing.checking.whole import CHECKS
from mutants.kit import check_all, drawn
from zoo import NOTHING, ZOO, Total

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.testing import Row
    from eventtime.testing.checking.runs import Moment

SECOND = 1_000_000
BLANK = dict.fromkeys(SCHEMA.names)


def rows(*seconds: int, **cells: Any) -> list[Row]:
    return [BLANK | {"t": t * SECOND, "n": i} | cells for i, t in enumerate(seconds)]


STREAMS = Streams(
    ("a", "b"),
    (
        Push("a", rows(1, 4, 12, 9, key=1, name="x", x=0.5)),
        Push("b", rows(3, 3, 25, key=1, name="y", x=0.25, is_mark=True, b=True)),
        PollEmpty("a"),
        AdvanceClock(6 * SECOND),
        PollEmpty("a"),
        AddPartition("c", historical=True),
        Push("a", rows(8, 14, 2, key=None, name="x")),
        Restart(),
        Heartbeat("a", 30 * SECOND),
        Push("c", [BLANK, *rows(5, 18)]),
        Finish("b"),
        Push("a", rows(41, 33, 22, b=False)),
    ),
    start_us=45 * SECOND,
)
"""Something of everything."""


@pytest.mark.parametrize("name", list(ZOO))
def test_all_checks_hold_for_every_kind_of_pipeline(name: str) -> None:
    check(ZOO[name], STREAMS)


@given(drawn())
@settings(max_examples=8, deadline=None)
def test_all_checks_hold_whatever_happens(case: tuple[str, Streams]) -> None:
    check_all(case)


# What each notices in pipelines


def test_a_checkpoint_that_misses_a_change_is_noticed() -> None:
    """S27: what is named again from the checkpoint before has not changed since."""

    def keep(self: Any, version: int, **about: str | int) -> bool:
        entry = self._last.get(frozenset(about.items()))
        self.blocks += [] if entry is None else [KeptBlock(entry)]
        return entry is not None

    streams = Streams(("a",), tuple(Push("a", rows(t, key=1)) for t in (1, 2, 3, 4, 5)))
    check_restores(ZOO["two keys"], streams)
    with (
        patch.object(CheckpointWriter, "keep", keep),
        pytest.raises(AssertionError, match="every fourth push is lost"),
    ):
        check_restores(ZOO["two keys"], streams, by_row=False)


def test_time_that_is_down_is_no_silence() -> None:
    """S6, S28: of a partition that was polled in vain just before."""
    real = Progress.restore

    def restore(self: Progress, combined_us: int, saved: Any, now_us: int) -> None:
        real(self, combined_us, saved, now_us - 5 * SECOND)

    polled = (PollEmpty("a"), Restart(), PollEmpty("a"), Push("b", rows(15)))
    streams = Streams(("a", "b"), (Push("b", rows(1)), *polled, Push("a", rows(2))))
    check_restores(ZOO["sliding"], streams)
    with patch.object(Progress, "restore", restore), pytest.raises(AssertionError, match="S28"):
        check_restores(ZOO["sliding"], streams)


def test_restarts_go_on_with_other_numbers_of_shards() -> None:
    """S24, S28."""
    seen: list[int] = []

    def restore(*given: Any, shards: int, **options: Any) -> et.Engine:
        seen.append(shards)
        return real(*given, shards=shards, **options)

    real = et.Engine.restore
    row = dict(BLANK, t=0)
    push, again = Push("a", [row]), Restart()
    with patch.object(et.Engine, "restore", restore):
        check_shards(ZOO["two keys"], Streams(("a",), (push, again, push, again, again, again)))
    assert seen == [2, 1, 3, 2]


def test_what_came_of_lost_work_comes_once() -> None:
    """S28: checkpoints and crashes among the steps, under all checks."""
    steps: list[Any] = [Crash()]
    for i, step in enumerate(STREAMS.steps):
        steps += [step, *([Checkpoint()] if i % 5 == 2 else []), *([Crash()] if i % 3 else [])]
    for name in ("sliding", "discarding", "chained", "own"):
        check(ZOO[name], replace(STREAMS, steps=tuple(steps)))


def test_what_a_restart_forgets_is_not_taken_for_cuts() -> None:
    """Where the steps say a restart, the run that it is compared with has none."""

    class Numbered(et.ProcessFunction):
        seen = 0

        def on_row(self, ctx: Any, row: Any) -> None:
            self.seen += 1  # in no state
            ctx.emit(n=self.seen)

    process = NOTHING.watermark(et.ascending()).key_by("key").process
    pipeline = process(Numbered(), output=pa.schema({"n": pa.int64()}))
    streams = Streams(("a",), (Push("a", rows(1)), Restart(), Push("a", rows(2))))
    with pytest.raises(AssertionError, match=r"check_restores \(S27, S28\)"):
        check(pipeline, streams, without=["oracle"])
    with pytest.raises(AssertionError, match=r"check_restores \(S27, S28\)"):
        check_restores(pipeline, streams)
    check_batches(pipeline, streams)


def test_an_aggregate_that_counts_its_calls_lets_cuts_show() -> None:
    class Calls(Total):
        def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
            state[0][slots] += 1
            state[1][slots] += 1

    windows = NOTHING.watermark(et.ascending()).window(et.tumbling("10s"))
    pipeline = windows.aggregate(calls=et.user(Calls(), "x"))
    streams = Streams(("a",), (Push("a", rows(1, 2, x=0.5)),))
    with pytest.raises(AssertionError, match="check_batches"):
        check_batches(pipeline, streams)


def test_the_sign_of_a_least_zero_may_go_by_the_order() -> None:
    windows = NOTHING.watermark(et.bounded_disorder("10s")).window(et.tumbling("1m"))
    pipeline = windows.aggregate(least=et.min("x"), most=et.max("x"))
    check_order(pipeline, Streams(("a",), (Push("a", [*rows(1, x=0.0), *rows(2, x=-0.0)]),)))


def test_a_sum_that_leaves_its_type_is_an_error_for_both() -> None:
    pipeline = NOTHING.watermark(et.ascending()).window(et.tumbling("10s"))
    large = Streams(("a",), (Push("a", rows(1, 2, n=2**63 - 1)),))
    check(pipeline.aggregate(total=et.sum("n")), large)


def test_what_the_oracle_does_not_know_is_checked_without_it() -> None:
    def each(ctx: Any, row: Any) -> None:
        ctx.emit(n=row["n"])

    process = NOTHING.watermark(et.ascending()).key_by("key").process
    pipeline = process(each, output=pa.schema({"n": pa.int64()}))
    streams = Streams(("a",), (Push("a", rows(1, 2)),))
    with pytest.raises(et.PlanError, match="does not compute process functions"):
        check(pipeline, streams)
    check(pipeline, streams, without=["oracle"])


def test_unknown_checks_and_arguments_are_refused() -> None:
    with pytest.raises(et.PlanError, match="'orcle' is no check"):
        check(ZOO["steps"], STREAMS, without=["orcle"])
    with pytest.raises(et.PlanError, match="all checks are left out"):
        check(ZOO["steps"], STREAMS, without=list(CHECKS))
    wrong: Any = None
    with pytest.raises(et.PlanError, match="is no pipeline"):
        check(wrong, STREAMS)
    with pytest.raises(et.PlanError, match="does not say what happens"):
        check(ZOO["steps"], wrong)
    for step, remedy in ((Crash, r"Crash\(\)"), ("restart", "such as Push")):
        wrong = [step]
        with pytest.raises(et.PlanError, match=f"is no step(.|\n)*{remedy}"):
            Streams(("a",), wrong)
    for make in (AdvanceClock, partial(Heartbeat, "a")):
        wrong = "5s"
        wrong = make(wrong)
        with pytest.raises(et.PlanError, match=r"'5s' is no whole number of µs(.|\n)*5_000_000"):
            Streams(("a",), (wrong,))
    wrong = "ab"
    with pytest.raises(et.PlanError, match="'ab' is no list of names"):
        Streams(wrong, ())
    wrong = Crash()
    with pytest.raises(et.PlanError, match=r"Crash\(\) is no list of steps"):
        Streams(("a",), wrong)


def test_steps_that_come_one_by_one_are_kept() -> None:
    """Checks go through them many times."""
    given: Any = iter(STREAMS.steps)
    assert Streams(("a", "b"), given, STREAMS.start_us) == STREAMS


def test_streams_without_rows_or_partitions_hold() -> None:
    for streams in (Streams((), ()), Streams(("a",), ())):
        check(ZOO["retracting"], streams)
        check_ledger(ZOO["steps"], streams)
        check_empty(ZOO["steps"], streams)
        check_order(ZOO["two keys"], streams)


# What each notices in runs that somebody has altered


def altered(name: str, change: Callable[[Case], None]) -> Case:
    case = Case(ZOO[name], STREAMS)
    _ = case.whole, case.single
    change(case)
    return case


def fails(case: Case, holds: Callable[[Case], None], *texts: str) -> None:
    with pytest.raises(AssertionError) as error:
        holds(case)
    for text in texts:
        assert text in str(error.value)


def change_moment(case: Case, i: int, change: Callable[[Moment], Moment]) -> None:
    case.single.moments[i] = change(case.single.moments[i])


def test_a_missing_row_and_a_wrong_count_are_noticed() -> None:
    def lose(case: Case) -> None:
        case.whole.tables[RESULTS] = case.whole.tables[RESULTS].slice(1)
        case.whole.ledger["operators"][0]["missed"] += 1

    texts = "check_oracle (S1 to S26)", "results: missing key=", "ledger of operator 1"
    fails(altered("two keys", lose), equals_oracle, *texts)


def test_a_lost_row_is_noticed() -> None:
    def lose(case: Case) -> None:
        case.whole.tables["late"] = case.whole.tables["late"].slice(1)
        case.whole.ledger["partitions"]["a"]["rows_in"] -= 1

    texts = "check_ledger (S26)", "10 were pushed", "are counted"
    fails(altered("sliding", lose), ledger_balances, *texts)

    def repeat(case: Case) -> None:
        case.whole.ledger["partitions"]["a"]["rows_in"] += 1

    fails(altered("sliding", repeat), ledger_balances, "11 rows in, and 10 were pushed")


def test_what_a_restart_that_the_steps_say_loses_is_noticed() -> None:
    def lose(case: Case) -> None:
        case.whole.tables[RESULTS] = case.whole.tables[RESULTS].slice(1)

    fails(altered("sliding", lose), restarts_do_not_show, "restored where the steps say so")


def test_a_watermark_that_goes_back_or_does_not_end_is_noticed() -> None:
    def back(case: Case) -> None:
        change_moment(case, -2, lambda moment: replace(moment, watermark_us=-(2**62)))

    def stop(case: Case) -> None:
        change_moment(case, -1, lambda moment: replace(moment, watermark_us=2**62))

    fails(altered("two keys", back), watermark_is_monotone, "check_watermark (S5)")
    fails(altered("two keys", stop), watermark_is_monotone, "check_watermark (S9)")


def test_an_early_result_is_noticed() -> None:
    def hurry(case: Case) -> None:
        moments = case.single.moments
        at = next(i for i, moment in enumerate(moments) if moment.new[RESULTS].num_rows)
        change_moment(case, at, lambda moment: replace(moment, watermark_us=5 * SECOND))

    fails(altered("two keys", hurry), nothing_is_early, "check_early (S18, S21)", "window until")


def test_state_that_is_left_is_noticed() -> None:
    def leave(case: Case) -> None:
        case.whole.is_empty = False

    fails(altered("two keys", leave), nothing_is_left, "check_empty (S30)", "holds state")


@pytest.mark.parametrize("name", ["sliding", "retracting", "discarding"])
def test_versions_that_do_not_come_to_the_answer_are_noticed(name: str) -> None:
    def repeat(case: Case) -> None:
        table = case.whole.tables[RESULTS]
        case.whole.tables[RESULTS] = pa.concat_tables([table, table.slice(table.num_rows - 1)])

    def lose(case: Case) -> None:
        case.whole.tables[RESULTS] = case.whole.tables[RESULTS].slice(1)

    for change in (repeat, lose):
        fails(altered(name, change), versions_fold, "check_versions (S21)")


def test_an_order_that_shows_is_noticed() -> None:
    ordered = Streams(("a",), (Push("a", rows(1, 2, 3, key=1)), Push("a", rows(14, 12, key=1))))
    case = Case(ZOO["two keys"], ordered)
    case.whole.tables[RESULTS] = case.whole.tables[RESULTS].slice(0, 1)
    fails(case, order_does_not_show, "check_order (S2, S4)", "as it was given: 1 row, not 2")
