"""Column types of text formats: what the first block shows, widened for the rows after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ("as_schema", "overridden", "widened")


def widened(samples: Sequence[pa.Table]) -> pa.Schema:
    """Return the types to read a file with, given pieces of its first rows.

    Whole seconds become microseconds, since a later row may hold a fraction; strings that are all
    ISO times become timestamps (the JSON reader sees only those of whole seconds); a column without
    any value becomes a string, which reads everything. Where pieces contradict each other, the
    first decides, and the rows of the other type are malformed.
    """
    fields: dict[str, pa.Field] = {}
    for sample in samples:
        for name in sample.column_names:
            field = pa.field(name, _widened(sample.column(name)))
            fields[name] = _unified(fields[name], field) if name in fields else field
    types = {name: field.type for name, field in fields.items()}
    return pa.schema([(n, pa.string() if pa.types.is_null(t) else t) for n, t in types.items()])


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
        for candidate in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
            try:
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
