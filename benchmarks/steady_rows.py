"""Rows at a steady rate over four partitions, with the time at which they were made: who sends."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from typing import IO

__all__ = ("PARTITIONS", "SCHEMA", "TOPIC", "send_steadily")

PARTITIONS: Final = 4
KEYS: Final = 1_000
TICK_US: Final = 2_000
"""A message of each partition so often."""
TOPIC: Final = "rows"
SCHEMA: Final = pa.schema(
    [("time", pa.timestamp("us", "UTC")), ("key", pa.int64()), ("value", pa.float64())]
)
_TRIES: Final = 600
_BETWEEN_TRIES_S: Final = 0.1


class _Sender(Protocol):
    def send(self, partition: int, rows: pa.RecordBatch) -> None: ...

    def tick(self) -> None: ...


def send_steadily(over: str, where: str, value: str, rate: int, seconds: float) -> None:
    """Send to each partition, tick by tick, the rows that fell due.

    Args:
        over: 'kafka' or 'socket'.
        where: the broker, or the address that is listened at.
        value: 'arrow' or 'json'.
        rate: rows a second, of all partitions.
        seconds: so long; or until nobody listens any more.
    """
    sender: _Sender = _ToKafka(where, value) if over == "kafka" else _ToSockets(where, value)
    rng, share = np.random.default_rng(1), rate // PARTITIONS
    begun_us = due_us = time.time_ns() // 1_000
    with contextlib.suppress(ConnectionError):
        while due_us - begun_us < seconds * 1e6:
            before_us, due_us = due_us, time.time_ns() // 1_000
            n = max(1, round(share * (due_us - before_us) / 1e6))
            times = np.linspace(before_us, due_us, n, endpoint=False).astype(np.int64) + 1
            for partition in range(PARTITIONS):
                columns = [times, rng.integers(0, KEYS, n), rng.random(n)]
                sender.send(partition, pa.record_batch(columns, schema=SCHEMA))
            sender.tick()
            time.sleep(max(0.0, (due_us + TICK_US - time.time_ns() // 1_000) / 1e6))


class _ToKafka:
    def __init__(self, servers: str, value: str) -> None:
        from confluent_kafka import Producer

        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "acks": 1})
        self._is_arrow = value == "arrow"

    def send(self, partition: int, rows: pa.RecordBatch) -> None:
        value = _stream(rows) if self._is_arrow else _lines(rows)
        self._producer.produce(TOPIC, value, partition=partition)

    def tick(self) -> None:
        self._producer.poll(0)


class _ToSockets:
    def __init__(self, address: str, value: str) -> None:
        self._sockets = [_connected(address) for _ in range(PARTITIONS)]
        self._files: list[IO[bytes]] = [each.makefile("wb") for each in self._sockets]
        self._writers = None
        if value == "arrow":
            self._writers = [pa.ipc.new_stream(file, SCHEMA) for file in self._files]

    def send(self, partition: int, rows: pa.RecordBatch) -> None:
        if self._writers is None:
            self._files[partition].write(_lines(rows) + b"\n")
        else:
            self._writers[partition].write_batch(rows)
        self._files[partition].flush()

    def tick(self) -> None:
        """All is on its way."""


def _connected(address: str) -> socket.socket:
    """Connect as soon as somebody listens."""
    host, _, port = address.rpartition(":")
    for tried in itertools.count():
        try:
            made = socket.create_connection((host, int(port)))
        except ConnectionRefusedError:
            if tried == _TRIES:
                raise
            time.sleep(_BETWEEN_TRIES_S)
        else:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
    raise AssertionError


def _stream(rows: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return bytes(sink.getvalue())


def _lines(rows: pa.RecordBatch) -> bytes:
    columns = rows.set_column(0, "time", rows.column(0).cast(pa.int64())).to_pydict()
    lines = zip(*columns.values(), strict=True)
    return "\n".join(f'{{"time":{t},"key":{k},"value":{v}}}' for t, k, v in lines).encode()
