"""Explanations say of each row and each window what the engine did with it."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import assume, given, settings

from engine_runs import all_null_times, rows_of, source_of, stream_of
from eventtime.compiled import compile_plan
from eventtime.explaining.asking import _watch
from eventtime.explaining.row import RowExplained, explained
from live.test_journal import copy_of
from live.test_live_properties import Story, at_once, stories
from strategies import Case, cases

if TYPE_CHECKING:
    import eventtime as et
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
    _watch(plan, looks, journal)
    rows = [step for step in looks.steps if step.row is not None]
    return [explained(step, plan.stages[0]) for step in rows], looks


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
    came_out = [batch for step in looks.steps for batch in step.results]
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
