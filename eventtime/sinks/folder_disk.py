"""The system calls that part files in a folder need, to be replaced by ones that fail."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from eventtime.state.storage import Disk, SystemDisk

if sys.platform != "win32":  # pragma: no branch
    import fcntl

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ("DiskFile", "FolderDisk", "SystemFolderDisk")

_AT_ONCE: Final = 1 << 20


class FolderDisk(Disk, Protocol):
    """A disk with folders in folders, of which one process at a time can take hold."""

    def list_folders(self, path: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        ...

    def lock(self, path: str) -> AbstractContextManager[Any]:
        """Lock a file until the context is left; BlockingIOError if another process holds it."""
        ...


class SystemFolderDisk(SystemDisk):
    """The system's own calls."""

    def list_folders(self, path: str) -> list[str]:
        with os.scandir(path) as found:
            return sorted(each.name for each in found if each.is_dir())

    def lock(self, path: str) -> AbstractContextManager[Any]:
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - the lock is the file
        if sys.platform != "win32":  # pragma: no branch - no such locks there
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise
            except OSError:
                pass  # no locks on this file system; one process at a time is a promise then
        return file


class DiskFile:
    """A new file on a disk, as pyarrow writes to Python's files; durable when it is closed."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._handle = disk.create(path)
        self._waiting = bytearray()
        self._written = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Append."""
        self._waiting += data
        self._written += len(data)
        if len(self._waiting) >= _AT_ONCE:
            self.flush()
        return len(data)

    def tell(self) -> int:
        """Bytes so far."""
        return self._written

    def flush(self) -> None:
        """Hand everything to the system."""
        rest = memoryview(bytes(self._waiting))
        self._waiting.clear()
        while rest:
            rest = rest[self._disk.write(self._handle, rest) :]

    def close(self) -> None:
        """Write out, make durable, close; what fails is closed too."""
        if self.closed:
            return
        self.closed = True
        try:
            self.flush()
            self._disk.sync(self._handle)
        finally:
            with contextlib.suppress(OSError):
                self._disk.close(self._handle)
