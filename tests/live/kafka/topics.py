"""Topics on the broker of the tests, and hands to fill them."""

from __future__ import annotations

import itertools
import json
import os
import threading
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import eventtime as et

_NUMBERS = itertools.count()
_ROOM_S = 60


class Topic:
    """A topic of its own.

    Args:
        servers: where the broker is.
        partitions: how many.
        config: of the topic.
    """

    def __init__(self, servers: str, partitions: int = 1, **config: str) -> None:
        self.name, self.servers = f"t{os.getpid()}-{next(_NUMBERS)}", servers
        self.admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self._producer: Producer | None = None
        known = {name.replace("_", "."): value for name, value in config.items()}
        new = NewTopic(self.name, partitions, 1, config=known)
        self.admin.create_topics([new])[self.name].result()

    def send(self, partition: int, *values: bytes | None, **more: Any) -> None:
        """Write messages, and wait until they are there."""
        if self._producer is None:
            settings = {"bootstrap.servers": self.servers, "log_level": 0, "linger.ms": 0}
            self._producer = Producer(settings)
        for value in values:
            self._producer.produce(self.name, value, partition=partition, **more)
        assert self._producer.flush(_ROOM_S) == 0

    def rows(self, partition: int, *seconds: float, x: int = 1) -> None:
        """Write a JSON message for each second."""
        self.send(partition, *(message(second, x) for second in seconds))

    def committed(self, group: str) -> dict[int, int]:
        """Offsets that a group has committed, by partition."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "log_level": 0})
        numbers = consumer.list_topics(self.name, timeout=_ROOM_S).topics[self.name].partitions
        asked = [TopicPartition(self.name, number) for number in numbers]
        known = consumer.committed(asked, timeout=_ROOM_S)
        consumer.close()
        return {at.partition: at.offset for at in known}

    def forget(self, partition: int, offset: int) -> None:
        """Delete the messages in front of an offset."""
        at = TopicPartition(self.name, partition, offset)
        self.admin.delete_records([at])[at].result()

    def widen(self, partitions: int) -> None:
        """Let it have more partitions."""
        self.admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result()
        self._producer = None  # it knows those that there were

        def are_there() -> bool:
            known = self.admin.list_topics(self.name, timeout=_ROOM_S).topics[self.name]
            return len(known.partitions) == partitions

        until(are_there)


SCHEMA = pa.schema([("t", pa.timestamp("us", "UTC")), ("x", pa.int64())])


def message(second: float, x: object = 1) -> bytes:
    """Write one row as JSON."""
    at = datetime.fromtimestamp(second, tz=UTC)
    return json.dumps({"t": at.isoformat(), "x": x}).encode()


def until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition; a bound is an error."""
    for _ in range(_ROOM_S * 50):
        if is_so():
            return
        threading.Event().wait(0.02)
    raise AssertionError


def ipc(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> bytes:
    """Write rows as a stream of Arrow IPC."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(list(rows), schema))
    return bytes(sink.getvalue())


def committed(servers: str, topic: str) -> list[tuple[Any, Any]]:
    """Read what is committed: key and value of each message, partition by partition."""
    settings = {
        "bootstrap.servers": servers,
        "group.id": "reader",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 10,
        "enable.partition.eof": True,
        "enable.auto.commit": False,
        "log_level": 0,
    }
    consumer = Consumer(settings)
    partitions = consumer.list_topics(topic, timeout=_ROOM_S).topics[topic].partitions
    left = set(partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[tuple[Any, Any]] = []
    for _ in range(_ROOM_S * 10):
        for told in consumer.consume(1_000, 0.1 if found else 0.02):
            event = told.error()
            if event is None:
                found.append((told.key(), told.value()))
            elif event.name() == "_PARTITION_EOF":
                left.discard(told.partition())
        if not left:
            consumer.close()
            return found
    raise AssertionError


class Running:
    """A live run in a thread, which is stopped at the end of a block.

    Args:
        stream: the pipeline.
        how: of `run`.
    """

    def __init__(self, stream: et.Stream, **how: Any) -> None:
        self._stream, self._how = stream, {"drain": "checkpoint" not in how, **how}
        self._stops = threading.Event()
        self._ended: Future[et.Run] = Future()
        self.rows = self.results = 0
        self.has_begun = False
        self.report: et.ProgressReport | None = None

    def __enter__(self) -> Running:
        threading.Thread(target=self._run).start()
        self.until(lambda: self.has_begun)
        return self

    def __exit__(self, *error: object) -> None:
        self._stops.set()
        self.ran = self._ended.result(_ROOM_S)

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for a condition while it runs."""
        try:
            until(lambda: self._ended.done() or is_so())
        except AssertionError:
            msg = f"after {self.rows} rows and {self.results} results: {self.report}"
            raise AssertionError(msg) from None
        if self._ended.done():
            self._ended.result()

    def _run(self) -> None:
        try:
            ran = self._stream.run(progress=self._watch, stop=self._stops.is_set, **self._how)
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the test
            self._ended.set_exception(error)
        else:
            self._ended.set_result(ran)

    def _watch(self, report: et.ProgressReport) -> None:
        self.report = report
        self.rows, self.results, self.has_begun = report.rows, report.results, True
