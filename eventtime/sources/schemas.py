"""Comparing and restricting schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.encodings import batch_as, row_type
from eventtime.errors import ColumnError, SchemaError
from eventtime.expressions import check_unique
from eventtime.sources.base import MalformedRows, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = (
    "agreed",
    "check_columns",
    "check_same",
    "conform",
    "difference",
    "plain",
    "row_schema",
)

RARE = "; if values of the column are only rare, give its type with schema="


def plain(schema: pa.Schema) -> pa.Schema:
    """Return names and types only, so that files that differ in metadata compare equal."""
    return pa.schema([pa.field(field.name, field.type) for field in schema])


def row_schema(schema: pa.Schema) -> pa.Schema:
    """Return the plain schema in which rows are read: no views and no run ends."""
    return pa.schema([pa.field(field.name, row_type(field.type)) for field in schema])


def difference(first: pa.Schema, first_name: str, other: pa.Schema, other_name: str) -> str:
    """Say in which column two schemas differ first; empty if names and types agree in any order.

    >>> difference(pa.schema([("a", "int64")]), "x", pa.schema([("a", "string")]), "y")
    "column 'a' is int64 in x, but string in y"
    """
    for name in first.names:
        index = other.get_field_index(name)
        if index < 0:
            held = first.field(name).type
            return f"column {name!r} ({held}) is in {first_name}, but not in {other_name}"
        if first.field(name).type != other.field(index).type:
            types = first.field(name).type, other.field(index).type
            return f"column {name!r} is {types[0]} in {first_name}, but {types[1]} in {other_name}"
    extra = [name for name in other.names if name not in set(first.names)]
    if extra:
        held = other.field(extra[0]).type
        return f"column {extra[0]!r} ({held}) is in {other_name}, but not in {first_name}"
    return ""


def check_same(named: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """Return the schema all share; the order of columns may differ, the first's is taken.

    Raises:
        SchemaError: a column differs, or a name occurs twice; the message shows it with both
            places.
    """
    first_name, first = named[0]
    check_unique(first, place=first_name)
    for other_name, other in named[1:]:
        if other.equals(first):
            continue
        check_unique(other, place=other_name)
        gap = difference(first, first_name, other, other_name)
        if gap:
            raise _differing(gap, other_name)
    return first


def agreed(inferred: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """Return the schema that fits what was inferred from the values of each file.

    A column of nulls agrees with every type, and one of integers with one of floats.

    Raises:
        SchemaError: files have other columns, or types that do not agree; the message shows the
            column with both places.

    >>> files = [("a", pa.schema({"x": pa.null()})), ("b", pa.schema({"x": pa.int64()}))]
    >>> agreed(files).field("x").type
    DataType(int64)
    """
    (first_place, first), *others = inferred
    known = {field.name: (field, first_place) for field in first}
    for place, schema in others:
        for name in dict.fromkeys([*known, *schema.names]):
            mine = pa.schema([known[name][0]] if name in known else [])
            theirs = pa.schema([field for field in schema if field.name == name])
            owner = known[name][1] if name in known else first_place
            try:
                if not (mine.names and theirs.names):
                    raise _differing(difference(mine, owner, theirs, place), place, RARE)
                both = pa.unify_schemas([mine, theirs], promote_options="permissive")
            except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
                raise _differing(difference(mine, owner, theirs, place), place, RARE) from error
            if both != mine:
                known[name] = (both.field(0), place)
    return pa.schema([field for field, _ in known.values()])


def _differing(gap: str, place: str, hint: str = "") -> SchemaError:
    message = f"the files do not have the same columns: {gap}"
    remedy = "read these files apart and bring them to one schema before joining them with union"
    return SchemaError(message, place=place, remedy=remedy + hint)


def check_columns(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """Restrict a schema to the named columns, in that order; None keeps all.

    Raises:
        ColumnError: a column is not in the schema; the message lists those that are.
    """
    if columns is None:
        return schema
    for name in columns:
        if name not in schema.names:
            message = f"there is no column {name!r}"
            raise ColumnError(
                message, place="source", remedy=f"the columns are {', '.join(schema.names)}"
            )
    return pa.schema([schema.field(name) for name in columns])


def conform(rows: Rows, schema: pa.Schema) -> Rows:
    """Give a batch exactly this schema: columns by name, cast where the layout differs."""
    if isinstance(rows, MalformedRows) or rows.schema.equals(schema, check_metadata=True):
        return rows
    return batch_as([rows.column(name) for name in schema.names], schema)
