"""Rows as messages: the value a JSON object for each row, or an Arrow IPC stream for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.sinks.json_text import json_rows, json_values
from eventtime.sinks.text import check_text_types, is_string

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("FORMATS", "Format", "Message", "Messages")

Format = Literal["json", "arrow"]
FORMATS: Final = ("json", "arrow")

_BYTES_MAX: Final = 500_000
"""Of the rows in one message of Arrow: brokers refuse messages above a million bytes."""

Message = tuple[str | None, str | bytes]
"""Key and value."""


@dataclass(frozen=True)
class Messages:
    """Makes messages of rows.

    Args:
        value: the format.
        key: columns whose values are the key; one as its text, several as a JSON object.
    """

    value: Format
    key: tuple[str, ...]

    def check(self, schema: pa.Schema) -> None:
        """Refuse a schema that the format cannot hold; the key is there.

        Raises:
            SinkError: shows the column.
        """
        if self.value == "json":
            check_text_types(schema, "JSON")

    def of(self, batch: pa.RecordBatch) -> Iterator[Message]:
        """Yield the messages of some rows, in order."""
        if self.value == "arrow":
            for piece in _pieces(batch):
                yield None, _stream(piece)
            return
        values = json_rows(batch.columns, batch.schema.names).to_pylist()
        yield from zip(self._keys(batch), values, strict=True)

    def _keys(self, batch: pa.RecordBatch) -> list[str | None]:
        if not self.key:
            return [None] * batch.num_rows
        columns = [batch.column(name) for name in self.key]
        if len(columns) > 1:
            return list(json_rows(columns, list(self.key)).to_pylist())
        [column] = columns
        texts = column if is_string(column.type) else json_values(column)
        some = pa.scalar(None, pa.string())
        return list(pc.if_else(column.is_valid(), texts.cast(pa.string()), some).to_pylist())


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut rows so that a message stays below what a broker takes; a single row may be too long."""
    pieces = -(-batch.nbytes // _BYTES_MAX) or 1
    step = -(-batch.num_rows // pieces) or 1
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written
