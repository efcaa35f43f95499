"""Files named on the command line as a stream: format by suffix, partitions as asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from eventtime.cli.column_types import parse_types
from eventtime.errors import PlanError, SourceError
from eventtime.readers import read_csv, read_ipc, read_json_lines, read_parquet
from eventtime.sources.partitions import by_column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.sources.partitions import PartitionBy
    from eventtime.stream import Stream

__all__ = ("FORMATS", "partitioning", "stream_of_files")

FORMATS: Final = ("parquet", "csv", "jsonl", "ipc")
_SUFFIXES: Final = {
    ".parquet": "parquet", ".pq": "parquet", ".parq": "parquet",
    ".csv": "csv", ".tsv": "csv",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".arrow": "ipc", ".ipc": "ipc", ".feather": "ipc", ".arrows": "ipc",
}  # fmt: skip
_PACKED: Final = (".gz", ".bz2", ".zst", ".lz4")
_READERS: Final[dict[str, Callable[..., Stream]]] = {
    "parquet": read_parquet,
    "csv": read_csv,
    "jsonl": read_json_lines,
    "ipc": read_ipc,
}
_LOOKED_AT: Final = 10_000


def stream_of_files(
    files: Sequence[str],
    *,
    time: str,
    time_unit: str | None = None,
    partition_by: str = "file",
    file_format: str | None = None,
    on_malformed: str | None = None,
    types: Sequence[str] = (),
    follow: bool = False,
) -> Stream:
    """Describe the files as a stream.

    Args:
        files: paths, globs, folders or URIs.
        time: event-time column.
        time_unit: of integers.
        partition_by: 'file', 'folder' or 'column:NAME'.
        file_format: one of `FORMATS`; None: by suffix.
        on_malformed: 'error' or 'quarantine', of text formats.
        types: of columns of text formats, as `NAME=TYPE`.
        follow: whether to go on as files grow and new ones come.

    Raises:
        PlanError: the format cannot be told, or an option does not go with it.
        SourceError: a file or folder that is needed to tell the format is not there.
    """
    chosen = file_format or _format(files)
    options: dict[str, Any] = {}
    if on_malformed is not None:
        _check_text(chosen, "have no rows that do not parse", "--on-malformed")
        options["on_malformed"] = on_malformed
    if types:
        _check_text(chosen, "say the types of their columns", "--type")
        options["schema"] = parse_types(types)
    return _READERS[chosen](
        list(files),
        time=time,
        time_unit=time_unit,
        partition_by=partitioning(partition_by),
        follow=follow,
        **options,
    )


def _check_text(chosen: str, why: str, option: str) -> None:
    if chosen not in {"csv", "jsonl"}:
        msg = f"{chosen} files {why}"
        raise PlanError(msg, place=option, remedy="leave it out")


def partitioning(text: str) -> PartitionBy:
    """Read what a partition is.

    Raises:
        PlanError: none of 'file', 'folder', 'column:NAME'.

    >>> partitioning("column:origin")
    ByColumn(column='origin')
    """
    if text == "file":
        return "file"
    if text == "folder":
        return "folder"
    kind, _, name = text.partition(":")
    if kind == "column" and name:
        return by_column(name)
    msg = f"{text!r} names no way to make partitions"
    remedy = "write file, folder, or column:NAME such as column:origin"
    raise PlanError(msg, place="--partition-by", remedy=remedy)


def _format(files: Sequence[str]) -> str:
    found = {path: _of_path(path) for path in files}
    kinds = sorted({kind for kind in found.values() if kind is not None})
    unknown = [path for path, kind in found.items() if kind is None]
    if len(kinds) == 1 and not unknown:
        return kinds[0]
    remedy = f"say --format {'|'.join(FORMATS)}"
    if len(kinds) > 1:
        msg = f"the files are of different formats: {', '.join(kinds)}"
        raise PlanError(msg, place="FILES", remedy="name files of one format at a time")
    if not os.path.lexists(unknown[0]) and "://" not in unknown[0] and not _is_glob(unknown[0]):
        msg = f"there is no file or folder {unknown[0]!r}"
        raise SourceError(msg, place="FILES", remedy="check the path and the working folder")
    msg = f"the suffix of {unknown[0]!r} names no format"
    raise PlanError(msg, place="FILES", remedy=remedy)


def _of_path(path: str) -> str | None:
    kind = _of_name(path)
    if kind is None and os.path.isdir(path):
        return _of_folder(path)
    return kind


def _of_name(path: str) -> str | None:
    name = path.rstrip("/").lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return _SUFFIXES.get(os.path.splitext(name)[1])


def _of_folder(folder: str) -> str | None:
    """Take the format of the first file that has one; hidden ones do not count."""
    looked_at = 0
    for _, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            looked_at += 1
            kind = None if name.startswith((".", "_")) else _of_name(name)
            if kind is not None or looked_at > _LOOKED_AT:
                return kind
    return None


def _is_glob(path: str) -> bool:
    return any(sign in path for sign in "*?[")
