"""Savepoints as files: written whole under a hidden name, verified when they are read (S27)."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

import pyarrow as pa

from eventtime.errors import CheckpointError, SinkError
from eventtime.interrupts import interrupts_wait
from eventtime.report import Resumed
from eventtime.sinks.files import path_of
from eventtime.sinks.remote import RemoteFile, resolve
from eventtime.sinks.staging import LocalFile, place_error
from eventtime.state.pack import Pack, PackWriter, read_pack
from eventtime.state.saved import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyarrow.fs import FileSystem

    from eventtime.state.parts import Saved

__all__ = (
    "Origin",
    "SavepointPlace",
    "check_origin",
    "named",
    "origin_of",
    "read_savepoint",
    "resumed_from",
    "write_savepoint",
)


Origin: TypeAlias = Literal["engine", "replay", "live"]
"""Whose state it is: that of an engine driven by hand, of a replay, or of a live run."""
SavepointPlace: TypeAlias = str | os.PathLike[str] | BinaryIO
"""A path, a URI, or an open binary stream."""


def named(path: SavepointPlace) -> str:
    """Name a place, for messages."""
    return str(path) if isinstance(path, str | os.PathLike) else "stream"


def write_savepoint(
    path: SavepointPlace,
    filesystem: FileSystem | None,
    fill: Callable[[PackWriter], dict[str, Any]],
    *,
    overwrite: bool,
) -> None:
    """Write a savepoint: under its name it is whole or not there.

    Args:
        path: of the file, a URI, or a stream to write to, which stays open.
        filesystem: of pyarrow or fsspec.
        fill: adds the blocks, and returns what goes into the footer.
        overwrite: replace a file that is there.

    Raises:
        OutputExistsError: the file is there, and not to be replaced.
        SinkError: the place cannot be written.
    """
    if not isinstance(path, str | os.PathLike) and hasattr(path, "write"):
        pack = PackWriter(path)
        pack.finish(fill(pack))
        return
    found, plain = resolve(path_of(path), filesystem)
    try:
        _write_file(plain, found, fill, overwrite=overwrite)
    except OSError as error:
        if found is None:
            raise place_error(plain, error) from error
        msg = f"cannot write {plain!r} on {found.type_name}: {error}"
        raise SinkError(msg, place=plain, remedy="check the connection, and try again") from error


def _write_file(
    path: str,
    filesystem: FileSystem | None,
    fill: Callable[[PackWriter], dict[str, Any]],
    *,
    overwrite: bool,
) -> None:
    with contextlib.ExitStack() as undo:
        with interrupts_wait():
            staging = (
                LocalFile(path, overwrite=overwrite)
                if filesystem is None
                else RemoteFile(filesystem, path, overwrite=overwrite)
            )
            undo.callback(staging.discard)
        with contextlib.closing(staging.stream("")) as stream:
            pack = PackWriter(stream)
            pack.finish(fill(pack))
        staging.settle("")
        staging.publish()
        undo.pop_all()


def read_savepoint(path: SavepointPlace, filesystem: FileSystem | None) -> Pack:
    """Read a savepoint and verify each of its bytes.

    Raises:
        CheckpointError: there is none, it cannot be read, or it is not as it was written.
    """
    if not isinstance(path, str | os.PathLike) and hasattr(path, "read"):
        return read_pack(pa.py_buffer(path.read()), named(path))
    found, plain = resolve(path_of(path), filesystem)
    try:
        with pa.OSFile(plain, "rb") if found is None else found.open_input_file(plain) as file:
            data = file.read_buffer()
    except (OSError, pa.ArrowException) as error:
        if _is_folder(found, plain):
            msg = f"{plain!r} is a folder, and a savepoint is one file"
            make = f"eventtime checkpoint savepoint {path_of(path)} OUT"
            remedy = f"if it holds checkpoints, make a savepoint of one: {make}"
            raise CheckpointError(msg, place=plain, remedy=remedy) from error
        msg = f"cannot read the savepoint {plain!r}: {error}"
        remedy = "check the path and the permissions"
        raise CheckpointError(msg, place=plain, remedy=remedy) from error
    return read_pack(data, plain)


def _is_folder(filesystem: FileSystem | None, path: str) -> bool:
    if filesystem is None:
        return os.path.isdir(path)
    from pyarrow import fs

    with contextlib.suppress(OSError):
        return bool(filesystem.get_file_info(path).type == fs.FileType.Directory)
    return False


def origin_of(head: dict[str, Any]) -> Origin:
    """Tell whose state it is by what is saved beside the blocks."""
    origin: Origin = head.get("kind", "engine")
    return origin


def check_origin(saved: Saved, wanted: Origin, what: str, place: str) -> None:
    """Refuse the state of a run where that of an engine is needed, and the other way round.

    Args:
        saved: the state.
        wanted: whose it must be.
        what: holds it, such as "the savepoint 'x'".
        place: the argument that named it.

    Raises:
        CheckpointError: says which it is.
    """
    origin = origin_of(saved.head)
    if origin == wanted:
        return
    doors = {
        ("engine", False): "et.Engine.restore(stream, path)",
        ("engine", True): "et.Engine(stream, [], checkpoint=…)",
        ("replay", False): "run(start_from=…) over bounded sources",
        ("replay", True): "run(checkpoint=…) over bounded sources",
        ("live", False): "run(start_from=…) over live sources",
        ("live", True): "run(checkpoint=…) over live sources",
    }
    names = {"engine": "an engine", "replay": "a replay", "live": "a live run"}
    msg = f"{what} is of {names[origin]}, not of {names[wanted]}"
    remedy = f"restore it with {doors[origin, isinstance(saved, Checkpoint)]}"
    raise CheckpointError(msg, place=place, remedy=remedy)


def resumed_from(saved: Saved) -> Resumed:
    """Say from where a run goes on that was saved."""
    head = saved.head
    number, created_at_us = head.get("checkpoint"), head.get("created_at_us")
    if isinstance(saved, Checkpoint):
        number, created_at_us = saved.seq, saved.manifest.created_at_us
    ledgers = [partition["intake"]["ledger"] for partition in head["partitions"]]
    rows = sum(ledger["rows_in"] - ledger["waiting"] for ledger in ledgers)
    was_published = isinstance(saved, Checkpoint) and bool(head.get("is_published"))
    return Resumed(number, created_at_us, rows, bool(head.get("is_finished")), was_published)
