"""The system calls of outputs on the local file system, to be replaced by ones that crash."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from typing import Final, Protocol

import pyarrow as pa

from eventtime.state.storage import Disk, SystemDisk

if sys.platform != "win32":  # pragma: no branch
    import fcntl

__all__ = ("LOCAL", "LocalDisk", "OutputDisk")


class OutputDisk(Disk, Protocol):
    """What outputs need of a disk beyond what checkpoints do."""

    def stream(self, path: str) -> pa.NativeFile:
        """Start a file for an encoder."""
        ...

    def sync_file(self, path: str) -> None:
        """Make the bytes of a closed file durable."""
        ...

    def mode(self, path: str) -> int:
        """Return what a path leads to, as `st_mode`."""
        ...

    def walk(self, path: str) -> list[str]:
        """Return all files below a folder, relative, with '/'; none if there is no such folder."""
        ...

    def folders(self, path: str) -> list[str]:
        """Return the paths of a folder and of all below it."""
        ...

    def rmtree(self, path: str) -> None:
        """Remove a folder and all that is in it; not durable yet."""
        ...

    def hold(self, path: str, flags: int) -> int | None:
        """Open a file or folder and lock it until its handle is closed; None: no such locks.

        Raises:
            BlockingIOError: another process holds it.
        """
        ...


class LocalDisk(SystemDisk):
    """The system's own calls."""

    def stream(self, path: str) -> pa.NativeFile:
        return pa.OSFile(path, "wb")

    def sync_file(self, path: str) -> None:
        self.sync_folder(path)  # one call for both

    def mode(self, path: str) -> int:
        return os.stat(path).st_mode

    def walk(self, path: str) -> list[str]:
        return [
            os.path.relpath(os.path.join(folder, file), path).replace(os.sep, "/")
            for folder, _, files in os.walk(path)
            for file in files
        ]

    def folders(self, path: str) -> list[str]:
        return [folder for folder, _, _ in os.walk(path)]

    def rmtree(self, path: str) -> None:
        shutil.rmtree(path)

    def hold(self, path: str, flags: int) -> int | None:
        if sys.platform == "win32":  # pragma: no cover - no such locks
            return None
        while True:
            lock = os.open(path, flags, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise
            except OSError:
                pass  # no locks on this file system; one run at a time is then the user's promise
            # The holder before us may have renamed or removed the name between open and lock.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), os.stat(path)):
                    return lock
            os.close(lock)


LOCAL: Final = LocalDisk()
