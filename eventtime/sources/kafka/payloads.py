"""What is in the value of a message: rows of JSON lines or Arrow IPC, or the bytes as they are."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import pyarrow as pa

from eventtime.sources.jsonlines import parse_objects
from eventtime.sources.rebatch import join

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = (
    "RAW_SCHEMA",
    "ArrowPayload",
    "JsonPayload",
    "Parsed",
    "Payload",
    "RawPayload",
    "all_there",
)


class Parsed(NamedTuple):
    """Rows of several messages.

    Args:
        rows: of all, in order.
        counts: how many are of each message; None: one of each.
    """

    rows: pa.RecordBatch
    counts: Sequence[int] | None


class Payload(Protocol):
    """A format of values, for some columns."""

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        ...

    def only(self, schema: pa.Schema) -> Payload:
        """Return the same for some of its columns."""
        ...

    def parse(self, values: Sequence[bytes | None]) -> Parsed:
        """Parse the values of messages.

        Raises:
            pa.ArrowException, OSError: one of them does not parse.
        """
        ...

    def text(self, value: bytes) -> str:
        """Return a value that does not parse as text, for the quarantine."""
        ...


def all_there(values: Sequence[bytes | None]) -> Sequence[bytes]:
    """Refuse messages without a value, which stand for the removal of a key."""
    there = [value for value in values if value is not None]
    if len(there) != len(values):
        message = "it has no value (a tombstone)"
        raise pa.ArrowInvalid(message)
    return there


@dataclass(frozen=True)
class JsonPayload:
    """An object, or several with line ends between them; fields that lack are null."""

    schema: pa.Schema

    def parse(self, values: Sequence[bytes | None]) -> Parsed:
        """Parse all as one text, where none has a line end; where they have, count the lines."""
        values = all_there(values)
        data = b"\n".join(values)
        lines = data.count(b"\n") + 1
        if len(values) == 1 < lines:
            return _one_text(data, self.schema)
        rows = parse_objects(data, self.schema)
        if rows.num_rows == lines:  # none of them is blank
            is_plain = lines == len(values)
            return Parsed(rows, None if is_plain else [it.count(b"\n") + 1 for it in values])
        counts = [sum(1 for line in value.split(b"\n") if line.strip()) for value in values]
        if not all(counts):
            message = "it is empty"
            raise pa.ArrowInvalid(message)
        return Parsed(rows, counts)

    def only(self, schema: pa.Schema) -> JsonPayload:
        return replace(self, schema=schema)

    def text(self, value: bytes) -> str:
        return value.decode("utf-8", errors="replace")


def _one_text(data: bytes, schema: pa.Schema) -> Parsed:
    """Parse lines; or one object that is written over several, whose strings hold no line end."""
    try:
        rows = parse_objects(data, schema)
    except pa.ArrowException:
        rows = parse_objects(data.replace(b"\r", b" ").replace(b"\n", b" "), schema)
    return Parsed(rows, [rows.num_rows])


@dataclass(frozen=True)
class ArrowPayload:
    """A stream of Arrow IPC: schema, record batches; with dictionaries or without."""

    schema: pa.Schema

    def parse(self, values: Sequence[bytes | None]) -> Parsed:
        """Read each for itself; columns are taken by name."""
        batches: list[pa.RecordBatch] = []
        counts: list[int] = []
        for value in all_there(values):
            with pa.ipc.open_stream(value) as reader:
                held = [self._conformed(batch) for batch in reader]
            counts.append(sum(batch.num_rows for batch in held))
            batches += held
        rows = join(batches) if batches else pa.RecordBatch.from_pylist([], self.schema)
        return Parsed(rows, counts)

    def only(self, schema: pa.Schema) -> ArrowPayload:
        return replace(self, schema=schema)

    def text(self, value: bytes) -> str:
        return base64.b64encode(value).decode()

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.schema.equals(self.schema):
            return batch.replace_schema_metadata(None)
        columns: list[pa.Array] = []
        for field in self.schema:
            index = batch.schema.get_field_index(field.name)
            if index < 0:
                message = f"it has no column {field.name!r}"
                raise pa.ArrowInvalid(message)
            column = batch.column(index)
            columns.append(column if column.type == field.type else column.cast(field.type))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


@dataclass(frozen=True)
class RawPayload:
    """The value as it is, in one column."""

    schema: pa.Schema

    def parse(self, values: Sequence[bytes | None]) -> Parsed:
        """Take them over."""
        column = pa.array(values, pa.binary())
        return Parsed(pa.RecordBatch.from_arrays([column], schema=self.schema), None)

    def only(self, schema: pa.Schema) -> RawPayload:
        return replace(self, schema=schema)

    def text(self, value: bytes) -> str:
        return base64.b64encode(value).decode()


RAW_SCHEMA: Final = pa.schema([("value", pa.binary())])
