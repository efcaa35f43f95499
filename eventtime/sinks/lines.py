"""What the text formats share: format, sink, encoder, and compression of the stream."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError
from eventtime.sinks.files import FileSink, file_sink, path_of
from eventtime.sinks.text import check_text_types

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyarrow.fs import FileSystem

    from eventtime.sinks.by_time import ByTime, Every

__all__ = ("Compression", "LinesEncoder", "LinesFormat")

Compression = Literal["gzip", "zstd"]

_ROWS_MAX: Final = 1 << 16
_BYTES_MAX: Final = 16 << 20
"""Even escaped, far below the 2 GB of a string array."""

_SUFFIXES: Final[dict[Compression, str]] = {"gzip": ".gz", "zstd": ".zst"}


@dataclass(frozen=True)
class LinesFormat:
    """A text format: perhaps a first line, then lines that a function makes of whole batches.

    Args:
        name: for messages.
        plain_suffix: of files that are not compressed.
        header: the first line of a file, with its line end; may be empty.
        lines: columns of a batch to (n,) strings, each with its line end.
        compression: of the whole file.
        rows_max: rows rendered at once.
        bytes_max: bytes of columns rendered at once.
    """

    name: str
    plain_suffix: str
    header: Callable[[pa.Schema], str]
    lines: Callable[[pa.RecordBatch], pa.Array]
    compression: Compression | None = None
    rows_max: int = _ROWS_MAX
    bytes_max: int = _BYTES_MAX

    @property
    def suffix(self) -> str:
        """With that of the compression, such as '.csv.gz'."""
        return self.plain_suffix + ("" if self.compression is None else _SUFFIXES[self.compression])

    def check(self, schema: pa.Schema) -> None:
        """Refuse columns without a text form."""
        check_text_types(schema, self.name)

    def encoder(self, stream: pa.NativeFile, schema: pa.Schema) -> LinesEncoder:
        """Start a file."""
        header = self.header(schema)
        return LinesEncoder(stream, self.lines, header=header, compression=self.compression)

    def sink(
        self,
        path: str | Path,
        *,
        partition_by: Every | ByTime | None,
        parts: bool,
        overwrite: bool,
        filesystem: FileSystem | None,
        compression: Compression | None,
    ) -> FileSink:
        """Describe an output in this format; see `to_csv`."""
        return file_sink(
            path,
            replace(self, compression=_compression(path_of(path), compression)),
            partition_by=partition_by,
            parts=parts,
            overwrite=overwrite,
            filesystem=filesystem,
        )


def _compression(path: str, compression: Compression | None) -> Compression | None:
    """Choose as said, else by the suffix of the path, else none."""
    if compression is None:
        return next((known for known, suffix in _SUFFIXES.items() if path.endswith(suffix)), None)
    if not is_one_of(compression, list(_SUFFIXES)):
        msg = f"compression={shown(compression)} is unknown for text"
        raise PlanError(msg, place=path, remedy=f"one of {', '.join(_SUFFIXES)} or None")
    return compression


class LinesEncoder:
    """Writes text lines that a function makes of whole batches.

    Args:
        stream: the file; stays open after `close`.
        render: columns of a batch to (n,) strings, each with its line end.
        header: first line, with its line end; may be empty.
        compression: of the whole stream.
    """

    def __init__(
        self,
        stream: pa.NativeFile,
        render: Callable[[pa.RecordBatch], pa.Array],
        *,
        header: str,
        compression: Compression | None,
    ) -> None:
        self._compressed = None
        if compression is not None:
            self._compressed = pa.CompressedOutputStream(stream, compression)
        self._out = self._compressed or stream
        self._render = render
        self._out.write(header.encode())

    def write(self, table: pa.Table) -> None:
        """Append the rows."""
        for batch in table.to_batches():
            lines = self._render(batch)
            # The bytes of a string array without nulls are the lines one after the other.
            _, starts, data = lines.buffers()
            edges = np.frombuffer(starts, np.int32)[lines.offset : lines.offset + len(lines) + 1]
            self._out.write(data.slice(int(edges[0]), int(edges[-1] - edges[0])))

    def close(self) -> None:
        """End the compression; a file without rows is complete too."""
        if self._compressed is not None:
            self._compressed.close()

    def forget(self) -> None:
        """Give up; never raises."""
        with contextlib.suppress(Exception):
            self.close()
