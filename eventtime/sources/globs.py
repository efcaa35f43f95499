"""Globs over any `pyarrow.fs` file system, one listing for each folder entered."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

__all__ = ("expand_glob", "glob_matches", "has_glob", "is_hidden")

_MAGIC = re.compile(r"[*?\[]")


def has_glob(path: str) -> bool:
    """Tell whether a path holds a wildcard."""
    return _MAGIC.search(path) is not None


def is_hidden(relative_path: str) -> bool:
    """Tell whether a file or one of its folders begins with ``.`` or ``_`` (``_SUCCESS``).

    A hive folder such as ``_day=3`` is not hidden.
    """
    return any(
        name[:1] in {".", "_"} and "=" not in name for name in relative_path.split("/") if name
    )


def expand_glob(filesystem: FileSystem, pattern: str) -> list[FileInfo]:
    """List files and folders that match, sorted; hidden ones only where spelled out.

    ``**`` stands for any number of folders, also none.
    """
    from pyarrow import fs

    segments = pattern.split("/")
    first = next(i for i, segment in enumerate(segments) if has_glob(segment))
    matches = _walk(filesystem, "/".join(segments[:first]), segments[first:])
    files = {info.path: info for info in matches if info.type != fs.FileType.NotFound}
    return [files[path] for path in sorted(files)]


def glob_matches(pattern: str, path: str) -> bool:
    """Tell whether `expand_glob` would list a path if it were there.

    >>> glob_matches("/data/**/*.csv", "/data/out.csv"), glob_matches("/data/*", "/data/_out.csv")
    (True, False)
    """
    return _matches(pattern.split("/"), path.split("/"))


def _matches(segments: list[str], names: list[str]) -> bool:
    if not (segments and names):
        return not segments and not names
    segment, rest = segments[0], segments[1:]
    if segment == "**":
        is_deeper = not is_hidden(names[0]) and _matches(segments, names[1:])
        return is_deeper or _matches(rest or ["*"], names)
    return _fits(segment, names[0]) and _matches(rest, names[1:])


def _fits(segment: str, name: str) -> bool:
    if not has_glob(segment):
        return name == segment
    spelled_out = segment[0] in "._"
    return fnmatch.fnmatchcase(name, segment) and (spelled_out or not is_hidden(name))


def _walk(filesystem: FileSystem, folder: str, segments: list[str]) -> list[FileInfo]:
    from pyarrow import fs

    segment, rest = segments[0], segments[1:]
    if not has_glob(segment):
        path = f"{folder}/{segment}"
        return _walk(filesystem, path, rest) if rest else [filesystem.get_file_info(path)]
    selector = fs.FileSelector(folder or "/", allow_not_found=True)
    entries: list[FileInfo] = filesystem.get_file_info(selector)
    found: list[FileInfo] = []
    if segment == "**":
        found = _walk(filesystem, folder, rest or ["*"])
        for entry in entries:
            if entry.type == fs.FileType.Directory and not is_hidden(entry.base_name):
                found += _walk(filesystem, entry.path, segments)
        return found
    for entry in entries:
        if not _fits(segment, entry.base_name):
            continue
        if not rest:
            found.append(entry)
        elif entry.type == fs.FileType.Directory:
            found += _walk(filesystem, entry.path, rest)
    return found
