"""What must come out of a pipeline, row by row, from its plan and what happens to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.testing.given import check_pipeline, check_streams
from eventtime.testing.reference.operator import Operator
from eventtime.testing.reference.partitions import Oracle
from eventtime.testing.reference.planned import TIME, Planned
from eventtime.testing.steps import (
    AddPartition,
    AdvanceClock,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
)

if TYPE_CHECKING:
    from eventtime.stream import Stream
    from eventtime.testing.reference.spec import Row, Time
    from eventtime.testing.steps import Step, Streams

__all__ = ("Expected", "Standing", "expected_of", "oracle", "tell")


@dataclass(frozen=True)
class Standing:
    """How things stand after a step.

    Args:
        results: how many rows have come out.
        sides: how many of each side output.
        watermark: the combined one, in µs; infinities are floats.
    """

    results: int
    sides: dict[str, int]
    watermark: Time


@dataclass(frozen=True)
class Expected:
    """All that must come out of a pipeline.

    Rows are dicts by column, as `plain_rows` makes them of a table: times and durations are whole
    units of the column's type.

    Args:
        results: in the order of S24.
        late: rows that missed windows of the first operator, even where the plan drops them (S20).
        sides: side outputs by tag: those for late rows, and 'quarantine' (`detail` is None, and
            it has all columns that rows have at the watermark).
        quarantine: rows without a usable time (S12).
        ledger: by 'partitions' (by name) and 'operators' (in order) (S26).
        watermark: the combined one, in µs; infinities are floats.
        after: how things stand after each step.
        answers: of the last window, what is in each window and key, whatever was emitted when:
            key columns, bounds and aggregates.
    """

    results: list[Row]
    late: list[Row]
    sides: dict[str, list[Row]]
    quarantine: list[Row]
    ledger: dict[str, Any]
    watermark: Time
    after: tuple[Standing, ...]
    answers: list[Row]


def oracle(pipeline: Stream, streams: Streams) -> Expected:
    """Compute what must come out of a pipeline, slowly, in plain Python.

    It knows tumbling, sliding and global windows, one behind another, with lateness and all modes;
    all aggregates, those of yours through their own methods; steps, each applied to one row at a
    time; all generators, where the percentile and those of yours are asked themselves; idleness,
    heartbeats, partitions that come and end. Restarts and crashes change nothing (S28). The engine
    has no part in it.

    Args:
        pipeline: declares what to compute; its sources give the schema only and are not read.
        streams: what happens to it.

    Raises:
        PlanError: it cannot run, or has a process function, a union of streams that differ, or one
            generator of yours for all partitions: of those it does not guess. Or a step is of a
            partition that there is not, or is no longer.
        AggregateOverflowError: a sum does not fit its type.

    >>> import pyarrow as pa, eventtime as et
    >>> from eventtime.testing import Finish, Push, Streams
    >>> schema = pa.schema({"t": pa.timestamp("s"), "x": pa.int64()})
    >>> stream = et.from_arrow(schema.empty_table(), time="t").watermark(et.ascending())
    >>> stream = stream.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    >>> rows = [{"t": 0, "x": 1}, {"t": 70, "x": 2}, {"t": 10, "x": 3}]
    >>> expected = oracle(stream, Streams(("a",), (Push("a", rows), Finish("a"))))
    >>> [row["x"] for row in expected.results], [row["late_by"] for row in expected.late]
    ([1, 2], [10000000])
    """
    check_pipeline(pipeline, place="oracle(pipeline, …)")
    check_streams(streams, place="oracle(…, streams)")
    return expected_of(Planned(pipeline.node), streams)


def expected_of(plan: Planned, streams: Streams) -> Expected:
    """As `oracle`, of a plan that was read before."""
    operators: list[Operator] = []
    for number in range(len(plan.specs), 0, -1):
        below = operators[0] if operators else None
        operators.insert(0, Operator(plan.specs[number - 1], below, number))
    first, last = operators[0], operators[-1]
    model = Oracle(first.spec, streams.partitions, first)
    model.now = streams.start_us
    sides = {o.spec.tag: o.late for o in operators if o.spec.tag is not None}
    sides["quarantine"] = model.quarantine
    results: list[Row] = []
    after = []
    for step in streams.steps:
        _do(plan, model, step)
        results += plan.results(last.results)
        last.results.clear()
        counts = {tag: len(rows) for tag, rows in sides.items()}
        after.append(Standing(len(results), counts, first.watermark))
    for row in model.quarantine:
        del row[TIME]
    return Expected(
        results,
        first.late,
        sides,
        model.quarantine,
        {"partitions": model.ledger, "operators": [o.ledger for o in operators]},
        first.watermark,
        tuple(after),
        list(last.answers.values()),
    )


def _do(plan: Planned, model: Oracle, step: Step) -> None:
    name = getattr(step, "partition", None)
    if name is not None:
        _check_partition(model, name, step)
    if isinstance(step, Push):
        model.push(step.partition, *plan.admitted(step.rows))
    else:
        tell(model, step)


def tell(model: Oracle, step: Step) -> None:
    """Let one thing happen to a model, whose partitions are known and whose rows are all good."""
    match step:
        case Push(name, rows):
            model.push(name, rows)
        case PollEmpty(name):
            model.poll_empty(name)
        case AdvanceClock(by_us):
            model.advance_clock(by_us)
        case Heartbeat(name, time_us):
            model.advance_to(name, time_us)
        case AddPartition(name, historical):
            model.add_partition(name, historical=historical)
        case Finish(name):
            model.finish(name)
        case _:
            """Restarts and crashes, which change nothing (S28)."""


def _check_partition(model: Oracle, name: str, step: Step) -> None:
    partition, is_new = model.partitions.get(name), isinstance(step, AddPartition)
    if is_new and partition is not None:
        msg = f"partition {shown(name)} is known already"
    elif partition is None and not is_new:
        msg = f"there is no partition {shown(name)}"
    elif partition is not None and partition.is_finished:
        msg = f"partition {shown(name)} has finished"
    else:
        return
    remedy = f"partitions are {', '.join(model.partitions)}; others are added: AddPartition"
    raise PlanError(msg, place=f"{type(step).__name__}(partition)", remedy=remedy)
