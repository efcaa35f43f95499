"""Pieces of an Arrow IPC stream, as they come, to rows: whole messages only."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.errors import SchemaError, SourceError
from eventtime.sources.schemas import conform, difference, row_schema

if TYPE_CHECKING:
    from eventtime.sources.base import Rows

__all__ = ("ArrowDecoder", "fitted")

_CONTINUES: Final = b"\xff\xff\xff\xff"
_MESSAGE_BYTES_MAX: Final = 256 << 20
_METADATA_BYTES_MAX: Final = 16 << 20
_BODY_LENGTH_SLOT: Final = 10
"""Of the table `Message` in Arrow's Message.fbs: version, header type, header, body length."""


class ArrowDecoder:
    """Record batches of a stream that comes in pieces; however it is cut, the rows are the same.

    Args:
        wanted: columns to deliver; the stream may have more, in any order.
        place: what is read, for errors.
    """

    def __init__(self, wanted: pa.Schema, place: str) -> None:
        self._wanted, self._place = wanted, place
        self._data = bytearray()
        # Schema and dictionaries: what a batch needs to be read.
        self._before = b""
        self._is_over = False
        self._failure: SourceError | None = None

    def feed(self, data: bytes) -> list[Rows]:
        """Decode the messages that are whole now.

        Raises:
            SourceError: it is no such stream, or a message is too long.
            SchemaError: the stream has other columns.
        """
        self._data += data
        rows: list[Rows] = []
        try:
            while self._failure is None and (message := self._next()):
                rows += self._decoded(message)
        except SourceError as error:
            self._failure = error
        # Rows before the failure were accepted.
        if self._failure is not None and not rows:
            raise self._failure
        return rows

    def end(self) -> list[Rows]:
        """Check that the stream ended between two messages.

        Raises:
            SourceError: it did not.
        """
        if self._failure is not None:
            raise self._failure
        if self._data:
            msg = f"it ends inside a message, {len(self._data):,} bytes after the last"
            raise self._broken(msg)
        return []

    def _next(self) -> bytes:
        """Cut off the next message; empty if it is not whole."""
        if self._is_over or len(self._data) < 8:
            return b""
        if self._data[:4] != _CONTINUES:
            msg = f"a message begins with {bytes(self._data[:8])!r}"
            raise self._broken(msg)
        (metadata,) = struct.unpack_from("<i", self._data, 4)
        if metadata == 0:
            self._is_over = True
            self._data.clear()
            return b""
        if not 16 <= metadata <= _METADATA_BYTES_MAX:
            msg = f"a message has metadata of {metadata:,} bytes"
            raise self._broken(msg)
        if len(self._data) < 8 + metadata:
            return b""
        body = self._body_length(bytes(self._data[8 : 8 + metadata]))
        if not 0 <= body <= _MESSAGE_BYTES_MAX:
            msg = f"a message has a body of {body:,} bytes"
            raise self._broken(msg)
        size = 8 + metadata + body
        if len(self._data) < size:
            return b""
        message = bytes(self._data[:size])
        del self._data[:size]
        return message

    def _body_length(self, metadata: bytes) -> int:
        """Read one field of a flatbuffer, so that a body is waited for and not tried."""
        try:
            (table,) = struct.unpack_from("<I", metadata, 0)
            (back,) = struct.unpack_from("<i", metadata, table)
            (size,) = struct.unpack_from("<H", metadata, table - back)
            if size <= _BODY_LENGTH_SLOT:
                return 0
            (slot,) = struct.unpack_from("<H", metadata, table - back + _BODY_LENGTH_SLOT)
            return int(struct.unpack_from("<q", metadata, table + slot)[0]) if slot else 0
        except struct.error as error:
            msg = f"a message cannot be read: {error}"
            raise self._broken(msg) from error

    def _decoded(self, message: bytes) -> list[Rows]:
        try:
            kind = pa.ipc.read_message(message).type
            if kind in {"schema", "dictionary"}:
                self._before = message if kind == "schema" else self._before + message
                if kind == "schema":
                    with pa.ipc.open_stream(message) as reader:
                        self._check(reader.schema)
                return []
            with pa.ipc.open_stream(self._before + message) as reader:
                batches = [fitted(batch, self._wanted) for batch in reader]
        except (pa.ArrowException, OSError) as error:
            raise self._broken(" ".join(str(error).split())) from error
        return [batch for batch in batches if batch.num_rows]

    def _check(self, schema: pa.Schema) -> None:
        there = row_schema(schema)
        named = pa.schema([f for f in there if f.name in self._wanted.names])
        if gap := difference(self._wanted, "schema=", named, "the stream"):
            raise SchemaError(gap, place=self._place, remedy="send the columns of schema=")

    def _broken(self, why: str) -> SourceError:
        msg = f"it is no stream of Arrow IPC: {why}"
        return SourceError(msg, place=self._place, remedy="write it with pyarrow.ipc.new_stream")


def fitted(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """Return the columns wanted, in their order and types."""
    rows = conform(batch.select(wanted.names), wanted)
    assert isinstance(rows, pa.RecordBatch)
    return rows
