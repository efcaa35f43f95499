"""A pipeline read off its plan, as what the oracle computes; its rows as plain values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import PlanError
from eventtime.parsed import check_chain, parse
from eventtime.plan import DROP, Aggregated
from eventtime.testing.reference.generators import generator_of
from eventtime.testing.reference.plain import in_units, in_us, laid_out, latest, plain_rows
from eventtime.testing.reference.spec import Aggregate, Spec
from eventtime.testing.rows import batch_of
from eventtime.timestamp import bounds_type, check_time_type, unit_of
from eventtime.transform import MapBatches, Transform, WithColumns
from eventtime.windows.aggregate import result_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.parsed import ParsedPlan, ParsedStage
    from eventtime.plan import Node
    from eventtime.sources.feed import AnySource
    from eventtime.testing.steps import Row
    from eventtime.transform import Step

__all__ = ("TIME", "Planned", "Steps")

TIME: Final = "event time in µs"
"""Beside a row's own columns, none of which can be called so."""
_TIMING: Final = pa.dictionary(pa.int8(), pa.string())


class Steps:
    """Steps of a plan, applied to one row at a time.

    Args:
        schema: of the rows that come; `out`: of those that go.
        steps: in order.
        whose: rows they are, for errors of the user's functions.
    """

    def __init__(self, schema: pa.Schema, steps: Sequence[Step], whose: str) -> None:
        self._schema = schema
        self._transform = Transform(steps, schema, whose) if steps else None
        self.out: pa.Schema = self._transform.schema if self._transform else schema

    def of_batch(self, batch: pa.RecordBatch) -> list[list[Row]]:
        """Return what becomes of each row."""
        if self._transform is None:
            return [[row] for row in plain_rows(batch)]
        single = (batch.slice(i, 1) for i in range(batch.num_rows))
        return [plain_rows(self._transform.apply(row)[0]) for row in single]

    def of_row(self, row: Row) -> list[Row]:
        """Return what becomes of a row, which keeps its `TIME`."""
        if self._transform is None:
            return [row]
        time = {TIME: row[TIME]} if TIME in row else {}
        (made,) = self.of_batch(laid_out(row, self._schema))
        return [each | time for each in made]

    def or_none(self, row: Row) -> Row | None:
        """Return what becomes of a row where no step makes more of it."""
        return next(iter(self.of_row(row)), None)


class Planned:
    """What the oracle needs to know of a pipeline: `specs` of its operators, and its steps.

    Args:
        node: the plan.

    Raises:
        PlanError: it cannot run; or it is one that the oracle does not compute.
    """

    def __init__(self, node: Node) -> None:
        parsed = parse(node)
        self._source, self._before = _the_source(parsed)
        schema, time = self._before.out, self._source.time
        check_time_type(time, schema.field(time).type, self._source.time_unit)
        self._unit = unit_of(schema.field(time).type, self._source.time_unit)
        marked, time_unit = parsed.watermark, self._source.time_unit
        first = Spec(
            size=None,
            generator=generator_of(marked.generator, schema, time_unit),
            max_future=marked.max_future_us,
            idle_after=marked.idle_after_us,
            all_idle=marked.all_idle,
            time=TIME,
            limit=latest(self._unit),
        )
        self.specs: list[Spec] = []
        for i, part in enumerate(parsed.stages):
            if i:
                check_chain(parsed.stages[i - 1], part)
            kind = schema.field("window_start" if i else time).type
            spec, schema = _stage(first, i + 1, part, schema, kind, time_unit)
            self.specs.append(spec)
        self._final = Steps(schema, parsed.final_steps, "results")

    def admitted(self, rows: Sequence[Row]) -> tuple[list[Row], int]:
        """Return rows that were pushed as they come to the watermark, and how many are left out.

        Where `map_batches` makes rows and removes others, the difference counts (S26).

        Raises:
            PlanError, SchemaError: they are no rows of the source.
        """
        made = self._made(rows)
        out = [row for each in made for row in each]
        return out, max(len(made) - len(out), 0)

    def times(self, rows: Sequence[Row]) -> list[int | None]:
        """Return the event time of each row that is pushed, µs; None where it has none."""
        return [each[0][TIME] if each else None for each in self._made(rows)]

    def results(self, rows: Sequence[Row]) -> list[Row]:
        """Return results of the last window as they come out of the pipeline."""
        return [made for row in rows for made in self._final.of_row(row)]

    def _made(self, rows: Sequence[Row]) -> list[list[Row]]:
        """What becomes of each row by the watermark, with its `TIME`."""
        source = self._source
        batch = batch_of(rows, source.schema(), time=source.time, time_unit=source.time_unit)
        made = self._before.of_batch(batch)
        for row in (row for each in made for row in each):
            time = row[source.time]
            row[TIME] = None if time is None else in_us(time, self._unit)
        return made


def _stage(
    first: Spec,
    number: int,
    part: ParsedStage,
    schema: pa.Schema,
    kind: pa.DataType,
    time_unit: str | None,
) -> tuple[Spec, pa.Schema]:
    """One operator over rows of a schema, whose time is of a type; and the schema of its results.

    Args:
        first: says what is known of the watermark.
    """
    node = part.node
    if not isinstance(node, Aggregated):
        msg = "the oracle does not compute process functions: what they do is code"
        remedy = "check(…, without=['oracle']) leaves it out"
        raise PlanError(msg, place=node.describe(), remedy=remedy)
    windowed, grid = node.input, node.input.assigner.grid
    named = windowed.late_columns
    whose = f"stage {number}"
    own = Steps(schema, part.steps, whose).out
    aggregates, made = _aggregates(node, own)
    behind = Steps(schema, (*part.steps, *made), whose)
    bounds = bounds_type(kind, time_unit, grid.size_us, grid.slide_us, grid.offset_us)
    unit = unit_of(bounds, time_unit)
    late = windowed.late or ("late" if number == 1 else f"late_{number}")
    spec = replace(
        first,
        size=None if grid.everything else grid.size_us,
        slide=grid.slide_us,
        offset=grid.offset_us,
        lateness=windowed.lateness_us,
        mode=windowed.mode,
        keys=part.keys,
        aggregates=aggregates,
        behind=behind.or_none,
        late_columns=tuple(own.names) if named is None else named,
        tag=None if late == DROP else late,
        written=lambda time: in_units(time, unit),
    )
    fields = {key: _decoded(own.field(key).type) for key in part.keys}
    fields |= {"window_start": bounds, "window_end": bounds}
    for (name, a), known in zip(node.aggregates, aggregates, strict=True):
        fields[name] = result_type(a, tuple(known.inputs.types))
    fields |= {"version": pa.int32(), "timing": _TIMING, "is_final": pa.bool_()}
    return spec, pa.schema(fields | ({"diff": pa.int8()} if spec.mode == "retracting" else {}))


def _aggregates(
    node: Aggregated, own: pa.Schema
) -> tuple[tuple[Aggregate, ...], list[WithColumns]]:
    """The aggregates, and the step that makes columns of their expressions, if there are any."""
    made: dict[str, Any] = {}

    def named(column: Any) -> str:
        if isinstance(column, str):
            return column
        made[f"expression {len(made)}"] = column
        return list(made)[-1]

    wanted = [(name, a, list(map(named, a.columns))) for name, a in node.aggregates]
    steps = [WithColumns(tuple(made.items()))] if made else []
    schema = steps[0].output(own) if steps else own
    found = [
        Aggregate(
            name,
            a.function,
            columns[0] if columns else None,
            a.ddof,
            a.user,
            pa.schema([schema.field(column) for column in columns]),
        )
        for name, a, columns in wanted
    ]
    return tuple(found), steps


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _the_source(parsed: ParsedPlan) -> tuple[AnySource, Steps]:
    """The source and its steps; of a union's, which differ in nothing, the first.

    Rows that are pushed say of which partition they are, and not of which source.
    """
    kinds = [
        (source.schema(), source.time, source.time_unit, list(map(_said, steps)))
        for source, steps in parsed.sources
    ]
    first, steps = parsed.sources[0]
    for i, kind in enumerate(kinds):
        if kind != kinds[0]:
            msg = f"stream 1 and stream {i + 1} of the union differ in columns or steps"
            other = parsed.sources[i][0].describe()
            place = f"stream 1: {first.describe()}; stream {i + 1}: {other}"
            remedy = "rows are pushed as rows of one source: check each stream by itself"
            raise PlanError(msg, place=place, remedy=remedy)
    return first, Steps(first.schema(), steps, f"rows of {first.describe()}")


def _said(step: Step) -> object:
    # Expressions compared by == make an expression.
    return step.function if isinstance(step, MapBatches) else step.describe()
