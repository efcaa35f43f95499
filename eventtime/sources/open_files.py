"""Files that are held open while they are read, a bounded number; known by what they are."""

from __future__ import annotations

import os
import threading
import zlib
from collections import OrderedDict
from io import FileIO
from typing import Final, NamedTuple

__all__ = ("FileIdentity", "OpenFiles", "file_of", "find_file", "identity", "look_at")

_MOST_OPEN: Final = 256
_HEAD_BYTES: Final = 1_024


class FileIdentity(NamedTuple):
    """A file whatever it is called now."""

    device: int
    inode: int


def identity(path: str) -> FileIdentity | None:
    """Return which file a path leads to; None: to none."""
    found = look_at(path)
    return None if found is None else file_of(found)


def look_at(path: str) -> os.stat_result | None:
    """Look at what a path leads to; None: at nothing."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_of(found: os.stat_result) -> FileIdentity:
    """Return which file it is that was looked at."""
    return FileIdentity(found.st_dev, found.st_ino)


def find_file(folder: str, wanted: FileIdentity) -> str | None:
    """Return the path of a file in a folder under whatever name; None: it is not there."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_alike = entry.inode() == wanted.inode and entry.is_file(follow_symlinks=False)
                if is_alike and identity(entry.path) == wanted:
                    return entry.path
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None


class OpenFiles:
    """Files, the longest unused closed first; for several threads.

    One that is closed is opened again by its identity, so that renaming a file does not matter.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[FileIdentity, FileIO] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, file: FileIdentity, path: str, size: int, offset: int) -> bytes | None:
        """Read from a file; None if it is not there any more under any name in its folder.

        Args:
            file: which.
            path: that it has, or had.
            size: at most so many bytes.
            offset: from here.
        """
        with self._lock:
            found = self._opened(file, path)
            return None if found is None else os.pread(found.fileno(), size, offset)

    def stat(self, file: FileIdentity, path: str) -> os.stat_result | None:
        """Look at a file; None as `read`."""
        with self._lock:
            found = self._opened(file, path)
            return None if found is None else os.fstat(found.fileno())

    def forget(self, file: FileIdentity) -> None:
        """Close a file, so that the disk has its room back if it was removed."""
        with self._lock:
            found = self._open.pop(file, None)
            if found is not None:
                found.close()

    def head(self, file: FileIdentity, path: str, upto: int) -> list[int]:
        """Return the length and checksum of the first bytes, `upto` at most."""
        data = self.read(file, path, min(upto, _HEAD_BYTES), 0) or b""
        return [len(data), zlib.crc32(data)]

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for found in self._open.values():
                found.close()
            self._open.clear()

    def _opened(self, file: FileIdentity, path: str) -> FileIO | None:
        if file in self._open:
            self._open.move_to_end(file)
            return self._open[file]
        name = path if identity(path) == file else find_file(os.path.dirname(path), file)
        if name is None:
            return None
        try:
            found = FileIO(name)
        except FileNotFoundError:
            return None
        if file_of(os.fstat(found.fileno())) != file:
            found.close()
            return None
        self._open[file] = found
        while len(self._open) > _MOST_OPEN:
            _, oldest = self._open.popitem(last=False)
            oldest.close()
        return found
