"""Explanations say of each row and each window what the engine did with it."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from hypothesis import assume, given, settings

import eventtime as et
from engine_runs import all_null_times, rows_of, source_of, stream_of
from eventtime.compiled import compile_plan
from eventtime.explaining.asking import watch_run
from eventtime.explaining.row import RowExplained, rows_in
from eventtime.explaining.seen import Watch
from eventtime.explaining.values import values_of
from eventtime.testing import Harness, Streams
from eventtime.testing import strategies as kit
from eventtime.testing.explaining import watch_steps
from live.test_journal import copy_of
from live.test_live_properties import Story, at_once, stories
from strategies import Case, cases

if TYPE_CHECKING:
    from eventtime.explaining.seen import Seen


class Everything:
    """Looks at each step."""

    def __init__(self) -> None:
        self.steps: list[Seen] = []

    def see(self, seen: Seen) -> None:
        self.steps.append(seen)


def watched(
    stream: et.Stream, journal: Path | None = None
) -> tuple[list[RowExplained], Everything]:
    """Explain every row of a run, in the order in which they were taken."""
    plan, looks = compile_plan(stream.node), Everything()
    watch_run(plan, Watch(looks, len(plan.stages)), journal)
    return [row for step in looks.steps for row in rows_in(step, 0, plan.stages)], looks


def check(ran: et.Run, rows: list[RowExplained], looks: Everything) -> None:
    """S18–S20, S26: verdicts add up to the ledger, late ones to the late rows, each to its own."""
    for name, balance in ran.ledger.partitions.items():
        verdicts = Counter(row.verdict for row in rows if row.partition == name)
        for fate in ("windowed", "late", "null_time", "future", "malformed"):
            assert verdicts[fate] == getattr(balance, fate), (name, fate)
        numbers = [row.row for row in rows if row.partition == name]
        assert len(set(numbers)) == len(numbers)
    late = [row for row in rows if row.verdict == "late"]
    side = rows_of(ran.side("late"))
    assert len(late) == len(side)
    for row, told in zip(late, side, strict=True):
        assert row.partition == told["partition"]
        missed = [window for window in row.windows if window.state == "expired"]
        assert (len(missed), len(row.windows)) == (told["windows_missed"], told["windows_total"])
        if told["watermark"] is None:  # the end of time
            continue
        assert row.watermark_us == told["watermark"]
        assert row.late_by_us == told["late_by"]
        assert (missed[-1].start_us, missed[-1].end_us) == (
            told["window_start"], told["window_end"],
        )  # fmt: skip
        assert row.late["reason"] == told["reason"]
        assert told["reason"] in str(row)
    for row in rows:
        if row.verdict == "windowed":
            assert all(window.state != "expired" for window in row.windows)
    came_out = [
        batch for step in looks.steps if step.operators for batch in step.operators[-1].results
    ]
    assert sum(batch.num_rows for batch in came_out) == ran.table().num_rows


@given(cases())
@settings(max_examples=max(1, settings().max_examples // 4))
def test_a_replay_is_explained_as_it_was(case: Case) -> None:
    assume(not all_null_times(case.partitions))  # a replay refuses it
    stream = stream_of(source_of(case.partitions), case.spec)
    check(stream.run(), *watched(stream))


@given(stories())
@settings(max_examples=max(1, settings().max_examples // 6))
def test_a_live_run_is_explained_as_it_was(story: Story) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.journal")
        ran, _ = at_once(story, journal=path)
        check(ran, *watched(copy_of(story), path))


def hours_of_minutes() -> et.Stream:
    """Two windows; corrections of the first are late for the second."""
    schema = pa.schema({"t": pa.timestamp("s", "UTC"), "key": pa.string(), "x": pa.int64()})
    marked = et.from_arrow(schema.empty_table(), time="t").watermark(et.bounded_disorder("10s"))
    window = et.sliding("1m", slide="30s")
    minutes = marked.key_by("key").window(window, allowed_lateness="2m", mode="discarding")
    sums = minutes.aggregate(x=et.sum("x")).key_by("key")
    return sums.window(et.tumbling("2m"), allowed_lateness="1m").aggregate(x=et.sum("x"))


CHAIN = hours_of_minutes()


@given(kit.streams(CHAIN))
@settings(max_examples=max(1, settings().max_examples // 4))
def test_operators_behind_the_first_are_explained_as_they_were(streams: Streams) -> None:
    """S25, S26: a harness, of each operator the pairs of rows and windows, and the late rows."""
    looks = Everything()
    with Harness.of(CHAIN, streams) as harness:
        plans = watch_steps(harness, looks)
        for operator, tag in enumerate(("late", "late_2")):
            rows = [row for step in looks.steps for row in rows_in(step, operator, plans)]
            states = Counter(window.state for row in rows for window in row.windows)
            balance = harness.ledger.operators[operator]
            assert (states.total(), states["expired"]) == (balance.assigned, balance.missed)
            late = [row for row in rows if row.verdict == "late"]
            side = harness.all_of(tag).to_batches()
            assert [row.late for row in late] == [
                values_of(batch, i) for batch in side for i in range(batch.num_rows)
            ]
            for row in late:
                bounds = {(it.start_us, it.end_us) for it in row.windows if it.state == "expired"}
                assert len(bounds) == row.late["windows_missed"]
        made = [
            batch for step in looks.steps if step.operators for batch in step.operators[1].results
        ]
        assert sum(batch.num_rows for batch in made) == harness.all_results.num_rows
