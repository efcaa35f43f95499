"""A pipeline in the words of a transcript, made a stream over any source of its columns."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.errors import EventTimeError
from eventtime.readers import from_arrow
from eventtime.stream import Stream
from eventtime.watermark import ascending, bounded_disorder, percentile, punctuated
from eventtime.windows import aggregate
from eventtime.windows.assigner import global_window, sliding, tumbling

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.testing.transcripts.reading import Entry

__all__ = ("Declared", "declared")

_TYPES: Final = {
    "time": pa.timestamp("us", "UTC"),
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "duration": pa.duration("us"),
}
_ARROW_TIME: Final = re.compile(r"timestamp\[(s|ms|us|ns)(?:, *([A-Za-z0-9_+:/-]+))?\]")
_PARTS: Final = (
    "columns", "time", "time_unit", "filter", "watermark", "key_by", "window", "aggregate", "then",
)  # fmt: skip
_CONDITION: Final = re.compile(r"(\w+) *(==|!=|<=|>=|<|>) *(\S+)")
_GENERATORS: Final = ("bounded_disorder", "ascending", "punctuated", "percentile")
_WATERMARK: Final = ("idle_after", "all_idle", "max_future")
_WINDOW: Final = ("allowed_lateness", "mode", "late")
_FUNCTIONS: Final = {
    "all": aggregate.all_,
    "any": aggregate.any_,
    "collect": aggregate.collect,
    "count": aggregate.count,
    "count_distinct": aggregate.count_distinct,
    "first": aggregate.first,
    "last": aggregate.last,
    "max": aggregate.max_,
    "mean": aggregate.mean,
    "min": aggregate.min_,
    "stddev": aggregate.stddev,
    "sum": aggregate.sum_,
    "var": aggregate.var,
}


@dataclass(frozen=True)
class Declared:
    """A pipeline of a transcript.

    Args:
        entry: that declares it.
        schema: of its rows; None: code declares it.
        time: name of the event-time column; time_unit: its unit, where it holds integers.
    """

    entry: Entry
    schema: pa.Schema | None
    time: str
    time_unit: str | None

    def stream(self, partitions: dict[str, pa.RecordBatch] | None = None) -> Stream:
        """Make the stream.

        Args:
            partitions: rows to read; None: there are none, the schema is all.

        Raises:
            TranscriptError: it says what it must not.
            EventTimeError: the library refuses the pipeline.
        """
        if self.schema is None:
            if partitions is not None:
                what = "a pipeline that code declares reads its own source"
                self.entry.refuse(what, "declare it here, to replay other rows")
            return _from_code(self.entry.mapping("pipeline", ("python",))["python"])
        data: Any = self.schema.empty_table() if partitions is None else partitions
        parts = self.entry.mapping("pipeline", _PARTS)
        stream = from_arrow(data, time=self.time, time_unit=self.time_unit)
        return _windowed(_watermarked(_filtered(stream, parts), parts), parts)


def declared(entry: Entry) -> Declared:
    """Read the declaration of a pipeline, as far as this needs no stream."""
    if "python" in entry.mapping("pipeline"):
        entry.mapping("pipeline", ("python",))
        return Declared(entry, None, "", None)
    needed = ("columns", "watermark", "window", "aggregate")
    parts = entry.mapping("pipeline", _PARTS, needed=needed)
    columns = parts["columns"].mapping("columns")
    schema = pa.schema({name: _type(kind) for name, kind in columns.items()})
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    time = parts["time"].text("column") if "time" in parts else "".join(times[:1])
    if time not in schema.names:
        what = f"there is no time column {time!r}" if time else "no column is of type time"
        entry.refuse(what, "give one the type time, and name it with time: … if there are more")
    unit = parts["time_unit"].text("unit") if "time_unit" in parts else None
    return Declared(entry, schema, time, unit)


def _type(entry: Entry) -> pa.DataType:
    name = entry.text("type")
    if name in _TYPES:
        return _TYPES[name]
    if match := _ARROW_TIME.fullmatch(name):
        return pa.timestamp(match[1], match[2])
    try:
        return pa.type_for_alias(name)
    except ValueError:
        remedy = f"one of {', '.join(_TYPES)}, or a name of Arrow's such as 'timestamp[ns, UTC]'"
        return entry.refuse(f"there is no type {name!r}", remedy)


def _from_code(entry: Entry) -> Stream:
    module, colon, name = entry.text("place of a pipeline").partition(":")
    if not colon:
        entry.refuse(f"{entry.plain!r} is no place of a pipeline", "write it as module:name")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        entry.refuse(f"{entry.plain!r} is not there: {error}", "name a module that Python finds")
    stream = found() if callable(found) else found
    if not isinstance(stream, Stream):
        entry.refuse(f"{entry.plain!r} is no pipeline", "name a stream, or what returns one")
    return stream


def _filtered(stream: Stream, parts: dict[str, Entry]) -> Stream:
    if "filter" not in parts:
        return stream
    entry = parts["filter"]
    match = _CONDITION.fullmatch(entry.text("condition"))
    if match is None:
        entry.refuse(f"{entry.plain!r} is no condition", "write it as 'value > 0'")
    field, text = pc.field(match[1]), match[3]
    value = float(text) if re.fullmatch(r"-?[0-9.]+", text) else text
    made: dict[str, Callable[[], pc.Expression]] = {
        "==": lambda: field == value,
        "!=": lambda: field != value,
        "<=": lambda: field <= value,
        ">=": lambda: field >= value,
        "<": lambda: field < value,
        ">": lambda: field > value,
    }
    return stream.filter(made[match[2]]())


def _watermarked(stream: Stream, parts: dict[str, Entry]) -> Stream:
    entry = parts["watermark"]
    said = {entry.value: entry} if isinstance(entry.value, str) else entry.mapping("watermark")
    generators = [name for name in said if name not in _WATERMARK]
    if len(generators) != 1 or generators[0] not in _GENERATORS:
        what = f"a watermark has one of {', '.join(_GENERATORS)}"
        entry.refuse(what, "such as 'bounded_disorder: 10s'")
    options: Any = {name: said[name].plain for name in said if name in _WATERMARK}
    return stream.watermark(_generator(generators[0], said[generators[0]]), **options)


def _generator(name: str, entry: Entry) -> Any:
    match name:
        case "ascending":
            if entry.value not in {"ascending", True}:
                entry.refuse("an ascending watermark has no bound", "write ascending: true")
            return ascending()
        case "bounded_disorder":
            return bounded_disorder(entry.plain)
        case "punctuated":
            return punctuated(column=entry.text("column"))
        case _:
            known = ("share", "initial", "warm_up", "every")
            said = entry.mapping("percentile", known)
            options: Any = {key: one.plain for key, one in said.items()}
            return percentile(**options)


def _windowed(stream: Stream, parts: dict[str, Entry]) -> Stream:
    keys = parts["key_by"].names("column") if "key_by" in parts else []
    grouped = stream.key_by(*keys) if keys else stream
    assigner, options = _window(parts["window"])
    functions = parts["aggregate"].mapping("aggregate")
    windows = grouped.window(assigner, **options)
    result = windows.aggregate(**{name: _aggregate(one) for name, one in functions.items()})
    if "then" not in parts:
        return result
    known = ("key_by", "window", "aggregate", "then")
    return _windowed(result, parts["then"].mapping("then", known, needed=("window", "aggregate")))


def _window(entry: Entry) -> tuple[Any, Any]:
    said = {entry.value: entry} if isinstance(entry.value, str) else entry.mapping("window")
    options = {name: said[name].plain for name in said if name in _WINDOW}
    rest = {name: one for name, one in said.items() if name not in _WINDOW}
    match sorted(rest):
        case ["global"]:
            return global_window(), options
        case ["tumbling"] | ["offset", "tumbling"]:
            offset = rest["offset"].plain if "offset" in rest else 0
            return tumbling(rest["tumbling"].plain, offset=offset), options
        case ["slide", "sliding"] | ["offset", "slide", "sliding"]:
            offset = rest["offset"].plain if "offset" in rest else 0
            return sliding(rest["sliding"].plain, slide=rest["slide"].plain, offset=offset), options
        case _:
            what = f"there is no window of {', '.join(rest) or 'nothing'}"
            remedy = "one of 'tumbling: 1m', 'sliding: 1m' with 'slide: 20s', 'global'"
            return entry.refuse(what, remedy)


def _aggregate(entry: Entry) -> Any:
    name, *columns = entry.text("aggregate").split()
    if name not in _FUNCTIONS:
        entry.refuse(f"there is no aggregate {name!r}", f"one of {', '.join(_FUNCTIONS)}")
    make: Any = _FUNCTIONS[name]
    try:
        return make(*columns)
    except (TypeError, EventTimeError) as error:
        return entry.refuse(f"{entry.plain!r} is no aggregate: {error}", "such as 'sum value'")
