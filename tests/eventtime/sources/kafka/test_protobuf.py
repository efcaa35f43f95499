"""Values of Protobuf: what its writer wrote is the rows; what is none is set aside (S11)."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, duration_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.errors import PlanError
from eventtime.sources.kafka.messages import Decoder
from eventtime.sources.kafka.polled import Messages
from eventtime.sources.kafka.values import Coding, payload
from kafka_messages import Told
from schema_registry import framed

if TYPE_CHECKING:
    from pathlib import Path

_FIELD = descriptor_pb2.FieldDescriptorProto
_LONGS = st.integers(-(2**63), 2**63 - 1)
SCALARS: dict[str, tuple[int, pa.DataType, st.SearchStrategy[Any]]] = {
    "double": (_FIELD.TYPE_DOUBLE, pa.float64(), st.floats(allow_nan=False)),
    "float": (_FIELD.TYPE_FLOAT, pa.float32(), st.floats(width=32, allow_nan=False)),
    "int32": (_FIELD.TYPE_SINT32, pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "int64": (_FIELD.TYPE_INT64, pa.int64(), _LONGS),
    "uint32": (_FIELD.TYPE_FIXED32, pa.uint32(), st.integers(0, 2**32 - 1)),
    "uint64": (_FIELD.TYPE_UINT64, pa.uint64(), st.integers(0, 2**64 - 1)),
    "bool": (_FIELD.TYPE_BOOL, pa.bool_(), st.booleans()),
    "string": (_FIELD.TYPE_STRING, pa.string(), st.text(max_size=9)),
    "bytes": (_FIELD.TYPE_BYTES, pa.binary(), st.binary(max_size=9)),
}


def described() -> descriptor_pb2.FileDescriptorProto:
    """Describe shop.Click: every scalar, and one of each thing that is none."""
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    for used in (timestamp_pb2, duration_pb2, wrappers_pb2):
        file.dependency.append(used.DESCRIPTOR.name)
    suit = file.enum_type.add(name="Suit")
    suit.value.add(name="NONE", number=0)
    suit.value.add(name="HEART", number=5)
    place = file.message_type.add(name="Place")
    place.field.add(name="x", number=1, type=_FIELD.TYPE_INT64, label=_FIELD.LABEL_OPTIONAL)
    place.field.add(name="tags", number=2, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_REPEATED)
    file.message_type.add(name="Empty")
    click = file.message_type.add(name="Click")

    def add(name: str, kind: int, *, of: str = "", many: bool = False) -> Any:
        label = _FIELD.LABEL_REPEATED if many else _FIELD.LABEL_OPTIONAL
        number = len(click.field) + 1
        return click.field.add(
            name=name, number=number, type=kind, label=label, type_name=of or None
        )

    for name, (kind, _, _) in SCALARS.items():
        add(name, kind)
    add("suit", _FIELD.TYPE_ENUM, of=".shop.Suit")
    add("at", _FIELD.TYPE_MESSAGE, of=".google.protobuf.Timestamp")
    add("took", _FIELD.TYPE_MESSAGE, of=".google.protobuf.Duration")
    add("wrapped", _FIELD.TYPE_MESSAGE, of=".google.protobuf.Int64Value")
    add("place", _FIELD.TYPE_MESSAGE, of=".shop.Place")
    add("places", _FIELD.TYPE_MESSAGE, of=".shop.Place", many=True)
    add("numbers", _FIELD.TYPE_INT32, many=True)
    add("empty", _FIELD.TYPE_MESSAGE, of=".shop.Empty")
    maybe = add("maybe", _FIELD.TYPE_INT32)
    maybe.proto3_optional, maybe.oneof_index = True, 0
    add("held", _FIELD.TYPE_MESSAGE, of=".shop.Click.HeldEntry", many=True)
    entry = click.nested_type.add(name="HeldEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=_FIELD.TYPE_INT64, label=_FIELD.LABEL_OPTIONAL)
    click.oneof_decl.add(name="_maybe")
    loop = file.message_type.add(name="Loop")
    loop.field.add(name="a", number=1, type=_FIELD.TYPE_INT32, label=_FIELD.LABEL_OPTIONAL)
    loop.field.add(
        name="next",
        number=2,
        type=_FIELD.TYPE_MESSAGE,
        type_name=".shop.Loop",
        label=_FIELD.LABEL_OPTIONAL,
    )
    return file


def file_set() -> descriptor_pb2.FileDescriptorSet:
    """Return it with what it imports."""
    files = descriptor_pb2.FileDescriptorSet()
    for used in (timestamp_pb2, duration_pb2, wrappers_pb2):
        used.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.add().CopyFrom(described())
    return files


def _pool() -> Any:
    pool = DescriptorPool()
    for file in file_set().file:
        pool.Add(file)
    return pool


POOL = _pool()
CLICK, LOOP, EMPTY = (
    GetMessageClass(POOL.FindMessageTypeByName(f"shop.{name}"))
    for name in ("Click", "Loop", "Empty")
)
_MICROS = st.integers(-(10**15), 10**15)
_PLACES = st.fixed_dictionaries(
    {"x": _LONGS, "tags": st.lists(st.text(max_size=3), max_size=2)},
)
ROWS = st.fixed_dictionaries(
    {
        **{name: values for name, (_, _, values) in SCALARS.items()},
        "suit": st.sampled_from([("NONE", 0), ("HEART", 5), ("7", 7)]),
        "at": st.none() | _MICROS,
        "took": st.none() | _MICROS,
        "wrapped": st.none() | _LONGS,
        "place": st.none() | _PLACES,
        "places": st.lists(_PLACES, max_size=2),
        "numbers": st.lists(st.integers(-9, 9), max_size=3),
        "empty": st.none() | st.just({}),
        "maybe": st.none() | st.integers(0, 1),
        "held": st.dictionaries(st.text(max_size=3), _LONGS, max_size=3),
    }
)


def written(row: dict[str, Any]) -> bytes:
    """Write a row as its message."""
    more = {name: value for name, value in row.items() if value is not None}
    more["suit"] = row["suit"][1]
    for name in ("at", "took"):
        if row[name] is not None:
            more[name] = {"seconds": row[name] // 10**6, "nanos": row[name] % 10**6 * 1_000 + 999}
    if row["wrapped"] is not None:
        more["wrapped"] = {"value": row["wrapped"]}
    return bytes(CLICK(**more).SerializeToString())


def as_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return it as Arrow tells it."""
    at, took = row["at"], row["took"]
    return {
        **row,
        "suit": row["suit"][0],
        "at": None if at is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at),
        "took": None if took is None else timedelta(microseconds=took),
        "held": sorted(row["held"].items()),
    }


def reading(message: Any = CLICK, **said: Any) -> Any:
    schema = said.pop("schema", None)
    return payload("protobuf", schema, Coding(message=message, **said), place="read_kafka(…)")


PLACE = pa.struct([("x", pa.int64()), ("tags", pa.list_(pa.string()))])
SCHEMA = pa.schema(
    [
        *((name, kind) for name, (_, kind, _) in SCALARS.items()),
        ("suit", pa.string()),
        ("at", pa.timestamp("us", "UTC")),
        ("took", pa.duration("us")),
        ("wrapped", pa.int64()),
        ("place", PLACE),
        ("places", pa.list_(PLACE)),
        ("numbers", pa.list_(pa.int32())),
        ("empty", pa.struct([])),
        ("maybe", pa.int32()),
        ("held", pa.map_(pa.string(), pa.int64())),
    ]
)
HEADS = [b"\0", b"\x02\0", b"\x04\x02\x80\x01"]


@given(rows=st.lists(ROWS, min_size=1, max_size=4), head=st.sampled_from([None, *HEADS]))
def test_what_is_written_comes_back(rows: list[dict[str, Any]], head: bytes | None) -> None:
    """S11: nothing is lost or made up; what is not set is null where that can be told from zero."""
    values = [written(row) for row in rows]
    if head is not None:
        values = [framed(9, head + value) for value in values]
    found = reading(framed=head is not None).parse(values)
    found.rows.validate(full=True)
    assert found.counts is None
    assert found.rows.schema == SCHEMA
    assert found.rows.to_pylist() == [as_row(row) for row in rows]


def test_columns_are_chosen_and_cast() -> None:
    wanted = {"at": pa.timestamp("ms", "UTC"), "uint32": pa.int64()}
    value = CLICK(at={"seconds": 2}, uint32=3).SerializeToString()
    rows = reading(schema=wanted).parse([value]).rows
    assert rows.schema == pa.schema(wanted)
    assert rows.to_pylist() == [{"at": datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC), "uint32": 3}]
    assert reading().only(rows.schema).parse([value]).rows == rows


def test_a_message_is_given_by_descriptor_or_file_too(tmp_path: Path) -> None:
    file = tmp_path / "shop.desc"
    file.write_bytes(file_set().SerializeToString())
    value = CLICK(int64=5).SerializeToString()
    for given_as in (CLICK.DESCRIPTOR, (file, "shop.Click"), (str(file), "shop.Click")):
        assert reading(given_as).parse([value]).rows["int64"].to_pylist() == [5]


BAD = {
    b"": "no header of a schema registry",
    b"\x01\0\0\0\1\0": "no header of a schema registry",
    b"\0\0\0\0\1": "indexes of the message in its header are cut off",
    b"\0\0\0\0\1\x04\x02": "indexes of the message in its header are cut off",
    b"\0\0\0\0\1\x01": "indexes of the message in its header are cut off",
    b"\0\0\0\0\1\0\xff": "it is no message of shop.Click",
}


@pytest.mark.parametrize(("value", "why"), BAD.items())
def test_what_is_no_message_is_set_aside(value: bytes, why: str) -> None:
    good = framed(1, b"\0" + CLICK(int64=1).SerializeToString())
    read = reading(framed=True, schema={"int64": pa.int64()})
    told = [Told(good, 5), Told(value, 6), Told(good, 7), Told(None, 8)]
    decoder = Decoder(read, read.schema)
    messages = Messages.of(told, decoder.wanted)
    decoded: Any = list(decoder.decoded("topic 't', partition 0", messages))
    assert [rows.num_rows for rows, _ in decoded[::2]] == [1, 1]
    aside = [row for rows, _ in decoded[1::2] for row in rows.rows.to_pylist()]
    assert [row["line"] for row in aside] == [6, 8]
    assert why in aside[0]["error"]
    assert "it has no value (a tombstone)" in aside[1]["error"]


def test_a_time_that_does_not_fit_is_malformed() -> None:
    value = CLICK(at={"seconds": 2**62}).SerializeToString()
    with pytest.raises(pa.ArrowInvalid, match="field 'at' does not fit timestamp"):
        reading().parse([value])


@given(value=st.binary(max_size=60))
def test_no_bytes_break_it(value: bytes) -> None:
    """They are a row, or malformed: nothing else is raised."""
    with contextlib.suppress(pa.ArrowException):
        assert reading().parse([value]).rows.num_rows == 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "None is no type of message"),
        ({"message": int}, "<class 'int'> is no type of message"),
        ({"message": ("nowhere.desc", "shop.Click")}, "'nowhere.desc' cannot be read"),
        ({"message": LOOP}, "field 'next' has no type in Arrow: shop.Loop holds itself"),
        ({"message": EMPTY}, "shop.Empty has no fields"),
        ({"message": CLICK, "schema": {"b": pa.int64()}}, "there is no field 'b'"),
        ({"message": CLICK, "registry": "http://r:1"}, "registry= means nothing"),
        ({"message": CLICK, "avro_schema": {}}, "avro_schema= means nothing"),
    ],
)
def test_what_cannot_work_is_refused_at_once(more: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as refused:
        et.read_kafka("t", servers="h:1", **{"value": "protobuf", **more})
    assert words in str(refused.value)


def test_a_name_that_is_not_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shop.desc"
    file.write_bytes(file_set().SerializeToString())
    with pytest.raises(PlanError, match=r"there is no message 'Click' in .*shop\.desc"):
        reading((file, "Click"))
    file.write_bytes(b"\xff")
    with pytest.raises(PlanError, match="cannot be read as a FileDescriptorSet"):
        reading((file, "Click"))


def test_a_message_that_holds_itself_is_read_without_that() -> None:
    value = LOOP(a=1, next={"a": 2}).SerializeToString()
    assert reading(LOOP, schema={"a": pa.int32()}).parse([value]).rows.to_pylist() == [{"a": 1}]
