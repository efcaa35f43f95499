"""A pipeline read off its plan, as what the oracle computes; its rows as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import PlanError
from eventtime.parsed import check_chain, parse
from eventtime.plan import DROP, Aggregated
from eventtime.testing.reference.asked import generator_of
from eventtime.testing.reference.plain import laid_out, plain_rows
from eventtime.testing.reference.spec import Aggregate, Folded, Spec
from eventtime.testing.reference.times import limit_of, microseconds, written_as
from eventtime.testing.rows import batch_of
from eventtime.timestamp import bounds_type, check_time_type
from eventtime.transform import MapBatches, Transform, WithColumns
from eventtime.windows.aggregate import result_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.parsed import ParsedPlan, ParsedStage
    from eventtime.plan import Node
    from eventtime.sources.feed import AnySource
    from eventtime.testing.steps import Row
    from eventtime.transform import Step

__all__ = ("TIME", "Planned", "Stage", "Steps")

TIME: Final = "event time in µs"
"""Beside a row's own columns, none of which can be called so."""
_TIMING: Final = pa.dictionary(pa.int8(), pa.string())


class Steps:
    """Steps of a plan, each applied by itself to one row at a time.

    Args:
        schema: of the rows that come; `out`: of those that go.
        steps: in order.
        whose: rows they are, for errors of the user's functions.
    """

    def __init__(self, schema: pa.Schema, steps: Sequence[Step], whose: str) -> None:
        self._schema, self._steps = schema, tuple(steps)
        self._transform = Transform(steps, schema, whose)
        self.out: pa.Schema = self._transform.schema

    def of_batch(self, batch: pa.RecordBatch) -> list[list[Row]]:
        """Return what becomes of each row."""
        if not self._steps:
            return [[row] for row in plain_rows(batch)]
        single = (batch.slice(i, 1) for i in range(batch.num_rows))
        return [plain_rows(self._transform.apply(row)[0]) for row in single]

    def of_row(self, row: Row) -> list[Row]:
        """Return what becomes of a row, which keeps its `TIME`."""
        if not self._steps:
            return [row]
        time = {TIME: row[TIME]} if TIME in row else {}
        (made,) = self.of_batch(laid_out(row, self._schema))
        return [each | time for each in made]

    def or_none(self, row: Row) -> Row | None:
        """Return what becomes of a row where no step makes more of it."""
        made = self.of_row(row)
        return made[0] if made else None


@dataclass(frozen=True)
class Stage:
    """One window operator.

    Args:
        spec: of it.
        tag: of its late rows; None: they are counted only.
        schema: of its results.
    """

    spec: Spec
    tag: str | None
    schema: pa.Schema


class Planned:
    """What the oracle needs to know of a pipeline.

    Args:
        node: the plan.

    Raises:
        PlanError: it cannot run; or it is one that the oracle does not compute.
    """

    def __init__(self, node: Node) -> None:
        parsed = parse(node)
        self._source, self._before = _branch(parsed)
        self.at_watermark: pa.Schema = self._before.out
        kind = self.at_watermark.field(self._source.time).type
        check_time_type(self._source.time, kind, self._source.time_unit)
        self._kind = kind
        self.stages: list[Stage] = []
        schema, time = self.at_watermark, self._source.time
        for i, part in enumerate(parsed.stages):
            if i:
                check_chain(parsed.stages[i - 1], part)
            self.stages.append(self._stage(i, schema, time, part, parsed))
            schema, time = self.stages[-1].schema, "window_start"
        self._final = Steps(schema, parsed.final_steps, "results")

    def admitted(self, rows: Sequence[Row]) -> tuple[list[Row], int]:
        """Return rows that were pushed as they come to the watermark, and how many are left out.

        Where `map_batches` makes rows and removes others, the difference counts (S26).

        Raises:
            PlanError, SchemaError: they are no rows of the source.
        """
        made = self._made(rows)
        out = [row | {TIME: self._us(row[self._source.time])} for each in made for row in each]
        return out, max(len(made) - len(out), 0)

    def times(self, rows: Sequence[Row]) -> list[int | None]:
        """Return the event time of each row that is pushed, µs; None where it has none."""
        name = self._source.time
        return [self._us(each[0][name]) if each else None for each in self._made(rows)]

    def results(self, rows: Sequence[Row]) -> list[Row]:
        """Return results of the last window as they come out of the pipeline."""
        return [made for row in rows for made in self._final.of_row(row)]

    def _made(self, rows: Sequence[Row]) -> list[list[Row]]:
        source = self._source
        schema = source.schema()
        batch = batch_of(rows, schema, time=source.time, time_unit=source.time_unit)
        return self._before.of_batch(batch)

    def _us(self, value: int | None) -> int | None:
        return microseconds(value, self._kind, self._source.time_unit)

    def _stage(
        self, i: int, schema: pa.Schema, time: str, part: ParsedStage, parsed: ParsedPlan
    ) -> Stage:
        node = part.node
        if not isinstance(node, Aggregated):
            msg = "the oracle does not compute process functions: what they do is code"
            remedy = "check(…, without=['oracle']) leaves it out"
            raise PlanError(msg, place=node.describe(), remedy=remedy)
        windowed, unit = node.input, self._source.time_unit
        grid = windowed.assigner.grid
        own = Steps(schema, part.steps, f"stage {i + 1}").out
        aggregates, made = _aggregates(node, own)
        steps = (*part.steps, WithColumns(tuple(made))) if made else part.steps
        behind = Steps(schema, steps, f"stage {i + 1}")
        steps_us = grid.size_us, grid.slide_us, grid.offset_us
        bounds = bounds_type(schema.field(time).type, unit, *steps_us)
        named = windowed.late_columns
        watermark = parsed.watermark
        spec = Spec(
            size=None if grid.everything else grid.size_us,
            slide=None if grid.everything else grid.slide_us,
            offset=grid.offset_us,
            lateness=windowed.lateness_us,
            mode=windowed.mode,
            keys=part.keys,
            aggregates=aggregates,
            generator=generator_of(watermark.generator, self._source, self.at_watermark, TIME),
            max_future=watermark.max_future_us,
            idle_after=watermark.idle_after_us,
            all_idle=watermark.all_idle,
            time=TIME,
            behind=behind.or_none,
            late_columns=tuple(own.names) if named is None else named,
            written=written_as(bounds, unit),
            limit=limit_of(self._kind, unit),
        )
        late = None if windowed.late == DROP else windowed.late or ("late", f"late_{i + 1}")[i > 0]
        return Stage(spec, late, _result_schema(part, node, behind.out, bounds))


def _branch(parsed: ParsedPlan) -> tuple[AnySource, Steps]:
    """The source and its steps; of a union's, which differ in nothing, the first.

    Rows that are pushed say of which partition they are, and not of which source.
    """
    branches = [
        (source, Steps(source.schema(), steps, f"rows of {source.describe()}"))
        for source, steps in parsed.sources
    ]
    kinds = [
        (source.schema(), source.time, source.time_unit, [_said(step) for step in steps])
        for source, steps in parsed.sources
    ]
    for i, kind in enumerate(kinds[1:], 2):
        if kind != kinds[0]:
            msg = f"stream 1 and stream {i} of the union differ in columns or steps"
            described = [source.describe() for source, _ in branches]
            place = f"stream 1: {described[0]}; stream {i}: {described[i - 1]}"
            remedy = "rows are pushed as rows of one source: check each stream by itself"
            raise PlanError(msg, place=place, remedy=remedy)
    return branches[0]


def _said(step: Step) -> object:
    # Expressions compared by == make an expression.
    return step.function if isinstance(step, MapBatches) else step.describe()


def _aggregates(
    node: Aggregated, own: pa.Schema
) -> tuple[tuple[Aggregate, ...], list[tuple[str, Any]]]:
    """The aggregates, and the columns that are made for their expressions."""
    made: list[tuple[str, Any]] = []

    def named(column: Any) -> str:
        if isinstance(column, str):
            return column
        made.append((f"expression {len(made)}", column))
        return made[-1][0]

    wanted = [(name, a, tuple(map(named, a.columns))) for name, a in node.aggregates]
    schema = WithColumns(tuple(made)).output(own) if made else own
    found: list[Aggregate] = []
    for name, a, columns in wanted:
        if a.user is not None:
            types = tuple(schema.field(c).type for c in columns)
            found.append(Folded(name, a.function, own=a.user, columns=columns, types=types))
        else:
            found.append(Aggregate(name, a.function, columns[0] if columns else None, a.ddof))
    return tuple(found), made


def _result_schema(
    part: ParsedStage, node: Aggregated, inputs: pa.Schema, bounds: pa.DataType
) -> pa.Schema:
    aggregates, _ = _aggregates(node, inputs)
    fields: dict[str, pa.DataType] = {key: _decoded(inputs.field(key).type) for key in part.keys}
    fields |= {"window_start": bounds, "window_end": bounds}
    for (name, a), known in zip(node.aggregates, aggregates, strict=True):
        columns = known.columns if isinstance(known, Folded) else (known.column,)
        types = tuple(inputs.field(c).type for c in columns if c is not None)
        fields[name] = result_type(a, types)
    fields |= {"version": pa.int32(), "timing": _TIMING, "is_final": pa.bool_()}
    return pa.schema(fields | ({"diff": pa.int8()} if node.input.mode == "retracting" else {}))


def _decoded(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
