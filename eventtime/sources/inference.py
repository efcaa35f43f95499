"""Column types of text formats: what the first block shows, widened for the rows after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.checks import shown
from eventtime.errors import PlanError, TimeColumnError
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.sources.datafile import DataFile

__all__ = ("as_schema", "overridden", "readable", "timed", "widened", "without_times")

TIME_TYPES = (
    pa.int64(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns"),
    pa.timestamp("ns", "UTC"),
)
"""What text may hold as times: integers since the epoch, ISO 8601 without and with a zone."""
TIMES_LOOKED_AT = 4_096


def widened(samples: Sequence[pa.Table]) -> pa.Schema:
    """Return the types to read a file with, given pieces of its first rows.

    Whole seconds become microseconds, since a later row may hold a fraction; strings that are all
    ISO times become timestamps (the JSON reader sees only those of whole seconds). Where pieces
    contradict each other, the first decides, and the rows of the other type are malformed.
    """
    fields: dict[str, pa.Field] = {}
    for sample in samples:
        for name in sample.column_names:
            field = pa.field(name, _widened(sample.column(name)))
            fields[name] = _unified(fields[name], field) if name in fields else field
    return pa.schema([(name, field.type) for name, field in fields.items()])


def readable(schema: pa.Schema) -> pa.Schema:
    """Make columns without any value strings, which read everything."""
    return pa.schema(
        [(f.name, pa.string() if pa.types.is_null(f.type) else f.type) for f in schema]
    )


def timed(
    schema: pa.Schema,
    time: str,
    pieces: Sequence[pa.ChunkedArray],
    *,
    numbers_are_text: bool = True,
) -> pa.Schema:
    """Give the time column the type of most of its values, where no type of all holds a time.

    One bad value among the first rows then makes one row malformed, and not the column a string.
    More than half of the first `TIMES_LOOKED_AT` values decide; where no type of `TIME_TYPES` has
    them the schema stays as it is.

    Args:
        schema: as inferred.
        time: name of the time column, which the schema may lack.
        pieces: its values as they are written, or as the parser saw them; several where they did
            not parse as one.
        numbers_are_text: whether text of digits is an integer to the parser.

    >>> values = pa.chunked_array([["2024-01-01 10:00:00", "soon", "2024-01-02"]])
    >>> timed(pa.schema({"t": pa.string()}), "t", [values]).field("t").type
    TimestampType(timestamp[us])
    """
    if time not in schema.names:
        return schema
    one_type = len({piece.type for piece in pieces}) == 1
    if one_type and _holds_time(schema.field(time).type):
        return schema
    texts, counts = _texts(pieces), []
    for data_type in TIME_TYPES:
        is_number = pa.types.is_integer(data_type)
        alike = [piece for piece in pieces if pa.types.is_integer(piece.type) == is_number]
        counts.append(_parsing(texts if numbers_are_text else _texts(alike), data_type))
    most = max(counts)
    if 2 * most <= len(texts):
        return schema
    return overridden(schema, pa.schema([(time, TIME_TYPES[counts.index(most)])]))


def without_times(
    types: pa.Schema, time: str, rows: int, files: Sequence[DataFile]
) -> TimeColumnError | None:
    """Build the error for a time column without any value in the first rows; None if it has one.

    Args:
        types: as inferred, before `readable`.
        time: name of the time column.
        rows: how many were looked at.
        files: of the source.
    """
    if not (time in types.names and pa.types.is_null(types.field(time).type)):
        return None
    if rows:
        what = f"time column {time!r} is null in all {counted(rows, 'row')} that were looked at"
        remedy = "name the column that holds the event time, or give its type with schema="
    else:
        what = f"no row in {counted(len(files), 'file')} tells the type of time column {time!r}"
        remedy = "give its type with schema="
    return TimeColumnError(what, place=files[0].path, remedy=remedy)


def _holds_time(data_type: pa.DataType) -> bool:
    kinds = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_integer)
    return any(is_kind(data_type) for is_kind in kinds)


def _texts(pieces: Sequence[pa.ChunkedArray]) -> pa.Array:
    chunks = [
        pa.array([repr(v) for v in chunk[:TIMES_LOOKED_AT].to_pylist()], pa.string())
        if pa.types.is_nested(chunk.type)
        else chunk.cast(pa.string())
        for piece in pieces
        for chunk in piece.chunks
    ]
    values = pa.concat_arrays(chunks or [pa.array([], pa.string())])
    return values.filter(pc.greater(pc.binary_length(values), 0))[:TIMES_LOOKED_AT]


def _parsing(values: pa.Array, data_type: pa.DataType) -> int:
    try:
        values.cast(data_type)
    except pa.ArrowInvalid:
        half = len(values) // 2
        return (
            _parsing(values[:half], data_type) + _parsing(values[half:], data_type) if half else 0
        )
    return len(values)


def _unified(first: pa.Field, other: pa.Field) -> pa.Field:
    try:
        both = [pa.schema([first]), pa.schema([other])]
        return pa.unify_schemas(both, promote_options="permissive").field(0)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return first


def _widened(column: pa.ChunkedArray) -> pa.DataType:
    data_type = column.type
    if pa.types.is_timestamp(data_type) and data_type.unit == "s":
        return pa.timestamp("us", data_type.tz)
    if pa.types.is_string(data_type):
        for candidate in TIME_TYPES[1:]:
            try:
                # Few are enough to tell most texts: refusing a megabyte of them takes 25 ms.
                column.slice(0, 8).cast(candidate)
                column.cast(candidate)
            except pa.ArrowInvalid:
                continue
            return candidate
    return data_type


def as_schema(schema: pa.Schema | Mapping[str, pa.DataType] | None) -> pa.Schema | None:
    """Turn the public argument ``schema`` into a schema.

    Raises:
        PlanError: it is neither a schema nor a mapping of names to types.
    """
    if schema is None or isinstance(schema, pa.Schema):
        return schema
    try:
        return pa.schema(list(schema.items()))
    except (AttributeError, TypeError, pa.ArrowException) as error:
        message = f"schema={shown(schema)} is not a schema: {error}"
        remedy = "pass a pyarrow.Schema or a dict of names to pyarrow types"
        raise PlanError(message, place="schema", remedy=remedy) from error


def overridden(inferred: pa.Schema, given: pa.Schema | None) -> pa.Schema:
    """Put the given types over the inferred ones; given columns that were not seen come last."""
    if given is None:
        return inferred
    types = {field.name: field.type for field in inferred} | {
        field.name: field.type for field in given
    }
    return pa.schema(list(types.items()))
