"""A pack: blocks of rows back to back in one file, and what they are; every byte is checked.

    MAGIC | block | block | … | footer | length of the footer, its crc32 | MAGIC

`docs/state-format.md` says it byte by byte. A block is a stream in Arrow's IPC format, so that
plain Arrow reads it.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import pyarrow as pa

from eventtime.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ("MAGIC", "MAJOR", "Block", "Pack", "PackWriter", "decode", "encode", "read_pack")

MAGIC: Final = b"ETPACK\r\n"
MAJOR: Final = 1
_MINOR: Final = 0
# Length of the footer and its crc32, both little-endian, then the magic.
_TRAILER: Final = struct.Struct(f"<II{len(MAGIC)}s")
_COMPRESSED: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_PLAIN: Final = pa.ipc.IpcWriteOptions()
# Of so few bytes compression makes more, in ten times the time.
_FEW_BYTES: Final = 4096
_FEW_ROWS: Final = 32


class _Stream(Protocol):
    def write(self, data: Any, /) -> Any: ...


class PackWriter:
    """Writes a pack: `add` each block, then `finish`.

    Args:
        stream: open for writing; the caller closes it.
    """

    is_alone: ClassVar[bool] = True

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._blocks: list[dict[str, Any]] = []
        self._at = len(MAGIC)
        stream.write(MAGIC)

    def keep(self, version: int, **about: str | int) -> bool:
        """Say no: a pack stands by itself."""
        return False

    def add(
        self,
        rows: pa.RecordBatch | Callable[[], pa.RecordBatch],
        version: int | None = None,
        **about: str | int,
    ) -> None:
        """Write a block.

        Args:
            rows: of the block, or what gives them.
            version: not needed here.
            about: what it is, for the footer.
        """
        batch: Any = rows() if callable(rows) else rows
        self.append(encode(batch), batch.num_rows, about)

    def append(self, data: pa.Buffer, rows: int, about: Mapping[str, str | int]) -> tuple[int, int]:
        """Write a block that is encoded already.

        Args:
            data: its bytes.
            rows: of its batch.
            about: what it is, for the footer.

        Returns:
            Its offset in the file, and the crc32 of its bytes.
        """
        offset, checksum = self._at, zlib.crc32(data)
        place = {"offset": offset, "length": data.size, "rows": rows}
        self._blocks.append({**about, **place, "crc32": checksum})
        self._stream.write(data)
        self._at += data.size
        return offset, checksum

    def finish(self, head: dict[str, Any]) -> int:
        """Write the footer.

        Args:
            head: what the pack says beside its blocks, for JSON.

        Returns:
            The length of the file.
        """
        footer = {"format": {"major": MAJOR, "minor": _MINOR}, **head, "blocks": self._blocks}
        data = json.dumps(footer).encode()
        end = data + _TRAILER.pack(len(data), zlib.crc32(data), MAGIC)
        self._stream.write(end)
        return self._at + len(end)


def encode(batch: pa.RecordBatch) -> pa.Buffer:
    """Return a block's bytes."""
    # To count the bytes of few rows takes as long as to write them.
    if batch.num_rows <= _FEW_ROWS and (data := _encoded(batch, _PLAIN)).size <= _FEW_BYTES:
        return data
    return _encoded(batch, _COMPRESSED if batch.nbytes > _FEW_BYTES else _PLAIN)


def _encoded(batch: pa.RecordBatch, options: pa.ipc.IpcWriteOptions) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def decode(data: pa.Buffer) -> pa.RecordBatch:
    """Return a block's rows."""
    with pa.ipc.open_stream(data) as reader:
        batch: pa.RecordBatch = reader.read_next_batch()
    return batch


@dataclass(frozen=True)
class Block:
    """One block of a pack whose checksum was right.

    Args:
        about: its entry in the footer.
        data: its bytes.
    """

    about: dict[str, Any]
    data: pa.Buffer

    def batch(self) -> pa.RecordBatch:
        """Decode the rows."""
        return decode(self.data)


@dataclass(frozen=True)
class Pack:
    """What is in a pack.

    Args:
        head: the footer.
        blocks: in the order of the file.
    """

    head: dict[str, Any]
    blocks: list[Block]

    def about(self, **wanted: str | int) -> list[Block]:
        """Return the blocks whose entries in the footer say this."""
        return [block for block in self.blocks if wanted.items() <= block.about.items()]


def read_pack(data: pa.Buffer, place: str) -> Pack:
    """Verify a file and take it apart. Cost: one pass over it; blocks are decoded when asked for.

    Args:
        data: the whole file.
        place: where it is, for messages.

    Raises:
        CheckpointError: it is no pack, was cut short or changed, or is of a newer format.
    """
    footer, end = _footer(data, place)
    _check_format(footer.get("format"), place)
    blocks, at = [], len(MAGIC)
    for i, about in enumerate(footer["blocks"]):
        block = data.slice(at, min(about["length"], end - at))
        if about["offset"] != at or zlib.crc32(block) != about["crc32"]:
            msg = f"block {i} of {place!r} ({about['rows']} rows) does not have its checksum"
            raise _damaged(msg, f"{place}, bytes {at} to {at + about['length']}")
        blocks.append(Block(about, block))
        at += about["length"]
    if at != end:
        msg = f"{end - at} bytes of {place!r} belong to no block"
        raise _damaged(msg, f"{place}, bytes {at} to {end}")
    return Pack(footer, blocks)


def _footer(data: pa.Buffer, place: str) -> tuple[dict[str, Any], int]:
    """Return the footer, and where it begins."""
    start = data.slice(0, min(len(MAGIC), data.size)).to_pybytes()
    if start != MAGIC:
        msg = f"{place!r} begins with {start!r}, not as a savepoint does, with {MAGIC!r}"
        remedy = "name a file that engine.savepoint(...) wrote; a damaged one cannot be mended"
        raise CheckpointError(msg, place=place, remedy=remedy)
    end = data.size - _TRAILER.size
    if end < len(MAGIC):
        raise _short(place, data.size)
    length, checksum, magic = _TRAILER.unpack(data.slice(end).to_pybytes())
    if magic != MAGIC or length > end - len(MAGIC):
        raise _short(place, data.size)
    footer = data.slice(end - length, length)
    if zlib.crc32(footer) != checksum:
        msg = f"the footer of {place!r} does not have its checksum"
        raise _damaged(msg, f"{place}, bytes {end - length} to {end}")
    found: dict[str, Any] = json.loads(footer.to_pybytes())
    return found, end - length


def _check_format(version: dict[str, int] | None, place: str) -> None:
    major = None if version is None else version["major"]
    if major == MAJOR:
        return
    msg = f"{place!r} is of format {major}; this version of eventtime reads format {MAJOR}"
    remedy = "restore it with the version of eventtime that wrote it, or a newer one"
    raise CheckpointError(msg, place=place, remedy=remedy)


def _short(place: str, size: int) -> CheckpointError:
    msg = f"{place!r} does not end as a savepoint does: it was cut short or changed"
    return _damaged(msg, f"{place}, end of {size} bytes")


def _damaged(msg: str, place: str) -> CheckpointError:
    return CheckpointError(msg, place=place, remedy="restore an earlier savepoint, or a copy")
