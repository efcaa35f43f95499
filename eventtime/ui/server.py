"""Serves what a live run looks like: a page, JSON, metrics, health; reads the board, never the run.

/             the page          /metrics   for Prometheus
/status.json  all in one        /health    the loop works       (no token)
/past.json    the last minutes  /ready     rows are taken       (no token)
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import json
import re
import socket
import threading
from dataclasses import asdict
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from eventtime.errors import SourceError
from eventtime.holding import holding
from eventtime.metrics import CONTENT_TYPE, prometheus_text
from eventtime.status import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.board import Board
    from eventtime.clock import Clock
    from eventtime.status import Life, Status

__all__ = ("StatusServer",)

_WAIT_S: Final = 0.4
_QUIET_S: Final = 5
_WHOLE_S: Final = 15
_MOST_CONNECTIONS: Final = 32
_STUCK_US: Final = 300_000_000
"""A loop that has done no turn for so long hangs: `/health` says so."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


class StatusServer:
    """Listens on a port, in threads of its own.

    Args:
        board: of the run.
        clock: of the run.
        address: host and port; 0: any that is free.
        token: without it nothing but health is told; None: there is none.
        sources: of the run, a line each.

    Raises:
        SourceError: the port is in use, or not ours to take.
    """

    def __init__(
        self,
        board: Board,
        clock: Clock,
        address: tuple[str, int],
        token: str | None = None,
        sources: Sequence[str] = (),
    ) -> None:
        pages = _Pages(board, clock, sources)
        self._server = _bound(address, pages, token)
        host, port = str(self._server.server_address[0]), int(self._server.server_address[1])
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="eventtime-ui", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests under way are cut off."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Pages:
    """What is served, made once for each status however many look."""

    def __init__(self, board: Board, clock: Clock, sources: Sequence[str]) -> None:
        self.board, self._clock, self._sources = board, clock, list(sources)
        self._lock = threading.Lock()
        self._made: dict[str, tuple[object, bytes]] = {}

    def status(self) -> bytes:
        status, life = self.board.fresh(_WAIT_S), self.board.life
        return self._once("status", (status, life.state, life.error), lambda: _document(
            status, life, self._clock.now_us(), self._sources))  # fmt: skip

    def past(self) -> bytes:
        samples = self.board.past()
        last = samples[-1] if samples else None
        return self._once("past", last, lambda: [sample._asdict() for sample in samples])

    def metrics(self) -> bytes:
        status = self.board.fresh(_WAIT_S)
        text = prometheus_text(status, self.board.life, self._clock.now_us())
        return text.encode("utf-8", "backslashreplace")

    def health(self) -> tuple[int, bytes]:
        life = self.board.life
        is_stuck = life.state == "running" and self._clock.now_us() - life.turned_us > _STUCK_US
        if life.state == "failed" or is_stuck:
            return 503, b"stuck\n" if is_stuck else b"failed\n"
        return 200, b"ok\n"

    def ready(self) -> tuple[int, bytes]:
        state = self.board.life.state
        return (200 if state == "running" else 503), f"{state}\n".encode()

    def _once(self, name: str, key: object, make: Any) -> bytes:
        with self._lock:
            known = self._made.get(name)
            if known is None or known[0] != key:
                text = json.dumps(make(), separators=(",", ":"))
                known = self._made[name] = (key, text.encode())
            return known[1]


def _document(status: Status | None, life: Life, now_us: int, sources: list[str]) -> dict[str, Any]:
    words = "Waiting for the first turn" if status is None else holding(status)
    told = {"life": asdict(life), "now_us": now_us, "sources": sources, "holding": words}
    return told | ({"at_us": None} if status is None else as_json(status))


class _Server(ThreadingHTTPServer):
    """Takes a few connections at a time, none for long."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        family: socket.AddressFamily,
        pages: _Pages,
        token: str | None,
    ) -> None:
        self.address_family = family
        self.pages, self.token = pages, None if token is None else token.encode()
        self._open: dict[int, tuple[float, socket.socket]] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)
        # On loopback, a page of somebody else's must not read this one under a name of its own.
        self.checks_host = token is None and _is_loopback(str(self.server_address[0]))

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            has_room = len(self._open) < _MOST_CONNECTIONS
            if has_room:
                self._open[id(request)] = (perf_counter(), request)
        if has_room:
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(b"HTTP/1.0 503 Too many connections\r\nRetry-After: 1\r\n\r\n")
        super().shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(id(request), None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off who takes too long over a request, however busy it keeps the line."""
        now = perf_counter()
        with self._lock:
            slow = [request for since, request in self._open.values() if now - since > _WHOLE_S]
        for request in slow:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nobody is told: the other side went away, or talks nonsense."""


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    timeout = _QUIET_S
    server_version, sys_version = "eventtime", ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        pages = self._ours.pages
        if url.path in {"/health", "/ready"}:
            status, text = pages.health() if url.path == "/health" else pages.ready()
            self._answer(status, "text/plain", text)
        elif self._ours.checks_host and not _is_local_name(self.headers.get("Host", "")):
            self._answer(403, "text/plain", b"ask under the name localhost, or set a token\n")
        elif not self._is_allowed(parse_qs(url.query)):
            more = {"WWW-Authenticate": "Bearer"}
            self._answer(401, "text/plain", b"a token is needed: ?token=\n", more)
        elif url.path == "/":
            body, policy = _page()
            self._answer(200, "text/html", body, {"Content-Security-Policy": policy})
        elif url.path == "/status.json":
            self._answer(200, "application/json", pages.status())
        elif url.path == "/past.json":
            self._answer(200, "application/json", pages.past())
        elif url.path == "/metrics":
            self._answer(200, CONTENT_TYPE, pages.metrics())
        else:
            self._answer(404, "text/plain", b"there is no such page\n")

    do_HEAD = do_GET  # noqa: N815 - as above

    @property
    def _ours(self) -> _Server:
        assert isinstance(self.server, _Server)
        return self.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - of http.server
        """Say nothing: stderr is the run's."""

    def _is_allowed(self, query: Mapping[str, list[str]]) -> bool:
        token = self._ours.token
        if token is None:
            return True
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            given = query.get("token", [""])[0]
        return hmac.compare_digest(given.strip().encode(), token)

    def _answer(
        self, status: int, kind: str, body: bytes, more: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        kind = kind if "charset" in kind else f"{kind}; charset=utf-8"
        told = {"Content-Type": kind, "Content-Length": str(len(body)), **_HEADERS, **(more or {})}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _bound(address: tuple[str, int], pages: _Pages, token: str | None) -> _Server:
    host, port = address
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _Server((str(where[0]), int(where[1])), family, pages, token)
    except OSError as error:
        msg = f"the status page cannot listen on {host}:{port}: {error.strerror or error}"
        remedy = "name another port, such as ':0' for one that is free, or stop what holds it"
        raise SourceError(msg, place="live(ui=…)", remedy=remedy) from error


@cache
def _page() -> tuple[bytes, str]:
    """Return the page, and what it is allowed: its own script and style, and to ask this server."""
    text = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    hashes = {}
    for tag in ("script", "style"):
        inner = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inner is not None
        digest = hashlib.sha256(inner[1].encode()).digest()
        hashes[tag] = f"'sha256-{base64.b64encode(digest).decode()}'"
    policy = (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return text.encode(), policy


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


def _is_local_name(host: str) -> bool:
    """Tell whether a Host header names this machine, by address or as localhost."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return _is_loopback(name)
    except ValueError:
        return False
