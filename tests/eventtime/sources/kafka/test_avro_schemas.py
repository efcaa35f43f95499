"""Schemas of Avro that two sides know: what is refused, and whose logical types count (S11)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
import pytest

from eventtime.errors import PlanError
from schema_registry import avro, framed, logical, reading, record

if TYPE_CHECKING:
    from schema_registry import FakeRegistry

INNER = {"type": "record", "name": "Inner"}
NOTHING = {"type": "record", "name": "Nothing", "fields": []}
NO_BYTES = {**NOTHING, "name": "No", "fields": [{"name": "a", "type": "null"}]}
ENDLESS = {
    "nulls": {"type": "array", "items": "null"},
    "nothings": {"type": "array", "items": NOTHING},
    "records": {"type": "array", "items": NO_BYTES},
    "fixed": {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
    "deep": {"type": "map", "values": ["null", {"type": "array", "items": "null"}]},
    "self": "Click",
    "others": {**NO_BYTES, "fields": [{"name": "a", "type": "Click"}]},
}


@pytest.mark.parametrize("kind", ENDLESS.values(), ids=ENDLESS)
def test_a_schema_that_a_few_bytes_make_endless_is_refused(served: FakeRegistry, kind: Any) -> None:
    """A message says how many values come; such as take no bytes would be read for ever."""
    with pytest.raises(PlanError, match=r"cannot be read with: (it has an array|each record)"):
        reading(avro_schema=record(a=kind))
    served.add(1, record(a="int", b=kind))
    read = reading(registry=served.url, schema={"a": pa.int64()})
    with pytest.raises(pa.ArrowInvalid, match="its schema id 1 is no schema of Avro that can be"):
        read.parse([framed(1, b"\x02" + b"\xff" * 9 + b"\x01")])


def test_what_holds_itself_may_have_an_end() -> None:
    tree = record(
        a="int",
        none=["null"],
        maybe=["null", NOTHING],
        more={"type": "array", "items": "Click"},
        named={"type": "map", "values": "Click"},
    )
    row: dict[str, Any] = {"a": 1, "none": None, "maybe": {}, "more": [], "named": {}}
    value = avro(tree, {**row, "more": [row], "named": {"x": row}})
    [found] = reading(avro_schema=tree, schema={"a": pa.int32()}).parse([value]).rows.to_pylist()
    assert found == {"a": 1}


def test_records_within_each_other_without_end_are_malformed() -> None:
    """Read compiled, they would overflow the stack of the process."""
    loop = record(a="int", next=["null", "Click"])
    read = reading(avro_schema=loop, schema={"a": pa.int32()})
    nested = {"a": 1, "next": {"a": 2, "next": None}}
    assert read.parse([avro(loop, nested)]).rows.to_pylist() == [{"a": 1}]
    with pytest.raises(pa.ArrowInvalid, match=r"it is no record of its schema: .*recursion"):
        read.parse([b"\0\2" * 100_000 + b"\0\0"])


_AT = datetime(2024, 1, 2, 3, 4, 5, 678_000, UTC)
_AT_MS = 1_704_164_645_678
_PAID = logical("bytes", "decimal", precision=4, scale=2)
_MILLIS, _MICROS = logical("long", "timestamp-millis"), logical("long", "timestamp-micros")
READ_AS: dict[str, tuple[Any, Any, Any, Any]] = {
    "time as number": (_MILLIS, "long", _AT, _AT_MS),
    "number as time": ("long", _MILLIS, _AT_MS, _AT),
    "times by value": (_MILLIS, _MICROS, _AT, _AT),
    "small number as time": ("int", _MILLIS, 678, datetime(1970, 1, 1, 0, 0, 0, 678_000, UTC)),
    "maybe a time": (["null", _MILLIS], ["null", "long"], _AT, _AT_MS),
    "maybe a number": ("long", ["null", _MILLIS], _AT_MS, _AT),
    "day as number": (logical("int", "date"), "int", date(1970, 1, 3), 2),
    "day as wide number": (logical("int", "date"), "long", date(1970, 1, 3), 2),
    "number as day": ("int", logical("int", "date"), 2, date(1970, 1, 3)),
    "decimal as bytes": (_PAID, "bytes", Decimal("1.28"), b"\x00\x80"),
    "bytes as decimal": ("bytes", _PAID, b"\x00\x80", Decimal("1.28")),
    "uuid as text": (logical("string", "uuid"), "string", UUID(int=1), str(UUID(int=1))),
    "in lists": (
        {"type": "array", "items": _MILLIS}, {"type": "array", "items": "long"}, [_AT], [_AT_MS],
    ),
    "in maps": (
        {"type": "map", "values": "long"}, {"type": "map", "values": _MILLIS},
        {"x": _AT_MS}, [("x", _AT)],
    ),
    "in records": (
        {**INNER, "fields": [{"name": "m", "type": _MILLIS}, {"name": "gone", "type": "int"}]},
        {**INNER, "fields": [{"name": "n", "aliases": ["m"], "type": "long"}]},
        {"m": _AT, "gone": 1}, {"n": _AT_MS},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "wrote", "read"), READ_AS.values(), ids=READ_AS)
def test_the_reader_says_what_is_a_time(
    served: FakeRegistry, writer: Any, reader: Any, wrote: Any, read: Any
) -> None:
    """Logical types are those of the schema that was given, whatever the writer said of them."""
    before = record(a=writer)
    served.add(1, before)
    reads = reading(avro_schema=record(a=reader), registry=served.url)
    assert reads.parse([framed(1, avro(before, {"a": wrote}))]).rows.to_pylist() == [{"a": read}]
