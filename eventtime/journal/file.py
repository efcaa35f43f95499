"""A journal as a file: frames that are appended, each whole or cut away when it is read.

magic  ETJ2: the format's number, which grows when what is in the frames means something else
frame  length, CRC-32 of the bytes, the bytes: entries; both 4 bytes, little endian
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from eventtime.errors import JournalError
from eventtime.journal.entries import Words
from eventtime.state.storage import TEMPORARY, SystemDisk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.journal.entries import Entry
    from eventtime.state.storage import AppendingDisk

__all__ = ("JournalFile", "JournalLike", "JournalWriter", "LocalJournal", "Stored", "stored")

_MAGIC: Final = b"ETJ2"
_FORMAT: Final = _MAGIC[3:].decode()
_HEAD: Final = 8
_MOST_AT_ONCE: Final = 1 << 24
_SECTOR: Final = 512
"""Disks write so many bytes, or a multiple, or nothing."""


class JournalFile(Protocol):
    """Bytes that grow at their end. Every method raises OSError if it cannot be done."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        ...

    def read(self) -> bytes:
        """Return all bytes; none if there is no such file."""
        ...

    def begin(self, data: bytes) -> None:
        """Make the file with these bytes, in place of one that is there: durable, or not at all."""
        ...

    def append(self, data: bytes) -> None:
        """Write behind what is there; on return a process that is killed does not lose it."""
        ...

    def sync(self) -> None:
        """Make all that was written durable: the machine may fail."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class LocalJournal:
    """A journal on a disk; opened when it is first written.

    Args:
        path: of the file, in a folder that is there.
        disk: makes the system calls.
    """

    def __init__(self, path: str | os.PathLike[str], disk: AppendingDisk | None = None) -> None:
        self.place = os.fspath(path)
        self._disk: AppendingDisk = disk or SystemDisk()
        self._handle: int | None = None

    def read(self) -> bytes:
        parts: list[bytes] = []
        try:
            while part := self._disk.read(self.place, sum(map(len, parts)), _MOST_AT_ONCE):
                parts.append(part)
        except FileNotFoundError:
            return b""
        return b"".join(parts)

    def begin(self, data: bytes) -> None:
        self.close()
        handle = self._disk.create(self.place + TEMPORARY)
        try:
            self._all(handle, data)
            self._disk.sync(handle)
        finally:
            self._disk.close(handle)
        self._disk.rename(self.place + TEMPORARY, self.place)
        self._disk.sync_folder(os.path.dirname(self.place) or ".")

    def append(self, data: bytes) -> None:
        if self._handle is None:
            self._handle = self._disk.append(self.place)
        self._all(self._handle, data)

    def sync(self) -> None:
        if self._handle is not None:
            self._disk.sync(self._handle)

    def close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._disk.close(handle)

    def _all(self, handle: int, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._disk.write(handle, left) :]


JournalLike: TypeAlias = str | os.PathLike[str] | JournalFile


@dataclass(frozen=True)
class Stored:
    """What a file holds.

    Args:
        entries: of all whole frames, in order.
        length: of those in bytes.
        torn: bytes behind them: of a frame that was not written to its end, as a process was killed
            or the machine failed.
    """

    entries: list[Entry]
    length: int
    torn: int


def stored(file: JournalFile) -> Stored:
    """Read a journal, as far as it is whole.

    Raises:
        JournalError: it cannot be read, is no journal, or is damaged.
    """
    data = _read(file)
    if not _MAGIC.startswith(data[: len(_MAGIC)]):
        msg, remedy = f"{file.place!r} is no journal of eventtime", "name another file"
        if data[:3] == _MAGIC[:3] and data[3:4].isdigit():
            msg = f"the journal {file.place!r} is of format {data[3:4].decode()}, not {_FORMAT}"
            remedy = "take the version of eventtime that wrote it, or name another file"
        raise JournalError(msg, place=file.place, remedy=remedy)
    entries: list[Entry] = []
    words, at = Words(), len(_MAGIC)
    if len(data) < at:
        return Stored([], 0, len(data))
    for payload in _frames(data, file.place):
        entries += words.decode(payload)
        at += _HEAD + len(payload)
    return Stored(entries, at, len(data) - at)


def _read(file: JournalFile) -> bytes:
    try:
        return file.read()
    except OSError as error:
        raise _cannot(file, error) from error


def _frames(data: bytes, place: str) -> Iterator[bytes]:
    at = len(_MAGIC)
    while (payload := _frame(data, at)) is not None:
        yield payload
        at += _HEAD + len(payload)
    if not _is_torn(data[at:]) and not _ends_in_zeros(data, at):
        msg = f"the journal {place!r} is damaged at byte {at:,} of {len(data):,}"
        remedy = f"take a copy that is whole, or cut it to its first {at} bytes, which are"
        raise JournalError(msg, place=place, remedy=remedy)


def _is_torn(rest: bytes) -> bool:
    """Tell whether a frame was not written to its end; else something else has damaged it.

    It is shorter than it says; or zeros stand in its place, where the machine failed.
    """
    length, crc32 = (int.from_bytes(rest[i : i + 4], "little") for i in (0, 4))
    if len(rest) < _HEAD or not any(rest):
        return True
    is_short = len(rest) < _HEAD + length
    return is_short and zlib.crc32(rest[_HEAD:]) != crc32 and not _has_last(rest)


def _ends_in_zeros(data: bytes, at: int) -> bool:
    """Tell whether there are only zeros from a sector's beginning behind a place to the end.

    So it is where the machine failed when the file had grown, and not all of its data had come.
    """
    written = at + len(data[at:].rstrip(b"\0"))
    return -(-written // _SECTOR) * _SECTOR < len(data)


def _has_last(rest: bytes) -> bool:
    """Tell whether a whole frame stands at the end: then it is a length before it that is wrong."""
    for length in range(1, len(rest) - _HEAD):
        head = len(rest) - _HEAD - length
        if rest[head : head + 4] == length.to_bytes(4, "little") and _frame(rest, head):
            return True
    return False


def _frame(data: bytes, at: int) -> bytes | None:
    """Return the frame at a place; None: there is no whole one."""
    length, crc32 = (int.from_bytes(data[i : i + 4], "little") for i in (at, at + 4))
    payload = data[at + _HEAD : at + _HEAD + length]
    is_whole = bool(payload) and len(payload) == length and zlib.crc32(payload) == crc32
    return payload if is_whole else None


class JournalWriter:
    """Appends entries: they wait for `flush`, which writes them as one frame.

    Args:
        file: of the journal; what is torn of it is cut away.

    Raises:
        JournalError: it cannot be read or written, or is no journal.
    """

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        before = stored(file)
        self._length, self.torn = before.length, before.torn
        self._is_sound = False
        self._words, self._waiting = Words(), bytearray()

    def add(self, entry: Entry) -> None:
        """Take an entry; nobody sees it yet."""
        self._waiting += self._words.encode(entry)

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return len(self._waiting)

    def flush(self, *, durable: bool = False) -> None:
        """Write what waits.

        Args:
            durable: whether it is to survive a failure of the machine, too.
        """
        try:
            if self._waiting:
                self._write(bytes(self._waiting))
                self._waiting.clear()
            if durable:
                self._file.sync()
        except OSError as error:
            self._is_sound = False
            raise _cannot(self._file, error) from error

    def drop(self) -> None:
        """Forget what waits: the turn it is of did not come to its end. A life follows."""
        self._waiting.clear()

    def close(self) -> None:
        """Let go of the file; what waits is not written."""
        self._file.close()

    def _write(self, payload: bytes) -> None:
        if not self._is_sound:
            self._begin()
        head = len(payload).to_bytes(4, "little") + zlib.crc32(payload).to_bytes(4, "little")
        self._file.append(head + payload)
        self._length += len(head) + len(payload)

    def _begin(self) -> None:
        """Write what is there once more, without what is torn.

        A sync that has failed, perhaps that of another process, takes unwritten bytes for written:
        what stands in that file may be lost whenever the machine fails.
        """
        self._file.begin(self._file.read()[: self._length] if self._length else _MAGIC)
        self._length = self._length or len(_MAGIC)
        self._is_sound = True


def _cannot(file: JournalFile, error: OSError) -> JournalError:
    msg = f"the journal {file.place!r} cannot be used: {error.strerror or error}"
    remedy = "check the disk, or name another file; what was written before is whole"
    return JournalError(msg, place=file.place, remedy=remedy)
