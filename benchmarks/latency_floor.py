"""The least latency there is: a client that looks at the last time of each message, and no more."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from benchmarks.latencies import Latencies, now_us
from benchmarks.steady_rows import PARTITIONS, TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("floor",)

CHUNK_BYTES: Final = 256 << 10
_TIME: Final = b'"time":'
_DIGITS: Final = 16


class _Marks:
    """Notes when the last of all partitions got behind the end of a second.

    Args:
        latencies: of those that count.
    """

    def __init__(self, latencies: Latencies) -> None:
        self._times = [0] * PARTITIONS
        self._end_us = 0
        self._lock = threading.Lock()
        self._latencies = latencies

    def note(self, partition: int, time_us: int) -> None:
        with self._lock:
            self._times[partition] = time_us
            least_us = min(self._times)
            if not least_us:
                return
            self._end_us = self._end_us or (least_us // 1_000_000 + 1) * 1_000_000
            while least_us >= self._end_us:
                self._latencies.add(self._end_us, now_us())
                self._end_us += 1_000_000


def floor(over: str, where: str, value: str, warm: float, seconds: float) -> Latencies:
    """Receive rows for a while, and do nothing with them.

    Args:
        over: 'kafka' or 'socket'.
        where: the broker, or the address to listen at.
        value: 'arrow' or 'json'.
        warm: seconds before those that count.
        seconds: that count.

    Returns:
        Of each second: from its end until a row behind it had come of each partition.
    """
    latencies = Latencies(now_us() + round(warm * 1e6))
    marks, end_us = _Marks(latencies), latencies.begin_us + round(seconds * 1e6)
    if over == "socket":
        _from_sockets(where, value, end_us, marks)
    else:
        for partition, message in _from_kafka(where, end_us):
            marks.note(partition, _last_time(message, value))
    return latencies


def _from_kafka(servers: str, end_us: int) -> Iterator[tuple[int, bytes]]:
    from confluent_kafka import OFFSET_END, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "floor"})
    consumer.assign([TopicPartition(TOPIC, p, OFFSET_END) for p in range(PARTITIONS)])
    while now_us() < end_us:
        message: Any = consumer.poll(0.1)
        if message is not None and message.error() is None:
            yield message.partition(), message.value()
    consumer.close()


def _from_sockets(address: str, value: str, end_us: int, marks: _Marks) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))) as server, contextlib.ExitStack() as left:
        for partition in range(PARTITIONS):
            connection, _ = server.accept()
            of_one = (connection, value, partition, marks)
            thread = threading.Thread(target=_received, args=of_one)
            thread.start()
            left.callback(thread.join)
            left.callback(connection.shutdown, socket.SHUT_RDWR)
        time.sleep(max(0.0, (end_us - now_us()) / 1e6))


def _received(connection: socket.socket, value: str, partition: int, marks: _Marks) -> None:
    if value == "arrow":
        with contextlib.suppress(pa.ArrowInvalid, OSError):  # it was cut off at the end
            for rows in pa.ipc.open_stream(connection.makefile("rb")):
                marks.note(partition, rows.column(0).cast(pa.int64())[-1].as_py())
        return
    rest = b""
    while data := connection.recv(CHUNK_BYTES):
        lines, found, rest = (rest + data).rpartition(b"\n")
        if found:
            marks.note(partition, _last_time(lines, value))


def _last_time(message: bytes, value: str) -> int:
    if value == "arrow":
        with pa.ipc.open_stream(message) as reader:
            last = reader.read_next_batch().column(0).cast(pa.int64())[-1]
        return int(last.as_py())
    begin = message.rindex(_TIME) + len(_TIME)
    return int(message[begin : begin + _DIGITS])
