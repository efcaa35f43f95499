"""Values of Avro and Protobuf on a real broker: every message once, or set aside at its place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import timestamp_pb2

import eventtime as et
from command_line import process
from eventtime.errors import SourceError
from schema_registry import FakeRegistry, avro, framed, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from live.kafka.topics import Topic

    MakeTopic = Callable[..., Topic]

AT = {"type": "long", "logicalType": "timestamp-micros"}
BEFORE = {"type": "record", "name": "Click", "fields": [{"name": "t", "type": AT}]}
NOW = {**BEFORE, "fields": [*BEFORE["fields"], {"name": "x", "type": "int", "default": 100}]}


@pytest.fixture
def served() -> Iterator[FakeRegistry]:
    with registry() as made:
        yield made


def click(number: int, second: float, **more: Any) -> bytes:
    row = {"t": datetime.fromtimestamp(second, tz=UTC), **more}
    return framed(number, avro(NOW if more else BEFORE, row))


def counted(topic: Topic, column: str, **how: Any) -> et.Run:
    read = et.read_kafka(topic.name, servers=topic.servers, end="now", **how)
    windows = read.watermark(et.bounded_disorder("1s")).window(et.tumbling("10s"))
    return windows.aggregate(n=et.count(), x=et.sum(column)).run()


def results(ran: et.Run) -> list[tuple[int, int]]:
    return [(row["n"], row["x"]) for row in ran.table().to_pylist()]


def test_records_of_a_schema_that_changes_are_counted(
    topic: MakeTopic, served: FakeRegistry
) -> None:
    """S11: ids that nobody knows and bytes that are no record are set aside; the others count."""
    served.add(1, BEFORE)
    served.add(2, NOW)
    made = topic(2)
    made.send(0, click(1, 1), click(2, 2, x=5), click(9, 3), b"{}", click(2, 12, x=7))
    made.send(1, click(2, 4, x=6), click(1, 13))
    ran = counted(made, "x", value="avro", avro_schema=NOW, registry=served.url, time="t")
    assert results(ran) == [(3, 111), (2, 107)]
    aside = ran.side("quarantine").to_pylist()
    assert [row["line"] for row in aside] == [2, 3]
    assert "partition 0, offset 2: the schema registry does not know" in aside[0]["detail"]
    ran.assert_balanced()


def test_a_registry_that_is_gone_ends_the_run(topic: MakeTopic, served: FakeRegistry) -> None:
    """No message is passed over because nobody could say what is in it."""
    served.failures += [503] * 9
    made = topic()
    made.send(0, click(2, 2, x=5))
    with pytest.raises(SourceError, match="the schema registry cannot be reached"):
        counted(made, "x", value="avro", avro_schema=NOW, registry=served.url, time="t")


def test_messages_of_protobuf_are_counted(topic: MakeTopic) -> None:
    made = topic()
    bodies = [
        timestamp_pb2.Timestamp(seconds=at).SerializeToString() for at in (1_000, 4_000, 15_000)
    ]
    made.send(0, *(framed(3, b"\0" + body) for body in bodies), b"\xff")
    ran = counted(
        made,
        "seconds",
        value="protobuf",
        message=timestamp_pb2.Timestamp,
        framed=True,
        time="seconds",
        time_unit="ms",
    )
    assert results(ran) == [(2, 5_000), (1, 15_000)]
    assert [row["line"] for row in ran.side("quarantine").to_pylist()] == [3]


def test_tail_asks_the_registry(topic: MakeTopic, served: FakeRegistry, tmp_path: Path) -> None:
    """`eventtime tail kafka://…` with all that is said of Avro."""
    served.add(1, BEFORE)
    (tmp_path / "now.avsc").write_text(json.dumps(NOW))
    made = topic()
    made.send(0, click(1, 1), click(1, 2), click(1, 14))
    running = process(
        "tail", f"kafka://{made.servers}/{made.name}", "--format", "avro", "--registry", served.url,
        "--schema", tmp_path / "now.avsc", "--time", "t", "--window", "10s", "--ascending",
        "--agg", "sum(x) as x",
    )  # fmt: skip
    try:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["x"] == 200
    finally:
        running.kill()
        running.communicate()
