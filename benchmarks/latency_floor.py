"""The least latency there is: a client that looks at the last time of each message, and no more."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from benchmarks.steady_rows import PARTITIONS, TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("floor",)

SETTLING: Final = 3
CHUNK_BYTES: Final = 256 << 10
_TIME: Final = b'"time":'
_DIGITS: Final = 16


class _Marks:
    """Notes when the last of all partitions got behind the end of a second."""

    def __init__(self) -> None:
        self._times = [0] * PARTITIONS
        self._end_us = 0
        self._lock = threading.Lock()
        self.latencies_us: list[int] = []

    def note(self, partition: int, time_us: int) -> None:
        with self._lock:
            self._times[partition] = time_us
            least_us = min(self._times)
            if not least_us:
                return
            self._end_us = self._end_us or (least_us // 1_000_000 + SETTLING) * 1_000_000
            while least_us >= self._end_us:
                self.latencies_us.append(time.time_ns() // 1_000 - self._end_us)
                self._end_us += 1_000_000


def floor(over: str, where: str, value: str, seconds: float) -> list[int]:
    """Receive rows for a while, and do nothing with them.

    Args:
        over: 'kafka' or 'socket'.
        where: the broker, or the address to listen at.
        value: 'arrow' or 'json'.
        seconds: so long.

    Returns:
        Of each second: microseconds from its end until a row behind it had come of each partition.
    """
    marks, end_ns = _Marks(), time.time_ns() + round(seconds * 1e9)
    if over == "socket":
        _from_sockets(where, value, end_ns, marks)
        return marks.latencies_us
    for partition, message in _from_kafka(where, end_ns):
        marks.note(partition, _last_time(message, value))
    return marks.latencies_us


def _from_kafka(servers: str, end_ns: int) -> Iterator[tuple[int, bytes]]:
    from confluent_kafka import OFFSET_END, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "floor"})
    consumer.assign([TopicPartition(TOPIC, p, OFFSET_END) for p in range(PARTITIONS)])
    while time.time_ns() < end_ns:
        message: Any = consumer.poll(0.1)
        if message is not None and message.error() is None:
            yield message.partition(), message.value()
    consumer.close()


def _from_sockets(address: str, value: str, end_ns: int, marks: _Marks) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_server((host, int(port))) as server, contextlib.ExitStack() as left:
        for partition in range(PARTITIONS):
            connection, _ = server.accept()
            of_one = (connection, value, partition, marks)
            thread = threading.Thread(target=_received, args=of_one)
            thread.start()
            left.callback(thread.join)
            left.callback(connection.shutdown, socket.SHUT_RDWR)
        time.sleep(max(0.0, (end_ns - time.time_ns()) / 1e9))


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
