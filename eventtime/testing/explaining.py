"""Asking of what a harness went through why it came out so: it is done again, watched (S4)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from eventtime.clock import ManualClock
from eventtime.compiled import compile_plan
from eventtime.engine import Engine
from eventtime.explaining.live import WatchedCore
from eventtime.explaining.questions import row_question, window_question
from eventtime.explaining.seen import Enough, Watch
from eventtime.testing.driving import drive
from eventtime.testing.ready import Ready
from eventtime.testing.steps import Push, Survived

if TYPE_CHECKING:
    from eventtime.compiled import StagePlan
    from eventtime.core import Core
    from eventtime.explaining.row import RowExplained
    from eventtime.explaining.seen import Onlooker
    from eventtime.explaining.window import WindowExplained
    from eventtime.instant import Instant
    from eventtime.process.plan import ProcessPlan
    from eventtime.testing.harness import Harness

__all__ = ("explain_row", "explain_window", "watch_steps")


def explain_row(
    harness: Harness,
    partition: str | None,
    row: int | None,
    late: int | None,
    operator: str | None,
) -> RowExplained:
    """See `Harness.explain_row`."""
    plan = compile_plan(harness.pipeline.node)
    question = row_question(plan, partition, row, late, operator)
    with contextlib.suppress(Enough):
        watch_steps(harness, question)
    return question.answer()


def explain_window(
    harness: Harness, start: Instant, key: tuple[Any, ...], operator: str | None
) -> WindowExplained:
    """See `Harness.explain_window`."""
    question = window_question(compile_plan(harness.pipeline.node), start, key, operator)
    with question.until_error():
        watch_steps(harness, question)
    return question.explained()


class _WatchedEngine(Engine):
    _drives: ClassVar[type[Core]] = WatchedCore

    def show(self, onlooker: Onlooker) -> tuple[StagePlan | ProcessPlan, ...]:
        """Show each step from here on; returns the plans of the operators."""
        core = self._core
        assert isinstance(core, WatchedCore)
        core.watch = Watch(onlooker, len(core.plan.stages))
        return core.plan.stages


def watch_steps(harness: Harness, onlooker: Onlooker) -> tuple[StagePlan | ProcessPlan, ...]:
    """Do again what a harness went through, and show it; returns the plans of the operators."""
    streams = harness.streams
    clock = ManualClock(streams.start_us)
    pipeline: Any = Ready.of(harness.pipeline.node).for_one()
    engine = _WatchedEngine(pipeline, streams.partitions, clock=clock)
    plans = engine.show(onlooker)
    try:
        for step in streams.steps:
            if isinstance(step, Push):
                engine.push(step.partition, harness.laid_out(step.partition, step.rows))
            elif not isinstance(step, Survived):  # it changes nothing (S28)
                drive(engine, clock, step)
    finally:
        engine.suspend()
    return plans
