"""Values of Protobuf: each a message of one type."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.sources.kafka.columns import check_castable, conformed
from eventtime.sources.kafka.payloads import Parsed, all_there
from eventtime.sources.kafka.protobuf_types import shape_of
from eventtime.sources.kafka.registry import HEADER_BYTES, schema_id

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("ProtobufPayload", "body_of", "protobuf_payload")

_MOST_VARINT: Final = 10


@dataclass(frozen=True, eq=False)
class ProtobufPayload:
    """Messages, with the header of a registry or without.

    Args:
        schema: of the columns.
        message: the class.
        is_framed: whether they have the header.
    """

    schema: pa.Schema
    message: Any
    is_framed: bool

    def parse(self, values: Sequence[bytes | None]) -> Parsed:
        """Parse one after another, then make columns."""
        from google.protobuf.message import DecodeError

        bodies = all_there(values)
        if self.is_framed:
            bodies = [body_of(value) for value in bodies]
        parse = self.message.FromString
        try:
            messages = [parse(body) for body in bodies]
        except DecodeError as error:
            message = f"it is no message of {self.message.DESCRIPTOR.full_name}: {error}"
            raise pa.ArrowInvalid(message) from error
        fields = self.message.DESCRIPTOR.fields_by_name
        made: dict[str, pa.Array] = {}
        for name in self.schema.names:
            field = shape_of(fields[name])
            try:
                made[name] = field.column(messages)
            except (OverflowError, ValueError) as error:
                message = f"field {name!r} does not fit {field.shape.kind}: {error}"
                raise pa.ArrowInvalid(message) from error
        return Parsed(conformed(made, self.schema, len(messages)), None)

    def only(self, schema: pa.Schema) -> ProtobufPayload:
        return replace(self, schema=schema)

    def text(self, value: bytes) -> str:
        return base64.b64encode(value).decode()


def body_of(value: bytes) -> bytes:
    r"""Take the header off: zero byte, id, and which message of its file it is.

    Raises:
        ArrowInvalid: there is none, or it is cut off.

    >>> body_of(bytes([0, 0, 0, 0, 7, 0, 8, 1])), body_of(bytes([0, 0, 0, 0, 7, 4, 2, 0, 8, 1]))
    (b'\x08\x01', b'\x08\x01')
    """
    schema_id(value)
    count, at = _varint(value, HEADER_BYTES)
    if count < 0:
        message = "the indexes of the message in its header are cut off"
        raise pa.ArrowInvalid(message)
    for _ in range(count):
        _, at = _varint(value, at)
    return value[at:]


def _varint(value: bytes, at: int) -> tuple[int, int]:
    """Read a number of variable length whose sign is its last bit; returns it and what follows."""
    number = 0
    for i, byte in enumerate(value[at : at + _MOST_VARINT]):
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + i + 1
    message = "the indexes of the message in its header are cut off"
    raise pa.ArrowInvalid(message)


def protobuf_payload(
    given: object, wanted: pa.Schema | None, *, framed: bool, place: str
) -> ProtobufPayload:
    """Check what can be checked without a message.

    Args:
        given: the type of message, as in `read_kafka`.
        wanted: columns; None: all of its fields.
        framed: whether messages have the header.
        place: for messages.

    Raises:
        PlanError: shows the argument.
    """
    try:
        import google.protobuf  # noqa: F401 - here it is told early
    except ImportError as error:
        msg = f"value='protobuf' needs protobuf, which is not installed: {error}"
        raise PlanError(msg, place=place, remedy="pip install 'eventtime[protobuf]'") from error
    place = f"{place}: message=…"
    message = _class(given, place)
    fields = message.DESCRIPTOR.fields_by_name
    kinds: dict[str, pa.DataType] = {}
    for name in fields if wanted is None else [n for n in wanted.names if n in fields]:
        try:
            kinds[name] = shape_of(fields[name]).shape.kind
        except ValueError as error:
            msg = f"field {name!r} has no type in Arrow: {error}"
            remedy = "name the other columns with schema=…"
            raise PlanError(msg, place=place, remedy=remedy) from error
    natural = pa.schema(list(kinds.items()))
    schema = natural if wanted is None else check_castable(natural, wanted, place=place)
    if not schema.names:
        msg = f"{message.DESCRIPTOR.full_name} has no fields"
        raise PlanError(msg, place=place, remedy="give another message")
    return ProtobufPayload(schema, message, framed)


def _class(given: object, place: str) -> Any:
    """Return the class of messages that was given, in one of three ways."""
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message
    from google.protobuf.message_factory import GetMessageClass

    if isinstance(given, type) and issubclass(given, Message) and hasattr(given, "DESCRIPTOR"):
        return given
    if isinstance(given, Descriptor):
        return GetMessageClass(given)
    if isinstance(given, tuple) and len(given) == 2:
        return GetMessageClass(_found(*given, place))
    msg = f"{shown(given)} is no type of message"
    remedy = "a generated class, its descriptor, or (path of a FileDescriptorSet, 'shop.Click')"
    raise PlanError(msg, place=place, remedy=remedy)


def _found(path: object, name: object, place: str) -> Any:
    """Find a message in a file that `protoc --include_imports --descriptor_set_out` wrote."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import DecodeError

    remedy = "protoc --include_imports --descriptor_set_out=FILE …"
    pool: Any = DescriptorPool()
    try:
        for file in FileDescriptorSet.FromString(Path(str(path)).read_bytes()).file:
            pool.Add(file)
        return pool.FindMessageTypeByName(str(name))
    except KeyError as error:
        msg = f"there is no message {name!r} in {str(path)!r}"
        remedy = "its name with its package, such as 'shop.Click'"
        raise PlanError(msg, place=place, remedy=remedy) from error
    except (OSError, DecodeError, TypeError) as error:
        msg = f"{str(path)!r} cannot be read as a FileDescriptorSet: {error}"
        raise PlanError(msg, place=place, remedy=remedy) from error
