"""The Parquet sink."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError, SinkError
from eventtime.sinks.dictionaries import DictionaryMerger
from eventtime.sinks.files import FileSink, file_sink, path_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyarrow.fs import FileSystem

    from eventtime.sinks.by_time import ByTime, Every

__all__ = ("ParquetEncoder", "ParquetFormat", "to_parquet")

_COMPRESSIONS: Final = ("zstd", "snappy", "gzip", "lz4", "brotli", "none")


def to_parquet(
    path: str | Path,
    *,
    partition_by: Every | ByTime | None = None,
    parts: bool = False,
    overwrite: bool = False,
    filesystem: FileSystem | None = None,
    compression: str = "zstd",
) -> FileSink:
    """Write Parquet: one file, or a folder with a hive folder for each UTC day.

    Small batches are gathered to row groups of 1,048,576 rows (or about 256 MB). Types, units and
    zones are kept (seconds, which Parquet has not, become milliseconds); an output without rows
    still has its schema. The same rows give the same bytes however they were cut in batches, if row
    groups stay below 256 MB and, of a folder, all rows below 128 MB.

    Published by one atomic rename of the file or folder; nothing is visible before, and nothing is
    left after an error. On remote file systems a folder is published file by file.

    Args:
        path: a path or a URI that pyarrow.fs opens (``s3://…``).
        partition_by: "hour", "day" or "month" for folders by `window_start`; `by_day(column)` and
            the like for another column.
        parts: write a folder of part files even if it is not divided by days.
        overwrite: replace what is there.
        filesystem: a pyarrow or fsspec file system that `path` is in.
        compression: zstd, snappy, gzip, lz4, brotli or none.

    Raises:
        PlanError: unknown compression or partitioning.

    >>> to_parquet("hourly", partition_by="day").describe()
    'Parquet folder hourly by UTC day of window_start'
    """
    if not is_one_of(compression, _COMPRESSIONS):
        msg = f"compression={shown(compression)} is unknown to Parquet"
        remedy = f"one of {', '.join(_COMPRESSIONS)}"
        raise PlanError(msg, place=f"to_parquet({path_of(path)!r})", remedy=remedy)
    return file_sink(
        path,
        ParquetFormat(compression),
        partition_by=partition_by,
        parts=parts,
        overwrite=overwrite,
        filesystem=filesystem,
    )


@dataclass(frozen=True)
class ParquetFormat:
    """Parquet with one compression for all columns."""

    compression: str = "zstd"
    name: str = "Parquet"
    suffix: str = ".parquet"
    rows_max: int = 1 << 20
    bytes_max: int = 256 << 20

    def check(self, schema: pa.Schema) -> None:
        """Refuse a schema that Parquet cannot hold, by writing it to memory without rows."""
        try:
            encoder = self.encoder(pa.BufferOutputStream(), schema)
            encoder.write(schema.empty_table())
            encoder.close()
        except pa.ArrowException as error:
            msg = f"Parquet cannot hold these columns: {error}"
            raise SinkError(
                msg, place=str(schema.names), remedy="cast or leave out the column"
            ) from error

    def encoder(self, stream: pa.NativeFile, schema: pa.Schema) -> ParquetEncoder:
        """Start a file."""
        return ParquetEncoder(stream, schema, self)


class ParquetEncoder:
    """Writes one row group for each table."""

    def __init__(
        self, stream: pa.NativeFile, schema: pa.Schema, file_format: ParquetFormat
    ) -> None:
        import pyarrow.parquet as pq

        # A file with more values than the indices of a column can number is one pyarrow cannot read
        # again. Only narrow indices can run out; wide dictionaries are not worth merging here.
        self._dictionaries = DictionaryMerger(schema, index_bits_max=16)
        # Version 2.6 keeps nanoseconds.
        self._writer = pq.ParquetWriter(
            stream,
            schema,
            compression=file_format.compression,
            version="2.6",
            write_page_index=True,
        )

    def write(self, table: pa.Table) -> None:
        """Append a row group."""
        batches = [self._dictionaries.merge(batch) for batch in table.to_batches()]
        table = pa.Table.from_batches(batches, table.schema)
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()

    def forget(self) -> None:
        """Give up; never raises."""
        # Closing writes the footer, which may fail again; unless marked closed it is tried once
        # more when the writer is collected, with nobody to catch the error.
        with contextlib.suppress(Exception):
            self._writer.close()
        self._writer.is_open = False
