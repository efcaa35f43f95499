"""HTTP ingest: what is accepted, what is refused and how, slow and rude clients."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from eventtime.sources.feed import Found, Silent
from live.sources.test_sockets import has, numbers
from live.sources.test_wire import SCHEMA, arrow, encoded, rows_of
from live.sources.waiting import taken_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Client:
    """Posts to a source that is being followed."""

    def __init__(self, **more: Any) -> None:
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        quick = {name: more.pop(name) for name in ("head_s", "body_s", "idle_s") if name in more}
        stream = et.read_http(f":{self.port}", schema=SCHEMA, time="t", time_unit="s", **more)
        read: Any = stream.node
        self.source = replace(read.source, **quick)
        self.feed = self.source.follow(None, None, et.SystemClock())
        self.feed.start(lambda: None)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def post(self, body: bytes, path: str = "/events", **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request("POST", path, body, named)
        return self.answered()

    def answered(self) -> tuple[int, Any]:
        answer = self.connection.getresponse()
        self.headers = dict(answer.getheaders())
        return answer.status, json.loads(answer.read())

    def raw(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own; returns all that comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            client.sendall(data)
            got = b""
            while more := client.recv(65_536):
                got += more
            return got


@contextlib.contextmanager
def serving(**more: Any) -> Iterator[Client]:
    client = Client(**more)
    try:
        yield client
    finally:
        client.connection.close()
        client.feed.close()


def test_rows_are_accepted_on_one_connection() -> None:
    """S6: the partition is silent when they have been taken."""
    with serving() as client:
        assert taken_until(client.feed, has(Silent(["http"])))
        for n in range(3):
            assert client.post(b'{"t": %d}\n{"t": %d}' % (2 * n, 2 * n + 1)) == (
                202,
                {"accepted": 2},
            )
        kept = client.connection.sock
        assert client.post(b"") == (202, {"accepted": 0})
        assert client.connection.sock is kept
        assert numbers(client.feed.take(100, ())) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("jsonl", "application/x-ndjson; charset=utf-8"),
        ("csv", "text/csv"),
        ("arrow", "application/vnd.apache.arrow.stream"),
    ],
)
def test_the_content_type_says_the_format(form: str, kind: str) -> None:
    body = arrow([rows_of(range(40))]) if form == "arrow" else encoded(form)
    with serving() as client:
        assert client.post(body, Content_Type=kind) == (202, {"accepted": 40})
        assert numbers(client.feed.take(100, ())) == list(range(40))


def test_a_query_names_the_partition() -> None:
    """S8: up to a number of them."""
    with serving(partitions=1) as client:
        assert client.post(b'{"t": 1}', "/events?partition=a%20b")[0] == 202
        assert Found("a b") in client.feed.take(9, ())
        status, said = client.post(b'{"t": 1}', "/events?partition=c")
        assert (status, said["error"]) == (400, "there are 1 partitions already")
        assert client.post(b'{"t": 1}', "/events?partition=" + "x" * 65)[0] == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"t": 1}\n{"t": "soon"}\n{"t": 3}\n', "body, line 2: the row does not parse"),
        (b"\xff\xfe", "body, line 1"),
        (b"null", "body, line 1"),
    ],
)
def test_one_bad_line_refuses_the_request(body: bytes, says: str) -> None:
    """All or none, so it can be mended and sent again."""
    with serving() as client:
        status, said = client.post(body)
        assert status == 400
        assert said["error"].startswith(says)
        assert client.post(b'{"t": 7}') == (202, {"accepted": 1})
        assert numbers(client.feed.take(100, ())) == [7]


def test_a_full_queue_is_told_and_nothing_is_taken_half() -> None:
    """What was accepted is there; what was refused is not."""
    with serving() as client:
        body = arrow([rows_of(range(100_000))])
        kind = "application/vnd.apache.arrow.stream"
        answers = [client.post(body, Content_Type=kind)[0] for _ in range(5)]
        assert answers == [202, 202, 202, 429, 429]
        assert client.headers["Retry-After"] == "1"
        assert len(numbers(client.feed.take(1_000_000, ()))) == 300_000
        assert client.post(body, Content_Type=kind)[0] == 202


def test_requests_need_the_token() -> None:
    with serving(token="secret") as client:
        assert client.post(b'{"t": 1}')[0] == 401
        assert client.headers["WWW-Authenticate"] == "Bearer"
        assert client.post(b'{"t": 1}', Authorization="Bearer secre")[0] == 401
        assert client.post(b'{"t": 1}', Authorization="Bearer secret")[0] == 202
        assert "secret" not in client.source.describe() + repr(client.source)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"POST /events", 401),
        (b"POST /other", 404),
        (b"GET /events", 401),
    ],
)
def test_a_body_that_is_not_wanted_is_not_read(line: bytes, status: int) -> None:
    """Of 16 MiB that are told nothing has been sent, and there is the answer."""
    head = line + b" HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 16777216\r\n\r\n"
    with serving(token="secret", body_bytes=32 << 20) as client:
        got = client.raw(head)
        assert got.startswith(b"HTTP/1.1 %d " % status), got[:80]
        assert b"Connection: close" in got


def test_a_large_body_with_a_wrong_token_is_refused_in_bounds() -> None:
    """The client sends it all the same; the answer reaches it, and the others are served."""
    with serving(token="secret", body_bytes=8 << 20) as client:
        assert client.post(b"x" * (1 << 20), Authorization="Bearer wrong")[0] == 401
        assert client.post(b'{"t": 1}', Authorization="Bearer secret")[0] == 202
        assert numbers(client.feed.take(100, ())) == [1]


def test_other_requests_are_refused_and_the_connection_stays() -> None:
    with serving() as client:
        assert client.post(b"", "/other")[0] == 404
        client.connection.request("GET", "/events")
        assert client.answered()[0] == 405
        kept = client.connection.sock
        assert client.post(b"", Content_Encoding="gzip")[0] == 415
        assert client.post(b'{"t": 1}')[0] == 202
        assert client.connection.sock is kept


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST /events HTTP/2\r\n\r\n", 505),
        (b"POST http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST /events HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\nContent-Length : 1\r\n\r\nx", 400),
        (b"POST /events HTTP/1.1\r\nContent-Length:\r\n\r\n", 400),
        (b"POST /nowhere HTTP/1.1\r\nContent-Length:\r\n\r\nPOST / HTTP/1.1\r\n\r\n", 404),
        (b"POST /events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /events HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused_and_closed(data: bytes, status: int) -> None:
    with serving() as client:
        got = client.raw(data)
        assert got.startswith(b"HTTP/1.1 %d " % status), got[:80]
        assert b"Connection: close" in got
        assert client.post(b'{"t": 1}')[0] == 202


@pytest.mark.parametrize(
    "data", [b"POST /events HT", b"POST /events HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_slow_client_is_told_and_closed(data: bytes) -> None:
    """Slow-loris: the others go on meanwhile."""
    with serving(head_s=0.3, body_s=0.3) as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=20) as slow:
            slow.sendall(data)
            assert client.post(b'{"t": 1}')[0] == 202
            got = b""
            while more := slow.recv(65_536):
                got += more
        assert got.startswith(b"HTTP/1.1 408 ")


def test_a_connection_without_requests_is_closed() -> None:
    with serving(idle_s=0.2) as client:
        assert client.raw(b"") == b""


def test_more_connections_than_allowed_get_503() -> None:
    with serving(connections=1) as client:
        assert client.post(b'{"t": 1}')[0] == 202
        assert client.raw(b"").startswith(b"HTTP/1.1 503 ")


def test_a_client_that_is_asked_to_wait_for_the_go_ahead() -> None:
    with serving() as client:
        head = b"POST /events HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\n"
        got = client.raw(head + b'Content-Length: 8\r\n\r\n{"t": 1}')
        assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted")


def test_a_client_that_is_gone_when_it_is_answered_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its machine resets the connection then, which is not even one that can be ended."""
    with serving() as client:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", client.port), timeout=20) as rude:
                rude.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        assert client.post(b"")[0] == 202
        gc.collect()
    assert not caplog.records


def test_a_port_in_use_is_refused_at_the_door() -> None:
    with serving() as client, pytest.raises(et.SourceError, match="nobody can listen"):
        client.source.follow(None, None, et.SystemClock())


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_results_do_not_depend_on_how_rows_are_cut_into_requests(cuts: list[int]) -> None:
    """S4."""
    rows = [{"t": n * 3, "x": str(n)} for n in range(sum(cuts))]
    with serving() as client:
        for size, end in zip(cuts, [sum(cuts[: n + 1]) for n in range(len(cuts))], strict=True):
            lines = [json.dumps(row) for row in rows[end - size : end]]
            assert client.post("\n".join(lines).encode())[0] == 202
        assert numbers(client.feed.take(10_000, ())) == [row["t"] for row in rows]


@pytest.mark.parametrize(
    "wrong",
    [{"path": "events"}, {"path": "/a b"}, {"token": ""}, {"body_bytes": 0}, {"partitions": True}],
)
def test_wrong_arguments_are_refused_at_the_door(wrong: dict[str, Any]) -> None:
    with pytest.raises(et.PlanError):
        et.read_http(":0", schema=SCHEMA, time="t", time_unit="s", **wrong)


def test_a_run_takes_what_is_posted() -> None:
    """S9, S26: stopped by hand, drained."""
    import threading

    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    stream = et.read_http(f":{port}", schema=SCHEMA, time="t", time_unit="s")
    windows = stream.watermark(et.ascending()).window(et.tumbling("10s")).aggregate(n=et.count())
    seen = [0]
    done: list[et.Run] = []

    def watch(report: et.ProgressReport) -> None:
        seen[0] = report.rows

    def run() -> None:
        done.append(windows.run(progress=watch, stop=lambda: seen[0] >= 25, drain=True))

    thread = threading.Thread(target=run)
    thread.start()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    from live.sources.waiting import until

    def posted() -> bool:
        try:
            client.request("POST", "/events", b"".join(b'{"t": %d}\n' % n for n in range(25)))
            return client.getresponse().read() == b'{"accepted": 25}'
        except ConnectionError:
            client.close()
            return False

    until(posted, "it is accepted")
    thread.join(30)
    client.close()
    done[0].assert_balanced()
    assert done[0].table().column("n").to_pylist() == [10, 10, 5]


@pytest.mark.parametrize("drain", [False, True])
def test_what_was_accepted_is_in_the_run_that_is_stopped(tmp_path: Path, *, drain: bool) -> None:
    """S9: rows in the queue were answered with 202, so nobody sends them again."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    stream = et.read_http(f":{port}", schema=SCHEMA, time="t", time_unit="s")
    windows = stream.watermark(et.ascending()).window(et.tumbling("10s")).aggregate(n=et.count())
    accepted: list[int] = []

    def post(rows: int) -> None:
        # Each on a connection of its own: none may be open when the run ends.
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as it:
            it.request("POST", "/events", b'{"t": 1}\n' * rows, {"Connection": "close"})
            accepted.append(json.loads(it.getresponse().read())["accepted"])

    def stop() -> bool:
        # Asked behind a turn: what is posted here waits in the queue when the run ends.
        if not accepted:
            post(3)
            post(4)
        return True

    ran = windows.run(checkpoint=tmp_path / "state", stop=stop, drain=drain)
    assert sum(accepted) == 7
    assert ran.ledger.total.rows_in == 7
