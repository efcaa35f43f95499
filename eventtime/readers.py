"""Where streams begin: files of four formats, and Arrow data in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from eventtime.checks import check_flag, is_one_of, shown
from eventtime.errors import PlanError
from eventtime.sources.csvfile import CsvFormat
from eventtime.sources.filesource import FileSource
from eventtime.sources.followed_files import FollowedFiles
from eventtime.sources.inference import as_schema
from eventtime.sources.ipc import IpcFormat
from eventtime.sources.jsonlines import JsonLinesFormat
from eventtime.sources.memory import MemorySource
from eventtime.sources.parquet import ParquetFormat
from eventtime.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from eventtime.sources.partitions import PartitionBy
    from eventtime.sources.textblocks import OnMalformed

__all__ = ("from_arrow", "read_csv", "read_ipc", "read_json_lines", "read_parquet")

Paths: TypeAlias = "str | PathLike[str] | Sequence[str | PathLike[str]]"
Hive: TypeAlias = "bool | Mapping[str, pa.DataType]"
Types: TypeAlias = "pa.Schema | Mapping[str, pa.DataType]"


def read_parquet(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    filesystem: FileSystem | None = None,
    hive: Hive = True,
    follow: bool = False,
    schema: Types | None = None,
) -> Stream:
    """Read Parquet files: only the columns that are used, row groups decoded ahead in threads.

    Args:
        paths: a path, URI, glob or folder, or a list of them. A file counts once, whatever links
            lead to it; files and folders whose names begin with '_' or '.' are left out.
        time: event-time column.
        time_unit: 's', 'ms', 'us' or 'ns' if that column holds integers.
        partition_by: what a partition is: 'file', 'folder', or `by_column("name")`.
        filesystem: a `pyarrow.fs.FileSystem`, where paths do not say.
        hive: whether `key=value` folders are columns, or a mapping from name to type.
        follow: go on for ever with new files, each read once it is there under its final name.
        schema: with `follow`: columns of files that are not there yet.

    Raises:
        SourceError: when run: no such file, no match, unreadable or cut short.
        SchemaError: when run: files whose schemas differ.
    """
    return _stream(
        FileSource.of(
            ParquetFormat(),
            paths,
            time=time,
            time_unit=time_unit,
            partition_by=partition_by,
            filesystem=filesystem,
            hive=hive,
        ),
        follow=follow,
        schema=schema,
    )


def read_ipc(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    filesystem: FileSystem | None = None,
    hive: Hive = True,
    follow: bool = False,
    schema: Types | None = None,
) -> Stream:
    """Read Arrow IPC files or streams (Feather too); arguments and errors as `read_parquet`."""
    return _stream(
        FileSource.of(
            IpcFormat(),
            paths,
            time=time,
            time_unit=time_unit,
            partition_by=partition_by,
            filesystem=filesystem,
            hive=hive,
        ),
        follow=follow,
        schema=schema,
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
    follow: bool = False,
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
        follow: go on for ever as files grow and new ones come, by whole lines; see docs/live.md.

    Raises:
        MalformedRowError: when run: a row does not parse; shows file, line and text.
        SourceError, SchemaError: as `read_parquet`.
    """
    _check(on_malformed)
    check_flag(newlines_in_values, place="newlines_in_values=…")
    _check_delimiter(delimiter)
    types = as_schema(schema)
    return _stream(
        FileSource.of(
            CsvFormat(time, on_malformed, types, delimiter, newlines_in_values),
            paths,
            time=time,
            time_unit=time_unit,
            partition_by=partition_by,
            filesystem=filesystem,
            hive=hive,
        ),
        follow=follow,
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
    follow: bool = False,
) -> Stream:
    """Read files of one JSON object a line; arguments, types and errors as `read_csv`.

    The first megabytes of all files must have the same fields; `schema` names those that are rare.
    """
    _check(on_malformed)
    return _stream(
        FileSource.of(
            JsonLinesFormat(time, on_malformed, as_schema(schema)),
            paths,
            time=time,
            time_unit=time_unit,
            partition_by=partition_by,
            filesystem=filesystem,
            hive=hive,
        ),
        follow=follow,
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
    return Stream.read(MemorySource.of(data, time=time, time_unit=time_unit))


def _stream(source: FileSource, *, follow: bool, schema: Types | None = None) -> Stream:
    check_flag(follow, place="follow=…")
    if follow:
        return Stream.read(FollowedFiles(source, as_schema(schema)))
    if schema is not None:
        msg = "schema= is for files that are not there yet"
        raise PlanError(msg, place="schema=…", remedy="leave it out, or give follow=True")
    return Stream.read(source)


def _check(on_malformed: str) -> None:
    if not is_one_of(on_malformed, ("error", "quarantine")):
        message = f"on_malformed={shown(on_malformed)} is unknown"
        raise PlanError(message, place="on_malformed", remedy="use 'error' or 'quarantine'")


def _check_delimiter(delimiter: object) -> None:
    if delimiter is None or (isinstance(delimiter, str) and len(delimiter.encode()) == 1):
        return
    message = f"delimiter={shown(delimiter)} is not one ASCII character"
    raise PlanError(message, place="delimiter=…", remedy="such as ';', or None for a comma")
