"""Messages decoded a second on one core, by the format of their values; no broker is needed."""

from __future__ import annotations

import json
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import fastavro
import pyarrow as pa
from google.protobuf import descriptor_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from eventtime.sources.kafka.avro import avro_payload
from eventtime.sources.kafka.messages import Decoder
from eventtime.sources.kafka.polled import Messages
from eventtime.sources.kafka.registry import Registered, Registry
from eventtime.sources.kafka.values import Coding, payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.sources.kafka.payloads import Payload

MESSAGES: Final = 20_000
ROUNDS: Final = 5
MICROS: Final = 1_700_000_000_000_000
ROW: Final = {"time": MICROS, "key": "user-17", "value": 1.5}
LOGICAL: Final = {"type": "long", "logicalType": "timestamp-micros"}


class Told(Registry):
    """A registry of one schema."""

    def schema(self, number: int) -> Registered:
        assert number == 1
        return Registered("AVRO", (json.dumps(record("long")),))


def record(of_time: Any, *more: Any) -> dict[str, Any]:
    kinds = {"time": of_time, "key": "string", "value": "double"}
    fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
    return {"type": "record", "name": "Click", "fields": [*fields, *more]}


def avro(schema: dict[str, Any]) -> bytes:
    sink = BytesIO()
    fastavro.schemaless_writer(sink, fastavro.parse_schema(schema), ROW)
    return sink.getvalue()


def message(of_time: str | int) -> Any:
    """Make the class of a message; the time is a number or a message."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    file.dependency.append(timestamp_pb2.DESCRIPTOR.name)
    made = file.message_type.add(name="Click")
    of_message = {"type": field.TYPE_MESSAGE, "type_name": of_time}
    kinds: dict[str, dict[str, Any]] = {
        "time": of_message if isinstance(of_time, str) else {"type": of_time},
        "key": {"type": field.TYPE_STRING},
        "value": {"type": field.TYPE_DOUBLE},
    }
    for number, (name, kind) in enumerate(kinds.items(), 1):
        made.field.add(name=name, number=number, label=field.LABEL_OPTIONAL, **kind)
    known = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(known)
    pool: Any = DescriptorPool()
    pool.Add(known)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("shop.Click"))


def cases() -> Iterator[tuple[str, Payload, bytes]]:
    """Name each format; with how it is read, and a value."""
    place = "benchmark"
    for name, schema in {"Avro": record("long"), "Avro, logical time": record(LOGICAL)}.items():
        yield name, payload("avro", None, Coding(schema), place=place), avro(schema)
    wider = record("long", {"name": "more", "type": "int", "default": 1})
    resolved = avro_payload(wider, Told("http://localhost"), None, framed=True, place=place)
    yield "Avro, resolved", resolved, b"\0\0\0\0\1" + avro(record("long"))
    plain = message(descriptor_pb2.FieldDescriptorProto.TYPE_INT64)
    read = payload("protobuf", None, Coding(message=plain), place=place)
    yield "Protobuf", read, plain(**ROW).SerializeToString()
    timed = message(".google.protobuf.Timestamp")
    read = payload("protobuf", None, Coding(message=timed), place=place)
    at = {"seconds": MICROS // 10**6, "nanos": 5_000}
    yield "Protobuf, Timestamp", read, timed(**{**ROW, "time": at}).SerializeToString()
    schema = pa.schema({"time": pa.int64(), "key": pa.string(), "value": pa.float64()})
    yield "JSON", payload("json", schema, Coding(), place=place), json.dumps(ROW).encode()


def best_s(read: Payload, value: bytes) -> float:
    messages = Messages(list(range(MESSAGES)), [value] * MESSAGES, {})
    decoder = Decoder(read, read.schema)
    rounds: list[float] = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        rows: list[Any] = [decoded.rows for decoded in decoder.decoded("", messages)]
        rounds.append(time.perf_counter() - begun)
        assert [each.num_rows for each in rows] == [MESSAGES]
    return min(rounds)


if __name__ == "__main__":
    for name, read, value in cases():
        print(f"{name:20} {MESSAGES / best_s(read, value):>12,.0f} messages a second")
