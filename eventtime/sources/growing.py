"""One text file that grows: whole lines as they are written, also over a rotation."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from eventtime.errors import SourceError
from eventtime.sources.base import MalformedRows, Poll, count_of, without_first
from eventtime.sources.csvfile import CsvFormat
from eventtime.sources.decoding import LineDecoder
from eventtime.sources.filescan import physical, with_constants
from eventtime.sources.hive import Constants
from eventtime.sources.marks import FILE_START, START_ANEW, Mark
from eventtime.sources.open_files import FileIdentity, OpenFiles, identity, is_as_read
from eventtime.sources.positions import checked
from eventtime.sources.textblocks import BLOCK_BYTES_MAX

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.sources.base import Position, Rows
    from eventtime.sources.datafile import DataFile
    from eventtime.sources.decoding import TextFormat
    from eventtime.sources.filescan import FileSet

__all__ = ("GrowingFile",)

_POSITION: Final = {
    "file": list,
    "head": list,
    "offset": int,
    "line": int,
    "rows": int,
    "passed": list,
}


@dataclass(frozen=True)
class _Spot:
    """A mark, and rows behind it that were handed over."""

    mark: Mark
    rows: int


class GrowingFile:
    """Reads a file by its path, and by its identity once it has been replaced.

    When the path leads to another file, which has bytes, the one before is read to its end first,
    as it lies in the same folder under whatever name; its last line needs no line end then. One
    that is gone altogether is quiet.

    A position has ``file`` (device and inode), ``head`` (length and checksum of its first bytes),
    ``offset`` and ``line`` of a mark, the ``rows`` behind it, and ``passed``: files that were read
    to their end at this path, so that one that was renamed is not taken for a new one.

    Args:
        name: of the partition.
        file: its path now, and what the path says.
        files: format, columns inside and in paths.
        wanted: columns to deliver.
        shared: holds files open.
        held: position to go on from.
    """

    def __init__(
        self,
        name: str,
        file: DataFile,
        files: FileSet,
        wanted: pa.Schema,
        shared: OpenFiles,
        held: Position | None = None,
    ) -> None:
        self.name, self._path = name, file.path
        self._files, self._wanted, self._shared = files, wanted, shared
        self._names = list(physical(files.inside, wanted))
        self._constants = Constants.of(file, files.in_paths)
        self._queue: deque[tuple[Rows, _Spot]] = deque()
        self._passed: list[FileIdentity] = []
        self._head = [0, 0]
        self._is_last = self._has_ended = False
        self._file: FileIdentity | None = None
        self._spot, self._skip = _Spot(FILE_START, 0), 0
        if held is None:
            self._begin(identity(self._path))
        else:
            self._go_on(checked(held, _POSITION, partition=name))

    @property
    def position(self) -> Position:
        return {
            "file": list(self._file or ()),
            "head": self._head,
            "offset": self._spot.mark.offset,
            "line": self._spot.mark.line,
            "rows": self._spot.rows,
            "passed": [list(file) for file in self._passed],
        }

    @property
    def identities(self) -> list[FileIdentity]:
        """Which files this has read, and reads."""
        return [*self._passed, *([self._file] if self._file else [])]

    def end(self) -> None:
        """Take the file as whole: once it has been read, its last line needs no line end."""
        self._is_last = True

    def read(self) -> pa.RecordBatch | MalformedRows | Poll:
        while not self._queue:
            if self._has_ended:
                return Poll.END
            if not self._read_on():
                return Poll.PAUSE
        rows, self._spot = self._queue.popleft()
        return rows

    def close(self) -> None:
        self._shared.close()

    def _begin(self, file: FileIdentity | None, mark: Mark = FILE_START) -> None:
        self._file, self._spot = file, _Spot(mark, 0)
        self._decoder = self._decoding(cast("TextFormat", self._files.format), mark)

    def _decoding(self, form: TextFormat, mark: Mark) -> LineDecoder:
        header: list[str] = []
        if mark.offset and self._file is not None and isinstance(form, CsvFormat):
            opening = LineDecoder(form, self._files.inside, self._names, self._path)
            first = self._shared.read(self._file, self._path, BLOCK_BYTES_MAX, 0) or b""
            opening.feed(first[: first.find(b"\n") + 1])
            header = opening.header
        return LineDecoder(form, self._files.inside, self._names, self._path, mark, header)

    def _go_on(self, held: Position) -> None:
        self._passed = [FileIdentity(*file) for file in held["passed"]]
        if not held["file"]:
            self._begin(identity(self._path))
            return
        file, mark = FileIdentity(*held["file"]), Mark(held["offset"], held["line"])
        size = self._shared.size(file, self._path)
        if size is None:
            self._refuse(f"the file that was read up to byte {mark.offset:,} is gone")
        elif size < mark.offset:
            self._refuse(f"it had been read up to byte {mark.offset:,}, and now has {size:,}")
        elif self._shared.head(file, self._path, held["head"][0]) != held["head"]:
            self._refuse(f"its first {held['head'][0]:,} bytes are other ones now")
        self._head = held["head"]
        self._begin(file, mark)
        self._skip = held["rows"]
        self._spot = _Spot(mark, held["rows"])

    def _read_on(self) -> bool:
        """Read some more, or go over to the next file; False if there is nothing now."""
        if self._file is None:
            self._begin(identity(self._path))
            return self._file is not None
        offset = self._decoder.mark.offset + self._decoder.waiting
        if not self._is_last and is_as_read(self._path, self._file, offset):
            return False
        data = self._shared.read(self._file, self._path, BLOCK_BYTES_MAX, offset)
        if data is None and identity(self._path) is None:
            return False
        if data is None:
            self._refuse(
                f"it was replaced, and the one that was read up to byte {offset:,} is gone"
            )
        if data:
            self._keep(self._decoder.mark, self._decoder.feed(data))
            return True
        size = self._shared.size(self._file, self._path)
        if size is not None and size < offset:
            self._refuse(f"it had been read up to byte {offset:,}, and now has {size:,}")
        return self._pass_on(offset)

    def _pass_on(self, offset: int) -> bool:
        """At the end of a file that is whole: take its last line, and the next file."""
        there = identity(self._path)
        # A writer may go on with the old file for a while: until it begins with the new one.
        is_replaced = there is not None and there != self._file and os.path.getsize(self._path) > 0
        if not (is_replaced or self._is_last):
            return False
        assert self._file is not None
        # What was written between the last read and the rename.
        if self._shared.read(self._file, self._path, 1, offset):
            return True
        self._keep(self._decoder.mark, self._decoder.end())
        if self._is_last:
            self._has_ended = True
            return True
        if self._queue:
            return True
        self._passed = [*self._passed[-15:], self._file]
        self._head = [0, 0]
        self._begin(there)
        return True

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
                self._queue.append((self._whole(without_first(item, dropped)), at))
        if not (self._queue or self._skip):
            self._spot = behind
        if self._file is not None and self._head[0] < min(behind.mark.offset, 1_024):
            self._head = self._shared.head(self._file, self._path, behind.mark.offset)

    def _whole(self, rows: Rows) -> Rows:
        if isinstance(rows, MalformedRows):
            return rows
        return with_constants(rows, self._wanted, self._files.inside, self._constants)

    def _refuse(self, difference: str) -> None:
        msg = f"the file changed while it was followed: {difference}"
        remedy = "rotate by renaming, and keep the old file beside the new one; or " + START_ANEW
        raise SourceError(msg, place=self._path, remedy=remedy)
