"""Sinks of the command line itself: the first rows for printing, and nothing at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from eventtime.sinks.base import SinkWriter

__all__ = ("Discard", "FirstRows")


@dataclass
class FirstRows:
    """Keeps the first rows, counts the others; a sink and its writer in one, for one run.

    Args:
        wanted: rows to keep.
    """

    wanted: int
    schema: pa.Schema | None = None
    batches: list[pa.RecordBatch] = field(default_factory=list)
    kept: int = 0

    def open(self, schema: pa.Schema) -> SinkWriter:
        """Start."""
        self.schema = schema
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Keep what is still wanted."""
        if self.kept < self.wanted:
            part = batch.slice(0, self.wanted - self.kept)
            self.batches.append(part)
            self.kept += part.num_rows

    def commit(self) -> None:
        """Nothing to publish."""

    def abort(self) -> None:
        """Let go of the rows."""
        self.batches.clear()

    def describe(self) -> str:
        """One line for `explain()`."""
        return f"the first {self.wanted} rows"

    def table(self) -> pa.Table:
        """Return the rows."""
        return pa.Table.from_batches(self.batches, self.schema)


class Discard:
    """Takes rows that are counted in the ledger and wanted nowhere."""

    def open(self, schema: pa.Schema) -> SinkWriter:
        """Start."""
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Let go of the rows."""

    def commit(self) -> None:
        """Nothing to publish."""

    def abort(self) -> None:
        """Nothing to undo."""

    def describe(self) -> str:
        """One line for `explain()`."""
        return "nowhere"
