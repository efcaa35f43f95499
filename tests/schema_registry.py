"""A schema registry on loopback, and messages as its clients write them."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from typing import TYPE_CHECKING, Any

import fastavro

from eventtime.sources.kafka.values import Coding, payload

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("FakeRegistry", "avro", "framed", "logical", "reading", "record", "registry")


class FakeRegistry:
    """What it answers, and what it was asked.

    Args:
        url: where it is.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.logins: list[str | None] = []
        self.failures: list[int] = []

    def add(self, number: int, schema: Any, **more: Any) -> None:
        """Register a schema under an id."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        self.answers[f"/schemas/ids/{number}"] = {"schema": text, **more}


@contextlib.contextmanager
def registry() -> Iterator[FakeRegistry]:
    """Serve one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            made.logins.append(self.headers.get("Authorization"))
            told = made.answers.get(self.path)
            code = made.failures.pop(0) if made.failures else 404 if told is None else 200
            body = json.dumps(told if code == 200 else {"error_code": code}).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        made = FakeRegistry(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def avro(schema: Any, row: Any) -> bytes:
    """Write a record."""
    sink = BytesIO()
    fastavro.schemaless_writer(sink, fastavro.parse_schema(schema), row)
    return sink.getvalue()


def framed(number: int, body: bytes) -> bytes:
    """Put the header of a registry in front."""
    return b"\0" + number.to_bytes(4) + body


def record(**fields: Any) -> dict[str, Any]:
    """Write the schema of a record."""
    told = [{"name": name, "type": kind} for name, kind in fields.items()]
    return {"type": "record", "name": "Click", "fields": told}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """Write a logical type."""
    return {"type": kind, "logicalType": name, **more}


def reading(**said: Any) -> Any:
    """Return what reads values of Avro, as arguments of `read_kafka` say."""
    schema = said.pop("schema", None)
    return payload("avro", schema, Coding(**said), place="read_kafka(…)")
