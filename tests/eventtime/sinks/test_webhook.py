"""Webhook: rows posted under keys, tried again, refused."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = pa.schema([("x", pa.int64())])


class Server:
    """Answers as it is told, then 204, and keeps what was posted.

    Args:
        answers: statuses, also with what is said in Retry-After.
    """

    def __init__(self, answers: list[int | tuple[int, str]]) -> None:
        self.answers = answers
        self.taken: list[tuple[str, list[int]]] = []
        self.keys: list[str] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.keys.append(self.headers["Idempotency-Key"])
                outer.headers.append(dict(self.headers))
                answer = outer.answers.pop(0) if outer.answers else 204
                status, later = answer if isinstance(answer, tuple) else (answer, "")
                if status == 204:
                    rows = [json.loads(line)["x"] for line in body.splitlines()]
                    outer.taken.append((self.path, rows))
                said = b"" if status == 204 else b"not now"
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                if later:
                    self.send_header("Retry-After", later)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/hook?to=1"


@contextlib.contextmanager
def serving(*answers: int | tuple[int, str]) -> Iterator[Server]:
    server = Server(list(answers))
    thread = threading.Thread(target=server.http.serve_forever)
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


class Time:
    """Passes by as it is slept away."""

    def __init__(self) -> None:
        self.clock = et.ManualClock(784_111_777_000_000)  # Sun, 06 Nov 1994 08:49:37 GMT
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(round(seconds * 1e6))


def to(url: str, time: Time | None = None, **more: Any) -> et.EpochSink:
    time = time or Time()
    return et.to_webhook(url, sleep=time.sleep, clock=time.clock, **more)


def rows(*values: int) -> pa.RecordBatch:
    return pa.record_batch([list(values)], schema=SCHEMA)


def test_rows_are_posted_in_order_under_keys_of_their_own() -> None:
    with serving() as server:
        sink = et.to_webhook(server.url, rows=2, headers={"Authorization": "Bearer secret"})
        writer = sink.open_epochs(SCHEMA, "job/results")
        assert writer.recover(3) == 0
        writer.commit(1, [rows(1, 2, 3), rows()], 3)
        writer.commit(2, [rows(4)], 3)
        writer.close()
    assert server.taken == [("/hook?to=1", part) for part in ([1, 2], [3], [4])]
    assert len(set(server.keys)) == 3
    assert [key.rpartition("-")[0] for key in server.keys] == [
        "job/results/1/1", "job/results/1/2", "job/results/2/3",
    ]  # fmt: skip
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "secret" not in repr(sink) + sink.describe()


def test_user_and_password_in_the_address_are_a_login() -> None:
    with serving() as server:
        sink = et.to_webhook(server.url.replace("//", "//me:p%40ss@"))
        other = et.to_webhook(sink.url, headers={"authorization": "Bearer x"})
        for one in (sink, other):
            writer = one.open_epochs(SCHEMA, "job")
            writer.commit(1, [rows(1)], 1)
            writer.close()
    sent = [{name.lower(): value for name, value in one.items()} for one in server.headers]
    assert [headers["authorization"] for headers in sent] == ["Basic bWU6cEBzcw==", "Bearer x"]
    assert "p%40ss" not in repr(sink) + sink.describe()


def test_a_host_that_is_none_is_a_clear_error() -> None:
    writer = to(f"http://{'a' * 70}.invalid/", attempts=1).open_epochs(SCHEMA, "job")
    with pytest.raises(et.SinkError, match="not taken in 1 attempt: Unicode"):
        writer.commit(1, [rows(1)], 1)


def test_what_was_not_taken_is_tried_again_under_the_same_key() -> None:
    with serving(503, 429) as server:
        writer = to(server.url).open_epochs(SCHEMA, "job")
        writer.commit(1, [rows(1)], 1)
        writer.close()
    assert server.taken == [("/hook?to=1", [1])]
    assert len(server.keys) == 3
    assert len(set(server.keys)) == 1


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ((503, 500, 503), "not taken in 3 attempts: answer 503: not now"),
        ((403,), "refused: answer 403"),
    ],
)
def test_what_is_refused_is_a_clear_error(answers: tuple[int, ...], says: str) -> None:
    with serving(*answers) as server:
        writer = to(server.url).open_epochs(SCHEMA, "job")
        with pytest.raises(et.SinkError, match=says):
            writer.commit(1, [rows(1)], 1)
        writer.close()
    assert server.taken == []


def test_nobody_there_is_a_clear_error() -> None:
    with serving() as server:
        url = server.url
    time = Time()
    writer = to(url, time).open_epochs(SCHEMA, "job")
    with pytest.raises(et.SinkError, match="3 attempts: ConnectionRefusedError"):
        writer.commit(1, [rows(1)], 1)
    assert time.slept == [0.2, 0.4]


def test_pauses_grow_and_begin_anew_with_the_next_request() -> None:
    time = Time()
    with serving(500, 500, 500, 500, 204, 500) as server:
        writer = to(server.url, time, attempts=9, pause="1s", max_pause="5s").open_epochs(
            SCHEMA, "job"
        )
        writer.commit(1, [rows(1), rows(2)], 1)
        writer.close()
    assert time.slept == [1, 2, 4, 5, 1]


@pytest.mark.parametrize(
    ("asked", "slept"),
    [
        ("3", 3),
        ("0", 0.2),
        ("Sun, 06 Nov 1994 08:49:42 GMT", 5),
        ("Sun, 06 Nov 1994 08:49:30 GMT", 0.2),
        ("Sunday, 06-Nov-94 08:49:42 GMT", 5),
        ("3600", 30),
        ("9" * 400, 30),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 30),
        ("-5", 0.2),
        ("soon", 0.2),
    ],
)
def test_what_a_server_asks_for_is_waited_up_to_a_bound(asked: str, slept: float) -> None:
    time = Time()
    with serving((429, asked)) as server:
        writer = to(server.url, time).open_epochs(SCHEMA, "job")
        writer.commit(1, [rows(1)], 1)
        writer.close()
    assert time.slept == [slept]
    assert server.taken == [("/hook?to=1", [1])]


def test_a_run_posts_its_results() -> None:
    """S9: without checkpoints, at its end."""
    with serving() as server:
        numbers = pa.record_batch({"t": pa.array(range(25))})
        stream = et.from_arrow(numbers, time="t", time_unit="s").watermark(et.ascending())
        counts = stream.window(et.tumbling("10s")).aggregate(x=et.count())
        counts.run(et.to_webhook(server.url))
    assert [n for _, part in server.taken for n in part] == [10, 10, 5]


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://x"},
        {"url": "http://"},
        {"attempts": 0},
        {"rows": True},
        {"url": "http://x:port/"},
        {"url": "http://x:99999/"},
        {"url": "http://[::1/"},
        {"url": "http://x/a b"},
        {"url": "http://x/ü"},
        {"headers": {"A": "b\r\nC: d"}},
        {"headers": {"A": "€"}},
        {"headers": {"A b": "c"}},
        {"headers": ["A"]},
        {"headers": {"content-length": "3"}},
        {"headers": {"Content-Type": "text/csv"}},
        {"timeout": "0s"},
        {"pause": "soon"},
        {"max_pause": -1},
        {"sleep": 1},
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(et.PlanError):
        et.to_webhook(**{"url": "http://x/", **wrong})
