"""Parquet files: only the needed columns, page by page, whatever the size of the row groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.sources.datafile import DataFile, each_file, require_tail, unreadable
from eventtime.sources.marks import Mark, check_total
from eventtime.sources.schemas import check_same, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyarrow.parquet import FileMetaData, ParquetFile

    from eventtime.sources.format import Only
    from eventtime.sources.marks import Marked

__all__ = ("ParquetFormat",)

MAGIC = b"PAR1"


@dataclass(frozen=True)
class ParquetFormat:
    """Apache Parquet; schema and number of rows come from the footers."""

    name: str = "parquet"
    suffixes: tuple[str, ...] = (".parquet", ".pq", ".parq")

    def schema(self, files: Sequence[DataFile]) -> pa.Schema:
        """Compare the footers of all files."""
        return check_same(
            [
                (file.path, schema)
                for file, (schema, _) in zip(files, each_file(_footer, files), strict=True)
            ]
        )

    def untimed(self, files: Sequence[DataFile]) -> None:
        """Return None: files say the types of columns without values too."""
        del files

    def rows(self, files: Sequence[DataFile]) -> int | None:
        """Add up the footers."""
        return sum(rows for _, rows in each_file(_footer, files))

    def scan(
        self,
        file: DataFile,
        schema: pa.Schema,
        columns: Sequence[str],
        batch_rows: int,
        only: Only | None,
        start: Mark,
    ) -> Iterator[Marked]:
        """Decode batches across the row groups that may hold wanted rows."""
        del schema
        with _open(file) as parquet:
            metadata = parquet.metadata
            check_total(start, metadata.num_rows, "rows", where=file.path)
            groups, row = _groups_from(metadata, _groups_with(metadata, only), start.offset)
            # use_threads decodes columns in Arrow's own pool: more CPU for the same rows, and our
            # pool already keeps the cores busy with other partitions.
            for rows in parquet.iter_batches(
                batch_rows, row_groups=groups, columns=list(columns), use_threads=False
            ):
                first = max(row, start.offset)
                wanted = rows.slice(first - row)
                row += rows.num_rows
                if wanted.num_rows:
                    yield Mark(first, total=metadata.num_rows), wanted


def _open(file: DataFile) -> ParquetFile:
    """Open for reading through small buffers.

    ``pre_buffer`` would fetch the column chunks of all row groups and keep them: memory of the size
    of the file. With ``buffer_size`` each column holds one buffer and one page. Measured on 20 M
    rows of three columns: 0.42 CPU s either way, 111 MB resident instead of 170.
    """
    from pyarrow import parquet

    file.require_bytes()
    handle = file.open()
    try:
        return parquet.ParquetFile(handle, pre_buffer=False, buffer_size=file.buffer_bytes)
    except (pa.ArrowException, OSError) as error:
        raise _not_parquet(file, handle, error) from error


def _not_parquet(file: DataFile, handle: Any, error: Exception) -> SourceError:
    with handle:
        head = handle.read_at(4, 0)
        tail = handle.read_at(4, max(0, file.size - 4))
    if head != MAGIC:
        message = f"this is not a parquet file: it begins with {head!r}, not {MAGIC!r}"
        return SourceError(message, place=file.path, remedy="read it with the reader of its format")
    require_tail(file, tail, MAGIC, "parquet")
    return unreadable(file, error)


def _footer(file: DataFile) -> tuple[pa.Schema, int]:
    try:
        with _open(file) as parquet:
            return plain(parquet.schema_arrow), parquet.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file, error) from error


def _groups_from(metadata: FileMetaData, groups: list[int], row: int) -> tuple[list[int], int]:
    """Leave out the groups that end before a row; returns the first row of the others too."""
    end = 0
    for i, group in enumerate(groups):
        begin, end = end, end + metadata.row_group(group).num_rows
        if end > row:
            return groups[i:], begin
    return [], end


def _groups_with(metadata: FileMetaData, only: Only | None) -> list[int]:
    """Return the row groups whose statistics do not rule the value out."""
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    if only is None or only.column not in paths:
        return list(range(metadata.num_row_groups))
    index = paths.index(only.column)
    value = only.value.as_py()
    return [
        g
        for g in range(metadata.num_row_groups)
        if _may_hold(metadata.row_group(g).column(index), value)
    ]


def _may_hold(chunk: Any, value: Any) -> bool:
    statistics = chunk.statistics if chunk.is_stats_set else None
    if statistics is None:
        return True
    if value is None:
        return not statistics.has_null_count or statistics.null_count > 0
    if not statistics.has_min_max:
        # A chunk of nothing but nulls has no bounds; num_values counts only the others.
        return not statistics.has_null_count or statistics.num_values > 0
    try:
        return bool(statistics.min <= value <= statistics.max)
    except TypeError:
        # The statistics come in another Python type than the value, so they rule nothing out.
        return True
