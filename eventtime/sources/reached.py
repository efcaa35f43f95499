"""How far a partition has been read, in words: what its position says to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventtime.sources.datafile import COMPRESSED
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("position_in_words", "share_read")

_FILE: Final = {"file", "size", "format", "offset", "rows", "total", "behind", "all", "ended"}
_ROWS: Final = {"rows", "total", "ended"}


def position_in_words(position: Mapping[str, Any]) -> str:
    """Say where reading goes on; of a source of the user's, what its position says.

    >>> position_in_words({"rows": 1200, "total": 5000, "ended": False})
    'row 1,200 of 5,000'
    >>> position_in_words({"next": 7})
    'next 7'
    """
    if position.keys() >= _FILE:
        return _in_files(position)
    if position.keys() == _ROWS:
        if position["ended"]:
            return f"all of {counted(position['rows'], 'row')}"
        return f"row {position['rows']:,}{_of(position['total'])}"
    return ", ".join(f"{name} {value}" for name, value in position.items())


def share_read(position: Mapping[str, Any]) -> float | None:
    """Return the share of a partition that has been read, from 0 to 1; None: nobody knows."""
    if position.get("ended") is True:
        return 1.0
    if position.keys() >= _FILE:
        inside = _share_of_file(position)
        _, size = position["all"]
        behind = position["behind"][1]
        return None if inside is None else (behind + inside * position["size"]) / size
    if position.keys() == _ROWS and position["total"]:
        return float(position["rows"] / position["total"])
    return None


def _in_files(position: Mapping[str, Any]) -> str:
    file, (files, _) = position["file"], position["all"]
    number = position["behind"][0] + 1
    if position["ended"]:
        return f"all of {file}" if files == 1 else f"all of {files:,} files, the last {file}"
    where = file if files == 1 else f"{file} (file {number:,} of {files:,})"
    return f"{where}, {_in_file(position)}"


def _in_file(position: Mapping[str, Any]) -> str:
    offset, rows, total = position["offset"], position["rows"], position["total"]
    if not (offset or rows):
        return "at its beginning"
    match position["format"]:
        case "parquet":
            return f"row {offset + rows:,}{_of(total)}"
        case "arrow ipc":
            return f"row {rows:,} of batch {offset + 1:,}{_of(total)}"
        case _:
            of = " as decompressed" if _is_compressed(position) else _of(position["size"])
            return f"{counted(rows, 'row')} behind line {position['line']:,}, byte {offset:,}{of}"


def _share_of_file(position: Mapping[str, Any]) -> float | None:
    """Return the share of the current file; rows behind a mark count where that is of rows."""
    offset, total = position["offset"], position["total"]
    if not (offset or position["rows"]):
        return 0.0
    match position["format"]:
        case "parquet":
            return (offset + position["rows"]) / total if total else None
        case "arrow ipc":
            return offset / total if total else None
        case _:
            # Of the first block nobody knows how much its rows are.
            return None if _is_compressed(position) or not offset else offset / position["size"]


def _is_compressed(position: Mapping[str, Any]) -> bool:
    return str(position["file"]).endswith(COMPRESSED)


def _of(total: int | None) -> str:
    return "" if total is None else f" of {total:,}"
