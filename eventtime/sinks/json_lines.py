"""The JSON lines sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.sinks.by_day import ByDay, partition
from eventtime.sinks.files import FileSink
from eventtime.sinks.json_text import json_rows
from eventtime.sinks.lines import (
    LINES_BYTES_MAX,
    LINES_ROWS_MAX,
    Compression,
    LinesEncoder,
    compression_of,
    suffix_of,
)
from eventtime.sinks.text import check_text_types

if TYPE_CHECKING:
    from pathlib import Path

    from pyarrow.fs import FileSystem

__all__ = ("JsonLinesFormat", "to_json_lines")


def to_json_lines(
    path: str | Path,
    *,
    partition_by: Literal["day"] | ByDay | None = None,
    overwrite: bool = False,
    filesystem: FileSystem | None = None,
    compression: Compression | None = None,
) -> FileSink:
    """Write JSON lines, one object a row with every column: one file, or a folder for each UTC day.

    Times are ISO 8601 strings: with a T, and in UTC with a Z if the column has a zone. NaN and
    infinities are null, as JSON has no word for them; decimals are numbers with all their digits;
    a duration is a whole number in the unit of its column; binary is base64; lists are arrays,
    structs objects, maps arrays of {"key", "value"}. An output without rows is an empty file: the
    schema has no place in it.

    Published whole or not at all, as `to_parquet` says.

    Args:
        path: a path or a URI that pyarrow.fs opens.
        partition_by: "day" for folders by `window_start`, `by_day(column)` for another column.
        overwrite: replace what is there.
        filesystem: a pyarrow or fsspec file system that `path` is in.
        compression: gzip or zstd; None: by the suffix (.gz, .zst), else none.

    Raises:
        PlanError: unknown compression or partitioning.

    >>> to_json_lines("late.jsonl").describe()
    'JSON lines file late.jsonl'
    """
    file_format = JsonLinesFormat(compression_of(str(path), compression))
    return FileSink(str(path), file_format, partition(partition_by), overwrite, filesystem)


@dataclass(frozen=True)
class JsonLinesFormat:
    """One JSON object a line."""

    compression: Compression | None = None
    name: str = "JSON lines"
    rows_max: int = LINES_ROWS_MAX
    bytes_max: int = LINES_BYTES_MAX

    @property
    def suffix(self) -> str:
        """With that of the compression."""
        return suffix_of(".jsonl", self.compression)

    def check(self, schema: pa.Schema) -> None:
        """Refuse columns without a text form."""
        check_text_types(schema, self.name)

    def encoder(self, stream: pa.NativeFile, schema: pa.Schema) -> LinesEncoder:
        """Start a file."""
        return LinesEncoder(stream, _lines, header="", compression=self.compression)


def _lines(batch: pa.RecordBatch) -> pa.Array:
    rows = json_rows(batch.columns, batch.schema.names)
    return pc.binary_join_element_wise(rows, "\n", "")
