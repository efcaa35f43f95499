"""A file, or a folder of files, as a sink, whatever the format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventtime.checks import check_flag, shown
from eventtime.errors import PlanError
from eventtime.sinks.by_day import ByDay, DaySplitter, partition
from eventtime.sinks.remote import RemoteFile, RemoteFolder, resolve
from eventtime.sinks.staging import LocalFile, LocalFolder, Staging
from eventtime.sinks.writers import FileWriter, FolderWriter

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from eventtime.sinks.encoder import FileFormat

__all__ = ("FileSink", "file_sink", "path_of")


def path_of(path: object) -> str:
    """Check the `path` argument of a sink, and return it as text.

    Raises:
        PlanError: it is no path, or empty.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        msg = f"{shown(path)} is no path"
        remedy = "name a file, such as 'hourly.parquet'"
        raise PlanError(msg, place="path", remedy=remedy)
    return text


def file_sink(
    path: str | os.PathLike[str],
    file_format: FileFormat,
    *,
    partition_by: str | ByDay | None,
    overwrite: bool,
    filesystem: FileSystem | None,
) -> FileSink:
    """Describe the output of one of the `to_…` functions, which document the arguments.

    Raises:
        PlanError: an argument is of the wrong kind.
    """
    check_flag(overwrite, place="overwrite=…")
    return FileSink(path_of(path), file_format, partition(partition_by), overwrite, filesystem)


@dataclass(frozen=True)
class FileSink:
    """Rows to one file, or to a folder with a folder for each day.

    Made by `to_parquet`, `to_csv`, `to_json_lines`, `to_ipc`, which document the arguments.
    """

    path: str
    format: FileFormat
    partition_by: ByDay | None = None
    overwrite: bool = False
    filesystem: FileSystem | None = None

    def open(self, schema: pa.Schema) -> FileWriter | FolderWriter:
        """Check path and schema, and start writing under a hidden name.

        Raises:
            OutputExistsError: the output exists and `overwrite` is not set.
            SinkError: folder missing, no permission, or a column the format cannot hold.
            ColumnError: no such column to partition by.
        """
        self.format.check(schema)
        splitter = None if self.partition_by is None else DaySplitter(self.partition_by, schema)
        staging = self._stage()
        try:
            if splitter is None:
                return FileWriter(staging, self.format, schema)
            return FolderWriter(staging, self.format, schema, splitter)
        except BaseException:
            staging.discard()
            raise

    def _stage(self) -> Staging:
        filesystem, path = resolve(self.path, self.filesystem)
        whole = self.partition_by is None
        if filesystem is None:
            return (LocalFile if whole else LocalFolder)(path, overwrite=self.overwrite)
        return (RemoteFile if whole else RemoteFolder)(filesystem, path, overwrite=self.overwrite)

    @property
    def some_file(self) -> str:
        """The path of the file, or of one such as the folder will hold."""
        folder = self.partition_by is not None
        return f"{self.path}/part-0{self.format.suffix}" if folder else self.path

    def describe(self) -> str:
        """One line for `explain()`."""
        if self.partition_by is None:
            return f"{self.format.name} file {self.path}"
        return f"{self.format.name} folder {self.path} by {self.partition_by.describe()}"
