"""One input file: where it is, how to open it, and what went wrong when that fails."""

from __future__ import annotations

import posixpath
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from eventtime.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from pyarrow.fs import FileSystem

__all__ = ("COMPRESSED", "HIVE_NULL", "DataFile", "each_file", "require_tail", "unreadable")

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""Hive's way to write a null in a path."""

REMOTE_BUFFER_BYTES = 4 << 20
LOCAL_BUFFER_BYTES = 128 << 10
REMOTE_LOOKS = 8
SKIP_BYTES = 1 << 20
SAMPLE_BYTES = 64 << 10
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
"""What Arrow decompresses, in just these letters."""

Looked = TypeVar("Looked")


@dataclass(frozen=True)
class DataFile:
    """A file of a source.

    Attributes:
        path: full path in its file system.
        size: bytes.
        root: the folder the user gave, or that of the file; what comes before the wildcards of a
            glob.
        hive: (key, value) of the ``key=value`` folders above it, from the outermost; None is null.
    """

    filesystem: FileSystem = field(repr=False, hash=False)
    path: str
    size: int
    root: str = ""
    hive: tuple[tuple[str, str | None], ...] = ()

    @cached_property
    def name(self) -> str:
        """The path below what the user gave, which stays when all of it moves elsewhere."""
        return posixpath.relpath(self.path, self.root or posixpath.dirname(self.path) or ".")

    @cached_property
    def sample(self) -> int:
        """Checksum of the first, middle and last 64 KiB: a file that was written anew has another.

        Cost: three reads, once.

        Raises:
            SourceError: the file cannot be read.
        """
        last = max(0, self.size - SAMPLE_BYTES)
        crc = 0
        try:
            with self.open() as handle:
                for offset in sorted({0, last // 2, last}):
                    crc = zlib.crc32(handle.read_at(SAMPLE_BYTES, offset), crc)
        except OSError as error:
            raise unreadable(self, error) from error
        return crc

    @property
    def is_local(self) -> bool:
        """Whether the operating system can open and map the path itself."""
        return bool(self.filesystem.type_name == "local")

    @property
    def buffer_bytes(self) -> int:
        """How much to read at once: each request to a remote store costs tens of milliseconds."""
        return LOCAL_BUFFER_BYTES if self.is_local else REMOTE_BUFFER_BYTES

    def open(self) -> pa.NativeFile:
        """Open for reading anywhere in the file."""
        return self.filesystem.open_input_file(self.path)

    def open_stream(self, offset: int = 0) -> pa.NativeFile:
        """Open for reading to the end; decompresses by suffix (.gz, .bz2, .zst, .lz4).

        Args:
            offset: byte of the decompressed text to begin at. A compressed file is decompressed
                up to it, any other one is not read before it.
        """
        if offset and not self.path.endswith(COMPRESSED):
            handle = self.open()
            handle.seek(offset)
            return handle
        stream = self.filesystem.open_input_stream(self.path)
        while offset and (skipped := len(stream.read(min(offset, SKIP_BYTES)))):
            offset -= skipped
        return stream

    def require_bytes(self) -> None:
        """Refuse a file without any byte.

        Raises:
            SourceError: the file is empty.
        """
        if self.size == 0:
            message = "the file is empty (0 bytes)"
            raise SourceError(
                message, place=self.path, remedy="write it again, or leave it out of the paths"
            )


def unreadable(
    file: DataFile, error: BaseException, *, rows_before: int | None = None
) -> SourceError:
    """Say that a file cannot be read (further), with the reader's own reason."""
    reason = " ".join(str(error).split())
    if isinstance(error, FileNotFoundError):
        return SourceError(
            "there is no such file any more",
            place=file.path,
            remedy="keep the files while they are read",
        )
    if isinstance(error, PermissionError):
        return SourceError(
            f"the file may not be read: {reason}",
            place=file.path,
            remedy="give yourself read permission",
        )
    where = file.path if rows_before is None else f"{file.path}, after row {rows_before:,}"
    remedy = "the file is damaged or cut short: write it again, or leave it out of the paths"
    return SourceError(f"the file cannot be read: {reason}", place=where, remedy=remedy)


def require_tail(file: DataFile, tail: bytes, magic: bytes, kind: str) -> None:
    """Refuse a file whose last bytes are not those of its format.

    Raises:
        SourceError: the file is cut short; shows how it ends.
    """
    if tail != magic:
        ends = f"its {file.size:,} bytes end with {tail!r}, not {magic!r}"
        message = f"the {kind} file is cut short: {ends}"
        raise SourceError(message, place=file.path, remedy="copy or write it again to its end")


def each_file(look: Callable[[DataFile], Looked], files: Sequence[DataFile]) -> list[Looked]:
    """Look into every file, several at a time where that means waiting for a network."""
    if len(files) == 1 or all(file.is_local for file in files):
        return [look(file) for file in files]
    with ThreadPoolExecutor(REMOTE_LOOKS, thread_name_prefix="eventtime-look") as threads:
        return list(threads.map(look, files))
