"""The text file at a path, as it grows and is rotated: rows of one after another, as written."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from eventtime.errors import SourceError
from eventtime.sources.base import MalformedRows, Poll
from eventtime.sources.file_tail import TAIL, FileTail, LostError
from eventtime.sources.marks import START_ANEW
from eventtime.sources.open_files import FileIdentity, file_of, find_file, identity, look_at
from eventtime.sources.positions import checked
from eventtime.sources.rotated import file_between
from eventtime.sources.textblocks import malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from eventtime.clock import Clock
    from eventtime.sources.base import Position, Rows
    from eventtime.sources.file_tail import Lines

__all__ = ("GrowingFile",)

_POSITION: Final = {"current": dict | None, "written_ns": int, "old": list, "passed": list}
_OLD: Final = {**TAIL, "is_settled": bool}

_SETTLED_US: Final = 10_000_000
"""A file that was rotated away and does not grow for so long is taken as whole."""

_MOST_PASSED: Final = 16


class GrowingFile:
    """Reads the files that a path leads to, one after another.

    When the path leads to another file, which has bytes, the one before is read to its end first,
    as it lies in the same folder under whatever name; then those that came between. One that was
    rotated away is followed on until the next one is, for its writer may go on with it for a while:
    its rows come among those of the new one, its last line, if that has no end, once the file has
    not grown for 10 s. A path that leads nowhere is quiet.

    A position has ``current``, where reading stands in a file (see `FileTail`) or null;
    ``written_ns``, when that was written while the path led to it, or 0; ``old``, the same as
    ``current`` of those that were rotated away, with ``is_settled``, whether they are taken as
    whole; and ``passed``: files that were read before, which are not new under other names.

    Args:
        name: of the partition.
        lines: path, and how its files are read.
        clock: of the machine's time.
        is_known: whether a file, at a path, is read by another partition.
        held: position to go on from.
    """

    def __init__(
        self,
        name: str,
        lines: Lines,
        clock: Clock,
        is_known: Callable[[FileIdentity, str], bool],
        held: Position | None = None,
    ) -> None:
        self.name, self._lines, self._clock, self._is_known = name, lines, clock, is_known
        self._old: list[_Old] = []
        self._passed: list[FileIdentity] = []
        self._told: list[Rows] = []
        self._is_last = self._has_ended = self._has_moved = False
        self._tail: FileTail | None = None
        self._written_ns = 0
        self._unbegun: FileIdentity | None = None
        with self._readable():
            if held is not None:
                self._go_on(checked(held, _POSITION, partition=name))
            if self._tail is None:
                self._begin()

    @property
    def position(self) -> Position:
        return {
            "current": self._tail and self._tail.position,
            "written_ns": self._written_ns,
            "old": [old.position for old in self._old],
            "passed": [list(file) for file in self._passed],
        }

    @property
    def identities(self) -> list[FileIdentity]:
        """Which files this has read, and reads."""
        old = [old.tail.file for old in self._old]
        return [*self._passed, *old, *([self._tail.file] if self._tail else [])]

    @property
    def bytes_read(self) -> int:
        """Of the current file."""
        return 0 if self._tail is None else self._tail.offset

    def moved(self) -> Position | None:
        """See `Moving`: files were taken as whole, or left."""
        moved, self._has_moved = self._has_moved, False
        return self.position if moved else None

    def end(self) -> None:
        """Take the file as whole: once it has been read, its last line needs no line end."""
        self._is_last = True

    def read(self) -> pa.RecordBatch | MalformedRows | Poll:
        while True:
            rows = self._take()
            if rows is not None:
                return rows
            if self._has_ended:
                return Poll.END
            with self._readable():
                if not self._look():
                    return Poll.PAUSE

    def close(self) -> None:
        self._lines.shared.close()

    def _take(self) -> Rows | None:
        if self._told:
            return self._told.pop()
        for old in self._old:
            if (rows := old.tail.take()) is not None:
                return rows
        return None if self._tail is None else self._tail.take()

    def _begin(self) -> bool:
        file = identity(self._lines.path)
        self._tail = None if file is None else FileTail(file, self._lines)
        return file is not None

    def _go_on(self, held: Position) -> None:
        self._passed = [FileIdentity(*file) for file in held["passed"]]
        for known in held["old"]:
            position = checked(known, _OLD, partition=self.name)
            tail = FileTail(FileIdentity(*position["file"]), self._lines, position)
            self._old.append(
                _Old(tail, self._lines, self._clock, is_settled=position["is_settled"])
            )
        self._written_ns = held["written_ns"]
        if held["current"] is not None:
            position = checked(held["current"], TAIL, partition=self.name)
            self._tail = FileTail(FileIdentity(*position["file"]), self._lines, position)
            try:
                self._tail.check()
            except LostError as lost:
                raise self._refused(lost) from lost

    def _look(self) -> bool:
        """Read some more, or go over to the next file; False if there is nothing now."""
        if self._old and self._look_at_old():
            return True
        if self._tail is None:
            return self._begin()
        found = look_at(self._lines.path)
        if found is not None and self._tail.is_as_read(found) and not self._is_last:
            return False
        return self._read_on(self._tail, found) or self._go_over(self._tail, found)

    def _read_on(self, tail: FileTail, found: os.stat_result | None) -> bool:
        if found is not None and file_of(found) == tail.file:
            self._written_ns = found.st_mtime_ns
        try:
            return tail.read_on()
        except LostError as lost:
            if found is None and not self._is_last:
                return False
            raise self._refused(lost) from lost

    def _go_over(self, tail: FileTail, found: os.stat_result | None) -> bool:
        """At the end of what there is: go over to the next file, if there is one."""
        if self._is_last:
            self._end_all()
            return True
        if found is None or file_of(found) == tail.file:
            return False
        there, is_begun = file_of(found), found.st_size > 0
        if there == self._unbegun and not is_begun:
            return False
        since_ns = self._written_ns or tail.changed_ns or 0
        between = file_between(self._lines.path, tail.file, since_ns, self._knows)
        if between is None and not is_begun:
            # A writer goes on with the old file for a while: until it begins with the new one.
            self._unbegun = there
            return False
        self._pass_on(tail, between or there)
        return True

    def _pass_on(self, tail: FileTail, next_one: FileIdentity) -> None:
        self._old.append(_Old(tail, self._lines, self._clock))
        self._passed = [*self._passed[1 - _MOST_PASSED :], tail.file]
        self._tail, self._written_ns = FileTail(next_one, self._lines), 0
        self._has_moved = True

    def _knows(self, file: FileIdentity, path: str) -> bool:
        return file in self.identities or self._is_known(file, path)

    def _look_at_old(self) -> bool:
        """Look at the files that were rotated away; whether there are rows."""
        # Before the one that was rotated away last, those that are whole are left.
        self._old = [*(old for old in self._old[:-1] if not old.is_settled), self._old[-1]]
        for old in list(self._old):
            try:
                if old.look():
                    self._has_moved |= old.is_settled
                    return True
            except LostError as lost:
                self._old.remove(old)
                self._has_moved = True
                self._lines.shared.forget(old.tail.file)
                if not old.is_settled:
                    self._told.append(self._untold(old, lost))
                    return True
        return False

    def _end_all(self) -> None:
        assert self._tail is not None
        for tail in [*(old.tail for old in self._old if not old.is_settled), self._tail]:
            tail.end()
        self._has_ended = True

    def _untold(self, old: _Old, lost: LostError) -> Rows:
        """Set the fact aside that rows may be missing.

        Raises:
            SourceError: that is an error.
        """
        where = f"{self._lines.path}, line {old.tail.line}"
        msg = f"after it was rotated away its writer may have added rows, but {lost}"
        if self._lines.form.on_malformed != "error":
            return malformed([(old.tail.line, "", f"{where}: {msg}")])
        remedy = (
            "compress or remove a file 10 s after it was renamed (delaycompress), or start anew "
            "without the checkpoint; on_malformed='quarantine' sets this fact aside and goes on"
        )
        raise SourceError(msg, place=where, remedy=remedy)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = f"the file cannot be read: {error.strerror or error}"
            remedy = "give it back, or the permission; run(restart=et.restart(…)) waits for it"
            raise SourceError(msg, place=self._lines.path, remedy=remedy) from error

    def _refused(self, lost: LostError) -> SourceError:
        msg = f"the file changed while it was followed: {lost}"
        remedy = "rotate by renaming, and keep the old file beside the new one; or " + START_ANEW
        return SourceError(msg, place=self._lines.path, remedy=remedy)


class _Old:
    """A file that was rotated away, while its writer may go on with it.

    Args:
        tail: of it.
        lines: how it is read.
        clock: of the machine's time.
        is_settled: whether it has not grown for a while, and its last line was taken.
    """

    def __init__(
        self, tail: FileTail, lines: Lines, clock: Clock, *, is_settled: bool = False
    ) -> None:
        self.tail, self._lines, self._clock, self.is_settled = tail, lines, clock, is_settled
        self._grew_us = self._looked_us = clock.now_us()
        self._name: str | None = None

    @property
    def position(self) -> Position:
        return {**self.tail.position, "is_settled": self.is_settled}

    def look(self) -> bool:
        """Read some more; whether there are rows.

        Raises:
            LostError: it cannot be read any more.
        """
        now_us = self._clock.now_us()
        if self.is_settled and 0 <= now_us - self._looked_us < _SETTLED_US:
            return False
        self._looked_us, self._grew_us = now_us, min(self._grew_us, now_us)
        if self.is_settled and self._is_as_it_was():
            return False
        if self.tail.read_on():
            self._grew_us, self.is_settled = now_us, False
            return True
        if now_us - self._grew_us < _SETTLED_US:
            return False
        if not self.is_settled:
            self.tail.end()
        was_settled, self.is_settled = self.is_settled, True
        # Looked at by its name from now on: removed, it gives its room on the disk back.
        self._name = find_file(os.path.dirname(self._lines.path), self.tail.file)
        self._lines.shared.forget(self.tail.file)
        return not was_settled

    def _is_as_it_was(self) -> bool:
        found = None if self._name is None else look_at(self._name)
        return found is not None and self.tail.is_as_read(found)
