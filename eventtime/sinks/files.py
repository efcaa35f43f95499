"""A file, or a folder of files, as a sink, whatever the format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from eventtime.checks import check_flag, shown
from eventtime.errors import PlanError
from eventtime.sinks.by_time import ByTime, TimeSplitter, partition
from eventtime.sinks.folders import FolderEpochs
from eventtime.sinks.part_files import PartsWriter
from eventtime.sinks.remote import RemoteFile, RemoteFolder, resolve
from eventtime.sinks.staging import LocalFile, LocalFolder
from eventtime.sinks.writers import FileWriter, FolderWriter, Undivided
from eventtime.wording import without_secrets

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from eventtime.sinks.encoder import FileFormat
    from eventtime.sinks.epochs import Delivery, Guarantee
    from eventtime.sinks.remote_folders import RemoteFolderEpochs
    from eventtime.sinks.staging import Staging
    from eventtime.sinks.writers import Splitter

__all__ = ("FileSink", "FolderSink", "file_sink", "path_of", "whole_path")


def path_of(
    path: object, *, place: str = "path", remedy: str = "name a file, such as 'hourly.parquet'"
) -> str:
    """Check a path, such as the `path` argument of a sink, and return it as text.

    Raises:
        PlanError: it is no path, or empty.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        msg = f"{shown(path)} is no path"
        raise PlanError(msg, place=place, remedy=remedy)
    return text


def whole_path(path: str) -> str:
    """Return a path from the root on, without links; a URI as it is.

    >>> whole_path("file:///a/../b.csv"), whole_path("s3://bucket/b.csv")
    ('/b.csv', 's3://bucket/b.csv')
    """
    path = path.removeprefix("file://")
    return path if "://" in path else os.path.realpath(os.path.expanduser(path))


def file_sink(
    path: str | os.PathLike[str],
    file_format: FileFormat,
    *,
    partition_by: str | ByTime | None,
    parts: bool,
    overwrite: bool,
    filesystem: FileSystem | None,
) -> FileSink:
    """Describe the output of one of the `to_…` functions, which document the arguments.

    Raises:
        PlanError: an argument is of the wrong kind.
    """
    check_flag(overwrite, place="overwrite=…")
    check_flag(parts, place="parts=…")
    by = partition(partition_by)
    if by is None and not parts:
        return FileSink(path_of(path), file_format, overwrite, filesystem)
    return FolderSink(path_of(path), file_format, overwrite, filesystem, by)


@dataclass(frozen=True)
class FileSink:
    """Rows to one file; made by `to_parquet` and the like, which document the arguments.

    With checkpoints the file is published at the end of the run: they hold its rows until then.
    """

    path: str
    format: FileFormat
    overwrite: bool = False
    filesystem: FileSystem | None = None

    def open(self, schema: pa.Schema) -> FileWriter | FolderWriter:
        """Check path and schema, and start writing under a hidden name.

        Raises:
            OutputExistsError: the output exists and `overwrite` is not set.
            SinkError: folder missing, no permission, or a column the format cannot hold.
        """
        self.format.check(schema)
        staging = self._stage()
        try:
            return FileWriter(staging, self.format, schema)
        except BaseException:
            staging.discard()
            raise

    def _stage(self) -> Staging:
        filesystem, path = resolve(self.path, self.filesystem)
        if filesystem is None:
            return LocalFile(path, overwrite=self.overwrite)
        return RemoteFile(filesystem, path, overwrite=self.overwrite)

    @property
    def occupies(self) -> tuple[object, ...]:
        """What no other output of the same run may have."""
        return self.filesystem, whole_path(self.path)

    @property
    def some_file(self) -> str:
        """The path of the file, or of one such as the folder will hold."""
        return self.path

    def describe(self) -> str:
        """One line for `explain()`."""
        return f"{self.format.name} file {without_secrets(self.path)}"


@dataclass(frozen=True)
class FolderSink(FileSink):
    """Rows to a folder of files, perhaps one for each hour, day or month; made as `FileSink` is."""

    partition_by: ByTime | None = None
    delivery: ClassVar[Delivery] = "exactly_once"
    guarantee: ClassVar[Guarantee] = "exactly_once"
    makes_files: ClassVar[bool] = True

    def open(self, schema: pa.Schema) -> FolderWriter:
        """Check path and schema, and start writing under a hidden name.

        Raises:
            OutputExistsError: the output exists and `overwrite` is not set.
            SinkError: folder missing, no permission, or a column the format cannot hold.
            ColumnError: no such column to partition by.
        """
        splitter = self._splitter(schema)
        staging = self._stage()
        try:
            return FolderWriter(staging, self.format, schema, splitter)
        except BaseException:
            staging.discard()
            raise

    def open_epochs(self, schema: pa.Schema, job: str) -> FolderEpochs | RemoteFolderEpochs:
        """Check path and schema, and make the folder; see `EpochSink`.

        Raises:
            OutputExistsError: the folder holds files of another job, and `overwrite` is not set.
            SinkError: folder missing, no permission, or a column the format cannot hold.
            ColumnError: no such column to partition by.
        """
        splitter = self._splitter(schema)
        filesystem, path = resolve(self.path, self.filesystem)
        parts = PartsWriter(self.format, schema, splitter)
        if filesystem is None:
            return FolderEpochs(path, parts, job=job, overwrite=self.overwrite)
        from eventtime.sinks.remote_folders import RemoteFolderEpochs

        return RemoteFolderEpochs(filesystem, path, parts, job=job, overwrite=self.overwrite)

    def _splitter(self, schema: pa.Schema) -> Splitter:
        self.format.check(schema)
        return Undivided() if self.partition_by is None else TimeSplitter(self.partition_by, schema)

    def _stage(self) -> Staging:
        filesystem, path = resolve(self.path, self.filesystem)
        if filesystem is None:
            return LocalFolder(path, overwrite=self.overwrite)
        return RemoteFolder(filesystem, path, overwrite=self.overwrite)

    @property
    def some_file(self) -> str:
        """The path of one file such as the folder will hold."""
        return f"{self.path}/part-0{self.format.suffix}"

    def describe(self) -> str:
        """One line for `explain()`."""
        by = "" if self.partition_by is None else f" by {self.partition_by.describe()}"
        return f"{self.format.name} folder {without_secrets(self.path)}{by}"
