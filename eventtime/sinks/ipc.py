"""The Arrow IPC file sink."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError, SinkError
from eventtime.sinks.dictionaries import DictionaryMerger
from eventtime.sinks.files import FileSink, file_sink, path_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyarrow.fs import FileSystem

    from eventtime.sinks.by_time import ByTime, Every

__all__ = ("IpcEncoder", "IpcFormat", "to_ipc")

_COMPRESSIONS: Final = ("lz4", "zstd")


def to_ipc(
    path: str | Path,
    *,
    partition_by: Every | ByTime | None = None,
    parts: bool = False,
    overwrite: bool = False,
    filesystem: FileSystem | None = None,
    compression: Literal["lz4", "zstd"] | None = None,
) -> FileSink:
    """Write the Arrow IPC file format (Feather 2): one file, or a folder for each UTC day.

    Every type comes back as it was. Dictionaries that differ from batch to batch are merged, since
    a file has one for each column; a value new to it is appended as a delta, which not every reader
    knows (pyarrow does). A dictionary inside a list or struct is refused.

    Published whole or not at all, as `to_parquet` says.

    Args:
        path: a path or a URI that pyarrow.fs opens.
        partition_by: "hour", "day" or "month" for folders by `window_start`; `by_day(column)` and
            the like for another column.
        parts: write a folder of part files even if it is not divided by days.
        overwrite: replace what is there.
        filesystem: a pyarrow or fsspec file system that `path` is in.
        compression: lz4, zstd or None; without it the file can be mapped into memory as it is.

    Raises:
        PlanError: unknown compression or partitioning.

    >>> to_ipc("hourly.arrow").describe()
    'Arrow IPC file hourly.arrow'
    """
    if compression is not None and not is_one_of(compression, _COMPRESSIONS):
        msg = f"compression={shown(compression)} is unknown to Arrow IPC"
        remedy = f"one of {', '.join(_COMPRESSIONS)} or None"
        raise PlanError(msg, place=path_of(path), remedy=remedy)
    return file_sink(
        path,
        IpcFormat(compression),
        partition_by=partition_by,
        parts=parts,
        overwrite=overwrite,
        filesystem=filesystem,
    )


@dataclass(frozen=True)
class IpcFormat:
    """The Arrow IPC file format."""

    compression: str | None = None
    name: str = "Arrow IPC"
    suffix: str = ".arrow"
    rows_max: int = 1 << 17
    bytes_max: int = 64 << 20

    def check(self, schema: pa.Schema) -> None:
        """Refuse dictionaries inside other types.

        Raises:
            SinkError: names the column and its type.
        """
        for field in schema:
            if pa.types.is_nested(field.type) and "dictionary<" in str(field.type):
                msg = f"Arrow IPC cannot grow dictionaries in column {field.name!r}: {field.type}"
                raise SinkError(
                    msg,
                    place=f"column {field.name!r}",
                    remedy="cast its values to plain ones, or write Parquet",
                )

    def encoder(self, stream: pa.NativeFile, schema: pa.Schema) -> IpcEncoder:
        """Start a file."""
        return IpcEncoder(stream, schema, self.compression)


class IpcEncoder:
    """Writes one record batch for each table, with growing dictionaries."""

    def __init__(self, stream: pa.NativeFile, schema: pa.Schema, compression: str | None) -> None:
        options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=True)
        self._writer = pa.ipc.new_file(stream, schema, options=options)
        self._dictionaries = DictionaryMerger(schema)

    def write(self, table: pa.Table) -> None:
        """Append the rows."""
        for batch in table.to_batches():
            self._writer.write_batch(self._dictionaries.merge(batch))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()

    def forget(self) -> None:
        """Give up; never raises."""
        with contextlib.suppress(Exception):
            self._writer.close()
