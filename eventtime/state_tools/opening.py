"""Saved state at a path, whatever it is: a folder of checkpoints, or a savepoint."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from eventtime.checks import check_whole
from eventtime.errors import CheckpointError, SinkError
from eventtime.places import storage_at
from eventtime.savepoint import read_savepoint
from eventtime.sinks.files import path_of
from eventtime.sinks.remote import resolve
from eventtime.state.saved import Found, list_checkpoints, way_out
from eventtime.state.storage import storage_error

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    from eventtime.state.saved import Checkpoint

__all__ = (
    "SavedState",
    "StoredBlock",
    "found_at",
    "is_folder",
    "open_state",
    "slice_bounds",
    "state_of",
)

_PLACE = ("offset", "length", "rows", "crc32")


@dataclass(frozen=True)
class StoredBlock:
    """A block of saved state.

    Args:
        about: what it is.
        rows: of it.
        length: of it in bytes, compressed.
        is_new: whether it was written for this checkpoint; always so in a savepoint.
        crc32: of its bytes.
    """

    about: dict[str, Any]
    rows: int
    length: int
    is_new: bool
    crc32: int
    _block: Any

    @property
    def data(self) -> pa.Buffer:
        """Its bytes.

        Raises:
            CheckpointError: they are missing, or not what was written.
        """
        data: pa.Buffer = self._block.data
        return data

    def batch(self) -> pa.RecordBatch:
        """Decode the rows.

        Raises:
            CheckpointError: its bytes are missing, or not what was written.
        """
        rows: pa.RecordBatch = self._block.batch()
        return rows


@dataclass(frozen=True)
class SavedState:
    """A checkpoint or a savepoint, for looking into.

    Args:
        place: where it is, for messages.
        kind: which of the two.
        number: of the checkpoint, or of that which a savepoint was made of; None: not known.
        created_at_us: when it was begun, int64 microseconds UTC; None: not known.
        writer: who wrote it, in words.
        head: what is not rows.
        blocks: the rows.
    """

    place: str
    kind: Literal["checkpoint", "savepoint"]
    number: int | None
    created_at_us: int | None
    writer: str
    head: dict[str, Any]
    blocks: list[StoredBlock]

    @property
    def is_begun(self) -> bool:
        """Whether anything was processed; the first checkpoint of a job holds only its name."""
        return bool(self.head.get("is_begun", True))

    def about(self, **wanted: str | int) -> list[StoredBlock]:
        """Return the blocks whose descriptions say this."""
        return [block for block in self.blocks if wanted.items() <= block.about.items()]


def open_state(
    path: str | os.PathLike[str], *, at: int | None = None, filesystem: FileSystem | None = None
) -> SavedState:
    """Read what is at a path; blocks are read when they are asked for.

    Args:
        path: of a folder of checkpoints, or of a savepoint; or a URI.
        at: number of the checkpoint; None: the newest.
        filesystem: of pyarrow or fsspec.

    Raises:
        CheckpointError: nothing is there, or it is damaged or of a newer format.
    """
    if at is not None:
        remedy = "such as 3; eventtime checkpoint list shows which there are"
        check_whole(at, least=0, what="the number of a checkpoint", place="at=…", remedy=remedy)
    if not is_folder(path, filesystem):
        if at is not None:
            msg = f"{path_of(path)!r} is a savepoint, of which there is one only"
            raise CheckpointError(msg, place=f"at={at}", remedy="leave out at=")
        return _savepoint(path, filesystem)
    found = found_at(path, filesystem)
    chosen = [it for it in found if at is None or it.name.seq == at]
    if not chosen:
        there = ", ".join(str(it.name.seq) for it in reversed(found))
        msg = f"{path_of(path)!r} holds no checkpoint {at}; there are: {there}"
        raise CheckpointError(msg, place=path_of(path), remedy="name one that is there")
    first = chosen[0]
    if first.damage is not None:
        raise way_out(first.damage, storage_at(path, filesystem), first.name)
    assert first.checkpoint is not None
    return state_of(first.checkpoint, path_of(path))


def found_at(path: str | os.PathLike[str], filesystem: FileSystem | None) -> list[Found]:
    """List the checkpoints in a folder, the newest first.

    Raises:
        CheckpointError: there is no such folder, or no checkpoint in it.
    """
    plain = path_of(path)
    found = list_checkpoints(storage_at(path, filesystem))
    if not found:
        msg = f"{plain!r} holds no checkpoints"
        remedy = "name the folder given as checkpoint= or --checkpoint"
        raise CheckpointError(msg, place=plain, remedy=remedy)
    return found


def state_of(checkpoint: Checkpoint, place: str) -> SavedState:
    """Look at a checkpoint as saved state."""
    own, manifest = str(checkpoint.name), checkpoint.manifest
    blocks = [
        StoredBlock(e.about, e.rows, e.length, e.pack == own, e.crc32, block)
        for block in checkpoint.blocks
        for e in [block.entry]
    ]
    return SavedState(
        place,
        "checkpoint",
        checkpoint.seq,
        manifest.created_at_us,
        manifest.writer,
        checkpoint.head,
        blocks,
    )


def slice_bounds(window: dict[str, Any], at: int) -> tuple[int | None, int | None]:
    """Return where a slice begins and ends, int64 microseconds UTC; None: that of all time.

    Args:
        window: as the head says it of an operator.
        at: number of the slice.
    """
    from eventtime.windows.grid import Grid

    grid = Grid(window["size_us"], window["slide_us"], window["offset_us"])
    if grid.everything:
        return None, None
    return grid.slice_start(at), grid.slice_start(at + 1)


def _savepoint(path: str | os.PathLike[str], filesystem: FileSystem | None) -> SavedState:
    pack = read_savepoint(path, filesystem)
    blocks = []
    for block in pack.blocks:
        about = {name: value for name, value in block.about.items() if name not in _PLACE}
        rows, length, crc32 = (block.about[name] for name in ("rows", "length", "crc32"))
        blocks.append(StoredBlock(about, rows, length, is_new=True, crc32=crc32, _block=block))
    head = {name: value for name, value in pack.head.items() if name not in {"format", "blocks"}}
    return SavedState(
        path_of(path),
        "savepoint",
        head.get("checkpoint"),
        head.get("created_at_us"),
        head.get("writer", ""),
        head,
        blocks,
    )


def is_folder(path: str | os.PathLike[str], filesystem: FileSystem | None) -> bool:
    """Tell a folder from a file.

    Raises:
        CheckpointError: neither is there.
    """
    try:
        found, plain = resolve(path_of(path), filesystem)
    except SinkError as error:
        raise CheckpointError(error.what, place=error.place, remedy=error.remedy) from error
    if found is None:
        is_there, is_folder = os.path.lexists(plain), os.path.isdir(plain)
    else:
        from pyarrow import fs

        try:
            kind = found.get_file_info(plain).type
        except OSError as error:
            doing = "look for checkpoints"
            raise storage_error(doing, plain, error) from error
        is_there, is_folder = kind != fs.FileType.NotFound, kind == fs.FileType.Directory
    if not is_there:
        msg = f"there is no folder or file {path_of(path)!r}"
        remedy = "name a folder of checkpoints, or a savepoint"
        raise CheckpointError(msg, place=path_of(path), remedy=remedy)
    return is_folder
