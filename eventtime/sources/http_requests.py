"""Requests of HTTP/1.1, as far as an ingest needs them: bounded in size and time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("HttpError", "Request", "answer", "read_body", "read_head")

_HEAD_BYTES_MAX: Final = 16 << 10
_REASONS: Final = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class HttpError(Exception):
    """Raised for a request that gets another answer than that it was accepted.

    Args:
        status: of the answer.
        what: is wrong; goes to the client.
        headers: of the answer, besides the usual ones.
        closes: whether the connection cannot be used any more.
    """

    def __init__(
        self,
        status: int,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        closes: bool = True,
    ) -> None:
        super().__init__(what)
        self.status, self.what, self.closes = status, what, closes
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Request:
    """One request, with its body.

    Args:
        method, target: of the first line.
        headers: by lower-case name.
        keeps: whether the client wants to send more on the connection.
        body: all of it.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    keeps: bool
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def has_body(self) -> bool:
        """Whether something comes behind the head."""
        length = self.headers.get("content-length", "0")
        return not length or length.strip("0") != "" or "transfer-encoding" in self.headers


async def read_head(
    reader: asyncio.StreamReader, *, head_s: float, idle_s: float
) -> Request | None:
    """Read a request up to its body; None if the client has closed, or sent nothing for a while.

    Raises:
        HttpError: it is too long, too slow, or no request.
        ConnectionError: the client went away inside it.
    """
    try:
        first = await asyncio.wait_for(reader.read(1), idle_s)
    except TimeoutError:
        return None
    if not first:
        return None
    try:
        head = first + await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), head_s)
    except TimeoutError as error:
        raise HttpError(408, f"the head of the request took longer than {head_s:g} s") from error
    except asyncio.LimitOverrunError as error:
        raise HttpError(431, f"the head is longer than {_HEAD_BYTES_MAX:,} bytes") from error
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError from error
    if len(head) > _HEAD_BYTES_MAX:
        raise HttpError(431, f"the head is longer than {_HEAD_BYTES_MAX:,} bytes")
    return _parsed(head)


async def read_body(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: Request,
    *,
    bytes_max: int,
    body_s: float,
) -> Request:
    """Read what is behind the head of a request; returns the request with it.

    Raises:
        HttpError: it is too long, too slow, or of no length that is told.
        ConnectionError: the client went away inside it.
    """
    length = _length(request.headers, bytes_max)
    if request.headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        body = await asyncio.wait_for(reader.readexactly(length), body_s)
    except TimeoutError as error:
        raise HttpError(408, f"the body took longer than {body_s:g} s") from error
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError from error
    return replace(request, body=body)


def answer(
    status: int,
    body: Mapping[str, object],
    *,
    keeps: bool,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Write an answer with a JSON object."""
    text = json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Content-Type: application/json",
        f"Content-Length: {len(text)}",
        "X-Content-Type-Options: nosniff",
        f"Connection: {'keep-alive' if keeps else 'close'}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + text


def _parsed(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").lstrip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/") or not words[1].startswith("/"):
        raise HttpError(400, "the first line is not that of a request")
    if words[2] not in {"HTTP/1.1", "HTTP/1.0"}:
        raise HttpError(505, "HTTP/1.1 and 1.0 are spoken here")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        # Two lengths, or a name with a space before its colon, are read by others in other ways.
        is_doubled = name.lower() in headers and name.lower() in {"content-length", "host"}
        if not colon or not name or name != name.strip() or is_doubled:
            raise HttpError(400, "a header line is malformed")
        headers[name.lower()] = value.strip()
    wish = headers.get("connection", "").lower()
    keeps = wish != "close" if words[2] == "HTTP/1.1" else wish == "keep-alive"
    return Request(words[0], words[1], headers, keeps)


def _length(headers: Mapping[str, str], most: int) -> int:
    if "transfer-encoding" in headers:
        raise HttpError(411, "send a Content-Length: chunked bodies are not read")
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise HttpError(400, "the Content-Length is no number")
    if len(text) > 15 or int(text) > most:
        raise HttpError(413, f"a body may have up to {most:,} bytes")
    return int(text)
