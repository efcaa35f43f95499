"""Names of files that were rotated away, and which of them lie between two at one path."""

from __future__ import annotations

import contextlib
import filecmp
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventtime.errors import SourceError
from eventtime.sources.open_files import FileIdentity, file_of
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ("file_between", "is_rotated_name")

_STAMP = r"(?:[-._]?[0-9][-._:T0-9]*Z?)"
_WORD = r"(?:\.(?:old|bak|prev|previous|last)|~)"


@dataclass(frozen=True)
class _Old:
    """A file that was rotated away."""

    file: FileIdentity
    name: str
    changed_ns: int

    @property
    def order(self) -> tuple[int, list[int]]:
        """As time goes on; of those written at once, numbers count down and dates count up."""
        numbers = [int(digits) for digits in re.findall("[0-9]+", self.name)]
        is_count = len(numbers) == 1 and numbers[0] < 100_000
        return self.changed_ns, [-n for n in numbers] if is_count else numbers


def is_rotated_name(path: str, name: str) -> bool:
    """Tell whether tools that rotate files would give this name to the one at a path.

    >>> names = ("a.log.1", "a.log-20260102", "a-2026-01-02T03.log", "a.1", "a.log.old", "a.log~")
    >>> all(is_rotated_name("/logs/a.log", name) for name in names)
    True
    >>> [is_rotated_name("/logs/a.log", name) for name in ("a.log", "ab.log", "a.log.1.gz")]
    [False, False, False]
    """
    base = os.path.basename(path)
    stem, suffix = os.path.splitext(base)
    forms = (
        f"{re.escape(base)}(?:{_STAMP}|{_WORD})",
        f"{re.escape(stem)}{_STAMP}(?:{re.escape(suffix)})?",
    )
    return name != base and any(re.fullmatch(form, name) for form in forms)


def file_between(
    path: str,
    current: FileIdentity,
    since_ns: int,
    is_known: Callable[[FileIdentity, str], bool],
) -> FileIdentity | None:
    """Return the file that came to a path next after another, and was rotated away since.

    Such a file has a name as they are given to rotated ones, was written after the other, nobody
    has read it, and it is no copy of an older one. Files that are gone altogether cannot be told.

    Args:
        path: which leads to a later file now.
        current: was read to its end.
        since_ns: when that was written the last time.
        is_known: whether a file, at a path, is read by somebody.

    Raises:
        SourceError: there is one, and the other is gone: there may have been more between them.
    """
    folder, here = os.path.split(path)
    mine, between, older = None, list[_Old](), list[_Old]()
    with os.scandir(folder) as entries:
        for entry in entries:
            is_mine = entry.inode() == current.inode
            if entry.name == here or not (is_mine or is_rotated_name(path, entry.name)):
                continue
            old = _old(entry)
            if old is None:
                continue
            if old.file == current:
                mine = old
            elif old.changed_ns < since_ns:
                older.append(old)
            elif not is_known(old.file, entry.path):
                between.append(old)
    if mine is not None:
        # Of those written at once, it is the name that tells which was first.
        between = [old for old in between if old.changed_ns > since_ns or old.order > mine.order]
        between = [old for old in between if not _is_copy(folder, old, [mine, *older])]
    if not between:
        return None
    between.sort(key=lambda old: old.order)
    if mine is None:
        names = ", ".join(old.name for old in between[:3])
        msg = (
            f"the file was rotated several times between two looks, and the one read last is gone: "
            f"{counted(len(between), 'file')} followed ({names}), others may be gone too"
        )
        remedy = "keep more rotated files beside the new one, or start anew without the checkpoint"
        raise SourceError(msg, place=path, remedy=remedy)
    return between[0].file


def _is_copy(folder: str, old: _Old, others: Sequence[_Old]) -> bool:
    """Tell whether a file holds the same bytes as one of others, as a backup does."""
    path = os.path.join(folder, old.name)
    with contextlib.suppress(OSError):  # gone meanwhile, or not for us to read
        return any(
            filecmp.cmp(path, os.path.join(folder, other.name), shallow=False) for other in others
        )
    return False


def _old(entry: os.DirEntry[str]) -> _Old | None:
    """Look at a file; None if it is none, or empty."""
    try:
        found = entry.stat(follow_symlinks=False)
        if not entry.is_file(follow_symlinks=False) or not found.st_size:
            return None
    except FileNotFoundError:
        return None
    return _Old(file_of(found), entry.name, found.st_mtime_ns)
