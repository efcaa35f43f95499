"""The same rows through any chunks, connections and formats give the same results (S4)."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from live.sources.test_sockets import connected
from live.sources.test_wire import SCHEMA, arrow
from live.sources.waiting import until


def windows(stream: et.Stream) -> et.Stream:
    marked = stream.watermark(et.bounded_disorder("1d")).key_by("x")
    return marked.window(et.tumbling("10s")).aggregate(n=et.count(), first=et.min("t"))


def encoded(form: str, numbers: list[int]) -> bytes:
    rows = [{"t": n, "x": str(n % 3)} for n in numbers]
    if form == "arrow":
        return arrow([pa.RecordBatch.from_pylist(rows, SCHEMA)])
    if form == "csv":
        return "".join(["x,t\n", *(f"{row['x']},{row['t']}\n" for row in rows)]).encode()
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def sent(path: Path, data: bytes, size: int) -> None:
    with connected(path) as client, contextlib.suppress(BrokenPipeError):
        for start in range(0, len(data), size):
            client.sendall(data[start : start + size])
        client.shutdown(socket.SHUT_WR)
        client.recv(1)


@pytest.mark.parametrize("form", ["jsonl", "csv", "arrow"])
@settings(max_examples=8)
@given(
    lanes=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=30), min_size=1, max_size=4),
    size=st.integers(1, 300),
)
def test_results_do_not_depend_on_connections_and_chunks(
    form: str, lanes: list[list[int]], size: int
) -> None:
    """S4, S26: rows over any number of sockets, in any pieces; nothing is late."""
    numbers = [n for lane in lanes for n in lane]
    whole = pa.RecordBatch.from_pylist([{"t": n, "x": str(n % 3)} for n in numbers], SCHEMA)
    expected = windows(et.from_arrow(whole, time="t", time_unit="s")).run().table()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        stream = et.read_socket(
            f"unix:{path}",
            schema=SCHEMA,
            time="t",
            time_unit="s",
            format=form,  # type: ignore[arg-type]
        )
        seen, done = [0], []

        def watch(report: et.ProgressReport) -> None:
            seen[0] = report.rows

        def run() -> None:
            stop = {"stop": lambda: seen[0] >= len(numbers), "drain": True}
            done.append(windows(stream).run(progress=watch, **stop))  # type: ignore[arg-type]

        threads = [threading.Thread(target=run)]
        threads[0].start()
        until(path.exists, "it listens")
        for lane in lanes:
            threads.append(threading.Thread(target=sent, args=(path, encoded(form, lane), size)))
            threads[-1].start()
        for thread in threads:
            thread.join(30)
    done[0].assert_balanced()
    assert done[0].table().equals(expected)
