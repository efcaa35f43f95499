"""One function for each kind of input; each checks its arguments and returns a description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from eventtime.checks import check_flag, is_one_of, shown
from eventtime.errors import PlanError
from eventtime.sources.csvfile import CsvFormat
from eventtime.sources.filesource import FileSource
from eventtime.sources.inference import as_schema
from eventtime.sources.ipc import IpcFormat
from eventtime.sources.jsonlines import JsonLinesFormat
from eventtime.sources.memory import MemorySource
from eventtime.sources.parquet import ParquetFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from eventtime.sources.partitions import PartitionBy
    from eventtime.sources.textblocks import OnMalformed

__all__ = (
    "Hive",
    "Paths",
    "Types",
    "arrow_source",
    "csv_source",
    "ipc_source",
    "json_lines_source",
    "parquet_source",
)

Paths: TypeAlias = "str | PathLike[str] | Sequence[str | PathLike[str]]"
Hive: TypeAlias = "bool | Mapping[str, pa.DataType]"
Types: TypeAlias = "pa.Schema | Mapping[str, pa.DataType]"


def parquet_source(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    filesystem: FileSystem | None = None,
    hive: Hive = True,
) -> FileSource:
    """Describe Parquet files; the arguments are those of `FileSource.of`."""
    return FileSource.of(
        ParquetFormat(),
        paths,
        time=time,
        time_unit=time_unit,
        partition_by=partition_by,
        filesystem=filesystem,
        hive=hive,
    )


def ipc_source(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    filesystem: FileSystem | None = None,
    hive: Hive = True,
) -> FileSource:
    """Describe Arrow IPC files or streams; the arguments are those of `FileSource.of`."""
    return FileSource.of(
        IpcFormat(),
        paths,
        time=time,
        time_unit=time_unit,
        partition_by=partition_by,
        filesystem=filesystem,
        hive=hive,
    )


def csv_source(
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
) -> FileSource:
    """Describe CSV files with a header.

    Beyond the arguments of `FileSource.of` come the attributes of `CsvFormat`; ``schema`` holds the
    types of columns that would be inferred wrongly, the others are inferred.
    """
    _check(on_malformed)
    check_flag(newlines_in_values, place="newlines_in_values=…")
    _check_delimiter(delimiter)
    return FileSource.of(
        CsvFormat(time, on_malformed, as_schema(schema), delimiter, newlines_in_values),
        paths,
        time=time,
        time_unit=time_unit,
        partition_by=partition_by,
        filesystem=filesystem,
        hive=hive,
    )


def json_lines_source(
    paths: Paths,
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: PartitionBy = "file",
    on_malformed: OnMalformed = "error",
    schema: Types | None = None,
    filesystem: FileSystem | None = None,
    hive: Hive = True,
) -> FileSource:
    """Describe files of JSON lines.

    Beyond the arguments of `FileSource.of` come the attributes of `JsonLinesFormat`; ``schema``
    holds the types of fields that are rare or would be inferred wrongly, the others are inferred.
    """
    _check(on_malformed)
    return FileSource.of(
        JsonLinesFormat(time, on_malformed, as_schema(schema)),
        paths,
        time=time,
        time_unit=time_unit,
        partition_by=partition_by,
        filesystem=filesystem,
        hive=hive,
    )


def arrow_source(data: Any, *, time: str, time_unit: str | None = None) -> MemorySource:
    """Describe Arrow data in memory; the arguments are those of `MemorySource.of`."""
    return MemorySource.of(data, time=time, time_unit=time_unit)


def _check(on_malformed: str) -> None:
    if not is_one_of(on_malformed, ("error", "quarantine")):
        message = f"on_malformed={shown(on_malformed)} is unknown"
        raise PlanError(message, place="on_malformed", remedy="use 'error' or 'quarantine'")


def _check_delimiter(delimiter: object) -> None:
    if delimiter is None or (isinstance(delimiter, str) and len(delimiter.encode()) == 1):
        return
    message = f"delimiter={shown(delimiter)} is not one ASCII character"
    raise PlanError(message, place="delimiter=…", remedy="such as ';', or None for a comma")
