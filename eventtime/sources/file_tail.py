"""One text file that grows: its whole lines as they are written, and where reading stands."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from eventtime.sources.base import MalformedRows, count_of, without_first
from eventtime.sources.csvfile import CsvFormat
from eventtime.sources.decoding import LineDecoder
from eventtime.sources.filescan import FileSet, physical, with_constants
from eventtime.sources.hive import Constants
from eventtime.sources.marks import FILE_START, Mark
from eventtime.sources.textblocks import BLOCK_BYTES_MAX

if TYPE_CHECKING:
    import os

    import pyarrow as pa

    from eventtime.sources.base import Position, Rows
    from eventtime.sources.datafile import DataFile
    from eventtime.sources.decoding import TextFormat
    from eventtime.sources.open_files import FileIdentity, OpenFiles

__all__ = ("TAIL", "FileTail", "Lines", "LostError")

TAIL: Final = {"file": list, "head": list, "offset": int, "line": int, "rows": int}
"""Where reading stands in a file, and of what type each is."""

_HEAD_BYTES: Final = 1_024
_BEHIND_BYTES: Final = 256


class LostError(Exception):
    """A file is not that which was read any more: the text says how."""


@dataclass(frozen=True)
class Lines:
    """How files at one path are read.

    Args:
        path: of the file now, or once.
        files: format, columns inside and in paths.
        wanted: columns to deliver.
        constants: what the path says.
        shared: holds files open.
    """

    path: str
    files: FileSet
    wanted: pa.Schema
    constants: Constants
    shared: OpenFiles

    @classmethod
    def of(cls, file: DataFile, files: FileSet, wanted: pa.Schema, shared: OpenFiles) -> Lines:
        """Read the path for what it says."""
        return cls(file.path, files, wanted, Constants.of(file, files.in_paths), shared)

    @property
    def form(self) -> TextFormat:
        """Format of the lines."""
        return cast("TextFormat", self.files.format)

    def whole(self, rows: Rows) -> Rows:
        """Return rows with the columns that the path tells."""
        if isinstance(rows, MalformedRows):
            return rows
        return with_constants(rows, self.wanted, self.files.inside, self.constants)

    def decoder(self, file: FileIdentity, mark: Mark) -> LineDecoder:
        """Begin to decode a file at a mark."""
        inside, names = self.files.inside, list(physical(self.files.inside, self.wanted))
        header: list[str] = []
        if mark.offset and isinstance(self.form, CsvFormat):
            opening = LineDecoder(self.form, inside, names, self.path)
            first = self.shared.read(file, self.path, BLOCK_BYTES_MAX, 0) or b""
            opening.feed(first[: first.find(b"\n") + 1])
            header = opening.header
        return LineDecoder(self.form, inside, names, self.path, mark, header)


@dataclass(frozen=True)
class _Spot:
    """A mark, and rows behind it that were handed over."""

    mark: Mark
    rows: int


class FileTail:
    """Reads one file, by its identity: renaming it does not matter.

    Reading: `read_on`, `end`, then `take` until there is nothing. Looking: `is_as_read`.

    A position has ``file`` (device and inode), ``head`` (length and checksum of its first bytes),
    ``offset`` and ``line`` of a mark, and the ``rows`` behind it that were taken.

    Args:
        file: which.
        lines: how it is read.
        held: position to go on from.
    """

    def __init__(self, file: FileIdentity, lines: Lines, held: Position | None = None) -> None:
        self.file, self._lines = file, lines
        self._queue: deque[tuple[Rows, _Spot]] = deque()
        self._head, self._skip, self._spot = [0, 0], 0, _Spot(FILE_START, 0)
        if held is not None:
            self._head, self._skip = held["head"], held["rows"]
            self._spot = _Spot(Mark(held["offset"], held["line"]), held["rows"])
        self._begun: LineDecoder | None = None
        self._last = b""
        self.changed_ns: int | None = None
        """When the file was written, as of the last look; None: nobody looked."""

    @property
    def position(self) -> Position:
        return {
            "file": list(self.file),
            "head": self._head,
            "offset": self._spot.mark.offset,
            "line": self._spot.mark.line,
            "rows": self._spot.rows,
        }

    @property
    def offset(self) -> int:
        """Bytes that were read."""
        begun = self._begun
        return begun.mark.offset + begun.waiting if begun else self._spot.mark.offset

    @property
    def line(self) -> int:
        """Number of the line that is not whole yet."""
        return self._begun.mark.line if self._begun else self._spot.mark.line

    def is_as_read(self, found: os.stat_result) -> bool:
        """Tell whether a file is this one, and was not written since: what most looks find."""
        return (
            found.st_size == self.offset
            and found.st_mtime_ns == self.changed_ns
            and (found.st_dev, found.st_ino) == self.file
        )

    def read_on(self) -> bool:
        """Read some more; False if there is nothing now.

        Raises:
            LostError: the file is gone, or was written anew.
        """
        shared, path, offset = self._lines.shared, self._lines.path, self.offset
        found = shared.stat(self.file, path)
        data = None if found is None else shared.read(self.file, path, BLOCK_BYTES_MAX, offset)
        if found is None or data is None:
            msg = f"the file that was read up to byte {offset:,} is gone"
            raise LostError(msg)
        if data or found.st_mtime_ns != self.changed_ns:
            self.check()
        self.changed_ns = found.st_mtime_ns
        if data:
            self._last = (self._last + data[-_BEHIND_BYTES:])[-_BEHIND_BYTES:]
            self._keep(self._decoder.mark, self._decoder.feed(data))
        return bool(data)

    def check(self) -> None:
        """Make sure that what was read is there as it was, as far as a few bytes can tell.

        Raises:
            LostError: it is not.
        """
        shared, path, offset = self._lines.shared, self._lines.path, self.offset
        found = shared.stat(self.file, path)
        if found is None:
            msg = f"the file that was read up to byte {offset:,} is gone"
        elif found.st_size < offset:
            msg = f"it had been read up to byte {offset:,}, and now has {found.st_size:,}"
        elif shared.head(self.file, path, self._head[0]) != self._head:
            msg = f"its first {self._head[0]:,} bytes are other ones now"
        elif shared.read(self.file, path, len(self._last), offset - len(self._last)) != self._last:
            msg = f"the bytes before byte {offset:,} are other ones now"
        else:
            return
        raise LostError(msg)

    def end(self) -> None:
        """Take the last line, which lacks its end."""
        self._keep(self._decoder.mark, self._decoder.end())

    def take(self) -> Rows | None:
        """Hand over what was read; the position is behind it."""
        if not self._queue:
            return None
        rows, self._spot = self._queue.popleft()
        return rows

    @property
    def _decoder(self) -> LineDecoder:
        """Made when there is something to decode: the file was checked then."""
        if self._begun is None:
            self._begun = self._lines.decoder(self.file, self._spot.mark)
        return self._begun

    def _keep(self, start: Mark, items: list[Rows]) -> None:
        """Queue rows with the place behind each; those of before a restart are left out.

        Args:
            start: where the text of the rows begins.
            items: all of its rows.
        """
        behind, rows = _Spot(self._decoder.mark, 0), 0
        for item in items:
            size = count_of(item)
            dropped = min(self._skip, size)
            self._skip -= dropped
            rows += size
            if dropped < size:
                at = behind if item is items[-1] else _Spot(start, rows)
                self._queue.append((self._lines.whole(without_first(item, dropped)), at))
        if not (self._queue or self._skip):
            self._spot = behind
        if self._head[0] < min(behind.mark.offset, _HEAD_BYTES):
            upto = min(behind.mark.offset, _HEAD_BYTES)
            self._head = self._lines.shared.head(self.file, self._lines.path, upto)
