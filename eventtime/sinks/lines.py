"""CSV and JSON lines: the encoder both share, and compression of the stream."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa

from eventtime.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "LINES_BYTES_MAX",
    "LINES_ROWS_MAX",
    "Compression",
    "LinesEncoder",
    "compression_of",
    "suffix_of",
)

Compression = Literal["gzip", "zstd"]

LINES_ROWS_MAX: Final = 1 << 16
"""Rows rendered at once."""
LINES_BYTES_MAX: Final = 16 << 20
"""Bytes of columns rendered at once; even escaped, far below the 2 GB of a string array."""

_SUFFIXES: Final[dict[Compression, str]] = {"gzip": ".gz", "zstd": ".zst"}


def compression_of(path: str, compression: str | None) -> Compression | None:
    """Choose the compression: as said, else by the suffix of the path, else none.

    >>> compression_of("late.csv.gz", None)
    'gzip'
    """
    for known, suffix in _SUFFIXES.items():
        if compression == known or (compression is None and path.endswith(suffix)):
            return known
    if compression is not None:
        msg = f"compression={compression!r} is unknown for text"
        raise PlanError(msg, place=path, remedy=f"one of {', '.join(_SUFFIXES)} or None")
    return None


def suffix_of(plain: str, compression: Compression | None) -> str:
    """Name a part file's suffix, '.csv' or '.csv.gz'."""
    return plain if compression is None else plain + _SUFFIXES[compression]


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
