"""From plan to what runs: schemas checked, columns pruned, stages typed; only schemas are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.errors import PlanError, SchemaError
from eventtime.expressions import (
    check_columns,
    check_predicate,
    check_unique,
    columns_of,
    type_of,
)
from eventtime.parsed import ParsedStage, check_chain, check_tags, parse
from eventtime.plan import DROP, Aggregated, Node, Processed, Read, Stepped, United, Watermarked
from eventtime.process.plan import ProcessPlan
from eventtime.sources.feed import is_live
from eventtime.sources.schemas import difference
from eventtime.sources.timecolumn import check_time_column
from eventtime.state.keys import check_key_type
from eventtime.timestamp import bounds_type
from eventtime.transform import Select, Step, WithColumns, pruned
from eventtime.windows.emission import ResultShape
from eventtime.windows.late import beside_own, late_fields
from eventtime.windows.layout import Layout
from eventtime.windows.spec import WindowSpec
from eventtime.windows.words import Output, output_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.base import Source
    from eventtime.sources.feed import AnySource
    from eventtime.windows.aggregate import Aggregate

__all__ = ("Branch", "CompiledPlan", "StagePlan", "compile_plan", "result_schema")


@dataclass(frozen=True)
class Branch:
    """One source and what happens to its rows before the watermark.

    Args:
        source: where rows come from.
        columns: what is read of it.
        schema: of those columns.
        steps: before the watermark.
    """

    source: AnySource
    columns: tuple[str, ...]
    schema: pa.Schema
    steps: tuple[Step, ...]

    @property
    def bounded(self) -> Source:
        """The source, where it is read to its end."""
        assert not is_live(self.source)
        return cast("Source", self.source)


@dataclass(frozen=True)
class StagePlan:
    """One window operator.

    Args:
        input: schema of its rows before `steps`.
        steps: between the watermark (or the window before) and this window.
        time: event-time column of the input; time_unit: of integers.
        keys: names of key columns; key_types: their types.
        columns: input columns of the aggregates; lanes: whether each comes as a lane.
        late_columns: own columns of late rows; late_tag: where they go, None: counted only.
        spec: of the operator.
    """

    input: pa.Schema
    steps: tuple[Step, ...]
    time: str
    time_unit: str | None
    keys: tuple[str, ...]
    key_types: tuple[pa.DataType, ...]
    columns: tuple[str, ...]
    lanes: tuple[bool, ...]
    late_columns: tuple[str, ...]
    late_tag: str | None
    late_schema: pa.Schema
    spec: WindowSpec

    @property
    def schema(self) -> pa.Schema:
        """Of the results."""
        return self.spec.schema

    @property
    def side_schemas(self) -> dict[str, pa.Schema]:
        """Of its side outputs, by tag."""
        return {} if self.late_tag is None else {self.late_tag: self.late_schema}


@dataclass(frozen=True)
class CompiledPlan:
    """A plan that has been checked.

    Args:
        branches: sources with their steps.
        watermark: the node that declares it.
        stages: operators, in order.
        final_steps: on the results of the last.
        schema: of the results after them.
        aside_schema: of rows at the watermark: the own columns of quarantined rows.
    """

    branches: tuple[Branch, ...]
    watermark: Watermarked
    stages: tuple[StagePlan | ProcessPlan, ...]
    final_steps: tuple[Step, ...]
    schema: pa.Schema
    aside_schema: pa.Schema

    @property
    def side_schemas(self) -> dict[str, pa.Schema]:
        """Of the side outputs of all stages, by tag."""
        return {tag: kind for s in self.stages for tag, kind in s.side_schemas.items()}


def compile_plan(node: Node) -> CompiledPlan:
    """Check a plan against the schemas of its sources and prepare it for running.

    Raises:
        PlanError: parts are missing or in an order that cannot run.
        ColumnError, TimeColumnError, AggregateTypeError, SchemaError: see their docstrings.
    """
    parsed = parse(node)
    watermark, sources = parsed.watermark, parsed.sources
    for source, _ in sources:
        check_unique(source.schema(), place=source.describe())
    wholes = [_through(source.schema(), steps) for source, steps in sources]
    _check_union(sources, wholes)
    time, time_unit = sources[0][0].time, sources[0][0].time_unit
    check_columns(wholes[0], [time], place="time=…")
    check_time_column(sources[0][0], wholes[0])
    stages: list[StagePlan | ProcessPlan] = []
    schema, of_rows = wholes[0], (time, time_unit)
    for i, part in enumerate(parsed.stages):
        if i:
            check_chain(parsed.stages[i - 1], part)
        if isinstance(part.node, Processed):
            process = _process(schema, *of_rows, part, part.node)
            if process.output_time is not None:
                of_rows = process.output_time.column, process.output_time.unit
            stages.append(process)
        else:
            windows = sum(isinstance(stage, StagePlan) for stage in stages)
            stages.append(_stage(windows, schema, *of_rows, part, part.node))
            of_rows = "window_start", of_rows[1]
        schema = stages[-1].schema
    check_tags([tag for stage in stages for tag in stage.side_schemas])
    stages[0], wanted = _prune_stage(stages[0], watermark, time)
    branches = tuple(_branch(source, steps, wanted) for source, steps in sources)
    return CompiledPlan(
        branches,
        watermark,
        tuple(stages),
        parsed.final_steps,
        _through(schema, parsed.final_steps),
        _through(branches[0].schema, branches[0].steps),
    )


def result_schema(node: Node) -> pa.Schema:
    """Return the schema of a stream's rows, whether it has windows yet or not."""
    if any(isinstance(n, Aggregated | Processed) for n in _spine(node)):
        return compile_plan(node).schema
    if isinstance(node, Read):
        return node.source.schema()
    if isinstance(node, United):
        return result_schema(node.inputs[0])
    schema = result_schema(node.input)
    return node.step.output(schema) if isinstance(node, Stepped) else schema


def _spine(node: Node) -> list[Node]:
    nodes = [node]
    while not isinstance(nodes[-1], Read | United):
        nodes.append(nodes[-1].input)
    return nodes


def _through(schema: pa.Schema, steps: Sequence[Step]) -> pa.Schema:
    for step in steps:
        schema = step.output(schema)
    return schema


def _check_union(
    sources: Sequence[tuple[AnySource, tuple[Step, ...]]], schemas: Sequence[pa.Schema]
) -> None:
    first = sources[0][0]
    for i, ((source, _), schema) in enumerate(zip(sources[1:], schemas[1:], strict=True), 2):
        place = f"stream 1: {first.describe()}; stream {i}: {source.describe()}"
        if (source.time, source.time_unit) != (first.time, first.time_unit):
            msg = (
                "united streams have different event times: "
                f"{_time(first)} in stream 1, but {_time(source)} in stream {i}"
            )
            remedy = "give both one name with with_columns and select, and one time_unit"
            raise SchemaError(msg, place=place, remedy=remedy)
        if not schema.equals(schemas[0]):
            gap = difference(schemas[0], "stream 1", schema, f"stream {i}")
            order = f"{', '.join(schemas[0].names)} in stream 1, but {', '.join(schema.names)}"
            msg = f"united streams differ: {gap or f'their order is {order} in stream {i}'}"
            names = ", ".join(map(repr, schemas[0].names))
            remedy = "make them equal with with_columns and select"
            raise SchemaError(msg, place=place, remedy=remedy if gap else f"add .select({names})")


def _time(source: AnySource) -> str:
    unit = f" ({source.time_unit})" if source.time_unit else ""
    return f"{source.time!r}{unit}"


def _stage(
    index: int,
    schema: pa.Schema,
    time: str,
    time_unit: str | None,
    parsed: ParsedStage,
    aggregated: Aggregated,
) -> StagePlan:
    steps, keys, windowed = parsed.steps, parsed.keys, aggregated.input
    own = _keyed(schema, parsed)
    columns, made = _input_columns(own, aggregated.aggregates)
    all_steps = (*steps, made) if made.columns else steps
    inputs = made.output(own)
    types = tuple(inputs.field(c).type for c in columns)
    outputs = tuple(
        Output(name, a, tuple(columns.index(_column_name(made.columns, c)) for c in a.columns))
        for name, a in aggregated.aggregates
    )
    grid = windowed.assigner.grid
    bounds = bounds_type(
        schema.field(time).type, time_unit, grid.size_us, grid.slide_us, grid.offset_us
    )
    shape = ResultShape(
        keys,
        bounds,
        time_unit if pa.types.is_integer(bounds) else None,
        windowed.mode == "retracting",
    )
    key_types = tuple(_value_type(own.field(k).type) for k in keys)
    fields = [
        pa.field(o.name, t) for o, t in zip(outputs, output_types(outputs, types), strict=True)
    ]
    _check_names(keys, [f.name for f in fields])
    result = shape.schema(key_types, fields)
    spec = WindowSpec(grid, windowed.lateness_us, windowed.mode, outputs, types, shape, result)
    lanes = tuple(_as_lane(i, outputs, types) for i in range(len(columns)))
    late = (
        ()
        if windowed.late == DROP
        else (tuple(own.names) if windowed.late_columns is None else windowed.late_columns)
    )
    check_columns(own, late, place="window(late_columns=…)")
    tag = (
        None
        if windowed.late == DROP
        else windowed.late or ("late" if index == 0 else f"late_{index + 1}")
    )
    late_schema = beside_own(pa.schema([own.field(n) for n in late]), late_fields(bounds))
    return StagePlan(
        schema,
        all_steps,
        time,
        time_unit,
        keys,
        key_types,
        tuple(columns),
        lanes,
        late,
        tag,
        late_schema,
        spec,
    )


def _process(
    schema: pa.Schema, time: str, time_unit: str | None, parsed: ParsedStage, node: Processed
) -> ProcessPlan:
    own, keys = _keyed(schema, parsed), parsed.keys
    columns = tuple(own.names) if node.columns is None else node.columns
    check_columns(own, columns, place="process(columns=…)")
    return ProcessPlan(
        schema,
        parsed.steps,
        time,
        time_unit,
        keys,
        tuple(_value_type(own.field(k).type) for k in keys),
        columns,
        (False,) * len(columns),
        node.function,
        node.output,
        dict(node.sides),
        node.time,
        dict(node.broadcast),
    )


def _keyed(schema: pa.Schema, parsed: ParsedStage) -> pa.Schema:
    """Return the schema behind the steps of an operator, its keys checked."""
    own = _through(schema, parsed.steps)
    check_columns(own, parsed.keys, place="key_by(...)")
    for key in parsed.keys:
        check_key_type(key, own.field(key).type)
    return own


def _input_columns(
    schema: pa.Schema, aggregates: Sequence[tuple[str, Aggregate]]
) -> tuple[list[str], WithColumns]:
    """Name the aggregates' inputs; expressions become columns of their own."""
    columns: list[str] = []
    made: list[tuple[str, pc.Expression]] = []
    calls: dict[str, str] = {}
    for name, aggregate in aggregates:
        call = f"{name}={aggregate.describe()}"
        for column in aggregate.columns:
            if isinstance(column, str):
                check_columns(schema, [column], place=f"aggregate({call})")
            elif not any(column.equals(e) for _, e in made):
                type_of(schema, column, place=f"aggregate({call})")
                made.append((f"__expression_{len(made)}", column))
                calls[made[-1][0]] = call
            text = _column_name(made, column)
            if text not in columns:
                columns.append(text)
    return columns, WithColumns(tuple(made), calls)


def _column_name(made: Sequence[tuple[str, pc.Expression]], column: str | pc.Expression) -> str:
    return column if isinstance(column, str) else next(n for n, e in made if e.equals(column))


def _as_lane(column: int, outputs: Sequence[Output], types: Sequence[pa.DataType]) -> bool:
    return any(
        column in o.columns and Layout.holds(o.aggregate, [types[c] for c in o.columns])
        for o in outputs
    )


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _check_names(keys: Sequence[str], names: Sequence[str]) -> None:
    taken = [*keys, "window_start", "window_end", "version", "timing", "is_final", "diff"]
    for name in names:
        if name in taken:
            msg = f"aggregate name {name!r} is taken by a column of the result"
            raise PlanError(msg, place=f"aggregate({name}=…)", remedy="choose another name")
    for key in keys:
        if key in taken[len(keys) :]:
            msg = f"key {key!r} has the name of a column of the result"
            raise PlanError(msg, place="key_by(...)", remedy="rename it with with_columns")


def _prune_stage(
    stage: StagePlan | ProcessPlan, watermark: Watermarked, time: str
) -> tuple[StagePlan | ProcessPlan, set[str]]:
    """Leave out what nothing reads, from the window back to the watermark.

    Returns:
        The stage, and the columns that are wanted at the watermark.
    """
    wanted = {*stage.keys, *stage.columns, *stage.late_columns}
    steps, needed = pruned(stage.steps, stage.input, wanted)
    needed.add(time)
    for column in watermark.generator.columns:
        if isinstance(column, str):
            check_columns(stage.input, [column], place=watermark.generator.describe())
            needed.add(column)
        else:
            check_predicate(stage.input, column, place=watermark.generator.describe())
            needed.update(columns_of(stage.input, column))
    kept = pa.schema([f for f in stage.input if f.name in needed])
    return replace(stage, input=kept, steps=steps), needed


def _branch(source: AnySource, steps: tuple[Step, ...], wanted: set[str]) -> Branch:
    whole = source.schema()
    # What comes out is what is wanted, in one order for all branches.
    chosen = tuple(n for n in _through(whole, steps).names if n in wanted)
    left, needed = pruned((*steps, Select(chosen)), whole, set(chosen))
    columns = tuple(n for n in whole.names if n in needed)
    return Branch(source, columns, pa.schema([whole.field(n) for n in columns]), left)
