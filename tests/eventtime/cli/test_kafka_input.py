"""Values of Kafka on the command line: what `read_kafka` can read, `tail` can, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, timestamp_pb2

import eventtime as et
from eventtime.cli.kafka_input import kafka_reader
from eventtime.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = {
    "file_format": None, "types": (), "time": "t", "time_unit": None, "on_malformed": None,
    "schema": None, "registry": None, "framed": False,
}  # fmt: skip
OF_TOPIC = ("--time", "t", "--window", "10s", "--agg", "count()", "--ascending")


def source(**given: Any) -> Any:
    node: Any = kafka_reader("kafka://h:1,i:2/a,b", NOTHING | given)().node
    return node.source


def test_json_and_arrow_have_types() -> None:
    types = ("t=timestamp[us]", "x=int64")
    schema = {"t": pa.timestamp("us"), "x": pa.int64()}
    for file_format, value in ((None, "json"), ("jsonl", "json"), ("ipc", "arrow")):
        known: Any = {"value": value, "on_malformed": "error"}
        wanted: Any = et.read_kafka(
            ["a", "b"], servers=["h:1", "i:2"], schema=schema, time="t", **known
        ).node
        found = source(file_format=file_format, types=types, on_malformed="error")
        assert found == wanted.source


def test_the_time_of_the_message_is_named_timestamp() -> None:
    """If the value has no such column."""
    raw = source(file_format="raw", time="timestamp")
    assert raw.schema().names == ["value", "timestamp"]
    assert raw.timestamp == "timestamp"
    assert source(types=("x=int64",), time="timestamp").timestamp == "timestamp"
    own = source(types=("timestamp=timestamp[us]",), time="timestamp")
    assert own.timestamp is None


def test_avro_has_a_schema_or_a_registry(tmp_path: Path) -> None:
    file = tmp_path / "click.avsc"
    fields = [{"name": "t", "type": "long"}, {"name": "x", "type": "int"}]
    file.write_text(json.dumps({"type": "record", "name": "Click", "fields": fields}))
    found = source(file_format="avro", schema=str(file), framed=True, time_unit="ms")
    assert found.schema() == pa.schema([("t", pa.int64()), ("x", pa.int32())])
    assert found.payload.is_framed
    asked = source(file_format="avro", registry="http://r:1", types=("t=int64",), time_unit="s")
    assert asked.schema() == pa.schema([("t", pa.int64())])
    assert asked.payload.registry.url == "http://r:1"


def test_protobuf_has_a_file_and_a_message(tmp_path: Path) -> None:
    held = descriptor_pb2.FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(held.file.add())
    file = tmp_path / "all.desc"
    file.write_bytes(held.SerializeToString())
    found = source(
        file_format="protobuf",
        schema=f"{file}:google.protobuf.Timestamp",
        time="seconds",
        time_unit="s",
    )
    assert found.schema() == pa.schema([("seconds", pa.int64()), ("nanos", pa.int32())])
    assert not found.payload.is_framed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kafka://h:1", "--type", "t=int64"], "names no topic"),
        (["kafka://h:1/a"], "does not say which columns"),
        (["kafka://h:1/a", "--format", "parquet"], "do not come as parquet"),
        (["kafka://h:1/a", "--format", "avro"], "add --schema FILE.avsc; or --registry"),
        (["kafka://h:1/a", "--format", "avro", "--registry", "http://r:1"], "add --schema"),
        (["kafka://h:1/a", "--format", "avro", "--schema", "gone.avsc"], "is no schema of Avro"),
        (["kafka://h:1/a", "--format", "protobuf"], "add --schema FILE:MESSAGE"),
        (["kafka://h:1/a", "--format", "protobuf", "--schema", "a.desc"], "FILE:MESSAGE"),
        (["kafka://h:1/a", "--format", "raw", "--framed"], "--framed has no meaning with"),
        (["kafka://h:1/a", "--format", "raw", "--type", "t=int64"], "with value='raw'"),
        (["-", "--format", "avro"], "do not come as avro"),
        (["in.jsonl", "--format", "raw"], "do not come as raw"),
        (["-", "--type", "t=int64", "--registry", "http://r:1"], "--registry has no meaning"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", *arguments, *OF_TOPIC]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert "fix:" in told
