"""The CSV sink."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.encodings import unwrapped
from eventtime.sinks.json_text import json_or_null
from eventtime.sinks.lines import LinesFormat
from eventtime.sinks.text import (
    bytes_used,
    float_text,
    is_string,
    join,
    plain_text,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pyarrow.fs import FileSystem

    from eventtime.sinks.by_time import ByTime, Every
    from eventtime.sinks.files import FileSink
    from eventtime.sinks.lines import Compression

__all__ = ("csv_fields", "to_csv")


def to_csv(
    path: str | Path,
    *,
    partition_by: Every | ByTime | None = None,
    parts: bool = False,
    overwrite: bool = False,
    filesystem: FileSystem | None = None,
    compression: Compression | None = None,
) -> FileSink:
    """Write CSV: one file, or a folder with a hive folder for each UTC day.

    RFC 4180 in UTF-8 with a header; lines end in LF. Null is an empty field and the empty string
    ``""``. Times are ISO 8601: with a T, and in UTC with a Z if the column has a zone. Binary is
    base64, a duration ISO 8601 such as ``P1DT2H`` or ``-PT0.5S``, NaN ``NaN``; lists, structs and
    maps are JSON in quotes. Of a single column, readers that skip blank lines lose the nulls.

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

    >>> to_csv("hourly.csv.gz").format.suffix
    '.csv.gz'
    """
    return _CSV.sink(
        path,
        partition_by=partition_by,
        parts=parts,
        overwrite=overwrite,
        filesystem=filesystem,
        compression=compression,
    )


def _lines(batch: pa.RecordBatch) -> pa.Array:
    fields: list[pa.Array | str] = []
    for column in batch.columns:
        fields += [csv_fields(column), ","]
    fields[-1] = "\n"
    return pc.binary_join_element_wise(*fields, "")


def csv_fields(array: pa.Array) -> pa.Array:
    """Write each value as a CSV field: as JSON does, but strings quoted only where they must be.

    Null is an empty field, the empty string ``""``. NaN and infinities are ``NaN``, ``inf``,
    ``-inf``; lists, structs and maps are their JSON in quotes.

    Returns:
        (n,) string, no nulls.

    >>> csv_fields(pa.array(["a", "", None, 'a "b" c'])).to_pylist()
    ['a', '""', '', '"a ""b"" c"']
    """
    return pc.fill_null(_csv_or_null(array), "")


def _csv_or_null(array: pa.Array) -> pa.Array:
    array = unwrapped(array)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _csv_or_null(array.dictionary).take(array.indices)
    if pa.types.is_nested(kind):
        return _csv_quote(json_or_null(array))
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(array), "NaN", float_text(array))
    text = plain_text(array)
    return _csv_quote(text) if is_string(kind) else text


def _csv_quote(text: pa.Array) -> pa.Array:
    found = bytes_used(text)
    special = found[[0x22, 0x2C, 0x0A, 0x0D]].any()
    needs = pc.equal(pc.binary_length(text), 0)
    if special:
        needs = pc.or_(needs, pc.match_substring_regex(text, '[",\r\n]'))
    if not pc.any(needs).as_py():
        return text
    doubled = pc.replace_substring(text, '"', '""') if found[0x22] else text
    return pc.if_else(needs, join('"', doubled, '"'), text)


def _header(schema: pa.Schema) -> str:
    return ",".join(csv_fields(pa.array(schema.names, pa.string())).to_pylist()) + "\n"


_CSV: Final = LinesFormat("CSV", ".csv", _header, _lines)
