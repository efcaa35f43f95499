"""Made-up rows before the first of a live run, so that none waits for what is loaded once.

Kernels are loaded when they are first called, some tens of milliseconds for a window that fires;
and a full collection of garbage, over all that was imported, takes longer still.
"""

from __future__ import annotations

import contextlib
import gc
from dataclasses import replace
from functools import cache
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from eventtime.clock import ManualClock
from eventtime.core import Core
from eventtime.errors import EventTimeError
from eventtime.process.plan import ProcessPlan
from eventtime.timestamp import bounds_type, from_us
from eventtime.transform import MapBatches
from eventtime.watermark import Custom

if TYPE_CHECKING:
    from eventtime.compiled import CompiledPlan, StagePlan
    from eventtime.transform import Step

__all__ = ("warm_up",)

_EARLY_US: Final = 10**14
_LATE_US: Final = 10**15
_ROWS: Final = 500
_WINDOWS: Final = 3
_STRIDE: Final = 37
_KEYS: Final = 100
"""Fit into the smallest integers, and make tables grow."""


def warm_up(plan: CompiledPlan, shards: int) -> None:
    """Take made-up rows through a plan of its own, up to where code of the user's would see them.

    Args:
        plan: compiled; nothing of it changes.
        shards: threads that share the keys.

    Cost: what the first rows and firings would take otherwise; the first time in a process also one
    collection of garbage.
    """
    ours = _without_the_users(plan)
    if ours is not None:
        # Rows that a step refuses, such as a division, leave the kernels cold: that is all.
        with contextlib.suppress(EventTimeError, pa.ArrowException):
            _run(ours, shards)
    _collect_once()


@cache
def _collect_once() -> None:
    """Collect what imports left; a process that runs often would wait each time for nothing."""
    gc.collect()


def _without_the_users(plan: CompiledPlan) -> CompiledPlan | None:
    """Leave out what would call code of the user's; None: it comes before the first window."""
    stages = list(takewhile(_is_ours, plan.stages))
    if isinstance(plan.watermark.generator, Custom) or not stages:
        return None
    if not all(_are_ours(branch.steps) for branch in plan.branches):
        return None
    return replace(plan, stages=tuple(stages), final_steps=())


def _is_ours(stage: StagePlan | ProcessPlan) -> bool:
    if isinstance(stage, ProcessPlan) or not _are_ours(stage.steps):
        return False
    return all(output.aggregate.user is None for output in stage.spec.outputs)


def _are_ours(steps: tuple[Step, ...]) -> bool:
    return not any(isinstance(step, MapBatches) for step in steps)


def _run(plan: CompiledPlan, shards: int) -> None:
    core = Core(plan, ManualClock(2 * _LATE_US), shards, None)
    try:
        for number in range(len(plan.branches)):
            core.add(f"{number}", known_at_start=True, branch=number)
        # On time; rows that let their windows fire; late for some windows, and for all.
        for time_us in (_EARLY_US, _LATE_US, _LATE_US, _EARLY_US):
            for p, branch in enumerate(plan.branches):
                rows = _rows(branch.schema, plan.stages[0], time_us)
                core.take(p, rows)
                # So few at a time are laid together first.
                core.gather(p, rows[:1])
                core.gather(p, rows[1:2])
            core.advance()
            core.stages.flush()
        for p in range(len(plan.branches)):
            core.finish(p)
    finally:
        core.stages.close()


def _rows(schema: pa.Schema, stage: StagePlan | ProcessPlan, time_us: int) -> pa.RecordBatch:
    """Make rows of several keys, in all slices of a few windows."""
    assert not isinstance(stage, ProcessPlan)
    numbers, columns = np.arange(_ROWS), []
    times_us = time_us + numbers * (_WINDOWS * stage.spec.grid.size_us // _ROWS + 1)
    for field in schema:
        made = pa.array(numbers * _STRIDE % _KEYS + 1, mask=numbers % _STRIDE == 0)
        if field.name == stage.time:
            kind = bounds_type(field.type, stage.time_unit)
            made = from_us(times_us, kind, stage.time_unit)
        columns.append(_cast(made, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(made: pa.Array, kind: pa.DataType) -> pa.Array:
    """Give values another type; where they cannot have it, as of lists, nulls."""
    try:
        return made.cast(kind)
    except pa.ArrowException:
        return pa.nulls(len(made), kind)
