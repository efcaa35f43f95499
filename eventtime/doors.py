"""The doors of a plan: what a partition's rows go through before windows, and what may come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.checks import shown
from eventtime.encodings import batch_as, row_type
from eventtime.errors import PlanError, SchemaError
from eventtime.once import once
from eventtime.partition import Intake, PartitionIntake
from eventtime.timestamp import MINUS_INFINITY
from eventtime.transform import MapBatches, Transform

if TYPE_CHECKING:
    from eventtime.clock import Clock
    from eventtime.compiled import Branch, CompiledPlan
    from eventtime.state.keys import KeyCodec

__all__ = ("admitted", "check_alike", "door")


def door(
    plan: CompiledPlan,
    branch: Branch,
    name: str,
    index: int,
    codec: KeyCodec,
    *,
    clock: Clock | None = None,
    watermark_us: int = MINUS_INFINITY,
) -> PartitionIntake:
    """Make the door of one partition.

    Args:
        plan: of the run.
        branch: that the partition belongs to.
        name, index: of the partition.
        codec: of keys.
        clock: that the future guard goes by; None: by other rows.
        watermark_us: of the partition at the start.
    """
    stage, watermark = plan.stages[0], plan.watermark
    shared = Intake(
        stage.time,
        stage.time_unit,
        stage.keys,
        stage.columns,
        stage.lanes,
        watermark.max_future_us,
        clock,
    )
    whose = f"partition {name!r}"
    before, after = (steps.of(whose) for steps in _steps(plan)[id(branch)])
    generator = watermark.generator.build(name, stage.time_unit)
    return PartitionIntake(name, index, shared, before, after, generator, codec, watermark_us)


@once
def _steps(plan: CompiledPlan) -> dict[int, tuple[Transform, Transform]]:
    """Return the steps before and behind the watermark, by the branch of a partition."""
    found = {}
    for branch in plan.branches:
        before = Transform(branch.steps, branch.schema)
        found[id(branch)] = before, Transform(plan.stages[0].steps, before.schema)
    return found


def admitted(batch: pa.RecordBatch, schema: pa.Schema, place: str) -> pa.RecordBatch:
    """Return the columns of a pushed batch that a pipeline reads, after a check.

    Args:
        batch: as given; views and run ends become plain columns, as of a source.
        schema: of those columns.
        place: for messages.

    Raises:
        PlanError: it is no record batch, or lacks a column.
        SchemaError: a column is of another type.
    """
    if not isinstance(batch, pa.RecordBatch):
        msg = f"{shown(batch)} is no record batch"
        remedy = "give a pyarrow.RecordBatch; of a table, one batch of to_batches() at a time"
        raise PlanError(msg, place=place, remedy=remedy)
    if batch.schema.equals(schema):
        return batch
    missing = [f.name for f in schema if f.name not in batch.schema.names]
    if missing:
        msg = f"the batch has no column {missing[0]!r}"
        raise PlanError(msg, place=place, remedy=f"give columns {', '.join(schema.names)}")
    for name, wanted in zip(schema.names, schema.types, strict=True):
        if row_type(kind := batch.schema.field(name).type) != wanted:
            msg = f"column {name!r} of the batch is of type {kind}, not {wanted}"
            raise SchemaError(msg, place=place, remedy="cast it to the type of the stream")
    return batch_as(batch.select(schema.names).columns, schema)


def check_alike(plan: CompiledPlan) -> None:
    """Refuse a union whose streams differ: of which of them pushed rows are nobody says.

    Raises:
        PlanError: names both streams.
    """
    first, *others = plan.branches
    for i, other in enumerate(others, 2):
        if _kind(other) != _kind(first):
            msg = f"stream 1 and stream {i} of the union differ in columns or steps"
            place = f"stream 1: {first.source.describe()}; stream {i}: {other.source.describe()}"
            remedy = "rows are pushed as rows of one source: push each stream's into an engine of "
            raise PlanError(msg, place=place, remedy=f"{remedy}its own, or run() the union")


def _kind(branch: Branch) -> tuple[object, ...]:
    # Expressions compared by == make an expression, and functions may share a name.
    steps = [step.function if isinstance(step, MapBatches) else step.describe()
             for step in branch.steps]  # fmt: skip
    return branch.schema, branch.source.time, branch.source.time_unit, steps
