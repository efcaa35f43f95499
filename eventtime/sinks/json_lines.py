"""The JSON lines sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.sinks.json_text import json_rows
from eventtime.sinks.lines import LinesFormat

if TYPE_CHECKING:
    from pathlib import Path

    from pyarrow.fs import FileSystem

    from eventtime.sinks.by_time import ByTime, Every
    from eventtime.sinks.files import FileSink
    from eventtime.sinks.lines import Compression

__all__ = ("to_json_lines",)


def to_json_lines(
    path: str | Path,
    *,
    partition_by: Every | ByTime | None = None,
    parts: bool = False,
    overwrite: bool = False,
    filesystem: FileSystem | None = None,
    compression: Compression | None = None,
) -> FileSink:
    """Write JSON lines, one object a row with every column: one file, or a folder for each UTC day.

    Times are ISO 8601 strings: with a T, and in UTC with a Z if the column has a zone. NaN and
    infinities are null, as JSON has no word for them; decimals are numbers with all their digits;
    a duration is an ISO 8601 string such as ``PT1H30M``; binary is base64; lists are arrays,
    structs objects, maps arrays of {"key", "value"}. An output without rows is an empty file: the
    schema has no place in it.

    Published whole or not at all, as `to_parquet` says.

    Args:
        path: a path or a URI that pyarrow.fs opens.
        partition_by: "hour", "day" or "month" for folders by `window_start`; `by_day(column)` and
            the like for another column.
        parts: write a folder of part files even if it is not divided by days.
        overwrite: replace what is there.
        filesystem: a pyarrow or fsspec file system that `path` is in.
        compression: gzip or zstd; None: by the suffix (.gz, .zst), else none.

    Raises:
        PlanError: unknown compression or partitioning.

    >>> to_json_lines("late.jsonl").describe()
    'JSON lines file late.jsonl'
    """
    return _JSON_LINES.sink(
        path,
        partition_by=partition_by,
        parts=parts,
        overwrite=overwrite,
        filesystem=filesystem,
        compression=compression,
    )


def _lines(batch: pa.RecordBatch) -> pa.Array:
    rows = json_rows(batch.columns, batch.schema.names)
    return pc.binary_join_element_wise(rows, "\n", "")


def _no_header(schema: pa.Schema) -> str:
    del schema
    return ""


_JSON_LINES: Final = LinesFormat("JSON lines", ".jsonl", _no_header, _lines)
