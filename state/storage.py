"""Where checkpoints lie: whole files that appear at once under names that are never used again.

Nothing more is asked of a storage than that, and that a listing shows what was written before it:
a folder on a disk and a bucket of objects can both do it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from eventtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = (
    "TEMPORARY",
    "AppendingDisk",
    "Disk",
    "LocalStorage",
    "Output",
    "Storage",
    "SystemDisk",
    "UnclearError",
    "make_folder",
    "storage_error",
)

TEMPORARY: Final = ".tmp"
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
_APPEND: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
_READ: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_MOST_AT_ONCE: Final = 1 << 24


class UnclearError(OSError):
    """Raised when a file may be there all the same, or may yet appear."""


class Output(Protocol):
    """A file that is being written."""

    def write(self, data: Any, /) -> object:
        """Append bytes."""
        ...

    def finish(self) -> None:
        """Make the file durable under its name; nothing is written after it."""
        ...

    def discard(self) -> None:
        """Remove the file as far as that can be done; never raises an OSError."""
        ...


class Storage(Protocol):
    """Files by name, `folder/name`. Every method raises OSError if it cannot be done.

    Not guaranteed: that `write` hides a file until it is finished.
    """

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        ...

    def list(self, folder: str) -> dict[str, int]:
        """Return the names in a folder with their lengths in bytes; empty if there is none."""
        ...

    def settle(self, folder: str) -> None:
        """Make durable what `list` shows: who gave a file its name may have been killed before."""
        ...

    def read(self, name: str, offset: int, length: int) -> pa.Buffer:
        """Return that part of a file, or what there is of it.

        Raises:
            FileNotFoundError: there is no such file.
        """
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write a small file: durable on return, and at every instant there whole or not at all.

        Raises:
            UnclearError: it may be there all the same; of other errors it is certainly not.
        """
        ...

    def write(self, name: str) -> Output:
        """Start a file of any size."""
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Remove files of one folder, durably on return; one that is not there is no error."""
        ...


def storage_error(doing: str, place: str, error: OSError) -> CheckpointError:
    """Build the error for a storage that does not do what it should.

    Args:
        doing: what could not be done, as 'write the checkpoint 3-41'.
        place: of the storage.
        error: it gave.
    """
    remedies = {
        errno.ENOSPC: "free space there; what was written before is whole",
        errno.EDQUOT: "free space there, or raise the quota; what was written before is whole",
        errno.EACCES: f"allow reading and writing in {place!r}, or name another folder",
        errno.EPERM: f"allow reading and writing in {place!r}, or name another folder",
        errno.EROFS: f"make {place!r} writable, or name another folder",
        errno.ENOENT: f"create the folder above {place!r}",
        errno.ENOTDIR: "name a folder",
    }
    remedy = remedies.get(error.errno or 0, "check the disk or the connection, and try again")
    msg = f"cannot {doing} in {place!r}: {error.strerror or error}"
    return CheckpointError(msg, place=place, remedy=remedy)


class Disk(Protocol):
    """The system calls that a folder on a disk needs, to be replaced by ones that fail."""

    def create(self, path: str) -> int:
        """Open an empty file for writing; return its handle."""
        ...

    def write(self, handle: int, data: memoryview) -> int:
        """Write the beginning of the data; return how many bytes."""
        ...

    def sync(self, handle: int) -> None:
        """Make what was written durable."""
        ...

    def close(self, handle: int) -> None:
        """Close a handle."""
        ...

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Return a part of a file."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of a file that has it."""
        ...

    def unlink(self, path: str) -> None:
        """Remove a name."""
        ...

    def mkdir(self, path: str) -> None:
        """Make a folder."""
        ...

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable."""
        ...

    def list(self, path: str) -> dict[str, int]:
        """Return the names in a folder with their lengths."""
        ...


class AppendingDisk(Disk, Protocol):
    """A disk with files that grow."""

    def append(self, path: str) -> int:
        """Open a file for writing at its end, which is made if it is not there."""
        ...


class SystemDisk:
    """The system's own calls."""

    def create(self, path: str) -> int:
        return os.open(path, _CREATE, 0o666)

    def append(self, path: str) -> int:
        return os.open(path, _APPEND, 0o666)

    def write(self, handle: int, data: memoryview) -> int:
        return os.write(handle, data)

    def sync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def read(self, path: str, offset: int, length: int) -> bytes:
        handle = os.open(path, _READ)
        try:
            os.lseek(handle, offset, os.SEEK_SET)
            return os.read(handle, length)
        finally:
            os.close(handle)

    def rename(self, old: str, new: str) -> None:
        os.replace(old, new)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        os.mkdir(path)

    def sync_folder(self, path: str) -> None:
        if sys.platform == "win32":  # pragma: no cover - folders cannot be opened there
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def list(self, path: str) -> dict[str, int]:
        with os.scandir(path) as found:
            return {file.name: file.stat().st_size for file in found if file.is_file()}


def make_folder(disk: Disk, path: str) -> None:
    """Make a folder, durably, if it is not there; not the folders above it."""
    above = os.path.dirname(path) or "."
    try:
        disk.mkdir(path)
    except FileExistsError:
        # Who made it may have been killed before it was durable. If the folder above may not
        # be opened, that one is not ours, and was not made by us.
        with contextlib.suppress(PermissionError):
            disk.sync_folder(above)
    else:
        disk.sync_folder(above)


class LocalStorage:
    """A folder on a disk.

    Args:
        path: of the folder; made if it is not there, but not the folders above it.
        disk: makes the system calls.
    """

    def __init__(self, path: str, disk: Disk | None = None) -> None:
        self.place = path.rstrip("/" + os.sep) or path
        self._disk: Disk = disk or SystemDisk()
        self._made: set[str] = set()

    def list(self, folder: str) -> dict[str, int]:
        try:
            return self._disk.list(self._path(folder))
        except FileNotFoundError:
            return {}

    def settle(self, folder: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._disk.sync_folder(self._path(folder))

    def read(self, name: str, offset: int, length: int) -> pa.Buffer:
        path, parts = self._path(name), []
        while length > 0 and (part := self._disk.read(path, offset, length)):
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return pa.py_buffer(parts[0] if len(parts) == 1 else b"".join(parts))

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        output = self._create(name + TEMPORARY)
        try:
            output.write(data)
            output.close()
        except BaseException:
            output.discard()
            raise
        try:
            self._disk.rename(path + TEMPORARY, path)
            self._disk.sync_folder(os.path.dirname(path))
        except OSError as error:
            output.discard()
            raise UnclearError(error.errno, error.strerror) from error

    def write(self, name: str) -> Output:
        return self._create(name)

    def delete(self, names: Iterable[str]) -> None:
        folder = ""
        for name in names:
            path = self._path(name)
            folder = os.path.dirname(path)
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(path)
        if folder:
            self._disk.sync_folder(folder)

    def _path(self, name: str) -> str:
        return os.path.join(self.place, *name.split("/"))

    def _create(self, name: str) -> _LocalOutput:
        path = self._path(name)
        folder = os.path.dirname(path)
        if folder not in self._made:
            make_folder(self._disk, self.place)
            make_folder(self._disk, folder)
            self._made.add(folder)
        return _LocalOutput(self._disk, path)


class _LocalOutput:
    """A file on a disk, under its own name from the beginning."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._handle: int | None = disk.create(path)

    def write(self, data: Any, /) -> None:
        assert self._handle is not None
        left = memoryview(data).cast("B")
        while left:
            left = left[self._disk.write(self._handle, left[:_MOST_AT_ONCE]) :]

    def close(self) -> None:
        """Make the bytes durable, not yet the name."""
        assert self._handle is not None
        self._disk.sync(self._handle)
        self._release()

    def finish(self) -> None:
        self.close()
        self._disk.sync_folder(os.path.dirname(self._path))

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self._release()
        with contextlib.suppress(OSError):
            self._disk.unlink(self._path)

    def _release(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._disk.close(handle)
