"""Files of one format as a source: located, checked, cut in partitions, read ahead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError
from eventtime.sources.ahead import AheadReader
from eventtime.sources.filescan import FileSet, distinct_values, peek_first, scan_partition
from eventtime.sources.hive import HiveTypes, hive_schema, hive_types
from eventtime.sources.locate import locate, would_locate
from eventtime.sources.partitions import (
    ByColumn,
    FilePartition,
    PartitionBy,
    by_file,
    by_folder,
    by_values,
    check_partition_type,
)
from eventtime.sources.positions import FilePositions, check_known
from eventtime.sources.schemas import check_columns, row_schema
from eventtime.timestamp import check_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from eventtime.errors import TimeColumnError
    from eventtime.sources.base import PartitionReader, Position
    from eventtime.sources.format import FileFormat

__all__ = ("FileSource",)

AHEAD_BATCHES = 2
READY_ROWS_MAX = 2 << 20
"""Rows decoded ahead over all partitions together: 50 MB for three columns of 8 bytes."""
BATCH_ROWS_MIN = 16_384
"""Below this, 300 files read in step cost three times the CPU for the same rows (measured)."""
MANY_PARTITIONS = 32
"""Above this, decoders are saved: one of three columns holds about 6 MB of pages."""


@dataclass(frozen=True)
class FileSource:
    """Files of one format; equal and hashable by what it says, not by what the files hold.

    Reading: `schema`, `open`, `total_rows`, `describe`. Make it with `FileSource.of`. Files are
    looked for at the first question and not again, so schema, rows and partitions speak of the same
    files.
    """

    format: FileFormat
    paths: tuple[str, ...]
    time: str
    time_unit: str | None = None
    partition_by: PartitionBy = "file"
    # File systems compare but do not hash.
    filesystem: FileSystem | None = field(default=None, hash=False)
    hive: bool = True
    hive_overrides: HiveTypes = ()
    _known: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        file_format: FileFormat,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        time: str,
        time_unit: str | None = None,
        partition_by: PartitionBy = "file",
        filesystem: FileSystem | None = None,
        hive: bool | Mapping[str, pa.DataType] = True,
    ) -> FileSource:
        """Describe files; looks at none of them yet.

        Args:
            file_format: how to read one.
            paths: files, folders, globs or URIs; one or a list.
            time: the event-time column.
            time_unit: unit of an integer time column.
            partition_by: ``"file"``, ``"folder"`` or `by_column`.
            filesystem: a `pyarrow.fs.FileSystem` the paths are on.
            hive: whether ``key=value`` folders are columns; or their types where inference is
                wrong.

        Raises:
            PlanError: an argument is something else.
            TimeColumnError: ``time_unit`` is none.
        """
        check_time(time, time_unit)
        _check_filesystem(filesystem)
        words = ("file", "folder")
        if not isinstance(partition_by, ByColumn) and not is_one_of(partition_by, words):
            remedy = "use 'file', 'folder' or by_column('name')"
            msg = f"partition_by={shown(partition_by)} is unknown"
            raise PlanError(msg, place="partition_by", remedy=remedy)
        read_paths, overrides = hive_types(hive)
        return cls(
            file_format,
            _as_paths(paths),
            time,
            time_unit,
            partition_by,
            filesystem,
            read_paths,
            overrides,
        )

    def schema(self) -> pa.Schema:
        """Return the columns of the files, then those of the paths that no file has."""
        return self._files().schema

    def untimed(self) -> TimeColumnError | None:
        """Return the error for a time column whose type is unknown, as no row seen has a value."""
        return self.format.untimed(self._files().files)

    def open(
        self,
        columns: Sequence[str] | None,
        batch_rows: int,
        positions: Mapping[str, Position] | None = None,
    ) -> list[PartitionReader]:
        """Open every partition; a file is opened when its first row is wanted.

        With many partitions batches get smaller, so that what is decoded ahead stays bounded in
        all.

        Raises:
            SourceError: files are missing, damaged, make too many partitions, or are not those of
                ``positions``.
            ColumnError: a column does not exist.
        """
        files = self._files()
        wanted = check_columns(files.schema, columns)
        partitions = self._partitions(files)
        held = positions or {}
        check_known(held, [part.name for part in partitions])
        is_many = len(partitions) > MANY_PARTITIONS
        ahead = 1 if is_many else AHEAD_BATCHES
        fair_rows = max(BATCH_ROWS_MIN, READY_ROWS_MAX // (ahead * len(partitions)))
        size = min(batch_rows, fair_rows)
        malformed_at = _deliverer_of_malformed(partitions, held)
        readers: list[PartitionReader] = []
        for part in partitions:
            keep_malformed = part.only is None or part.name == malformed_at
            scan = scan_partition(files, part, wanted, size, keep_malformed=keep_malformed)
            peeked = peek_first(scan) if is_many else scan
            places = FilePositions(
                part.name, part.files, self.format.name, keep_malformed=keep_malformed
            )
            opened_at = held.get(part.name)
            reader = AheadReader(part.name, peeked, places, opened_at, ahead=ahead, lazy=is_many)
            readers.append(reader)
        return readers

    def total_rows(self) -> int | None:
        """Add up the footers of the files, where the format has them."""
        if "rows" not in self._known:
            self._known["rows"] = self.format.rows(self._files().files)
        rows: int | None = self._known["rows"]
        return rows

    def describe(self) -> str:
        """Return one line with format, paths and partitioning."""
        shown = ", ".join(self.paths[:3]) + (
            f", … ({len(self.paths)} paths)" if len(self.paths) > 3 else ""
        )
        unit = f" ({self.time_unit})" if self.time_unit else ""
        return (
            f"{self.format.name}: {shown}; partition by {self.partition_by}; time={self.time}{unit}"
        )

    def local_paths(self) -> list[str]:
        """Return the paths of the files that the operating system can open itself."""
        return [file.path for file in self._files().files if file.is_local]

    def would_read(self, path: str) -> bool:
        """Tell whether a local file of that path, once there, would be read by the next run."""
        return would_locate(path, self.paths, self.filesystem, self.format.suffixes)

    def _files(self) -> FileSet:
        if "files" not in self._known:
            files = locate(self.paths, self.filesystem, self.format.suffixes, hive=self.hive)
            for file in files:
                file.require_bytes()
            inside = row_schema(self.format.schema(files))
            in_paths = hive_schema(files, self.hive_overrides)
            self._known["files"] = FileSet(self.format, files, inside, in_paths)
        files_known: FileSet = self._known["files"]
        return files_known

    def _partitions(self, files: FileSet) -> list[FilePartition]:
        if self.partition_by == "file":
            return by_file(files.files)
        if self.partition_by == "folder":
            return by_folder(files.files)
        column = self.partition_by.column
        if "values" not in self._known:
            check_partition_type(column, check_columns(files.schema, [column]).field(0).type)
            self._known["values"] = distinct_values(files, column)
        return by_values(files.files, column, self._known["values"])


def _deliverer_of_malformed(
    partitions: Sequence[FilePartition], positions: Mapping[str, Position]
) -> str:
    """Name the partition of `by_column` that hands over malformed rows: the first, then the same.

    A value that is new since the positions may come before it.
    """
    for name, position in positions.items():
        if position.get("malformed"):
            return name
    return partitions[0].name


def _as_paths(paths: str | PathLike[str] | Sequence[str | PathLike[str]]) -> tuple[str, ...]:
    import os

    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    if not isinstance(listed, list | tuple) or not all(
        isinstance(path, str | os.PathLike) for path in listed
    ):
        remedy = "pass a string, a Path, or a list of them"
        msg = f"paths={shown(paths)} is not a path"
        raise PlanError(msg, place="paths", remedy=remedy)
    if not listed:
        msg = "paths is an empty list"
        raise PlanError(msg, place="paths", remedy="name a file, a folder or a glob")
    return tuple(os.fspath(path) for path in listed)


def _check_filesystem(filesystem: object) -> None:
    if filesystem is None:
        return
    from pyarrow import fs

    if not isinstance(filesystem, fs.FileSystem):
        msg = f"{shown(filesystem)} is no file system"
        remedy = "give a pyarrow.fs.FileSystem, or leave it out for local paths and URIs"
        raise PlanError(msg, place="filesystem=…", remedy=remedy)
