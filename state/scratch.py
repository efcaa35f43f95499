"""A folder for the blocks of one run: its own, empty at first, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal

from eventtime.errors import ScratchError
from eventtime.state.file_blocks import FileBlocks
from eventtime.state.rocks_blocks import RocksBlocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.state.blocks import BlockStats, BlockStore, Bytes

__all__ = ("BACKENDS", "Backend", "ScratchBlocks")

Backend = Literal["files", "rocksdb"]
BACKENDS: Final[tuple[Backend, ...]] = ("files", "rocksdb")
_PREFIX: Final = "eventtime-scratch-"
_LOCK: Final = "lock"
_BLOCKS: Final = "blocks"


class ScratchBlocks:
    """A store of blocks in a new folder, which `close` removes.

    Folders that were left behind beside it, by processes that were killed, are removed on opening.

    Args:
        backend: 'files' or 'rocksdb'.
        parent: where to make the folder; None: where temporary files go.

    Raises:
        ScratchError: the folder cannot be made.
        PlanError: rocksdict is not installed.
    """

    def __init__(self, backend: Backend, parent: str | os.PathLike[str] | None = None) -> None:
        above = Path(tempfile.gettempdir() if parent is None else parent)
        try:
            above.mkdir(parents=True, exist_ok=True)
            _sweep(above)
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
            self._lock = _locked(self.folder / _LOCK)
            blocks = self.folder / _BLOCKS
            blocks.mkdir()
        except OSError as error:
            msg = f"no scratch folder can be made: {error.strerror or error}"
            remedy = "name a folder that can be written with scratch=…"
            raise ScratchError(msg, place=str(above), remedy=remedy) from error
        try:
            made = FileBlocks(blocks) if backend == "files" else RocksBlocks(blocks)
        except BaseException:
            self._remove()
            raise
        self._blocks: BlockStore = made

    def put(self, buffers: Sequence[Bytes]) -> int:
        return self._blocks.put(buffers)

    def get_many(self, blocks: Sequence[int]) -> list[Bytes]:
        return self._blocks.get_many(blocks)

    def delete(self, blocks: Sequence[int]) -> None:
        self._blocks.delete(blocks)

    def flush(self) -> None:
        self._blocks.flush()

    def close(self) -> None:
        try:
            self._blocks.close()
        finally:
            self._remove()

    def stats(self) -> BlockStats:
        return self._blocks.stats()

    def _remove(self) -> None:
        _remove(self.folder, self._lock)


def _locked(path: Path) -> IO[bytes] | None:
    """Create or open a file and lock it for as long as it is open; None: another process has."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system: nobody sweeps there
        return path.open("ab")
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _sweep(above: Path) -> None:
    """Remove the folders of processes that are no more: nobody holds their locks."""
    if os.name != "posix":
        return
    for folder in above.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            # One that is just being made has no lock yet.
            if (folder / _LOCK).exists() and (lock := _locked(folder / _LOCK)) is not None:
                _remove(folder, lock)


def _remove(folder: Path, lock: IO[bytes] | None) -> None:
    """Remove a folder as far as that can be done: what cannot be now is by the next run.

    The lock goes last: a folder without one is taken for one that is just being made.
    """
    shutil.rmtree(folder / _BLOCKS, ignore_errors=True)
    if lock is not None:
        lock.close()
    shutil.rmtree(folder, ignore_errors=True)
