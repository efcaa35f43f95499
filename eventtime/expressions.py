"""Arrow compute expressions over record batches: evaluating them, and finding the columns they read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.errors import ColumnError, PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ("check_columns", "columns_of", "evaluate", "project", "type_of")


def project(batch: pa.RecordBatch, columns: Mapping[str, pc.Expression]) -> pa.RecordBatch:
    """Compute columns from a batch, rows in order. Cost: some 100 µs a call, then vectorised."""
    from pyarrow import acero

    source = acero.Declaration(
        "table_source", acero.TableSourceNodeOptions(pa.Table.from_batches([batch]))
    )
    options = acero.ProjectNodeOptions(list(columns.values()), list(columns))
    plan = acero.Declaration.from_sequence([source, acero.Declaration("project", options)])
    # Several threads would not keep the order of rows.
    table = plan.to_table(use_threads=False).combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def evaluate(batch: pa.RecordBatch, expression: pc.Expression) -> pa.Array:
    """Compute one expression, (n,)."""
    return project(batch, {"value": expression}).column(0)


def type_of(schema: pa.Schema, expression: pc.Expression, *, place: str) -> pa.DataType:
    """Return the type of an expression over rows of a schema.

    Raises:
        PlanError: it does not fit the schema; names the expression and the cause.
    """
    try:
        return evaluate(_no_rows(schema), expression).type
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, KeyError) as error:
        msg = f"expression {expression} does not fit the columns: {error}"
        raise PlanError(msg, place=place, remedy=f"columns are {', '.join(schema.names)}") from None


def columns_of(schema: pa.Schema, expression: pc.Expression) -> list[str]:
    """Return the columns an expression reads: those without which it does not evaluate."""

    def needs(name: str) -> bool:
        try:
            evaluate(_no_rows(schema.remove(schema.get_field_index(name))), expression)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, KeyError):
            return True
        return False

    return [name for name in schema.names if needs(name)]


def check_columns(schema: pa.Schema, names: Sequence[str], *, place: str) -> None:
    """Refuse names that are not columns.

    Raises:
        ColumnError: shows the name, the nearest column and all of them.
    """
    for name in names:
        if name in schema.names:
            continue
        import difflib

        near = difflib.get_close_matches(str(name), schema.names, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        msg = f"there is no column {name!r}"
        raise ColumnError(msg, place=place, remedy=f"{hint}columns are {', '.join(schema.names)}")


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
