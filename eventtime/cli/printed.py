"""A sink that prints results as they come, as a table for people."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click
import pyarrow as pa

from eventtime.cli.show import row_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eventtime.sinks.epochs import Delivery, EpochWriter, Guarantee

__all__ = ("PrintedTable",)

_LEAST_WIDTH: Final = 8
_WIDTH_OF_TIMES: Final = 20
"""Times are shown as short as they are: a column of them is as wide as one to the second."""


@dataclass
class PrintedTable:
    """Prints what is committed; after a restart from a checkpoint some rows are printed again.

    Args:
        say: prints a line of text; None: stdout.
    """

    say: Callable[[str], None] | None = None
    delivery: Delivery = "at_least_once"
    guarantee: Guarantee = "at_least_once"

    def open_epochs(self, schema: pa.Schema, job: str) -> EpochWriter:
        """Start."""
        del job
        return _Printing(self, schema)

    def describe(self) -> str:
        """One line for `explain()`."""
        return "stdout"


class _Printing:
    """Prints epochs."""

    def __init__(self, sink: PrintedTable, schema: pa.Schema) -> None:
        self._sink, self._schema = sink, schema
        self._widths: list[int] = []
        kinds = [field.type for field in schema]
        least = [_WIDTH_OF_TIMES if pa.types.is_timestamp(k) else _LEAST_WIDTH for k in kinds]
        self._least = [max(len(n), w) for n, w in zip(schema.names, least, strict=True)]

    def recover(self, token: int) -> int:
        del token
        return 0

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        del epoch, token
        for batch in batches:
            if lines := self._lines(batch):
                (self._sink.say or click.echo)("\n".join(lines))
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing to let go of."""

    def _lines(self, batch: pa.RecordBatch) -> list[str]:
        """Align the rows; columns grow as their cells do, and stay as wide."""
        rows = row_cells(pa.Table.from_batches([batch]))
        names = self._schema.names
        is_first, before = not self._widths, self._widths or self._least
        self._widths = [
            max([width, *(len(row[i]) for row in rows)]) for i, width in enumerate(before)
        ]
        shown = [names, *rows] if is_first else rows
        return [
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, self._widths, strict=True)
            ).rstrip()
            for row in shown
        ]
