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

    from numpy.typing import NDArray

__all__ = ("PARTITIONS", "SCHEMA", "TOPIC", "send_steadily")

PARTITIONS: Final = 4
KEYS: Final = 1_000
TICK_US: Final = 2_000
"""A message of each partition so often."""
TOPIC: Final = "rows"
SCHEMA: Final = pa.schema(
    [("time", pa.timestamp("us", "UTC")), ("key", pa.int64()), ("value", pa.float64())]
)
_STOCK: Final = 1 << 16
_MOST: Final = 1 << 13
"""Rows of a message, which the broker takes up to a megabyte; who did not run for longer sends
fewer than fell due."""
_DIGITS: Final = 10 ** np.arange(15, -1, -1, dtype=np.int64)
"""What stands at each place of a time: microseconds since 1970 have 16 digits until 2286."""

_TRIES: Final = 600
_BETWEEN_TRIES_S: Final = 0.1


class _Stock:
    """Keys and values made beforehand, so that who sends takes little of the machine.

    Lines of JSON are as long as each other: the times are written over those that stand there.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self._keys, self._values = rng.integers(0, KEYS, _STOCK), rng.random(_STOCK)
        columns = zip(self._keys.tolist(), self._values.tolist(), strict=True)
        lines = [f'{{"time":{0:016},"key":{k:3},"value":{v:.16f}}}\n' for k, v in columns]
        self._text = np.frombuffer("".join(lines).encode(), np.uint8).reshape(_STOCK, -1)
        self._next = 0

    def rows(self, times: NDArray[np.int64]) -> pa.RecordBatch:
        """Return rows of these times."""
        part = self._part(len(times))
        return pa.record_batch([times, self._keys[part], self._values[part]], schema=SCHEMA)

    def lines(self, times: NDArray[np.int64]) -> bytes:
        """Return the same as lines of JSON."""
        text = self._text[self._part(len(times))].copy()
        begin = len('{"time":')
        text[:, begin : begin + len(_DIGITS)] = times[:, None] // _DIGITS % 10 + ord("0")
        return text.tobytes()

    def _part(self, n: int) -> slice:
        begin = self._next if self._next + n <= _STOCK else 0
        self._next = begin + n
        return slice(begin, begin + n)


class _Sender(Protocol):
    def send(self, partition: int, times: NDArray[np.int64]) -> None: ...

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
    share = rate // PARTITIONS
    begun_us = due_us = time.time_ns() // 1_000
    with contextlib.suppress(ConnectionError):
        while due_us - begun_us < seconds * 1e6:
            before_us, due_us = due_us, time.time_ns() // 1_000
            n = min(_MOST, max(1, round(share * (due_us - before_us) / 1e6)))
            times = np.linspace(before_us, due_us, n, endpoint=False).astype(np.int64) + 1
            for partition in range(PARTITIONS):
                sender.send(partition, times)
            sender.tick()
            time.sleep(max(0.0, (due_us + TICK_US - time.time_ns() // 1_000) / 1e6))


class _ToKafka:
    def __init__(self, servers: str, value: str) -> None:
        from confluent_kafka import Producer

        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "acks": 1})
        self._stock, self._is_arrow = _Stock(), value == "arrow"

    def send(self, partition: int, times: NDArray[np.int64]) -> None:
        stock = self._stock
        value = _stream(stock.rows(times)) if self._is_arrow else stock.lines(times)[:-1]
        self._producer.produce(TOPIC, value, partition=partition)

    def tick(self) -> None:
        self._producer.poll(0)


class _ToSockets:
    def __init__(self, address: str, value: str) -> None:
        self._stock = _Stock()
        self._sockets = [_connected(address) for _ in range(PARTITIONS)]
        self._files: list[IO[bytes]] = [each.makefile("wb") for each in self._sockets]
        self._writers = None
        if value == "arrow":
            self._writers = [pa.ipc.new_stream(file, SCHEMA) for file in self._files]

    def send(self, partition: int, times: NDArray[np.int64]) -> None:
        if self._writers is None:
            self._files[partition].write(self._stock.lines(times))
        else:
            self._writers[partition].write_batch(self._stock.rows(times))
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
