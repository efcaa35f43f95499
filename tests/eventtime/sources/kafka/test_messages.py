"""From messages to rows, without a broker: everything is there once, at its place (S11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.errors import MalformedRowError, PlanError
from eventtime.sources.base import MalformedRows
from eventtime.sources.kafka.messages import TIMESTAMP, Decoder
from eventtime.sources.kafka.payloads import ArrowPayload, JsonPayload, RawPayload
from eventtime.sources.kafka.polled import Messages
from kafka_messages import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = pa.schema([("x", pa.int64())])


def told(decoder: Decoder, contents: Sequence[bytes | None]) -> Messages:
    polled = [Told(content, i + 5) for i, content in enumerate(contents)]
    return Messages.of(polled, decoder.wanted)


KINDS = {
    b'{"x": 1}': [1],
    b'{"x": 1}\n{"x": 2}\n': [1, 2],
    b'{\r\n"x":\n3}': [3],
    b'{"y": 1}': [None],
    b"": None,
    b"\n\n": None,
    b'{"x": "a"}': None,
    b"{": None,
    b'{"x": 1}{"x": 2}': None,
    b"[1]": None,
    b"null": None,
    b"\xff": None,
    None: None,
}


@given(contents=st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=20))
def test_every_message_is_rows_or_set_aside_at_its_place(contents: list[bytes | None]) -> None:
    decoder = Decoder(JsonPayload(SCHEMA), SCHEMA)
    offset, got = 5, []
    for rows, behind in decoder.decoded("topic 't', partition 0", told(decoder, contents)):
        assert behind > offset
        assert rows is not None
        if not isinstance(rows, MalformedRows):
            got.append(rows["x"].to_pylist())
        else:
            assert rows.rows["line"].to_pylist() == list(range(offset, behind))
            assert not any(KINDS[content] for content in contents[offset - 5 : behind - 5])
        offset = behind
    assert offset == 5 + len(contents)
    wanted = [x for content in contents for x in KINDS[content] or ()]
    assert [x for rows in got for x in rows] == wanted


@given(
    parts=st.lists(
        st.lists(st.sampled_from([*list(KINDS)[:2] * 12, *KINDS]), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_partitions_decoded_together_have_the_rows_they_have_alone(
    parts: list[list[bytes | None]],
) -> None:
    """S4; where a message does not parse, each partition is decoded for itself."""
    schema = pa.schema([*SCHEMA, ("key", pa.binary())])
    decoder = Decoder(JsonPayload(SCHEMA), schema, key="key")
    messages = [told(decoder, contents) for contents in parts]
    together = decoder.together(messages)
    plain = list(KINDS)[:2]
    assert together is not None or any(each not in plain for part in parts for each in part)
    for one, found in zip(messages, together or (), strict=together is not None):
        [(rows, offset)] = decoder.decoded("", one)
        assert found == (rows, offset)


def test_columns_from_beside_the_value_follow_its_rows() -> None:
    schema = pa.schema([("at", TIMESTAMP), ("x", pa.int64()), ("key", pa.binary())])
    decoder = Decoder(JsonPayload(SCHEMA), schema, timestamp="at", key="key")
    messages = told(decoder, [b'{"x": 1}', b'{"x": 2}\n{"x": 3}', b'{"x": 4}'])
    [(found, behind)] = decoder.decoded("", messages)
    rows: Any = found
    assert behind == 8
    assert rows.schema == schema
    assert rows["key"].to_pylist() == [b"5", b"6", b"6", b"7"]
    assert rows["at"].cast(pa.int64()).to_pylist() == [5_000, None, None, 7_000]


def test_raw_values_may_lack() -> None:
    schema = pa.schema([("value", pa.binary())])
    decoder = Decoder(RawPayload(schema), schema)
    [(found, _)] = decoder.decoded("", told(decoder, [b"a", None]))
    rows: Any = found
    assert rows["value"].to_pylist() == [b"a", None]


def test_arrow_of_other_columns_is_set_aside() -> None:
    def stream(batch: pa.RecordBatch) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue())

    contents = [
        stream(pa.record_batch({"y": ["a"], "x": pa.array([1], pa.int32())})),
        stream(pa.record_batch({"y": [1]})),
        stream(pa.record_batch({"x": ["a"]})),
        stream(pa.record_batch({"x": [2, 3]})),
        b"no arrow",
    ]
    decoder = Decoder(ArrowPayload(SCHEMA), SCHEMA)
    found = list(decoder.decoded("topic", told(decoder, contents)))
    kinds = [type(rows).__name__ for rows, _ in found]
    assert kinds == ["RecordBatch", "MalformedRows", "RecordBatch", "MalformedRows"]
    bad: Any = found[1][0]
    assert bad.rows["line"].to_pylist() == [6, 7]
    assert bad.rows["error"][0].as_py() == "topic, offset 6: it has no column 'x'"


def test_a_message_that_does_not_parse_can_be_an_error() -> None:
    decoder = Decoder(JsonPayload(SCHEMA), SCHEMA, on_malformed="error")
    with pytest.raises(MalformedRowError, match=r"the message does not parse: .*it is '{'"):
        list(decoder.decoded("topic 't', partition 0", told(decoder, [b'{"x": 1}', b"{"])))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"topics": []}, "[] are not one or more different"),
        ({"servers": ""}, "'' names no broker"),
        ({"servers": 9092}, "9092 names no broker"),
        ({"value": "xml"}, "value='xml' is unknown"),
        ({"schema": None}, "value='json' needs a schema"),
        ({"value": "raw"}, "schema= means nothing with value='raw'"),
        ({"schema": {"timestamp": pa.int64()}}, "two columns have the name 'timestamp'"),
        ({"key": "x"}, "two columns have the name 'x'"),
        ({"partitions": []}, "partitions=[] chooses none"),
        ({"partitions": 3}, "partitions=3 chooses none"),
        ({"partitions": [0, -1]}, "-1 is not a number of a partition"),
        ({"partitions": [0], "group": "g"}, "a group gives each member its own"),
        ({"start": "soon"}, "start='soon' is no place to start"),
        ({"end": "never"}, "end='never' is unknown"),
        ({"end": "now", "group": "g"}, "group='g' beside end='now'"),
        ({"on_malformed": "drop"}, "on_malformed='drop' is unknown"),
        ({"options": {"enable.auto.commit": True}}, "'enable.auto.commit' is ours to set"),
    ],
)
def test_what_cannot_work_is_refused_at_once(more: dict[str, Any], words: str) -> None:
    known: dict[str, Any] = {"topics": "t", "servers": "h:1", "schema": {"x": pa.int64()}, **more}
    with pytest.raises(PlanError) as refused:
        et.read_kafka(known.pop("topics"), **known)
    assert words in str(refused.value)


def test_a_source_says_what_it_is_and_no_secret() -> None:
    stream = et.read_kafka(
        ["a", "b"],
        servers=["h:1", "h:2"],
        schema={"x": pa.int64()},
        options={"sasl.password": "secret"},
    )
    source: Any = stream.node
    assert source.source.describe() == "Kafka topics a, b"
    assert "secret" not in repr(source.source)
    assert source.source.schema().names == ["x", "timestamp"]
