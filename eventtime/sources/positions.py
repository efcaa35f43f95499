"""Positions of partitions of files: what a place is called outside, and whether it is still there.

A position names what it belongs to, so that other files are refused instead of read on from a
place that means nothing in them.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

from eventtime.checks import shown
from eventtime.errors import SourceError
from eventtime.sources.marks import BEGIN, START_ANEW, Mark, Place

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from eventtime.sources.base import Position
    from eventtime.sources.datafile import DataFile

__all__ = ("FilePositions", "RowPositions", "check_known", "checked")

_FILE_FIELDS = {
    "format": str,
    "file": str,
    "size": int,
    "sample": int | None,
    "offset": int,
    "line": int,
    "total": int | None,
    "rows": int,
    "behind": list,
    "all": list,
    "malformed": bool,
    "ended": bool,
}

_ROW_FIELDS = {"rows": int, "total": int | None, "ended": bool}


def check_known(positions: Mapping[str, Position], names: Collection[str]) -> None:
    """Refuse positions of partitions that are not there.

    Raises:
        SourceError: names the first of them, and some that are there.
    """
    gone = sorted(set(positions) - set(names))
    if gone:
        more = f" and {len(gone) - 1:,} more" if len(gone) > 1 else ""
        there = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
        message = f"partition {gone[0]!r}{more} was read before the checkpoint and is gone"
        raise SourceError(message, place=f"the partitions are {there}", remedy=START_ANEW)


def checked(position: object, fields: Mapping[str, Any], *, partition: str) -> Position:
    """Return a position that has just these fields, of these types.

    Raises:
        SourceError: it is that of another kind of source, or of none.
    """
    if not isinstance(position, dict) or position.keys() != fields.keys():
        wrong = shown(position)
    else:
        bad = [name for name, kind in fields.items() if not isinstance(position[name], kind)]
        wrong = ", ".join(f"{name}={shown(position[name])}" for name in bad)
    if wrong:
        message = f"{wrong} is not where such a source has been read to"
        raise SourceError(message, place=f"position of partition {partition!r}", remedy=START_ANEW)
    return cast("Position", position)


class _Behind(NamedTuple):
    """Files read to their end: how many, their bytes, and a checksum of names and sizes."""

    files: int = 0
    bytes: int = 0
    crc32: int = 0

    def upto(self, files: Sequence[DataFile], count: int) -> _Behind:
        """Go on counting to a number of files that is not less."""
        n, size, crc = self
        for file in files[n:count]:
            size += file.size
            crc = zlib.crc32(f"{file.name}\n{file.size}\n".encode(), crc)
        return _Behind(min(count, len(files)), size, crc)


class FilePositions:
    """Translates places in the files of one partition to positions and back.

    A position has ``format``, ``file`` (the current one, relative to what the user gave), its
    ``size`` in bytes and ``sample`` (see `DataFile`; null where nothing of it was read, or for the
    end of remote files), ``offset``, ``line`` and ``total`` as in `Mark`, the ``rows`` behind that
    mark, ``behind`` (number, bytes and checksum of the files read to their end), ``all`` (number
    and bytes of all files, for people), ``malformed`` (whether the partition delivers malformed
    rows) and ``ended``.
    """

    def __init__(
        self, name: str, files: Sequence[DataFile], file_format: str, *, keep_malformed: bool
    ) -> None:
        self._name = name
        self._files = files
        self._format = file_format
        self._all = [len(files), sum(file.size for file in files)]
        self._keep_malformed = keep_malformed
        self._behind = _Behind()

    def position(self, place: Place, *, ended: bool) -> Position:
        """Return what `find` takes, in this or another process."""
        if ended:
            place = Place(len(self._files) - 1)
        self._behind = self._behind.upto(self._files, place.file + ended)
        file, mark = self._files[place.file], place.mark
        is_sampled = file.is_local if ended else place != Place(place.file)
        return {
            "format": self._format,
            "file": file.name,
            "size": file.size,
            "sample": file.sample if is_sampled else None,
            "offset": mark.offset,
            "line": mark.line,
            "total": mark.total,
            "rows": place.rows,
            "behind": list(self._behind),
            "all": self._all,
            "malformed": self._keep_malformed,
            "ended": ended,
        }

    def find(self, position: Position | None) -> tuple[Place, bool]:
        """Return the place of a position, the beginning for None; and whether all was read.

        Raises:
            SourceError: the files are not those of the position; shows the difference.
        """
        if position is None:
            return BEGIN, False
        held = checked(position, _FILE_FIELDS, partition=self._name)
        ended: bool = held["ended"]
        then = _Behind(*held["behind"])
        index = then.files - ended
        self._check_file(index, held["file"], held["size"], held["sample"])
        now = _Behind().upto(self._files, then.files)
        if now != then:
            names = "" if now.bytes != then.bytes else " under other names or of other sizes"
            _refuse(self._name, f"{_told(then)} had been read, which are now {_told(now)}{names}")
        if ended and len(self._files) > then.files:
            new = self._files[then.files].path
            remedy = "read new files in a run of their own, or take them out"
            _refuse(self._name, f"all files had been read, and now there is also {new}", remedy)
        return Place(index, Mark(held["offset"], held["line"], held["total"]), held["rows"]), ended

    def _check_file(self, index: int, name: str, size: int, sample: int | None) -> None:
        names = [file.name for file in self._files]
        if name not in names:
            _refuse(self._name, f"file {name!r} of {size:,} bytes, which was being read, is gone")
        # Two folders that were given may hold files of the same name.
        if names[index : index + 1] != [name]:
            before = f"{index:,} file(s) came before {name!r}, which was being read"
            _refuse(self._name, f"{before}, and now there are {names.index(name):,}")
        if self._files[index].size != size:
            now = self._files[index].size
            _refuse(self._name, f"file {name!r} had {size:,} bytes and now has {now:,}")
        if sample not in {None, self._files[index].sample}:
            _refuse(self._name, f"file {name!r} still has {size:,} bytes, but other ones")


class RowPositions:
    """Translates places in a partition that is in memory: ``rows`` read, ``total``, ``ended``."""

    def __init__(self, name: str, total: int | None) -> None:
        self._name = name
        self._total = total

    def position(self, place: Place, *, ended: bool) -> Position:
        """Return what `find` takes, in this or another process."""
        return {"rows": place.rows, "total": self._total, "ended": ended}

    def find(self, position: Position | None) -> tuple[Place, bool]:
        """Return the place of a position, the beginning for None; and whether all was read.

        Raises:
            SourceError: the data has another number of rows; shows both.
        """
        if position is None:
            return BEGIN, False
        held = checked(position, _ROW_FIELDS, partition=self._name)
        if held["total"] != self._total:
            then, now = (_counted(total) for total in (held["total"], self._total))
            _refuse(self._name, f"it had {then} and now has {now}")
        return Place(rows=held["rows"]), held["ended"]


def _counted(total: int | None) -> str:
    return "rows that nobody had counted" if total is None else f"{total:,} rows"


def _refuse(partition: str, difference: str, remedy: str = START_ANEW) -> NoReturn:
    message = f"the input changed since the checkpoint: {difference}"
    raise SourceError(message, place=f"partition {partition!r}", remedy=remedy)


def _told(behind: _Behind) -> str:
    return f"{behind.files:,} file(s) of {behind.bytes:,} bytes"
