"""Columns as they were written made those that are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("check_castable", "conformed")


def conformed(columns: Mapping[str, pa.Array], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """Return the columns of a schema, cast to its types; those that lack are null.

    Raises:
        ArrowInvalid, ArrowNotImplementedError: a value does not fit its type.
    """
    made = [
        columns[field.name].cast(field.type)
        if field.name in columns
        else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(made, schema=schema)


def check_castable(known: pa.Schema, wanted: pa.Schema, *, place: str) -> pa.Schema:
    """Return the wanted columns, if they can be made of those there are.

    Raises:
        PlanError: one is not there, or of a type that is never cast to the one wanted.
    """
    for field in wanted:
        if field.name not in known.names:
            msg = f"there is no field {field.name!r}"
            raise PlanError(msg, place=place, remedy=f"there are {', '.join(known.names)}")
        kind = known.field(field.name).type
        try:
            pa.nulls(0, kind).cast(field.type)
        except pa.ArrowException as error:
            msg = f"field {field.name!r} is {kind}, which does not become {field.type}"
            raise PlanError(msg, place=place, remedy="another type in schema=…") from error
    return wanted
