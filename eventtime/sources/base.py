"""The protocol of sources: a source describes, its partition readers deliver."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = (
    "MALFORMED_SCHEMA",
    "MalformedRows",
    "Moving",
    "PartitionReader",
    "Poll",
    "Position",
    "Rows",
    "Source",
    "count_of",
    "without_first",
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


Rows: TypeAlias = pa.RecordBatch | MalformedRows
"""What a scan yields: readable rows, or unreadable ones at their place."""

Position: TypeAlias = dict[str, Any]
"""How far a partition has been read: what JSON can hold, and only its own source understands."""


class PartitionReader(Protocol):
    """The rows of one partition in their order; used by one thread at a time.

    It does not promise any batch size: a batch may be smaller than asked for, and never has no
    rows.
    """

    @property
    def name(self) -> str:
        """Name of the partition, unique in its source and the same in every run."""
        ...

    @property
    def position(self) -> Position:
        """The place just behind what `read` handed over last; before that, where it was opened.

        A source that never runs with checkpoints may leave it out.
        """
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


@runtime_checkable
class Moving(Protocol):
    """A reader whose position moves now and then although it hands no row over."""

    def moved(self) -> Position | None:
        """Return the position once it has, after `read` had nothing; None: it has not."""
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

    def open(
        self,
        columns: Sequence[str] | None,
        batch_rows: int,
        positions: Mapping[str, Position] | None = None,
    ) -> list[PartitionReader]:
        """Open every partition, at its start or where an earlier reader stopped.

        Args:
            columns: the columns to deliver, in this order; None for all. Others are not read.
            batch_rows: upper bound of the rows of a batch; at least 1.
            positions: by name of a partition, of readers of the same source; also of another
                process, with other columns and batches. What follows is what those readers would
                have handed over next, malformed rows with their lines too, cut in other batches; a
                partition that had ended ends at once. Partitions without a position begin at their
                start. May be left out like `PartitionReader.position`.

        Returns:
            Readers sorted by name, whose batches have the schema `schema()` restricted to
            ``columns``.

        Raises:
            SourceError: the input is not that of ``positions``; shows the difference.
        """
        ...

    def describe(self) -> str:
        """Return one line for `explain()`; reads nothing."""
        ...

    def total_rows(self) -> int | None:
        """Return the number of rows if it can be known without reading them, otherwise None."""
        ...


def count_of(rows: Rows) -> int:
    """Return how many rows there are, readable or not."""
    return int((rows.rows if isinstance(rows, MalformedRows) else rows).num_rows)


def without_first(rows: Rows, n: int) -> Rows:
    """Leave out the first `n` rows, without copying."""
    if not n:
        return rows
    return MalformedRows(rows.rows.slice(n)) if isinstance(rows, MalformedRows) else rows.slice(n)
