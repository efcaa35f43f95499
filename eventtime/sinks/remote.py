"""Outputs on any file system that pyarrow opens: staged under a hidden name, then moved."""

from __future__ import annotations

import abc
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import SinkError
from eventtime.sinks.staging import exists_error, refuse_strangers
from eventtime.wording import without_secrets

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

__all__ = ("RemoteFile", "RemoteFolder", "remote_error", "resolve")


def resolve(path: str, filesystem: FileSystem | None) -> tuple[FileSystem | None, str]:
    """Find the file system of a path: None and a plain path if it is the local one.

    Args:
        path: a path, or a URI if no file system is given.
        filesystem: of pyarrow or fsspec; None for local paths and URIs.

    Raises:
        SinkError: the URI or the file system cannot be opened.

    >>> resolve("file:///tmp/hourly.parquet", None)
    (None, '/tmp/hourly.parquet')
    """
    if filesystem is None and "://" not in path:
        return None, _local(path)
    # Loading pyarrow.fs takes longer than the rest of a short run to a local path.
    from pyarrow import fs

    try:
        if filesystem is None:
            filesystem, path = fs.FileSystem.from_uri(path)
        elif not isinstance(filesystem, fs.FileSystem):
            filesystem = fs.PyFileSystem(fs.FSSpecHandler(_fsspec(filesystem)))
    except (OSError, ValueError, TypeError, ImportError, pa.ArrowException) as error:
        shown_path = without_secrets(path)
        why = str(error).replace(path, shown_path)
        msg = f"cannot open the file system of {shown_path!r}: {why}"
        remedy = "check the URI, or give filesystem="
        raise SinkError(msg, place=shown_path, remedy=remedy) from error
    if isinstance(filesystem, fs.LocalFileSystem):
        return None, _local(path)
    return filesystem, path.rstrip("/")


def remote_error(path: str, filesystem: FileSystem, error: Exception) -> SinkError:
    """Build the error for a place on a file system of pyarrow where nothing can be written."""
    msg = f"cannot write {path!r} on {filesystem.type_name}: {error}"
    return SinkError(msg, place=path, remedy="check the path, the permissions and the connection")


def _fsspec(filesystem: Any) -> Any:
    """Check for the marks of an fsspec file system; pyarrow's wrapper takes anything."""
    if not hasattr(filesystem, "protocol"):
        msg = f"{shown(filesystem)} is neither of pyarrow.fs nor of fsspec"
        raise TypeError(msg)
    return filesystem


def _local(path: str) -> str:
    return str(Path(path).expanduser()) if path.startswith("~") else path


class _Remote(abc.ABC):
    """What a staged file and a staged folder on a remote file system share."""

    def __init__(self, filesystem: FileSystem, path: str, *, overwrite: bool) -> None:
        self._fs = filesystem
        self._overwrite = overwrite
        folder, _, name = path.rpartition("/")
        self._partial = f"{folder}/.{name}.partial" if folder else f".{name}.partial"
        self._folder = folder
        self.target = path
        try:
            self._check()
            self._clear()
            self._start()
        except (OSError, pa.ArrowException) as error:
            raise remote_error(path, filesystem, error) from error

    def _kind(self, path: str) -> str:
        """'NotFound', 'File' or 'Directory'."""
        return str(self._fs.get_file_info(path).type.name)

    @abc.abstractmethod
    def _check(self) -> None:
        """Refuse what may not be overwritten."""

    @abc.abstractmethod
    def _clear(self) -> None:
        """Remove the hidden name, if there."""

    def _start(self) -> None:
        """Try the place with an empty file: a missing bucket or permission shows now."""
        probe = self._probe()
        self._fs.open_output_stream(probe).close()
        self._fs.delete_file(probe)

    @abc.abstractmethod
    def _probe(self) -> str:
        """Name a file to try the place with."""

    def discard(self) -> None:
        with contextlib.suppress(Exception):
            self._clear()


class RemoteFile(_Remote):
    """One file, moved to its final name; as atomic as the file system's own move.

    Not guaranteed: protection from a second run that writes the same target at the same time.
    """

    def _check(self) -> None:
        kind = self._kind(self.target)
        if kind == "Directory":
            msg = f"the output {self.target!r} is a folder"
            raise SinkError(msg, place=self.target, remedy="name a file in it")
        if kind != "NotFound" and not self._overwrite:
            raise exists_error(self.target)

    def _clear(self) -> None:
        if self._kind(self._partial) != "NotFound":
            self._fs.delete_file(self._partial)

    def _probe(self) -> str:
        return self._partial

    def stream(self, name: str) -> pa.NativeFile:
        """Start a file under its hidden name."""
        return self._fs.open_output_stream(self._partial, compression=None)

    def settle(self, name: str) -> None:
        """A closed stream is as durable as the file system makes it."""

    def publish(self) -> None:
        """Move what was staged to its final name."""
        self._check()
        self._fs.move(self._partial, self.target)


class RemoteFolder(_Remote):
    """A folder of files, moved one by one: each file is whole, the folder is not atomic.

    With overwrite the old files are deleted first, after the new ones were all written out.
    """

    def __init__(self, filesystem: FileSystem, path: str, *, overwrite: bool) -> None:
        self._names: list[str] = []
        super().__init__(filesystem, path, overwrite=overwrite)

    def _files(self) -> list[str]:
        from pyarrow import fs

        found = self._fs.get_file_info(
            fs.FileSelector(self.target, recursive=True, allow_not_found=True)
        )
        return [info.path for info in found if info.is_file]

    def _check(self) -> None:
        if self._kind(self.target) == "File":
            msg = f"the output {self.target!r} is a file; a partitioned output is a folder"
            raise SinkError(msg, place=self.target, remedy="remove it or write elsewhere")
        files = self._files()
        if files and not self._overwrite:
            raise exists_error(self.target)
        refuse_strangers(self.target, [file[len(self.target) :].lstrip("/") for file in files])

    def _clear(self) -> None:
        if self._kind(self._partial) != "NotFound":
            self._fs.delete_dir(self._partial)

    def _start(self) -> None:
        # Without `recursive`, so that a missing folder above is an error here as it is locally.
        self._fs.create_dir(self._partial, recursive=False)
        super()._start()

    def _probe(self) -> str:
        return f"{self._partial}/probe"

    def stream(self, name: str) -> pa.NativeFile:
        """Start a file under its hidden name."""
        path = f"{self._partial}/{name}"
        self._fs.create_dir(path.rpartition("/")[0], recursive=True)
        self._names.append(name)
        return self._fs.open_output_stream(path, compression=None)

    def settle(self, name: str) -> None:
        """A closed stream is as durable as the file system makes it."""

    def publish(self) -> None:
        """Move what was staged to its final name."""
        self._check()
        for file in self._files():
            self._fs.delete_file(file)
        for name in self._names:
            final = f"{self.target}/{name}"
            self._fs.create_dir(final.rpartition("/")[0], recursive=True)
            self._fs.move(f"{self._partial}/{name}", final)
        self._clear()
