"""Files of one folder one after another, in the order of their names, as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from eventtime.errors import SourceError
from eventtime.sources.base import MalformedRows, Moving, Poll
from eventtime.sources.positions import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from eventtime.sources.base import Position
    from eventtime.sources.datafile import DataFile

__all__ = ("ArrivingFiles", "FileReader")

_POSITION: Final = {"current": str | None, "inside": dict | None, "is_read": bool}
_MOST_WATCHED: Final = 16
"""Files that were read last, which may not have grown since."""

_BEGINNING: Final = {"current": None, "inside": None, "is_read": True}


class FileReader(Protocol):
    """Reads one of the files; of those that grow, `end` says that it is whole."""

    @property
    def position(self) -> Position: ...
    def read(self) -> pa.RecordBatch | MalformedRows | Poll: ...
    def close(self) -> None: ...


class ArrivingFiles:
    """A partition of files whose names ascend.

    A file that may grow is whole once there is a later one. Those whose names come before that of
    the current one have been read, also while nobody looked. A position has the name of the
    ``current`` file, where reading stands ``inside`` it, and whether all of it ``is_read``.

    Args:
        name: of the partition.
        opened: opens a file, at its beginning or a position.
        ends: whether nothing more comes behind the files known.
        held: position to go on from.
    """

    def __init__(
        self,
        name: str,
        opened: Callable[[DataFile, Position | None], FileReader],
        *,
        ends: bool = False,
        held: Position | None = None,
    ) -> None:
        self.name, self._opened, self._ends = name, opened, ends
        known = checked(held or dict(_BEGINNING), _POSITION, partition=name)
        self._current: str | None = known["current"]
        self._inside: Position | None = known["inside"]
        self._is_read: bool = known["is_read"]
        self._reader: FileReader | None = None
        self._waiting: list[DataFile] = []
        self._taken_in: set[str] | None = None
        self._whole: dict[str, int] = {}

    @property
    def position(self) -> Position:
        return {"current": self._current, "inside": self._inside, "is_read": self._is_read}

    def take_in(self, files: Sequence[DataFile]) -> None:
        """Take in the files that are there; those known are left out.

        Raises:
            SourceError: one that is new comes before others that have been read, or one that was
                read has grown.
        """
        self._check_whole(files)
        is_first, known = self._taken_in is None, self._taken_in or set()
        new = [file for file in files if file.name not in known]
        self._taken_in = {file.name for file in files}
        for file in new:
            is_behind = self._current is None or file.name > self._current
            if is_behind or (is_first and file.name == self._current and not self._is_read):
                self._waiting.append(file)
            elif not is_first and file.name != self._current:
                msg = f"file {file.name!r} came when {self._current!r} had been begun already"
                remedy = "name new files so that names ascend, or use partition_by='file'"
                raise SourceError(msg, place=file.path, remedy=remedy)
        self._waiting.sort(key=lambda file: file.name)

    def read(self) -> pa.RecordBatch | MalformedRows | Poll:
        while True:
            if self._reader is None and not self._open_next():
                return Poll.END if self._ends else Poll.PAUSE
            assert self._reader is not None
            answer = self._reader.read()
            if answer is Poll.END:
                self._close_current()
            elif answer is Poll.PAUSE:
                end = getattr(self._reader, "end", None)
                if not self._waiting or end is None:
                    return answer
                end()
            else:
                self._inside = self._reader.position
                return answer

    def moved(self) -> Position | None:
        reader: object = self._reader
        inside = reader.moved() if isinstance(reader, Moving) else None
        if inside is None:
            return None
        self._inside = inside
        return self.position

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _check_whole(self, files: Sequence[DataFile]) -> None:
        for file in files:
            if file.size > self._whole.get(file.name, file.size):
                msg = f"file {file.name!r} grew after {self._current!r} had been begun"
                remedy = "begin a file when the one before is whole, or use partition_by='file'"
                raise SourceError(msg, place=file.path, remedy=remedy)

    def _open_next(self) -> bool:
        if not self._is_read and (not self._waiting or self._waiting[0].name != self._current):
            msg = f"file {self._current!r}, which was being read, is gone"
            remedy = "bring it back, or start anew without the checkpoint"
            raise SourceError(msg, place=f"partition {self.name!r}", remedy=remedy)
        if not self._waiting:
            return False
        file = self._waiting.pop(0)
        inside = None if self._is_read else self._inside
        self._reader = self._opened(file, inside)
        self._current, self._is_read = file.name, False
        self._inside = self._reader.position
        return True

    def _close_current(self) -> None:
        assert self._reader is not None
        read = getattr(self._reader, "bytes_read", None)
        if read is not None and self._current is not None:
            self._whole[self._current] = read
            while len(self._whole) > _MOST_WATCHED:
                del self._whole[next(iter(self._whole))]
        self._reader.close()
        self._reader, self._inside, self._is_read = None, None, True
