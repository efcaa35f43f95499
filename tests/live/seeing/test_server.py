"""The server of the status page: what it answers, to whom, and who cannot hold it up."""

from __future__ import annotations

import json
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from eventtime.board import Board
from eventtime.clock import ManualClock
from eventtime.sources.feed import Ended
from eventtime.ui import server as ui_server
from eventtime.ui.server import StatusServer
from live.script import SECOND, Script, rows
from live.seeing.watching import Seen, get, get_json, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def serving(token: str | None = None, board: Board | None = None) -> Iterator[StatusServer]:
    clock = ManualClock(100 * SECOND)
    server = StatusServer(board or Board(clock), clock, ("127.0.0.1", 0), token, ["a script"])
    try:
        yield server
    finally:
        server.close()


def raw(server: StatusServer, request: bytes, wait_s: float = 60) -> bytes:
    """Send bytes; return all that comes until the other side hangs up."""
    host, port = server.url.removeprefix("http://").rstrip("/").split(":")
    with closing(socket.create_connection((host, int(port)), timeout=wait_s)) as line:
        line.sendall(request)
        answer = b""
        while part := line.recv(65_536):
            answer += part
        return answer


def test_a_live_run_is_seen_while_it_lasts() -> None:
    """All pages, asked from inside the run; at its end nobody listens any more."""
    answers: dict[str, Any] = {}

    def ask(status: et.Status) -> None:
        if status.at_us > 3 * SECOND and not answers:
            url = status.life.url
            answers["status"] = get_json(f"{url}status.json")
            answers["past"] = get_json(f"{url}past.json")
            answers["pages"] = {p: get(url + p) for p in ("", "metrics", "health", "ready")}
            answers["url"] = url

    script = Script([(1, "JFK", rows(1, 25)), (9, Ended("JFK"))], ("JFK",))
    run(script, Seen(then=ask), ui=":0")
    told = answers["status"]
    assert told["partitions"][0]["name"] == "JFK"
    assert told["holding"].startswith("JFK alone moves the watermark")
    assert told["sources"] == ["a script"]
    assert told["life"]["state"] == "running"
    assert answers["past"][-1]["own_us"] == [25 * SECOND]
    assert {path: answer[0] for path, answer in answers["pages"].items()} == {
        "": 200, "metrics": 200, "health": 200, "ready": 200,
    }  # fmt: skip
    assert 'eventtime_rows_total{partition="JFK"} 2' in answers["pages"]["metrics"][1]
    with pytest.raises(OSError, match="refused"):
        get(answers["url"])


def test_before_the_first_turn_it_is_alive_and_not_ready() -> None:
    with serving() as server:
        assert get(server.url + "health")[:2] == (200, "ok\n")
        assert get(server.url + "ready")[:2] == (503, "starting\n")
        told = get_json(server.url + "status.json")
        assert (told["at_us"], told["holding"]) == (None, "Waiting for the first turn")
        assert get(server.url + "metrics")[0] == 200
        assert get_json(server.url + "past.json") == []


def test_a_loop_that_hangs_is_not_healthy() -> None:
    board = Board(ManualClock())
    seen = Seen()
    run(Script([(1, "a", rows(1)), (2, Ended("a"))], ("a",)), seen)
    board.show(seen.statuses[0])
    with serving(board=board) as server:
        assert get(server.url + "health")[0] == 200
    hung = StatusServer(board, ManualClock(400 * SECOND), ("127.0.0.1", 0))
    try:
        assert get(hung.url + "health")[:2] == (503, "stuck\n")
    finally:
        hung.close()
    board.end("failed")
    with serving(board=board) as server:
        assert get(server.url + "health")[:2] == (503, "failed\n")
        assert get(server.url + "ready")[:2] == (503, "failed\n")


def test_without_the_token_only_health_is_told() -> None:
    with serving("s3cret") as server:
        for path in ("", "status.json", "past.json", "metrics", "nothing"):
            assert get(server.url + path)[0] == 401, path
        assert get(f"{server.url}status.json?token=wrong")[0] == 401
        assert get(f"{server.url}status.json?token=s3cret")[0] == 200
        assert get(f"{server.url}metrics", {"Authorization": "Bearer s3cret"})[0] == 200
        assert get(f"{server.url}metrics", {"Authorization": "Bearer ünfug"})[0] == 401
        assert get(f"{server.url}health")[0] == 200


def test_a_page_of_somebody_elses_reads_nothing_on_loopback() -> None:
    """A name that was made to point here (DNS rebinding) is no name of this machine."""
    with serving() as server:
        assert get(server.url, {"Host": "evil.example:80"})[0] == 403
        assert get(server.url, {"Host": "localhost:1"})[0] == 200
        assert get(server.url, {"Host": "[::1]:1"})[0] == 200
        headers = get(server.url)[2]
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


def test_other_paths_and_methods_are_refused() -> None:
    with serving() as server:
        assert get(f"{server.url}../../etc/passwd")[0] == 404
        assert raw(server, b"POST /status.json HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 501")
        answer = raw(server, b"HEAD /status.json HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 200")
        assert answer.endswith(b"\r\n\r\n")
        assert b" 400 " in raw(server, b"nonsense\r\n\r\n")
        assert b" 414 " in raw(server, b"GET /" + b"a" * 70_000)


def test_who_dawdles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that stays open and says too little ends; others are answered meanwhile."""
    monkeypatch.setattr(ui_server, "_WHOLE_S", 0.5)
    with serving() as server:
        host, port = server.url.removeprefix("http://").rstrip("/").split(":")
        with closing(socket.create_connection((host, int(port)), timeout=60)) as line:
            line.sendall(b"GET / HT")
            assert get(server.url + "health")[0] == 200
            assert line.recv(10) == b""


def test_a_crowd_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui_server, "_MOST_CONNECTIONS", 1)
    with serving() as server:
        host, port = server.url.removeprefix("http://").rstrip("/").split(":")
        with closing(socket.create_connection((host, int(port)), timeout=60)) as line:
            line.sendall(b"GET / HT")
            assert raw(server, b"").startswith(b"HTTP/1.0 503")


def test_a_port_in_use_is_refused_before_the_first_row() -> None:
    script = Script([(1, "a", rows(1)), (2, Ended("a"))], ("a",))
    with serving() as server:
        port = server.url.rstrip("/").rpartition(":")[2]
        with pytest.raises(et.SourceError, match=rf"listen on 127.0.0.1:{port}: .*in use") as told:
            run(script, ui=f":{port}")
    assert "live(ui=…)" in str(told.value)
    assert script.heard == []


@pytest.mark.parametrize("ui", ["8080", "localhost", ":x", ":70000", 8080, ":-1"])
def test_what_is_no_address_is_refused(ui: Any) -> None:
    with pytest.raises(et.PlanError, match="is no address of a status page"):
        et.live(ui=ui)


def test_a_token_is_a_text_and_is_not_shown() -> None:
    with pytest.raises(et.PlanError, match="token"):
        et.live(ui=":0", ui_token="")
    assert "s3cret" not in repr(et.live(ui=":0", ui_token="s3cret"))


def test_numbers_that_json_lacks_are_not_sent() -> None:
    """Watermarks at infinity are null, so that every reader of JSON takes it."""
    board, seen = Board(ManualClock()), Seen()
    run(Script([(1, "a", rows(1)), (2, Ended("a"))], ("a",)), seen)
    board.show(seen.statuses[-1])
    with serving(board=board) as server:
        text = get(server.url + "status.json")[1]
    assert json.loads(text, parse_constant=pytest.fail)["watermark_us"] is None
