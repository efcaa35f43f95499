"""Blocks in files that are only ever appended to; which block lies where is known in memory."""

from __future__ import annotations

import contextlib
import zlib
from dataclasses import dataclass, field
from io import FileIO
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from eventtime.errors import ScratchError
from eventtime.state.blocks import BlockStats, Bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ("FileBlocks", "RawFile")

_FILE_BYTES = 1 << 28


class RawFile(Protocol):
    """What is used of an unbuffered file."""

    def write(self, data: Any, /) -> int | None: ...
    def readinto(self, buffer: Any, /) -> int | None: ...
    def seek(self, offset: int, /) -> int: ...
    def truncate(self, size: int, /) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class _Place:
    file: int
    offset: int
    length: int
    crc32: int


@dataclass
class _File:
    path: Path
    raw: RawFile
    size: int = 0
    live_bytes: int = 0
    blocks: set[int] = field(default_factory=set)


def _create(path: Path) -> RawFile:
    return FileIO(path, "x+b")


class FileBlocks:
    """Blocks in a folder; every one is checked when it is read.

    A file is deleted when none of its blocks is alive, and when few are, these move on.

    Args:
        folder: exists, is empty, and is this store's alone.
        file_bytes: a file that is as long is followed by a new one.
        create: makes and opens an unbuffered file for writing and reading.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes: int = _FILE_BYTES,
        create: Callable[[Path], RawFile] = _create,
    ) -> None:
        self._folder, self._file_bytes, self._create = folder, file_bytes, create
        self._places: dict[int, _Place] = {}
        self._files: dict[int, _File] = {}
        self._current = -1
        self._next = self._put = self._got = 0
        self._lock = RLock()

    def put(self, buffers: Sequence[Bytes]) -> int:
        with self._lock:
            block = self._next
            self._append(block, buffers)
            self._next += 1
            self._put += self._places[block].length
            return block

    def get_many(self, blocks: Sequence[int]) -> list[Bytes]:
        with self._lock:
            return [self._read(block) for block in blocks]

    def delete(self, blocks: Sequence[int]) -> None:
        with self._lock:
            for block in blocks:
                self._forget(block)
            for number in {*self._files} - {self._current}:
                self._tidy(number)

    def flush(self) -> None:
        with self._lock:
            if self._current >= 0 and not self._files[self._current].blocks:
                self._drop(self._current)

    def close(self) -> None:
        with self._lock:
            self._places.clear()
            for number in list(self._files):
                self._drop(number)

    def stats(self) -> BlockStats:
        with self._lock:
            held = sum(file.live_bytes for file in self._files.values())
            return BlockStats(len(self._places), held, self._put, self._got)

    def _append(self, block: int, buffers: Sequence[Bytes]) -> None:
        checksum = length = 0
        for buffer in buffers:
            checksum = zlib.crc32(buffer.data, checksum)
            length += len(buffer)
        if self._current < 0 or self._files[self._current].size >= self._file_bytes:
            self._begin_file()
        file = self._files[self._current]
        try:
            file.raw.seek(file.size)
            for buffer in buffers:
                _write(file.raw, buffer)
        except OSError as error:
            with contextlib.suppress(OSError):
                file.raw.truncate(file.size)
            raise _failed(file.path, error) from error
        self._places[block] = _Place(self._current, file.size, length, checksum)
        file.blocks.add(block)
        file.size += length
        file.live_bytes += length

    def _begin_file(self) -> None:
        number = max(self._files, default=-1) + 1
        path = self._folder / f"{number:06}.blocks"
        try:
            self._files[number] = _File(path, self._create(path))
        except OSError as error:
            raise _failed(path, error) from error
        before, self._current = self._current, number
        if before >= 0:
            self._tidy(before)

    def _read(self, block: int) -> Bytes:
        place = self._places[block]
        file = self._files[place.file]
        data = np.empty(place.length, np.uint8)
        try:
            file.raw.seek(place.offset)
            read = _read_into(file.raw, data)
        except OSError as error:
            raise _failed(file.path, error) from error
        if read < place.length or zlib.crc32(data.data) != place.crc32:
            msg = f"block {block} of {str(file.path)!r} is not what was written"
            where = f"{file.path}, bytes {place.offset} to {place.offset + place.length}"
            remedy = "look after the disk, and go on from the last checkpoint"
            raise ScratchError(msg, place=where, remedy=remedy)
        self._got += place.length
        return data

    def _forget(self, block: int) -> None:
        place = self._places.pop(block)
        file = self._files[place.file]
        file.blocks.remove(block)
        file.live_bytes -= place.length

    def _tidy(self, number: int) -> None:
        """Delete a file that has ended if nothing in it is alive; move on what is, if it is little.

        Where the disk is full the file stays.
        """
        file = self._files[number]
        if file.blocks and 4 * file.live_bytes <= file.size:
            for block in sorted(file.blocks):
                data, place = self._read(block), self._places[block]
                try:
                    self._append(block, [data])
                except ScratchError:
                    return
                file.blocks.remove(block)
                file.live_bytes -= place.length
        if not file.blocks:
            self._drop(number)

    def _drop(self, number: int) -> None:
        file = self._files.pop(number)
        self._current = -1 if number == self._current else self._current
        # Gone already, or not to be deleted: it is scratch, and its folder goes at the end.
        with contextlib.suppress(OSError):
            file.raw.close()
            file.path.unlink()


def _write(raw: RawFile, buffer: Bytes) -> None:
    rest = memoryview(buffer.data)
    while rest:
        rest = rest[raw.write(rest) or 0 :]


def _read_into(raw: RawFile, data: Bytes) -> int:
    rest, read = memoryview(data.data), 0
    while rest and (n := raw.readinto(rest)):
        rest, read = rest[n:], read + n
    return read


def _failed(path: Path, error: OSError) -> ScratchError:
    msg = f"state outside of memory: {error.strerror or error}"
    remedy = "make room there, or name another folder with scratch=…"
    return ScratchError(msg, place=str(path), remedy=remedy)
