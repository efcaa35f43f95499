"""Sockets and pipes of this machine: partitions, silence, rubbish, ports in use, reconnecting."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from eventtime.sources.base import MalformedRows
from eventtime.sources.feed import Arrived, Ended, Found, Left, Silent, Unpolled
from eventtime.sources.sockets import Refusals
from live.sources.test_wire import SCHEMA, arrow, encoded, rows_of
from live.sources.waiting import taken_until, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventtime.sources.feed import Feed, News


def source(stream: et.Stream) -> Any:
    read: Any = stream.node
    return read.source


def followed(where: str, **more: Any) -> Any:
    stream = et.read_socket(where, schema=SCHEMA, time="t", time_unit="s", **more)
    feed = source(stream).follow(None, None, et.SystemClock())
    feed.start(lambda: None)
    return feed


@contextlib.contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
        client.settimeout(20)
        # Its file is there a moment before it listens.
        until(lambda: client.connect_ex(str(path)) == 0, "it listens")
        yield client


def numbers(news: list[News]) -> list[int]:
    batches = [
        n.rows for n in news if isinstance(n, Arrived) and not isinstance(n.rows, MalformedRows)
    ]
    return [n for batch in batches for n in batch.column("t").to_pylist()]


def bad(news: list[News]) -> list[dict[str, Any]]:
    rows = [
        n.rows.rows for n in news if isinstance(n, Arrived) and isinstance(n.rows, MalformedRows)
    ]
    return [row for batch in rows for row in batch.to_pylist()]


def has(*wanted: News) -> Any:
    return lambda news: all(item in news for item in wanted)


@pytest.mark.parametrize("form", ["jsonl", "csv", "arrow"])
def test_a_connection_is_a_partition_that_leaves(tmp_path: Path, form: str) -> None:
    """S4, S8: in three formats."""
    feed = followed(f"unix:{tmp_path}/s", format=form)
    data = arrow([rows_of(range(40))]) if form == "arrow" else encoded(form)
    with connected(tmp_path / "s") as client:
        for start in range(0, len(data), 100):
            client.sendall(data[start : start + 100])
    news = taken_until(feed, has(Left("connection-1")))
    assert news[0] == Found("connection-1")
    assert numbers(news) == list(range(40))
    assert not feed.is_over
    feed.close()
    assert not (tmp_path / "s").exists()


def test_the_lowest_free_number_is_taken_and_silence_is_told(tmp_path: Path) -> None:
    """S6, S8."""
    feed = followed(f"unix:{tmp_path}/s")
    with connected(tmp_path / "s"):
        taken_until(feed, has(Silent(["connection-1"])))
        with connected(tmp_path / "s"):
            taken_until(feed, has(Found("connection-2")))
        taken_until(feed, has(Left("connection-2")))
        with connected(tmp_path / "s"):
            taken_until(feed, has(Found("connection-2")))
    feed.close()


def test_rubbish_ends_its_connection_and_no_other(tmp_path: Path) -> None:
    """Nothing accepted is lost: what cannot be read is told with its place."""
    feed = followed(f"unix:{tmp_path}/s", format="arrow")
    with connected(tmp_path / "s") as good, connected(tmp_path / "s") as wrong:
        good.sendall(arrow([rows_of(range(2))])[:-8])
        wrong.sendall(b"GET / HTTP/1.1\r\n\r\n")
        news = taken_until(feed, lambda news: any(isinstance(n, Left) for n in news))
        good.sendall(arrow([rows_of(range(2, 4))])[-8:])
    news += taken_until(feed, lambda news: any(isinstance(n, Left) for n in news))
    assert numbers(news) == [0, 1]
    (row,) = bad(news)
    assert "no stream of Arrow IPC" in row["error"]
    feed.close()


def test_a_row_that_does_not_parse_can_be_an_error(tmp_path: Path) -> None:
    feed = followed(f"unix:{tmp_path}/s", on_malformed="error")
    with connected(tmp_path / "s") as client:
        client.sendall(b'{"t": 1}\n')
        news = taken_until(feed, lambda news: numbers(news) == [1])
        client.sendall(b"what?\n")
        with pytest.raises(et.MalformedRowError, match="line 2"):
            taken_until(feed, lambda _: False)
    assert numbers(news) == [1]
    feed.close()


def test_more_connections_than_allowed_are_closed(tmp_path: Path) -> None:
    feed = followed(f"unix:{tmp_path}/s", connections=1)
    with connected(tmp_path / "s"):
        taken_until(feed, has(Found("connection-1")))
        with connected(tmp_path / "s") as other:
            assert other.recv(1) == b""
    feed.close()


def test_a_connection_too_many_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, however often its peer comes back."""
    feed = followed(f"unix:{tmp_path}/s", connections=1)
    with caplog.at_level(logging.WARNING, "eventtime.sockets"), connected(tmp_path / "s"):
        taken_until(feed, has(Found("connection-1")))
        for _ in range(3):
            with connected(tmp_path / "s") as other:
                assert other.recv(1) == b""
    feed.close()
    (told,) = caplog.messages
    assert told.startswith(f"unix:{tmp_path}/s: a connection from this machine was closed")
    assert "connections=1" in told


def test_peers_that_are_refused_are_told_at_a_bounded_rate(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each once a minute, and ten of them at most."""
    refusals = Refusals("127.0.0.1:9000", 2)
    with caplog.at_level(logging.WARNING, "eventtime.sockets"):
        for second in (0, 1, 59, 60, 61):
            refusals.note("10.0.0.1", second)
            refusals.note("10.0.0.2", second)
        assert len(caplog.messages) == 4
        caplog.clear()
        for n in range(100):
            refusals.note(f"10.0.1.{n}", 300)
    assert len(caplog.messages) == 10


def test_an_address_in_use_is_refused_at_the_door(tmp_path: Path) -> None:
    first = followed(f"unix:{tmp_path}/s")
    with pytest.raises(et.SourceError, match=r"nobody can listen at unix:.*in use"):
        followed(f"unix:{tmp_path}/s")
    first.close()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(et.SourceError, match=r"nobody can listen at 127\.0\.0\.1"):
            followed(where)
    with pytest.raises(et.SourceError, match="make the folder first"):
        followed(f"unix:{tmp_path}/missing/s")


def test_the_socket_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s"))
    left.close()
    feed = followed(f"unix:{tmp_path}/s")
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    with connected(tmp_path / "s"):
        taken_until(feed, has(Found("connection-1")))
    feed.close()


def test_a_full_queue_makes_the_sender_wait(tmp_path: Path) -> None:
    """Nothing is dropped: the rest comes when rows have been taken."""
    feed = followed(f"unix:{tmp_path}/s", format="arrow")
    batches = [rows_of(range(n, n + 100_000)) for n in range(0, 1_000_000, 100_000)]
    sent = threading.Event()

    def send() -> None:
        with connected(tmp_path / "s") as client:
            client.sendall(arrow(batches))
        sent.set()

    threading.Thread(target=send, daemon=True).start()
    news = taken_until(feed, has(Found("connection-1")))  # and perhaps rows
    until(lambda: not feed._mail.has_room("connection-1"), "the queue is full")
    assert not sent.is_set()
    news += taken_until(feed, has(Left("connection-1")))
    assert numbers(news) == list(range(1_000_000))
    feed.close()


def test_a_lost_connection_is_made_again() -> None:
    """S6: without one nobody is silent."""
    server = socket.create_server(("127.0.0.1", 0))
    where = f"127.0.0.1:{server.getsockname()[1]}"
    feed = followed(where, connect=True)
    assert list(feed.known) == [where]
    for n in range(2):
        client, _ = server.accept()
        taken_until(feed, has(Silent([where])))
        client.sendall(b'{"t": %d}\n' % n)
        news = taken_until(feed, numbers)  # type: ignore[arg-type]
        assert numbers(news) == [n]
        taken_until(feed, has(Silent([where]))) if Silent([where]) not in news else None
        client.close()
        taken_until(feed, has(Unpolled([where])))
    server.close()
    feed.close()


def piped(**more: Any) -> tuple[Feed, int]:
    read, write = os.pipe()
    stdin = source(et.read_stdin(schema=SCHEMA, time="t", time_unit="s", **more))
    feed = replace(stdin, descriptor=read).follow(None, None, et.SystemClock())
    feed.start(lambda: None)
    return feed, write


def test_a_pipe_is_a_partition_that_ends() -> None:
    """S9."""
    feed, write = piped()
    taken_until(feed, has(Silent(["stdin"])))
    os.write(write, b'{"t": 1}\n{"t"')
    assert numbers(taken_until(feed, numbers)) == [1]  # type: ignore[arg-type]
    os.write(write, b": 2}\n")
    os.close(write)
    news = taken_until(feed, has(Ended("stdin")))
    assert numbers(news) == [2]
    assert feed.is_over
    feed.close()


def test_a_pipe_can_be_let_go_while_nothing_comes() -> None:
    feed, write = piped(format="arrow")
    taken_until(feed, has(Silent(["stdin"])))
    feed.close()
    os.close(write)


def test_what_was_read_from_a_pipe_is_there_when_the_run_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S9: also what waits for room in the queue, for the pipe does not have it any more."""
    monkeypatch.setattr("eventtime.sources.mailbox._MOST_ROWS", 1)
    read, write = os.pipe()
    stdin = source(et.read_stdin(schema=SCHEMA, time="t", time_unit="s"))
    feed: Any = replace(stdin, descriptor=read).follow(None, None, et.SystemClock())
    feed.start(lambda: None)
    for n in range(2):
        os.write(write, b'{"t": %d}\n' % n)
        until(lambda: not select.select([read], [], [], 0)[0], "it is read")
    feed.cease()
    assert numbers(feed.take(100, ())) == [0, 1]
    feed.close()
    os.close(write)


def test_rubbish_in_a_pipe_is_told_and_ends_it() -> None:
    feed, write = piped(format="arrow")
    os.write(write, b"rubbish, nothing else")
    news = taken_until(feed, has(Ended("stdin")))
    assert "no stream of Arrow IPC" in bad(news)[0]["error"]
    os.close(write)
    feed.close()


PIPELINE = """
import pyarrow as pa
import eventtime as et

read = et.read_stdin(schema={"t": pa.int64(), "x": pa.string()}, time="t", time_unit="s")
windows = read.watermark(et.ascending()).window(et.tumbling("10s"))
ran = windows.aggregate(n=et.count()).run()
ran.assert_balanced()
print(ran.table().column("n").to_pylist(), ran.side("quarantine").num_rows)
"""


def test_a_pipeline_reads_what_is_piped_into_it() -> None:
    """S9, S26: standard input of a process, to its end."""
    lines = b"".join(b'{"t": %d}\n' % n for n in range(25)) + b"oops\n"
    done = subprocess.run(
        [sys.executable, "-c", PIPELINE], input=lines, capture_output=True, check=False, timeout=120
    )
    assert done.stdout.decode().strip() == "[10, 10, 5] 1", done.stderr.decode()
