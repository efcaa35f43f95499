"""Arrow compute expressions over record batches: evaluating them, finding the columns they read."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.checks import shown
from eventtime.encodings import rows_of
from eventtime.errors import ColumnError, PlanError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = (
    "check_columns",
    "check_expression",
    "check_predicate",
    "check_unique",
    "columns_of",
    "evaluate",
    "project",
    "type_of",
)

_NO_COLUMN: Final = re.compile(r"No match for FieldRef\.Name\((.*?)\) in ")


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
    made = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    return rows_of(made)


def evaluate(batch: pa.RecordBatch, expression: pc.Expression) -> pa.Array:
    """Compute one expression, (n,)."""
    return project(batch, {"value": expression}).column(0)


def type_of(schema: pa.Schema, expression: pc.Expression, *, place: str) -> pa.DataType:
    """Return the type of an expression over rows of a schema.

    Raises:
        ColumnError: it names a column that there is not.
        PlanError: it does not fit the schema; names the expression and the cause.
    """
    try:
        return evaluate(_no_rows(schema), expression).type
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, KeyError) as error:
        unknown = _NO_COLUMN.search(str(error))
        if unknown is not None:
            check_columns(schema, [unknown[1]], place=place)
        cause = str(error).partition("\n")[0]
        msg = f"expression {expression} does not fit the columns: {cause}"
        raise PlanError(msg, place=place, remedy=f"columns are {', '.join(schema.names)}") from None


def check_expression(expression: object, *, place: str) -> None:
    """Refuse what is no expression, such as one written as text.

    Raises:
        PlanError: shows it.
    """
    if not isinstance(expression, pc.Expression):
        msg = f"{shown(expression)} is no expression"
        remedy = "build one of pyarrow.compute, such as pc.field('x') > 0"
        raise PlanError(msg, place=place, remedy=remedy)


def check_predicate(schema: pa.Schema, expression: pc.Expression, *, place: str) -> None:
    """Refuse an expression that is neither true nor false of a row.

    Raises:
        ColumnError, PlanError: as `type_of`; or its type is another.
    """
    kind = type_of(schema, expression, place=place)
    if not pa.types.is_boolean(kind):
        msg = f"predicate {expression} is of type {kind}, not bool"
        remedy = "compare something, such as pc.field('x') > 0"
        raise PlanError(msg, place=place, remedy=remedy)


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


def check_unique(schema: pa.Schema, *, place: str) -> None:
    """Refuse columns of one name: nobody could say which one is meant.

    Raises:
        SchemaError: names the first of them.
    """
    counts = Counter(schema.names)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        msg = f"{counts[twice]} columns are named {twice!r}"
        raise SchemaError(msg, place=place, remedy="rename them where the data is made")


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
