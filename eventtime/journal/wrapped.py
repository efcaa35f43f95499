"""A plan whose sources are seen through others: those that record, or those that play."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eventtime.process.plan import ProcessPlan
from eventtime.sources.feed import is_live

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.compiled import CompiledPlan, StagePlan
    from eventtime.sources.feed import AnySource

__all__ = ("wrapped",)


def wrapped(plan: CompiledPlan, wrap: Callable[[AnySource, int], AnySource]) -> CompiledPlan:
    """Replace the sources of a plan that are asked turn by turn.

    Args:
        plan: compiled.
        wrap: from a source and its number to what stands in its place; the branches come first,
            then broadcast streams that go on.
    """
    branches = [
        replace(branch, source=wrap(branch.source, i)) for i, branch in enumerate(plan.branches)
    ]
    number = len(branches)
    stages: list[StagePlan | ProcessPlan] = []
    for stage in plan.stages:
        if isinstance(stage, ProcessPlan):
            streams = dict(stage.broadcast)
            for name, stream in stage.broadcast.items():
                if is_live(stream.source):
                    streams[name] = replace(stream, source=wrap(stream.source, number))
                    number += 1
            stages.append(replace(stage, broadcast=streams))
        else:
            stages.append(stage)
    return replace(plan, branches=tuple(branches), stages=tuple(stages))
