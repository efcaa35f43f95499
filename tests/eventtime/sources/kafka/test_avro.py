"""Values of Avro: what its writer wrote is the rows; what is none is set aside (S11)."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.errors import PlanError, SourceError
from eventtime.sources.kafka.registry import Registry
from schema_registry import FakeRegistry, avro, framed, logical, reading, record

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.sources.kafka.avro import AvroPayload

_MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001
_UTC = _MOMENTS.map(lambda at: at.replace(tzinfo=UTC))
_INNER = {"type": "record", "name": "Inner", "fields": [{"name": "m", "type": "string"}]}
_LONGS = st.integers(-(2**63), 2**63 - 1)
KINDS: dict[str, tuple[Any, pa.DataType, st.SearchStrategy[Any]]] = {
    "boolean": ("boolean", pa.bool_(), st.booleans()),
    "int": ("int", pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "long": ("long", pa.int64(), _LONGS),
    "double": ("double", pa.float64(), st.floats(allow_nan=False)),
    "float": ("float", pa.float32(), st.floats(width=32, allow_nan=False)),
    "bytes": ("bytes", pa.binary(), st.binary(max_size=9)),
    "string": ("string", pa.string(), st.text(max_size=9)),
    "maybe": (["null", "long"], pa.int64(), st.none() | _LONGS),
    "enum": (
        {"type": "enum", "name": "Suit", "symbols": ["A", "B"]},
        pa.string(),
        st.sampled_from("AB"),
    ),
    "fixed": (
        {"type": "fixed", "name": "F", "size": 3},
        pa.binary(3),
        st.binary(min_size=3, max_size=3),
    ),
    "micros": (logical("long", "timestamp-micros"), pa.timestamp("us", "UTC"), _UTC),
    "local": (logical("long", "local-timestamp-micros"), pa.timestamp("us"), _MOMENTS),
    "date": (logical("int", "date"), pa.date32(), st.dates()),
    "time": (logical("long", "time-micros"), pa.time64("us"), st.times()),
    "decimal": (
        logical("bytes", "decimal", precision=9, scale=2),
        pa.decimal128(9, 2),
        st.decimals(-9_999_999, 9_999_999, places=2),
    ),
    "list": (
        {"type": "array", "items": ["null", "int"]},
        pa.list_(pa.int32()),
        st.lists(st.none() | st.integers(0, 9), max_size=3),
    ),
    "map": (
        {"type": "map", "values": "long"},
        pa.map_(pa.string(), pa.int64()),
        st.dictionaries(st.text(max_size=3), _LONGS, max_size=3),
    ),
    "record": (
        ["null", _INNER],
        pa.struct([("m", pa.string())]),
        st.none() | st.fixed_dictionaries({"m": st.text(max_size=3)}),
    ),
    "uuid": (logical("string", "uuid"), pa.string(), st.uuids().map(str)),
}
EVERYTHING = record(**{name: kind for name, (kind, _, _) in KINDS.items()})
ROWS = st.fixed_dictionaries({name: values for name, (_, _, values) in KINDS.items()})


@given(rows=st.lists(ROWS, min_size=1, max_size=4), is_framed=st.booleans())
def test_what_is_written_comes_back(rows: list[dict[str, Any]], *, is_framed: bool) -> None:
    """S11: nothing is lost or made up; every type of Avro has one of Arrow."""
    values = [avro(EVERYTHING, row) for row in rows]
    if is_framed:
        values = [framed(7, value) for value in values]
    found = reading(avro_schema=EVERYTHING, framed=is_framed).parse(values)
    assert found.counts is None
    assert found.rows.schema == pa.schema([(name, kind) for name, (_, kind, _) in KINDS.items()])
    wanted = [{**row, "map": list(row["map"].items())} for row in rows]
    assert found.rows.to_pylist() == wanted


def test_times_of_milliseconds_keep_their_unit() -> None:
    schema = record(
        at=logical("long", "timestamp-millis"),
        local=logical("long", "local-timestamp-millis"),
        of_day=logical("int", "time-millis"),
        id=logical("string", "uuid"),
        ids={"type": "map", "values": ["null", logical("string", "uuid")]},
        more={"type": "array", "items": {"type": "map", "values": "int"}},
    )
    known = UUID(int=1)
    row = {
        "at": datetime(2024, 1, 2, 3, 4, 5, 678_000, UTC),
        "local": datetime(2024, 1, 2, 3, 4, 5, 678_000),  # noqa: DTZ001
        "of_day": time(1, 2, 3, 4_000),
        "id": known,
        "ids": {"a": known, "b": None},
        "more": [{"x": 1}],
    }
    [found] = reading(avro_schema=schema).parse([avro(schema, row)]).rows.to_pylist()
    others = {"id": str(known), "ids": [("a", str(known)), ("b", None)], "more": [[("x", 1)]]}
    assert found == {**row, **others}


def test_columns_are_chosen_and_cast() -> None:
    schema = record(a="int", b="string", c=logical("int", "date"))
    wanted = {"c": pa.timestamp("us"), "a": pa.int64()}
    rows = reading(avro_schema=schema, schema=wanted).parse(
        [avro(schema, {"a": 1, "b": "x", "c": date(2024, 1, 2)})]
    )
    assert rows.rows.schema == pa.schema(wanted)
    assert rows.rows.to_pylist() == [{"c": datetime(2024, 1, 2), "a": 1}]  # noqa: DTZ001


def test_a_schema_is_given_as_text_or_file_too(tmp_path: Path) -> None:
    schema = record(a="int")
    file = tmp_path / "click.avsc"
    file.write_text(json.dumps(schema))
    for given_as in (json.dumps(schema), file, str(file)):
        rows = reading(avro_schema=given_as).parse([avro(schema, {"a": 1})]).rows
        assert rows.to_pylist() == [{"a": 1}]


def test_writers_change_and_the_reader_stays(served: FakeRegistry) -> None:
    """A field that came gets its default, one that went is not read, an int becomes a long."""
    before = record(a="int", gone="string")
    reader = record(a="long")
    reader["fields"].append({"name": "b", "type": "string", "default": "?"})
    served.add(1, before)
    served.add(300, reader)
    served.add(4, record(a="string"))
    values = [
        framed(1, avro(before, {"a": 1, "gone": "x"})),
        framed(300, avro(reader, {"a": 2**40, "b": "y"})),
        framed(1, avro(before, {"a": 3, "gone": "x"})),
    ]
    read = reading(avro_schema=reader, registry=served.url)
    told = [(row["a"], row["b"]) for row in read.parse(values).rows.to_pylist()]
    assert told == [(1, "?"), (2**40, "y"), (3, "?")]
    assert served.asked == ["/schemas/ids/1", "/schemas/ids/300"]
    with pytest.raises(pa.ArrowInvalid, match=r"it is no record of its schema: .*string"):
        read.parse([framed(4, avro(record(a="string"), {"a": "x"}))])


def test_without_a_reader_columns_are_those_of_each_writer(served: FakeRegistry) -> None:
    first, second = record(a="int"), record(b="string", a="long")
    served.add(1, first)
    served.add(2, second)
    read = reading(registry=served.url, schema={"a": pa.int64(), "b": pa.string()})
    values = [framed(1, avro(first, {"a": 1})), framed(2, avro(second, {"a": 2, "b": "x"}))]
    assert read.parse(values).rows.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    assert read.only(pa.schema({"b": pa.string()})).parse(values[1:]).rows.to_pylist() == [
        {"b": "x"}
    ]


def test_a_reference_that_nobody_knows_is_malformed(served: FakeRegistry) -> None:
    served.add(1, record(at="Place"), references=[{"name": "Place"}])
    read = reading(registry=served.url, schema={"at": pa.int32()})
    with pytest.raises(pa.ArrowInvalid, match="does not know what it refers to"):
        read.parse([framed(1, b"\x02")])


def test_a_schema_that_refers_to_others_is_read_with_them(served: FakeRegistry) -> None:
    inner = {"type": "record", "name": "Place", "fields": [{"name": "x", "type": "int"}]}
    served.add(
        1, record(at="Place"), references=[{"name": "Place", "subject": "a/b", "version": 2}]
    )
    served.answers["/subjects/a%2Fb/versions/2"] = {"schema": json.dumps(inner)}
    whole = record(at=inner)
    read = reading(registry=served.url, schema={"at": pa.struct([("x", pa.int32())])})
    rows = read.parse([framed(1, avro(whole, {"at": {"x": 5}}))]).rows
    assert rows.to_pylist() == [{"at": {"x": 5}}]


BAD = {
    b"": "no header of a schema registry",
    b"{}{}{}": "no header of a schema registry",
    framed(1, b""): "it is no record of its schema",
    framed(1, b"\x02\x04"): "1 bytes are left over",
    framed(2, b"\x02"): "does not know its schema id 2",
    framed(3, b"\x02"): "its schema id 3 is of PROTOBUF, not of Avro",
    framed(
        4, b"\x02"
    ): "its schema id 4 is no schema of Avro that can be read: it is not of a record",
    framed(5, b"\x02"): "its schema id 5 is no schema of Avro that can be read: Unknown",
    framed(6, b"\x00\x02"): "field 'a' has no type in Arrow: it is a union of several types",
}


@pytest.mark.parametrize(("value", "why"), BAD.items())
def test_what_is_no_record_is_malformed(served: FakeRegistry, value: bytes, why: str) -> None:
    served.add(1, record(a="int"))
    served.add(3, "message M {}", schemaType="PROTOBUF")
    served.add(4, "int")
    served.add(5, record(a="Nowhere"))
    served.add(6, record(a=["int", "string"]))
    read = reading(registry=served.url, schema={"a": pa.int64()})
    for _ in range(2):
        with pytest.raises(pa.ArrowInvalid, match=why):
            read.parse([value])
    assert len(served.asked) <= 1, "what was said is not asked again"
    assert read.text(b"\0\1") == "AAE="


@given(value=st.binary(max_size=60))
def test_no_bytes_break_it(value: bytes) -> None:
    """They are a row, or malformed: nothing else is raised."""
    read: AvroPayload = reading(avro_schema=EVERYTHING)
    with contextlib.suppress(pa.ArrowException):
        assert read.parse([value]).rows.num_rows == 1


def test_a_registry_that_comes_back_is_asked_again(served: FakeRegistry) -> None:
    served.add(1, record(a="int"))
    served.failures += [503, 500]
    paused: list[float] = []
    host = served.url.removeprefix("http://")
    known = Registry(f"http://me:p%40ss@{host}", paused.append)
    assert json.loads(known.schema(1).texts[0]) == record(a="int")
    assert known.schema(1).kind == "AVRO"
    assert (len(served.asked), len(paused)) == (3, 2)
    assert served.logins[0] == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize(
    ("failures", "words"),
    [([503] * 9, "cannot be reached: it answered 503"), ([401], "refuses: it answered 401")],
)
def test_a_registry_that_does_not_answer_is_an_error(
    served: FakeRegistry, failures: list[int], words: str
) -> None:
    served.failures += failures
    url = served.url.replace("//", "//me:secret@")
    with pytest.raises(SourceError, match=words) as told:
        Registry(url, lambda _: None).schema(1)
    assert "secret" not in str(told.value)
    assert len(served.asked) <= 3


def test_what_is_no_registry_is_an_error(served: FakeRegistry) -> None:
    served.answers["/schemas/ids/1"] = ["?"]
    with pytest.raises(SourceError, match="does not answer as one"):
        Registry(served.url).schema(1)
    gone = Registry("http://127.0.0.1:1", lambda _: None)
    with pytest.raises(SourceError, match="cannot be reached"):
        gone.schema(1)


LOOP = record(a="int", next=["null", "Click"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "value='avro' needs a schema"),
        ({"registry": "http://r:1"}, "value='avro' needs a schema"),
        ({"avro_schema": record(a="int"), "registry": "r:1"}, "'r:1' is no address of a schema"),
        ({"avro_schema": 5}, "5 is no schema of Avro"),
        ({"avro_schema": "nowhere.avsc"}, "'nowhere.avsc' is no schema of Avro"),
        ({"avro_schema": "{"}, "'{' is no schema of Avro"),
        ({"avro_schema": {"type": "int"}}, "it is not of a record"),
        ({"avro_schema": record(a="Nowhere")}, "cannot be read with: Unknown"),
        (
            {"avro_schema": {"type": "record", "name": "A", "fields": []}},
            "it is not of a record of fields",
        ),
        ({"avro_schema": record(a=5)}, "cannot be read with: "),
        ({"avro_schema": record(a={"type": "fixed", "name": "F"})}, "cannot be read with: "),
        ({"avro_schema": record(a=logical("bytes", "decimal"))}, "cannot be read with: "),
        ({"avro_schema": LOOP}, "field 'next' has no type in Arrow: 'Click' holds itself"),
        ({"avro_schema": record(a="int"), "schema": {"b": pa.int64()}}, "no field 'b'"),
        (
            {"avro_schema": record(a="int"), "schema": {"a": pa.list_(pa.int8())}},
            "field 'a' is int32, which does not become list",
        ),
        ({"avro_schema": record(a="int"), "framed": 1}, "1 is neither True nor False"),
        ({"avro_schema": record(a="int"), "message": 1}, "message= means nothing"),
        ({"value": "json", "registry": "http://r:1"}, "registry= means nothing"),
    ],
)
def test_what_cannot_work_is_refused_at_once(more: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError) as refused:
        et.read_kafka("t", servers="h:1", **{"value": "avro", **more})
    assert words in str(refused.value)


def test_a_field_without_a_type_can_be_left_out() -> None:
    read = reading(avro_schema=LOOP, schema={"a": pa.int32()})
    value = avro(LOOP, {"a": 1, "next": {"a": 2, "next": None}})
    assert read.parse([value]).rows.to_pylist() == [{"a": 1}]
