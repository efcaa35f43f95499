"""Topics of a real broker as a sink: each epoch once for readers of what is committed (S28)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

import eventtime as et
from eventtime.errors import FencedError, SinkError
from eventtime.sinks.kafka_producer import Marker, Transactions
from eventtime.testing import SINK_CHECKS, SinkCase
from eventtime.testing.sinks import values_of_every_type_come_back
from live.kafka.topics import committed
from sink_cases import NIGHTLY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventtime.sinks.epochs import EpochSink
    from eventtime.sinks.kafka_messages import Format
    from kafka_server import KafkaServer
    from live.kafka.topics import Topic


def kafka_case(servers: str, value: Format) -> SinkCase:
    """A topic for each folder."""

    def name(folder: Path) -> str:
        return f"s-{hashlib.sha256(str(folder).encode()).hexdigest()[:40]}"

    def make(folder: Path) -> EpochSink:
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        if name(folder) not in admin.list_topics(timeout=60).topics:
            admin.create_topics([NewTopic(name(folder), 2, 1)])[name(folder)].result()
        return et.to_kafka(name(folder), servers=servers, value=value)

    def read(folder: Path) -> list[dict[str, Any]]:
        values = [value for _, value in committed(servers, name(folder))]
        if value == "json":
            return [json.loads(text) for text in values]
        return [row for text in values for row in pa.ipc.open_stream(text).read_all().to_pylist()]

    return SinkCase(make, read, kills=1_000 if NIGHTLY else 4)


@pytest.mark.parametrize(
    "check",
    # What a format writes of each type does not depend on where it writes.
    [check for check in SINK_CHECKS if check is not values_of_every_type_come_back],
    ids=lambda check: check.__name__,
)
def test_kafka_passes_the_kit(
    check: Callable[..., Any], tmp_path: Path, broker: KafkaServer
) -> None:
    check(kafka_case(broker.servers, "json"), tmp_path / "case")


def test_one_that_was_fenced_off_does_not_fence_off_its_successor(
    topic: Callable[..., Topic], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S28: not even while the successor's marker cannot be read yet."""
    made = topic(1)
    sink = et.to_kafka(made.name, servers=made.servers)
    schema = pa.schema([("n", pa.int64())])
    rows = [pa.record_batch([[1]], schema=schema)]
    old, new = sink.open_epochs(schema, "job/results"), sink.open_epochs(schema, "job/results")
    old.recover(1)
    new.recover(2)
    with pytest.raises(FencedError):
        old.commit(1, rows, 1)
    monkeypatch.setattr(Transactions, "marker", lambda self, *, is_settled: Marker(1, 0))
    with pytest.raises(FencedError):
        old.commit(1, rows, 1)
    new.commit(1, rows, 2)
    new.close()
    old.close()


def test_rows_of_arrow_come_back_as_they_were(tmp_path: Path, broker: KafkaServer) -> None:
    """Also where they are more than one message holds."""
    case = kafka_case(broker.servers, "arrow")
    n, at = pa.array(range(100_000)), pa.scalar(0, pa.timestamp("us", "UTC"))
    kinds = {"n": n, "s": n.cast(pa.string()), "d": n.cast(pa.decimal128(25, 2))}
    batch = pa.record_batch({**kinds, "t": pa.repeat(at, len(n))})
    writer = case.make(tmp_path).open_epochs(batch.schema, "job")
    writer.recover(1)
    writer.commit(1, [batch], 1)
    writer.close()
    assert sorted(case.read(tmp_path), key=lambda row: row["n"]) == batch.to_pylist()


def test_keys_are_those_of_the_columns(topic: Callable[..., Topic]) -> None:
    made = topic(4)
    rows = pa.table({"t": [1, 1, 2], "k": ["a", None, "b"], "n": [5, 6, 7]})
    marked = et.from_arrow(rows, time="t", time_unit="s").watermark(et.ascending())
    stream = marked.key_by("k").window(et.tumbling("10s"))
    counted = stream.aggregate(n=et.sum("n")).select("k", "n")
    for key in (["k"], ["n"], ["k", "n"]):
        counted.run(et.to_kafka(made.name, servers=made.servers, key=key))
    assert {key for key, _ in committed(made.servers, made.name)} == {
        *(b"a", None, b"b"),
        *(b"5", b"6", b"7"),
        *(b'{"k":"a","n":5}', b'{"k":null,"n":6}', b'{"k":"b","n":7}'),
    }


def test_a_run_that_fails_leaves_nothing_that_is_committed(topic: Callable[..., Topic]) -> None:
    made = topic()
    rows = pa.table({"t": list(range(100)), "n": [1] * 100})

    def fails(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise ValueError

    marked = et.from_arrow(rows, time="t", time_unit="s").watermark(et.ascending())
    failing = marked.window(et.tumbling("10s")).aggregate(n=et.sum("n")).map_batches(fails)
    with pytest.raises(et.UserCodeError):
        failing.run(et.to_kafka(made.name, servers=made.servers))
    assert committed(made.servers, made.name) == []


def test_what_cannot_be_written_is_said_before_the_first_row(broker: KafkaServer) -> None:
    def refused(topic: str = "none", **more: object) -> str:
        known: dict[str, Any] = {"servers": broker.servers, **more}
        with pytest.raises(SinkError) as told:
            et.to_kafka(topic, **known).open_epochs(pa.schema([("n", pa.int64())]), "job")
        return str(told.value)

    assert "'none' is closed to us: Broker: Unknown topic" in refused()
    assert "no column 'k' for the key; there are n" in refused(key=["k"])
    assert "the client refuses its options" in refused(options={"no.such": 1})
    login = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "eventtime",
        "sasl.password": "wrong",
    }
    answer = refused(servers=broker.servers_with_login, options=login)
    assert "the broker refuses the login" in answer
    assert "wrong" not in answer
