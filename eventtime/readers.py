"""Where streams begin: files of four formats, and Arrow data in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventtime.sources.constructors import (
    arrow_source,
    csv_source,
    ipc_source,
    json_lines_source,
    parquet_source,
)
from eventtime.stream import Stream

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from eventtime.sources.constructors import Hive, Paths, Types
    from eventtime.sources.partitions import PartitionBy
    from eventtime.sources.textblocks import OnMalformed

__all__ = ("from_arrow", "read_csv", "read_ipc", "read_json_lines", "read_parquet")


def read_parquet(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    filesystem: FileSystem | None = None,
    hive: Hive = True,
) -> Stream:
    """Read Parquet files: only the columns that are used, row groups decoded ahead in threads.

    Args:
        paths: a path, URI, glob or folder, or a list of them.
        time: event-time column.
        time_unit: 's', 'ms', 'us' or 'ns' if that column holds integers.
        partition_by: what a partition is: 'file', 'folder', or `by_column("name")`.
        filesystem: a `pyarrow.fs.FileSystem`, where paths do not say.
        hive: whether `key=value` folders are columns, or a mapping from name to type.

    Raises:
        SourceError: when run: no such file, no match, unreadable or cut short.
        SchemaError: when run: files whose schemas differ.
    """
    return Stream.read(
        parquet_source(
            paths,
            time=time,
            time_unit=time_unit,
            partition_by=partition_by,
            filesystem=filesystem,
            hive=hive,
        )
    )


def read_ipc(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    filesystem: FileSystem | None = None,
    hive: Hive = True,
) -> Stream:
    """Read Arrow IPC files or streams (Feather too); arguments and errors as `read_parquet`."""
    return Stream.read(
        ipc_source(
            paths,
            time=time,
            time_unit=time_unit,
            partition_by=partition_by,
            filesystem=filesystem,
            hive=hive,
        )
    )


def read_csv(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    on_malformed: OnMalformed = "error",
    schema: Types | None = None,
    filesystem: FileSystem | None = None,
    hive: Hive = True,
    delimiter: str | None = None,
    newlines_in_values: bool = False,
) -> Stream:
    """Read CSV files with a header line.

    An empty field is null, and `""` is the empty text. Types are inferred from the first megabyte;
    the time column has the type (integer, or ISO 8601 without or with a zone) that more than half
    of its first values have, so that a bad one is a row that does not parse.

    Args:
        paths, time, time_unit, partition_by, filesystem, hive: as `read_parquet`.
        on_malformed: a row that does not parse is an 'error', or goes to the side output
            'quarantine'.
        schema: types of columns that would be inferred wrongly; a schema or a mapping from name
            to type.
        delimiter: between fields; None: a comma, or a tab in .tsv files.
        newlines_in_values: whether quoted fields may hold line breaks.

    Raises:
        MalformedRowError: when run: a row does not parse; shows file, line and text.
        SourceError, SchemaError: as `read_parquet`.
    """
    return Stream.read(
        csv_source(
            paths,
            time=time,
            time_unit=time_unit,
            partition_by=partition_by,
            on_malformed=on_malformed,
            schema=schema,
            filesystem=filesystem,
            hive=hive,
            delimiter=delimiter,
            newlines_in_values=newlines_in_values,
        )
    )


def read_json_lines(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    on_malformed: OnMalformed = "error",
    schema: Types | None = None,
    filesystem: FileSystem | None = None,
    hive: Hive = True,
) -> Stream:
    """Read files of one JSON object a line; arguments, types and errors as `read_csv`.

    The first megabytes of all files must have the same fields; `schema` names those that are rare.
    """
    return Stream.read(
        json_lines_source(
            paths,
            time=time,
            time_unit=time_unit,
            partition_by=partition_by,
            on_malformed=on_malformed,
            schema=schema,
            filesystem=filesystem,
            hive=hive,
        )
    )


def from_arrow(data: Any, *, time: str, time_unit: str | None = None) -> Stream:
    """Read Arrow data in memory.

    Args:
        data: a record batch, table, list of batches, or anything with `__arrow_c_stream__`
            (polars, DuckDB); or a dict of those, each one a partition of that name.
        time: event-time column.
        time_unit: 's', 'ms', 'us' or 'ns' if that column holds integers.

    Raises:
        PlanError: it is none of these. SourceError: a stream that can be read once is read again.
    """
    return Stream.read(arrow_source(data, time=time, time_unit=time_unit))
