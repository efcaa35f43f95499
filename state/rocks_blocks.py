"""Blocks in RocksDB. rocksdict has traps that lose data without a word; they end at this file.

Ruled out here: `items`, `keys` and `values` (they end silently at a damaged place), iterators
(`close` leaves the folder locked while one lives) and the write-ahead log (it holds the
interpreter's lock for as long as it writes). Tests pin each trap.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eventtime.errors import PlanError, ScratchError
from eventtime.state.blocks import BlockStats, Bytes, joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ("RocksBlocks",)

# Larger values take memory of their own, which is new each time; smaller ones cost more calls.
_PIECE_BYTES: Final = 1 << 18
_WRITE_BUFFER: Final = 1 << 22
# Number of the block, then of the piece: new blocks sort behind old ones, so files do not overlap.
_KEY: Final = struct.Struct(">QI")


class RocksBlocks:
    """Blocks as values of RocksDB, in its blob files.

    Args:
        folder: exists, is empty, and is this store's alone.

    Raises:
        PlanError: rocksdict is not installed.
        ScratchError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        try:
            # What its type stubs say is not what it takes.
            rocksdict: Any = import_module("rocksdict")
        except ImportError as error:
            msg = "the backend 'rocksdb' needs the package rocksdict, which is not installed"
            remedy = "pip install 'eventtime[rocksdb]', or take the backend 'files'"
            raise PlanError(msg, place="backend='rocksdb'", remedy=remedy) from error
        self._folder = folder
        # By number: length and checksum.
        self._blocks: dict[int, tuple[int, int]] = {}
        self._next = self._put = self._got = 0
        self._lock = RLock()
        self._rocksdict = rocksdict
        self._write = rocksdict.WriteOptions()
        self._write.disable_wal = True
        self._db: Any = self._opened()
        self._is_open = True

    def put(self, buffers: Sequence[Bytes]) -> int:
        data = buffers[0] if len(buffers) == 1 else joined(buffers)
        with self._lock:
            block = self._next
            try:
                with self._errors():
                    for piece, at in enumerate(range(0, len(data), _PIECE_BYTES)):
                        value = data[at : at + _PIECE_BYTES].tobytes()
                        self._db.put(_KEY.pack(block, piece), value, write_opt=self._write)
            except ScratchError:
                with contextlib.suppress(ScratchError):
                    self._delete(block, len(data))
                raise
            self._blocks[block] = len(data), zlib.crc32(data.data)
            self._next += 1
            self._put += len(data)
            return block

    def get_many(self, blocks: Sequence[int]) -> list[Bytes]:
        with self._lock:
            return [self._read(block) for block in blocks]

    def delete(self, blocks: Sequence[int]) -> None:
        with self._lock:
            for block in blocks:
                length, _ = self._blocks.pop(block)
                # What cannot be deleted is never asked for again, and goes with the folder.
                with contextlib.suppress(ScratchError):
                    self._delete(block, length)

    def flush(self) -> None:
        with self._lock, self._errors():
            if self._blocks:
                self._db.flush()
                return
            # Compaction would empty the folder too, but only after a while.
            self._db.close()
            self._rocksdict.Rdict.destroy(str(self._folder))
            self._db = self._opened()

    def close(self) -> None:
        with self._lock:
            self._blocks.clear()
            # rocksdict complains of a second time.
            if self._is_open:
                self._is_open = False
                self._db.close()

    def stats(self) -> BlockStats:
        with self._lock:
            held = sum(length for length, _ in self._blocks.values())
            return BlockStats(len(self._blocks), held, self._put, self._got)

    def _opened(self) -> Any:
        with self._errors():
            db = self._rocksdict.Rdict(str(self._folder), _options(self._rocksdict))
            # Blocks have checksums here; RocksDB's own, in software, cost more than all else.
            reading = self._rocksdict.ReadOptions()
            reading.set_verify_checksums(v=False)
            db.set_read_options(reading)
            return db

    def _read(self, block: int) -> Bytes:
        length, checksum = self._blocks[block]
        keys = _keys(block, length)
        with self._errors():
            pieces = self._db.get(keys)
        if any(piece is None for piece in pieces):
            raise self._damaged(block)
        data = np.frombuffer(b"".join(pieces) if len(pieces) != 1 else pieces[0], np.uint8)
        if len(data) != length or zlib.crc32(data.data) != checksum:
            raise self._damaged(block)
        self._got += length
        return data

    def _delete(self, block: int, length: int) -> None:
        with self._errors():
            batch = self._rocksdict.WriteBatch(raw_mode=True)
            for key in _keys(block, length):
                batch.delete(key)
            self._db.write(batch, write_opt=self._write)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Give errors a type: RocksDB's come as plain exceptions with a text."""
        try:
            yield
        except (MemoryError, ScratchError):
            raise
        except Exception as error:
            msg = f"state outside of memory: {error}"
            remedy = "make room there, or name another folder with scratch=…"
            raise ScratchError(msg, place=str(self._folder), remedy=remedy) from error

    def _damaged(self, block: int) -> ScratchError:
        msg = f"block {block} in {str(self._folder)!r} is not what was written"
        remedy = "look after the disk, and go on from the last checkpoint"
        return ScratchError(msg, place=str(self._folder), remedy=remedy)


def _keys(block: int, length: int) -> list[bytes]:
    return [_KEY.pack(block, piece) for piece in range(-(-length // _PIECE_BYTES))]


def _options(rocksdict: Any) -> Any:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(create_if_missing=True)
    options.set_enable_blob_files(val=True)
    options.set_min_blob_size(4096)
    options.set_blob_file_size(1 << 28)
    options.set_enable_blob_gc(val=True)
    # Blocks die about in the order they were written: to move more of them on would be to write
    # all of them twice. So half of the folder may be dead, were they to die in any order.
    options.set_blob_gc_age_cutoff(0.1)
    options.set_blob_gc_force_threshold(0.5)
    # Blocks are numbers with few zeros, and scratch: packing them costs more than writing them.
    none = rocksdict.DBCompressionType.none()
    options.set_compression_type(none)
    options.set_blob_compression_type(none)
    options.set_write_buffer_size(_WRITE_BUFFER)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(1)
    return options
