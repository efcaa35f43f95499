"""Values of Avro: each a record, of a schema that is given or named by the message."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import PlanError
from eventtime.sources.kafka.avro_resolving import with_logical_types
from eventtime.sources.kafka.avro_types import parsed, schema_given
from eventtime.sources.kafka.columns import check_castable, conformed
from eventtime.sources.kafka.payloads import Parsed, all_there
from eventtime.sources.kafka.registry import HEADER_BYTES, Registry, schema_id
from eventtime.sources.rebatch import join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.sources.kafka.avro_types import AvroSchema

__all__ = ("AvroPayload", "avro_payload")

# What fastavro raises at bytes that are no record of the schema.
_BAD: Final = (
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)


@dataclass(frozen=True, eq=False)
class AvroPayload:
    """Records, with the header of a registry or without.

    Args:
        schema: of the columns.
        reader: the schema that was given; None: as each was written.
        registry: knows the schemas they were written with; None: the one given.
        is_framed: whether they have the header.
    """

    schema: pa.Schema
    reader: AvroSchema | None
    registry: Registry | None
    is_framed: bool
    _writers: dict[int, AvroSchema | str] = field(default_factory=dict, repr=False)

    def parse(self, values: Sequence[bytes | None]) -> Parsed:
        """Read one after another; runs of one schema become columns together."""
        batches: list[pa.RecordBatch] = []
        rows: list[Any] = []
        last: AvroSchema | None = None
        for value in all_there(values):
            writer = self._writer(value)
            if last is not None and writer is not last:
                batches.append(self._batch(rows, last))
                rows = []
            last = writer
            rows.append(self._record(value, writer))
        if last is not None:
            batches.append(self._batch(rows, last))
        return Parsed(join(batches), None)

    def only(self, schema: pa.Schema) -> AvroPayload:
        return replace(self, schema=schema)

    def text(self, value: bytes) -> str:
        return base64.b64encode(value).decode()

    def _writer(self, value: bytes) -> AvroSchema:
        """Return the schema that a message was written with."""
        number = schema_id(value) if self.is_framed else None
        if self.registry is None or number is None:
            assert self.reader is not None
            return self.reader
        known = self._writers.get(number)
        if known is None:
            known = self._writers[number] = self._asked(self.registry, number)
        if isinstance(known, str):
            raise pa.ArrowInvalid(known)
        return known

    def _asked(self, registry: Registry, number: int) -> AvroSchema | str:
        """Return the schema of an id, or why it cannot be read with."""
        kind, texts = registry.schema(number)
        if kind != "AVRO":
            return f"its schema id {number} is of {kind}, not of Avro"
        *before, last = map(_loaded, texts)
        try:
            writer = parsed([*before, last])
            if self.reader is None:
                return writer
            if writer.form == self.reader.form:
                return self.reader
            return parsed([*before, with_logical_types(last, self.reader.whole)])
        except ValueError as error:
            return f"its schema id {number} is no schema of Avro that can be read: {error}"

    def _record(self, value: bytes, writer: AvroSchema) -> Any:
        from fastavro.read import SchemaResolutionError

        data = BytesIO(value)
        if self.is_framed:
            data.seek(HEADER_BYTES)
        reader = None if self.reader is None or self.reader is writer else self.reader.form
        try:
            record = _reads(nests=writer.nests)(data, writer.form, reader)
        except (*_BAD, struct.error, SchemaResolutionError) as error:
            message = f"it is no record of its schema: {str(error) or type(error).__name__}"
            raise pa.ArrowInvalid(message) from error
        left = len(value) - data.tell()
        if left:
            message = f"it is no record of its schema: {left} bytes are left over"
            raise pa.ArrowInvalid(message)
        return record

    def _batch(self, rows: Sequence[Any], writer: AvroSchema) -> pa.RecordBatch:
        columns = (self.reader or writer).natural(self.schema.names)
        made: dict[str, pa.Array] = {}
        for name, (kind, fix, _) in columns.items():
            values = [row[name] for row in rows]
            try:
                made[name] = pa.array(values if fix is None else map(fix, values), kind)
            except (OverflowError, ValueError, TypeError, AttributeError) as error:
                message = f"field {name!r} does not fit {kind}: {error}"
                raise pa.ArrowInvalid(message) from error
        return conformed(made, self.schema, len(rows))


def _reads(*, nests: bool) -> Any:
    """Return what reads a record; of one in another in another … the compiled one would crash."""
    if nests:
        from fastavro._read_py import schemaless_reader as in_python

        return in_python
    from fastavro import schemaless_reader

    return schemaless_reader


def _loaded(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text  # the name of a primitive type


def avro_payload(
    given: object, registry: Registry | None, wanted: pa.Schema | None, *, framed: bool, place: str
) -> AvroPayload:
    """Check what can be checked without a message.

    Args:
        given: the schema, as in `read_kafka`, or None.
        registry: knows others.
        wanted: columns; None: all of the schema given.
        framed: whether messages have the header.
        place: for messages.

    Raises:
        PlanError: shows the argument.
    """
    try:
        import fastavro  # noqa: F401 - here it is told early
    except ImportError as error:
        msg = f"value='avro' needs fastavro, which is not installed: {error}"
        raise PlanError(msg, place=place, remedy="pip install 'eventtime[avro]'") from error
    if given is None:
        if registry is None or wanted is None:
            msg = "value='avro' needs a schema: a topic does not say what is in its messages"
            remedy = "avro_schema=…; or registry=… and schema=…, the columns that are wanted"
            raise PlanError(msg, place=place, remedy=remedy)
        return AvroPayload(wanted, None, registry, is_framed=True)
    place = f"{place}: avro_schema=…"
    try:
        reader = parsed([schema_given(given, place=place)])
    except PlanError:
        raise
    except ValueError as error:
        msg = f"the schema of Avro cannot be read with: {error}"
        raise PlanError(msg, place=place, remedy="a record of fields, as Avro writes it") from error
    names = list(reader.columns) if wanted is None else wanted.names
    try:
        columns = reader.natural(names)
    except pa.ArrowInvalid as error:
        remedy = "name the other columns with schema=…"
        raise PlanError(str(error), place=place, remedy=remedy) from error
    natural = pa.schema([(name, column.kind) for name, column in columns.items()])
    schema = natural if wanted is None else check_castable(natural, wanted, place=place)
    return AvroPayload(schema, reader, registry, framed or registry is not None)
