"""Sinks of the command line itself: the first rows for printing, and nothing at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventtime.sinks.base import SinkWriter
    from eventtime.sinks.epochs import Delivery, EpochWriter, Guarantee

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
    delivery: Delivery = "at_most_once"
    guarantee: Guarantee = "at_most_once"
    keeps_rows: ClassVar[bool] = False

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

    def open_epochs(self, schema: pa.Schema, job: str) -> EpochWriter:
        """Start, where there are checkpoints: what is shown came out since then."""
        del job
        self.schema = schema
        return _Passed(self)

    def describe(self) -> str:
        """One line for `explain()`."""
        return f"the first {self.wanted} rows"

    def table(self) -> pa.Table:
        """Return the rows."""
        return pa.Table.from_batches(self.batches, self.schema)


class Discard:
    """Takes rows that are counted in the ledger and wanted nowhere."""

    delivery: Delivery = "at_most_once"
    guarantee: Guarantee = "at_most_once"
    keeps_rows: ClassVar[bool] = False

    def open_epochs(self, schema: pa.Schema, job: str) -> EpochWriter:
        """Start, where there are checkpoints, which do not hold these rows."""
        del schema, job
        return _Passed(self)

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


@dataclass
class _Passed:
    """Takes epochs, of which nothing outlives the process.

    Args:
        taker: of the rows.
    """

    taker: FirstRows | Discard

    def recover(self, token: int) -> int:
        del token
        return 0

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        del epoch, token
        for batch in batches:
            self.taker.write(batch)

    def close(self) -> None:
        """Nothing to let go of."""
