"""From paths as the user writes them to files: one file, many, globs, folders, URIs."""

from __future__ import annotations

import itertools
import os
import posixpath
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.sources.datafile import HIVE_NULL, DataFile
from eventtime.sources.globs import expand_glob, glob_matches, has_glob, is_hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyarrow.fs import FileInfo, FileSystem

__all__ = ("common_root", "locate", "would_locate")

_URI = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")


def locate(
    paths: Sequence[str],
    filesystem: FileSystem | None,
    suffixes: tuple[str, ...],
    *,
    hive: bool,
    may_be_none: bool = False,
) -> tuple[DataFile, ...]:
    """Find the files that paths mean, sorted by path, each once, whatever links lead to it.

    A path is a file, a folder (searched with its subfolders for files with one of ``suffixes``), or
    a glob (``*``, ``?``, ``[ab]`` within a path segment, ``**`` for any number of folders) whose
    matches are files or folders. Hidden files and folders (``.name``, ``_name``) count only when
    written out.

    Args:
        paths: at least one; local paths or URIs (``s3://``, ``gs://``, ``file://``), all of one
            file system.
        filesystem: where to look instead; paths are then used as they are.
        suffixes: what files in a folder must end with, lower case.
        hive: whether ``key=value`` folders become columns.
        may_be_none: whether paths may lead to no file, as they are looked at again later.

    Raises:
        SourceError: a path does not exist, a glob or folder holds no file, or paths are on several
            file systems.
    """
    if not paths:
        msg = "no path is given"
        raise SourceError(msg, place="paths", remedy="name a file, a folder or a glob")
    found: dict[str, tuple[FileInfo, str]] = {}
    for path in paths:
        store, inner = _resolve(path, filesystem)
        if filesystem is not None and store != filesystem:
            message = f"{path!r} is on another file system than {paths[0]!r}"
            raise SourceError(
                message, place="paths", remedy="read each on its own and join them with union"
            )
        filesystem = store
        for info in _files(store, inner, path, suffixes, may_be_none=may_be_none):
            found.setdefault(info.path, (info, _root(inner, info.path)))
    assert filesystem is not None  # at least one path has been resolved
    chosen = sorted(found)
    if filesystem.type_name == "local":
        chosen = _each_once(chosen)
    return tuple(
        DataFile(
            filesystem,
            path,
            info.size or 0,
            root,
            _hive_pairs(posixpath.dirname(path)) if hive else (),
        )
        for path, (info, root) in ((path, found[path]) for path in chosen)
    )


def would_locate(
    path: str, paths: Sequence[str], filesystem: FileSystem | None, suffixes: tuple[str, ...]
) -> bool:
    """Tell whether `locate` would find a local file in a folder or by a glob, if it were there.

    Args:
        path: of the file, without links.
        paths: what `locate` was given, with the same ``filesystem`` and ``suffixes``.
    """
    for given in paths:
        if _URI.match(given) and not given.startswith("file://"):
            continue
        store, inner = _resolve(given, filesystem)
        if store.type_name == "local" and _leads_to(inner, path, suffixes):
            return True
    return False


def common_root(paths: Sequence[str], filesystem: FileSystem | None) -> str:
    """Return what all paths begin with, up to their wildcards, whichever files there are."""
    plain = []
    for path in paths:
        inner = _resolve(path, filesystem)[1].rstrip("/")
        segments = itertools.takewhile(lambda segment: not has_glob(segment), inner.split("/"))
        plain.append("/".join(segments) or "/")
    return posixpath.commonpath(plain)


def _root(inner: str, path: str) -> str:
    """Return the folder that a given path means: itself, or what comes before wildcards."""
    if path.startswith(f"{inner.rstrip('/')}/"):
        return inner
    if path == inner or not has_glob(inner):
        return posixpath.dirname(path)
    plain = itertools.takewhile(lambda segment: not has_glob(segment), inner.split("/"))
    return "/".join(plain)


def _leads_to(inner: str, path: str, suffixes: tuple[str, ...]) -> bool:
    folders = [path[:i] for i, letter in enumerate(path) if letter == "/"]
    if path.lower().endswith(suffixes):
        inside = [folder for folder in folders if not is_hidden(path[len(folder) :])]
    else:
        inside = []
    if os.path.lexists(inner) or not has_glob(inner):
        return os.path.realpath(inner) in inside
    segments = inner.split("/")
    first = next(i for i, segment in enumerate(segments) if has_glob(segment))
    root = os.path.realpath("/".join(segments[:first]) or "/")
    pattern = "/".join([root.rstrip("/"), *segments[first:]])
    return any(glob_matches(pattern, name) for name in (path, *inside))


def _each_once(paths: Sequence[str]) -> list[str]:
    """Leave out links to files that are there under another path; sorted paths stay so."""
    real = _real_paths(paths)
    if all(path == real[path] for path in paths):
        return list(paths)
    first: dict[str, str] = {}
    # The path without a link first, which alone speaks of the file's own hive folders.
    for path in sorted(paths, key=lambda path: (path != real[path], path)):
        first.setdefault(real[path], path)
    return [path for path in paths if first[real[path]] == path]


def _real_paths(paths: Sequence[str]) -> dict[str, str]:
    """Return paths without links: folders are looked up once, for they hold many files."""
    folders: dict[str, str] = {}
    real: dict[str, str] = {}
    for path in paths:
        folder, name = posixpath.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder).rstrip("/")
        is_link = os.path.islink(path)
        real[path] = os.path.realpath(path) if is_link else f"{folders[folder]}/{name}"
    return real


def _resolve(path: str, filesystem: FileSystem | None) -> tuple[FileSystem, str]:
    from pyarrow import fs

    if not _URI.match(path):
        if filesystem is not None and filesystem.type_name != "local":
            return filesystem, path
        # Absolute, so that names and errors do not depend on a later change of the working folder.
        return filesystem or fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    try:
        return fs.FileSystem.from_uri(path)  # type: ignore[no-any-return]
    except (pa.ArrowException, OSError, ValueError) as error:
        message = f"the URI {path!r} cannot be opened: {' '.join(str(error).split())}"
        remedy = "check scheme, bucket and credentials, or pass filesystem="
        raise SourceError(message, place="paths", remedy=remedy) from error


def _files(
    store: FileSystem, inner: str, given: str, suffixes: tuple[str, ...], *, may_be_none: bool
) -> list[FileInfo]:
    try:
        return _looked_up(store, inner, given, suffixes, may_be_none=may_be_none)
    except (pa.ArrowException, OSError) as error:
        message = f"{given!r} cannot be looked up: {' '.join(str(error).split())}"
        raise SourceError(
            message, place="paths", remedy="check permissions and credentials"
        ) from error


def _looked_up(
    store: FileSystem, inner: str, given: str, suffixes: tuple[str, ...], *, may_be_none: bool
) -> list[FileInfo]:
    from pyarrow import fs

    info = store.get_file_info(inner)
    if info.type == fs.FileType.NotFound and has_glob(inner):
        matches = expand_glob(store, inner)
        if not (matches or may_be_none):
            message = f"no file matches {given!r}"
            raise SourceError(
                message, place="paths", remedy="check the pattern; ** stands for any folders"
            )
        expanded = [
            _expand(store, match, given, suffixes, may_be_none=may_be_none)
            for match in matches
            if match.type != fs.FileType.Unknown
        ]
        return [file for files in expanded for file in files]
    if info.type == fs.FileType.NotFound and may_be_none:
        return []
    if info.type == fs.FileType.NotFound:
        message = f"there is no file or folder {given!r}"
        raise SourceError(
            message, place=f"looked for {inner}", remedy="check the path and the working folder"
        )
    return _expand(store, info, given, suffixes, may_be_none=may_be_none)


def _expand(
    store: FileSystem, info: FileInfo, given: str, suffixes: tuple[str, ...], *, may_be_none: bool
) -> list[FileInfo]:
    from pyarrow import fs

    if info.type == fs.FileType.Unknown:
        message = f"{info.path!r} is a pipe or a device, which cannot be read twice, and no file"
        remedy = "read it as standard input, with et.read_stdin or `eventtime tail -`, or copy it"
        raise SourceError(message, place="paths", remedy=remedy)
    if info.type != fs.FileType.Directory:
        return [info]
    root = info.path.rstrip("/")
    inside = [
        entry
        for entry in store.get_file_info(fs.FileSelector(info.path, recursive=True))
        if entry.type == fs.FileType.File and not is_hidden(entry.path[len(root) :])
    ]
    wanted = [entry for entry in inside if entry.path.lower().endswith(suffixes)]
    if not (wanted or may_be_none):
        kinds = " or ".join(suffixes[:3])
        message = f"the folder {given!r} holds no {kinds} file, but {len(inside)} other(s)"
        raise SourceError(
            message, place=info.path, remedy="name the files, or use a glob such as 'folder/*'"
        )
    return wanted


@lru_cache(maxsize=1_024)
def _hive_pairs(folder: str) -> tuple[tuple[str, str | None], ...]:
    """Read ``key=value`` from the path of a folder, which holds many files; percent-decoded.

    >>> _hive_pairs("/data/year=2024/city=New%20York")
    (('year', '2024'), ('city', 'New York'))
    """
    pairs = []
    for segment in folder.split("/"):
        key, equals, value = segment.partition("=")
        if equals and key:
            pairs.append((unquote(key), None if value == HIVE_NULL else unquote(value)))
    return tuple(pairs)
