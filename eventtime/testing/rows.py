"""Rows as people write them, laid out in Arrow's columns; instants as text and back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from eventtime.checks import shown
from eventtime.duration import format_us, parse_us
from eventtime.errors import EventTimeError, PlanError, SchemaError
from eventtime.instant import instant_us, ticks_of_text
from eventtime.plan import Processed, Read, walk
from eventtime.state.exact import array_of
from eventtime.timestamp import EPOCH_UNITS, MINUS_INFINITY, PLUS_INFINITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.feed import AnySource
    from eventtime.stream import Stream
    from eventtime.testing.steps import Row

__all__ = ("batch_of", "iso", "readable", "source_of")

_INFINITIES = {"-inf": MINUS_INFINITY, "+inf": PLUS_INFINITY}
_UNFIT = (pa.ArrowException, EventTimeError, TypeError, ValueError, OverflowError)
"""What is raised for values that a column does not take."""


def iso(time_us: int) -> str:
    """Write an instant as ISO 8601 text; infinities as '-inf' and '+inf'.

    >>> iso(60_000_000), iso(1_500_000), iso(MINUS_INFINITY)
    ('1970-01-01T00:01:00Z', '1970-01-01T00:00:01.5Z', '-inf')
    """
    for text, infinity in _INFINITIES.items():
        if time_us == infinity:
            return text
    text = str(np.datetime64(time_us, "us"))
    return f"{text.rstrip('0').rstrip('.')}Z"


def readable(column: pa.Array) -> list[Any]:
    """Return values for people: instants and durations as text, also those no datetime can hold.

    >>> readable(pa.array([2**62], pa.timestamp("us", "UTC")))
    ['148108-07-06T14:00:27.387904Z']
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        write = iso if pa.types.is_timestamp(kind) else format_us
        ticks, factor = column.view(pa.int64()).to_pylist(), EPOCH_UNITS[kind.unit]
        us = (t if t is None else t * factor if factor > 0 else t // -factor for t in ticks)
        return [None if t is None else write(t) for t in us]
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        # Dates, and times within lists, that Python does not have.
        values = [" ".join(str(column.slice(i, 1)).split()) for i in range(len(column))]
    return values


def batch_of(
    rows: Sequence[Row] | pa.RecordBatch | pa.Table,
    schema: pa.Schema,
    *,
    time: str | None = None,
    time_unit: str | None = None,
    place: str = "rows",
) -> pa.RecordBatch:
    """Lay rows out in columns; what a row leaves out is null.

    Args:
        rows: values by column. Times may be ISO 8601 text, datetimes (UTC where no zone is said) or
            whole units of the column; durations text such as '90s', timedeltas or whole units.
            NaT and NA of pandas are null. A batch or a table stays as it is.
        schema: of the columns.
        time: name of the event-time column; time_unit: its unit, where it holds integers.
        place: for messages.

    Raises:
        PlanError: they are no rows, or a row has a column that the schema has not.
        SchemaError: a value does not fit its column.

    >>> schema = pa.schema({"t": pa.timestamp("s", "UTC"), "n": pa.int64()})
    >>> batch_of([{"t": "1970-01-01T00:00:05", "n": 1}, {"t": 7}], schema).to_pydict()["n"]
    [1, None]
    """
    if isinstance(rows, pa.RecordBatch):
        return rows
    if isinstance(rows, pa.Table):
        table: Any = rows
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
    _check_rows(rows, schema, place)
    columns = []
    for field in schema:
        unit = time_unit if field.name == time else None
        values = [row.get(field.name) for row in rows]
        columns.append(_column(values, field, unit, place))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def source_of(pipeline: Stream, partition: str) -> AnySource:
    """Return what says the schema of a partition's rows, or of those of a broadcast stream."""
    nodes = list(walk(pipeline.node))
    for node in nodes:
        if isinstance(node, Processed):
            for name, broadcast in node.broadcast:
                if name == partition:
                    return broadcast.source
    return next(node.source for node in nodes if isinstance(node, Read))


def _check_rows(rows: object, schema: pa.Schema, place: str) -> None:
    if not isinstance(rows, list | tuple) or not all(isinstance(row, dict) for row in rows):
        msg = f"{shown(rows)} are no rows"
        remedy = "give a list of dicts, a pyarrow.RecordBatch or a pyarrow.Table"
        raise PlanError(msg, place=place, remedy=remedy)
    for i, row in enumerate(rows):
        for name in row:
            if name not in schema.names:
                msg = f"there is no column {shown(name)}"
                remedy = f"columns are {', '.join(schema.names)}"
                raise PlanError(msg, place=f"{place}, row {i}", remedy=remedy)


def _column(values: list[Any], field: pa.Field, time_unit: str | None, place: str) -> pa.Array:
    kind = field.type
    try:
        return _laid_out(values, kind, time_unit)
    except _UNFIT as error:
        if any(map(_is_missing, values)):
            known = [None if _is_missing(value) else value for value in values]
            return _column(known, field, time_unit, place)
        msg = f"{_culprit(values, kind, time_unit)} is no {kind}"
        where, why = f"{place}, column {field.name!r}", getattr(error, "what", error)
        remedy = f"give values of that type, or None ({why})"
        raise SchemaError(msg, place=where, remedy=remedy) from error


def _is_missing(value: object) -> bool:
    """Tell whether it is pandas' NaT or NA, by name, for pandas may not be there."""
    return type(value).__name__ in {"NaTType", "NAType"}


def _laid_out(values: list[Any], kind: pa.DataType, time_unit: str | None) -> pa.Array:
    if pa.types.is_timestamp(kind):
        ticks = [_ticks(value, kind.unit) for value in values]
        return pa.array(ticks, pa.int64()).view(kind)
    if time_unit is not None and pa.types.is_integer(kind):
        return pa.array([_ticks(value, time_unit) for value in values], kind)
    if pa.types.is_integer(kind):
        return pa.array([_whole(value) for value in values], kind)
    if pa.types.is_duration(kind):
        ticks = [_length(value, kind.unit) for value in values]
        return pa.array(ticks, pa.int64()).view(kind)
    if pa.types.is_date(kind):
        values = [_date(value) for value in values]
        plain = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        if any(isinstance(value, int) for value in values):
            return pa.array(values, plain).view(kind)
    return array_of(values, kind)


def _culprit(values: list[Any], kind: pa.DataType, time_unit: str | None) -> str:
    """Show the first value that the column does not take alone."""
    for value in values:
        try:
            _laid_out([value], kind, time_unit)
        except _UNFIT:
            return shown(value)
    return shown(values)


def _whole(value: object) -> object:
    """Refuse what Arrow would cut off behind the point."""
    if isinstance(value, float) and not value.is_integer():
        msg = f"{shown(value)} is no whole number"
        raise ValueError(msg)
    return value


def _ticks(value: object, unit: str) -> int | None:
    """Return an instant in whole units since 1970."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return ticks_of_text(value, unit)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, datetime):
        return _in_units(instant_us(value, place="rows"), unit)
    msg = f"{shown(value)} is no instant"
    raise ValueError(msg)


def _length(value: object, unit: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    duration: Any = value
    return _in_units(parse_us(duration, name="value", negative=True), unit)


def _date(value: Any) -> Any:
    return pa.scalar(value).cast(pa.date32()).as_py() if isinstance(value, str) else value


def _in_units(us: int, unit: str) -> int:
    factor = EPOCH_UNITS[unit]
    if factor < 0:
        return us * -factor
    if us % factor:
        msg = f"the column counts whole {unit}"
        raise ValueError(msg)
    return us // factor
