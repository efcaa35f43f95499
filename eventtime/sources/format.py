"""What a file format has to offer to be read as partitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from eventtime.errors import TimeColumnError
    from eventtime.sources.datafile import DataFile
    from eventtime.sources.marks import Mark, Marked

__all__ = ("FileFormat", "Only")


@dataclass(frozen=True)
class Only:
    """Rows whose column equals a value (null equals null): one partition of `by_column`."""

    column: str
    value: pa.Scalar


class FileFormat(Protocol):
    """A way to read one file; frozen and comparable, holds options only."""

    @property
    def name(self) -> str:
        """Name for `explain()` and errors."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What files in a folder end with, lower case."""
        ...

    def schema(self, files: Sequence[DataFile]) -> pa.Schema:
        """Return the columns of all files.

        Raises:
            SourceError: a file is not of this format.
            SchemaError: two files differ; the message shows the column and both files.
        """
        ...

    def untimed(self, files: Sequence[DataFile]) -> TimeColumnError | None:
        """Return the error for a time column whose type is unknown, as no row seen has a value."""
        ...

    def rows(self, files: Sequence[DataFile]) -> int | None:
        """Return the number of rows if a footer says so."""
        ...

    def scan(
        self,
        file: DataFile,
        schema: pa.Schema,
        columns: Sequence[str],
        batch_rows: int,
        only: Only | None,
        start: Mark,
    ) -> Iterator[Marked]:
        """Read a file from a mark on in batches of about ``batch_rows``.

        Args:
            file: what to read; opened at the first step, closed when the iterator ends or is
                closed.
            schema: what `schema` returned.
            columns: those to read, at least one.
            batch_rows: upper bound; a format that reads by bytes may exceed it.
            only: rows outside may be left out, where that saves reading; the caller filters anyway.
            start: where to begin; a mark that this has yielded for the same file, or `FILE_START`.

        Raises:
            SourceError: the file has another number of rows than ``start`` says.
        """
        ...
