"""What a stream's methods declare, checked at once: windows, aggregates, process functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.checks import check_callable, check_names, check_text, shown
from eventtime.duration import DurationLike, parse_us
from eventtime.encodings import row_fields
from eventtime.errors import PlanError
from eventtime.expressions import check_columns
from eventtime.plan import Keyed, Node, Processed, Read, Stepped, Windowed, walk
from eventtime.process.broadcast import Broadcast
from eventtime.process.function import known_function
from eventtime.process.plan import check_output
from eventtime.transform import MapBatches
from eventtime.windows.accumulation import AccumulationMode, check_mode
from eventtime.windows.aggregate import Aggregate
from eventtime.windows.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.process.function import ProcessFunction
    from eventtime.state.declared import Declared
    from eventtime.transform import Step
    from eventtime.windows.assigner import GridAssigner

__all__ = ("check_aggregate", "check_named", "mapped", "processed", "windowed")


def mapped(
    node: Node,
    function: Callable[[pa.RecordBatch], pa.RecordBatch | pa.Table],
    schema: pa.Schema | None,
) -> Stepped:
    """Apply a function to whole batches; see `Stream.map_batches`."""
    remedy = "give a function from RecordBatch to RecordBatch"
    check_callable(function, place="map_batches(function)", remedy=remedy)
    if schema is not None and not isinstance(schema, pa.Schema):
        msg = f"{shown(schema)} is no schema"
        remedy = "build one with pyarrow.schema, or leave it out"
        raise PlanError(msg, place="map_batches(schema=…)", remedy=remedy)
    return Stepped(node, MapBatches(function, schema))


def windowed(
    node: Node,
    assigner: GridAssigner,
    allowed_lateness: DurationLike,
    mode: AccumulationMode,
    late: str | None,
    late_columns: Sequence[str] | None,
) -> Windowed:
    """Put rows in windows; see `KeyedStream.window`."""
    if not isinstance(getattr(assigner, "grid", None), Grid):
        msg = f"{shown(assigner)} describes no windows"
        raise PlanError(
            msg,
            place="window(assigner)",
            remedy="such as et.tumbling('1h') or et.sliding('1h', slide='5m')",
        )
    check_mode(mode)
    if late is not None:
        remedy = "a name for the side output, et.DROP, or None for 'late'"
        check_text(late, what="tag", place="window(late=…)", remedy=remedy)
    lateness_us = parse_us(allowed_lateness, name="allowed_lateness")
    before = sum(isinstance(upstream, Windowed) for upstream in walk(node))
    if late is None and before:
        # Each window's late rows have columns of their own, so each has a tag of its own.
        late = f"late_{before + 1}"
    named = (late_columns,) if isinstance(late_columns, str) else late_columns
    if named is not None:
        remedy = "a list of column names, each once; None for all"
        check_names(named, place="window(late_columns=…)", remedy=remedy, least=0)
    columns = None if named is None else tuple(named)
    if late == "quarantine":
        msg = "the tag 'quarantine' is taken by rows without a usable time"
        raise PlanError(msg, place="window(late=…)", remedy="choose another tag")
    return Windowed(node, assigner, lateness_us, mode, late, columns)


def processed(
    node: Keyed,
    function: ProcessFunction | Callable[[Any, Any], object],
    output: pa.Schema,
    sides: Mapping[str, pa.Schema] | None,
    time: tuple[str | None, str | None, DurationLike],
    columns: Sequence[str] | None,
    states: Mapping[str, Declared] | None,
    broadcast: Mapping[str, Any] | None,
) -> Processed:
    """Give rows to a process function; see `KeyedStream.process`."""
    known = known_function(function, states)
    output_time = check_output(output, sides, *time)
    named = (columns,) if isinstance(columns, str) else columns
    if named is not None:
        remedy = "a list of column names, each once; None for all"
        check_names(named, place="process(columns=…)", remedy=remedy, least=0)
    given = None if named is None else tuple(named)
    told = tuple((name, _broadcast(name, stream)) for name, stream in (broadcast or {}).items())
    if known.has_broadcast != bool(told):
        msg = f"{known.name} has {'an' if known.has_broadcast else 'no'} on_broadcast"
        remedy = "give broadcast={'rules': stream} if it has, and only then"
        raise PlanError(msg, place="process(broadcast=…)", remedy=remedy)
    aside = tuple((tag, row_fields(schema)) for tag, schema in (sides or {}).items())
    return Processed(node, known, row_fields(output), output_time, aside, given, told)


def _broadcast(name: str, stream: object) -> Broadcast:
    place = f"process(broadcast={{{name!r}: …}})"
    check_text(name, what="name", place=place, remedy="name the broadcast stream")
    node: Any = getattr(stream, "node", None)
    steps: list[Step] = []
    while isinstance(node, Stepped):
        steps.insert(0, node.step)
        node = node.input
    if not isinstance(node, Read):
        msg = f"{shown(stream)} is no source with steps"
        remedy = "such as et.from_arrow(rules, time='since'), without watermark or windows"
        raise PlanError(msg, place=place, remedy=remedy)
    told = Broadcast(node.source, tuple(steps))
    check_columns(told.schema, [node.source.time], place=place)
    return told


def check_named(unnamed: Sequence[object], place: str, example: str) -> None:
    """Refuse what was given by position: it has no name."""
    if unnamed:
        first = unnamed[0]
        given = first.describe() if isinstance(first, Aggregate) else shown(first)
        msg = f"{given} is given without a name"
        raise PlanError(msg, place=place, remedy=f"name the column that it makes, {example}")


def check_aggregate(name: str, aggregate: object) -> None:
    """Refuse what is no aggregate."""
    if not isinstance(aggregate, Aggregate):
        msg = f"{shown(aggregate)} is not an aggregate"
        remedy = "such as et.count() or et.mean('x')"
        raise PlanError(msg, place=f"aggregate({name}=…)", remedy=remedy)
