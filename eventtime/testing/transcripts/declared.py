"""A pipeline in the words of a transcript, made a stream over any source of its columns."""

from __future__ import annotations

import importlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.checks import shown
from eventtime.duration import parse_us
from eventtime.errors import EventTimeError
from eventtime.plan import DROP
from eventtime.readers import from_arrow
from eventtime.stream import Stream
from eventtime.testing.transcripts.reading import TranscriptError
from eventtime.watermark import ascending, bounded_disorder, percentile, punctuated
from eventtime.windows import aggregate
from eventtime.windows.assigner import global_window, sliding, tumbling
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from eventtime.testing.transcripts.reading import Entry

__all__ = ("Declared", "RefusedPipelineError", "declared", "word_of")

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
_WINDOWS: Final = ("tumbling", "sliding", "slide", "global", "offset")
_WINDOW_NOT_YET: Final = ("session", "calendar", "zone", "custom", "early")
"""What the format has words for, and the engine does not have."""
_DURATIONS: Final = frozenset(
    {
        "tumbling", "sliding", "slide", "offset", "session", "allowed_lateness",
        "bounded_disorder", "idle_after", "max_future",
    }
)  # fmt: skip
_CHOICES: Final = {
    "mode": ("accumulating", "discarding", "retracting"),
    "all_idle": ("hold", "flush_max"),
    "calendar": ("day", "week", "month", "quarter", "year"),
}
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


class RefusedPipelineError(TranscriptError):
    """Raised when a pipeline whose words are all known is one that there is not (yet)."""


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
            RefusedPipelineError: it says what there is not yet, or the library refuses a part.
            TranscriptError: it has a word or a column that nobody knows; there is no code that
                declares it, or its source is its own.
            EventTimeError: the library refuses the pipeline as a whole.
        """
        if self.schema is None:
            if partitions is not None:
                what = "a pipeline that code declares reads its own source"
                self.entry.refuse(what, "declare it here, to replay other rows")
            return _from_code(self.entry.mapping("pipeline", ("python",))["python"])
        data: Any = self.schema.empty_table() if partitions is None else partitions
        parts = self.entry.mapping("pipeline", _PARTS)
        stream = from_arrow(data, time=self.time, time_unit=self.time_unit)
        columns = self.schema.names
        marked = _watermarked(_filtered(stream, parts, columns), parts)
        return _windowed(marked, parts, columns)


@contextmanager
def _at(entry: Entry) -> Iterator[None]:
    """Name the line of what the library refuses."""
    try:
        yield
    except TranscriptError:
        raise
    except EventTimeError as error:
        what, remedy = error.what, error.remedy
        raise RefusedPipelineError(what, place=entry.place, remedy=remedy) from error


def word_of(kind: pa.DataType) -> str:
    """Return how a transcript names a type."""
    return next((word for word, known in _TYPES.items() if known == kind), str(kind))


def declared(entry: Entry) -> Declared:
    """Read the declaration of a pipeline, as far as this needs no stream."""
    if "python" in entry.mapping("pipeline"):
        entry.mapping("pipeline", ("python",))
        return Declared(entry, None, "", None)
    needed = ("columns", "watermark", "window", "aggregate")
    parts = entry.mapping("pipeline", _PARTS, needed=needed)
    columns = parts["columns"].mapping("columns", like="columns: {at: time, value: integer}")
    schema = pa.schema({name: _type(kind) for name, kind in columns.items()})
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    time = parts["time"].text("column") if "time" in parts else "".join(times[:1])
    if time not in schema.names:
        what = f"there is no time column {time!r}" if time else "no column is of type time"
        entry.refuse(what, "give one the type time, and name it with time: … if there are more")
    unit = parts["time_unit"].text("unit") if "time_unit" in parts else None
    _check_words(parts)
    return Declared(entry, schema, time, unit)


def _check_words(parts: dict[str, Entry]) -> None:
    """Refuse words that nobody knows, also behind windows that there are not yet."""
    _said_of_window(parts["window"])
    for one in _functions(parts).values():
        _function(one)
    if "then" in parts:
        _check_words(_then(parts["then"]))


def _type(entry: Entry) -> pa.DataType:
    name = entry.text("type")
    if name in _TYPES:
        return _TYPES[name]
    if match := _ARROW_TIME.fullmatch(name):
        return pa.timestamp(match[1], match[2])
    try:
        return pa.type_for_alias(name)
    except ValueError:
        arrow = "a name of Arrow's such as 'timestamp[ns, UTC]', in quotes if it has a comma"
        remedy = f"one of {', '.join(_TYPES)}, or {arrow}"
        return entry.refuse(f"there is no type {name!r}", remedy)


def _from_code(entry: Entry) -> Stream:
    module, colon, name = entry.text("place of a pipeline").partition(":")
    if not colon:
        entry.refuse(f"{entry.plain!r} is no place of a pipeline", "write it as module:name")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        entry.refuse(f"{entry.plain!r} is not there: {error}", "name a module that Python finds")
    try:
        stream = found() if callable(found) else found
    except Exception as error:  # noqa: BLE001 - the code is the user's
        what = f"{entry.plain!r} raised {type(error).__name__}: {error}"
        entry.refuse(what, "name a stream, or a function of no arguments that returns one")
    if not isinstance(stream, Stream):
        entry.refuse(f"{entry.plain!r} is no pipeline", "name a stream, or what returns one")
    return stream


def _check_columns(names: Iterable[str], columns: Sequence[str], entry: Entry) -> None:
    for name in names:
        if name not in columns:
            entry.refuse(f"there is no column {name!r}", f"columns are {', '.join(columns)}")


def _filtered(stream: Stream, parts: dict[str, Entry], columns: Sequence[str]) -> Stream:
    if "filter" not in parts:
        return stream
    entry = parts["filter"]
    match = _CONDITION.fullmatch(entry.text("condition"))
    if match is None:
        entry.refuse(f"{entry.plain!r} is no condition", "write it as 'value > 0'")
    _check_columns([match[1]], columns, entry)
    field, text = pc.field(match[1]), match[3]
    value = _number(text)
    made: dict[str, Callable[[], pc.Expression]] = {
        "==": lambda: field == value,
        "!=": lambda: field != value,
        "<=": lambda: field <= value,
        ">=": lambda: field >= value,
        "<": lambda: field < value,
        ">": lambda: field > value,
    }
    with _at(entry):
        return stream.filter(made[match[2]]())


def _number(text: str) -> int | float | str:
    """Return a number that a condition names; of what is none, the text."""
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]+(\.[0-9]*)?", text) else text


def _watermarked(stream: Stream, parts: dict[str, Entry]) -> Stream:
    entry = parts["watermark"]
    said = {entry.value: entry} if isinstance(entry.value, str) else entry.mapping("watermark")
    generators = [name for name in said if name not in _WATERMARK]
    if len(generators) != 1 or generators[0] not in _GENERATORS:
        what = f"there is no watermark of {', '.join(generators) or 'nothing'}"
        entry.refuse(what, f"one of {', '.join(_GENERATORS)}, such as 'bounded_disorder: 10s'")
    _check_values(said)
    options: Any = {name: said[name].plain for name in said if name in _WATERMARK}
    with _at(entry):
        return stream.watermark(_generator(generators[0], said[generators[0]]), **options)


def _generator(name: str, entry: Entry) -> Any:
    match name:
        case "ascending":
            if entry.value != "ascending" and entry.value is not True:
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


def _windowed(stream: Stream, parts: dict[str, Entry], columns: Sequence[str]) -> Stream:
    keys = parts["key_by"].names("column") if "key_by" in parts else []
    made = {name: _aggregate(one, columns) for name, one in _functions(parts).items()}
    if keys:
        _check_columns(keys, columns, parts["key_by"])
    with _at(parts["key_by"] if keys else parts["window"]):
        grouped = stream.key_by(*keys) if keys else stream
    with _at(parts["window"]):
        assigner, options = _window(parts["window"])
        windows = grouped.window(assigner, **options)
    with _at(parts["aggregate"]):
        result = windows.aggregate(**made)
    if "then" not in parts:
        return result
    return _windowed(result, _then(parts["then"]), result.schema.names)


def _then(entry: Entry) -> dict[str, Entry]:
    known = ("key_by", "window", "aggregate", "then")
    return entry.mapping("then", known, needed=("window", "aggregate"))


def _said_of_window(entry: Entry) -> dict[str, Entry]:
    """Return the parts of a window, all of them known words."""
    known, like = (*_WINDOWS, *_WINDOW, *_WINDOW_NOT_YET), "window: {tumbling: 1m}"
    if isinstance(entry.value, str):
        return {entry.value: entry}
    said = entry.mapping("window", known, like=like)
    _check_values(said)
    return said


def _check_values(said: dict[str, Entry]) -> None:
    """Refuse what is no duration, and no choice, where one belongs."""
    for name, entry in said.items():
        if name in _CHOICES and entry.plain not in _CHOICES[name]:
            entry.refuse(
                f"{shown(entry.plain)} is no {name}", f"one of {', '.join(_CHOICES[name])}"
            )
        if name in _DURATIONS:
            try:
                parse_us(entry.plain, name=name, negative=True)
            except EventTimeError as error:
                entry.refuse(error.what, error.remedy)


def _window(entry: Entry) -> tuple[Any, Any]:
    said = _said_of_window(entry)
    options = {name: said[name].plain for name in said if name in _WINDOW}
    if options.get("late") == "drop":
        options["late"] = DROP
    rest = {name: one for name, one in said.items() if name not in _WINDOW}
    if not_yet := [name for name in rest if name in _WINDOW_NOT_YET]:
        words = ", ".join(not_yet)
        remedy = f"say 'not_yet: {words}' beside the title, if the story is ahead of the engine"
        msg = f"windows know no {words} yet"
        raise RefusedPipelineError(msg, place=entry.place, remedy=remedy)
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


def _functions(parts: dict[str, Entry]) -> dict[str, Entry]:
    return parts["aggregate"].mapping("aggregate", like="aggregate: {total: sum value}")


def _function(entry: Entry) -> tuple[Any, list[str]]:
    """Return a function and the names of its columns."""
    name, *given = entry.text("aggregate").split()
    if name not in _FUNCTIONS:
        remedy = f"one of {', '.join(_FUNCTIONS)}, and a column, such as 'sum value'"
        entry.refuse(f"there is no aggregate {name!r}", remedy)
    return _FUNCTIONS[name], given


def _aggregate(entry: Entry, columns: Sequence[str]) -> Any:
    make, given = _function(entry)
    try:
        made = make(*given)
    except (TypeError, EventTimeError) as error:
        names = f"it names {counted(len(given), 'column')}"
        why = names if isinstance(error, TypeError) else error
        what, remedy = f"{entry.plain!r} is no aggregate: {why}", "such as 'sum value' or 'count'"
        return entry.refuse(what, remedy)
    _check_columns(given, columns, entry)
    return made
