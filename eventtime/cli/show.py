"""Tables for people: rich in a terminal, plain aligned columns in a file or a pipe."""

from __future__ import annotations

import base64
import math
import re
import sys
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click
import pyarrow as pa
import pyarrow.compute as pc

from eventtime.ledger import PartitionLedger
from eventtime.sinks.text import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.ledger import Ledger

__all__ = ("json_rows", "row_cells", "show_ledger", "show_rows", "show_table")

_PARTITIONS_SHOWN: Final = 20
_TRAILING_ZEROS: Final = re.compile(r"(?::00)?(?:\.0+)?$")


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1
) -> None:
    """Print a table.

    Args:
        title: above it; may be empty.
        columns: their names.
        rows: cells as text.
        left: how many columns, from the first on, are aligned left; the others right.
    """
    if sys.stdout.isatty():
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table

        table = Table(
            title=title or None,
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            show_edge=False,
            padding=(0, 1, 0, 0),
        )
        for i, column in enumerate(columns):
            table.add_column(column, justify="left" if i < left else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        Console(markup=False, highlight=False).print(table)
        return
    if title:
        click.echo(title)
    cells = [list(columns), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        aligned = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(aligned).rstrip())


def show_rows(title: str, table: pa.Table) -> None:
    """Print the rows of an Arrow table."""
    numbers = [_is_number(field.type) for field in table.schema]
    left = next((i for i, is_number in enumerate(numbers) if is_number), len(numbers))
    show_table(title, table.column_names, row_cells(table), left=left)


def row_cells(table: pa.Table) -> list[list[str]]:
    """Return the rows of an Arrow table as text for people."""
    columns = [_cells(column) for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def show_ledger(ledger: Ledger) -> None:
    """Print where every row went, by partition."""
    names = [f.name for f in fields(PartitionLedger)]
    if not ledger.total.waiting:
        names.remove("waiting")
    parts = list(ledger.partitions.items())
    rows = [
        [name, *(f"{getattr(part, column):,}" for column in names)]
        for name, part in [*parts[:_PARTITIONS_SHOWN], ("total", ledger.total)]
    ]
    hidden = len(parts) - _PARTITIONS_SHOWN
    if hidden > 0:
        rows.insert(-1, [f"… {hidden} more", *("" for _ in names)])
    show_table("Ledger", ["partition", *names], rows)


def json_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows as JSON can say them; times as text, other values as the JSON lines sink has."""
    rows = pa.table(list(map(_for_json, table.columns)), names=table.column_names).to_pylist()
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _for_json(column: pa.ChunkedArray) -> pa.ChunkedArray | list[str]:
    if pa.types.is_duration(column.type):
        return pa.chunked_array(map(plain_text, column.chunks), pa.string())
    return _cells(column) if _is_time(column.type) else column


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind) and not pa.types.is_duration(kind))


def _cells(column: pa.ChunkedArray) -> list[str]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_duration(column.type):
        from eventtime.duration import format_us

        micros = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
        return ["" if v is None else format_us(v) for v in micros.to_pylist()]
    if pa.types.is_timestamp(column.type):
        # Text made by Arrow: Python's datetime knows neither nanoseconds nor the year 10000.
        utc = column.cast(pa.timestamp(column.type.unit))
        zone = "Z" if column.type.tz else ""
        texts = pc.cast(utc, pa.string()).to_pylist()
        return ["" if t is None else _TRAILING_ZEROS.sub("", t, count=1) + zone for t in texts]
    if pa.types.is_time(column.type):
        return [t or "" for t in pc.cast(column, pa.string()).to_pylist()]
    return [_cell(value) for value in column.to_pylist()]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        shown = ", ".join(map(_cell, value[:5]))
        return f"[{shown}{', …' if len(value) > 5 else ''}]"
    return str(value)
