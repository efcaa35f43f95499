"""The protocol of sources: a source describes, its partition readers deliver."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = (
    "MALFORMED_SCHEMA",
    "MalformedRows",
    "PartitionReader",
    "Poll",
    "Rows",
    "Source",
)

MALFORMED_SCHEMA = pa.schema([("line", pa.int64()), ("raw", pa.string()), ("error", pa.string())])
"""Columns of `MalformedRows.rows`: line in its file (from 1), its text, why it does not parse."""


class Poll(enum.Enum):
    """Answer of a reader that has no rows to hand over."""

    PAUSE = "pause"
    """Nothing at the moment; a live source may have more later. Files never answer this."""
    END = "end"
    """Nothing more, ever. Asking again gives the same answer."""


@dataclass(frozen=True, eq=False)
class MalformedRows:
    """Rows of a text format that do not parse, at their place between the rows that do.

    Attributes:
        rows: schema `MALFORMED_SCHEMA`, at least one row, ascending by line. ``error`` begins with
            the file and the line, so it says where the row is even when a partition has many files.
    """

    rows: pa.RecordBatch


Rows = pa.RecordBatch | MalformedRows
"""What a scan yields: readable rows, or unreadable ones at their place."""


class PartitionReader(Protocol):
    """The rows of one partition in their order; used by one thread at a time.

    It does not promise any batch size: a batch may be smaller than asked for, and never has no
    rows.
    """

    @property
    def name(self) -> str:
        """Name of the partition, unique in its source and the same in every run."""
        ...

    def read(self) -> pa.RecordBatch | MalformedRows | Poll:
        """Hand over the next rows, waiting for them if need be.

        Raises:
            SourceError: the input cannot be read; the same error again on every later call.
        """
        ...

    def close(self) -> None:
        """Let go of files, threads and batches; also before the end, and more than once."""
        ...


class Source(Protocol):
    """Description of an input: cheap to make, reads nothing until asked."""

    @property
    def time(self) -> str:
        """Name of the event-time column."""
        ...

    @property
    def time_unit(self) -> str | None:
        """Unit of an integer time column (``s``, ``ms``, ``us``, ``ns``), or None."""
        ...

    def schema(self) -> pa.Schema:
        """Return the columns every partition delivers; checked over all files, then remembered.

        Raises:
            SourceError: there is no input, or it cannot be read.
            SchemaError: the files do not have the same columns.
        """
        ...

    def open(self, columns: Sequence[str] | None, batch_rows: int) -> list[PartitionReader]:
        """Open every partition.

        Args:
            columns: the columns to deliver, in this order; None for all. Others are not read.
            batch_rows: upper bound of the rows of a batch; at least 1.

        Returns:
            Readers sorted by name, whose batches have the schema `schema()` restricted to
            ``columns``.
        """
        ...

    def describe(self) -> str:
        """Return one line for `explain()`; reads nothing."""
        ...

    def total_rows(self) -> int | None:
        """Return the number of rows if it can be known without reading them, otherwise None."""
        ...
