"""The webhook sink: rows posted to an address, each epoch under a key of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from eventtime.checks import check_text, check_whole, shown
from eventtime.duration import parse_us
from eventtime.errors import PlanError, SinkError
from eventtime.sinks.epochs import check_job
from eventtime.sinks.json_text import json_rows
from eventtime.sinks.one_epoch import OneEpoch
from eventtime.sinks.text import check_text_types

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from eventtime.duration import DurationLike
    from eventtime.sinks.epochs import Delivery, Guarantee

__all__ = ("WebhookEpochs", "WebhookSink", "to_webhook")

_SAID: Final = 200


def to_webhook(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: DurationLike = "10s",
    attempts: int = 3,
    rows: int = 1_000,
) -> WebhookSink:
    """Post rows as JSON lines to an address, as soon as they come out.

    At least once. Each request has a header ``Idempotency-Key: JOB/EPOCH/PART-CHECKSUM``, the same
    when it is tried again, so that a server that keeps these keys takes it once. After a restart
    rows since the last checkpoint are sent again, perhaps cut otherwise, under other keys.

    A request is tried again when nobody answers, or the answer is 429 or 5xx; any other that is not
    2xx is an error at once. Redirects are not followed.

    Args:
        url: 'https://…' or 'http://…'.
        headers: such as {'Authorization': 'Bearer …'}; they are not shown.
        timeout: for an answer.
        attempts: of a request, in a row, before the run fails; see `restart` for more patience.
        rows: of a request, at most.

    Raises:
        PlanError, DurationError: an argument is wrong.

    >>> to_webhook("https://example.org/hook?secret=1").describe()
    'webhook https://example.org/hook'
    """
    place = "to_webhook(…)"
    check_text(url, what="address", place=place, remedy="such as 'https://example.org/hook'")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isprintable():
        msg = f"{shown(url.partition('?')[0])} is no address of a web server"
        raise PlanError(msg, place=place, remedy="such as 'https://example.org/hook'")
    for name, value in (("attempts", attempts), ("rows", rows)):
        check_whole(value, least=1, what=f"a number of {name}", place=place, remedy="1 or more")
    given = tuple((headers or {}).items())
    for header in given:
        if not all(str(text).isprintable() for text in header):
            msg = f"header {shown(header[0])} is no text of one line"
            raise PlanError(msg, place=place, remedy="such as {'Authorization': 'Bearer …'}")
    timeout_us = parse_us(timeout, name="timeout", zero=False)
    return WebhookSink(url, given, timeout_us, attempts, rows)


@dataclass(frozen=True)
class WebhookSink:
    """Rows to an address; made by `to_webhook`."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # there may be a token
    timeout_us: int
    attempts: int
    rows: int

    @property
    def delivery(self) -> Delivery:
        """Before the checkpoint."""
        return "at_least_once"

    @property
    def guarantee(self) -> Guarantee:
        """What a reader may rely on."""
        return "at_least_once"

    def open(self, schema: pa.Schema) -> OneEpoch:
        """Start, for a run without checkpoints: rows are posted at its end."""
        return OneEpoch(self, schema)

    def open_epochs(self, schema: pa.Schema, job: str) -> WebhookEpochs:
        """Start; nobody is asked yet."""
        check_job(job)
        check_text_types(schema, "JSON lines")
        return WebhookEpochs(self, schema, job)

    def describe(self) -> str:
        """One line for `explain()`, without user, password and query."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"webhook {parts.scheme}://{parts.hostname}{port}{parts.path}"


class WebhookEpochs:
    """Posts rows at once; see `EpochWriter`."""

    def __init__(self, sink: WebhookSink, schema: pa.Schema, job: str) -> None:
        self._sink, self._schema, self._job, self._part = sink, schema, job, 0
        self._connection: http.client.HTTPConnection | None = None

    def recover(self, token: int) -> int:
        del token
        return 0

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        del token
        for batch in list(batches):
            if not batch.schema.equals(self._schema):
                msg = f"rows of schema {batch.schema} for an output opened with {self._schema}"
                place = self._sink.describe()
                raise SinkError(msg, place=place, remedy="cast them to that schema")
            for start in range(0, batch.num_rows, self._sink.rows):
                self._post(epoch, batch.slice(start, self._sink.rows))

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _post(self, epoch: int, rows: pa.RecordBatch) -> None:
        lines = json_rows(rows.columns, rows.schema.names).to_pylist()
        body = "\n".join([*lines, ""]).encode()
        self._part += 1
        checksum = blake2b(body, digest_size=8).hexdigest()
        headers = {
            **dict(self._sink.headers),
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": f"{self._job}/{epoch}/{self._part}-{checksum}",
        }
        why = ""
        for _ in range(self._sink.attempts):
            why = self._tried(body, headers)
            if not why:
                return
        msg = f"the rows were not taken in {self._sink.attempts} attempts: {why}"
        remedy = "see what the server says; run(restart=et.restart(…)) waits longer"
        raise SinkError(msg, place=self._sink.describe(), remedy=remedy)

    def _tried(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Post once; returns why it is to be tried again, empty if it was taken."""
        from http.client import HTTPException

        parts = urlsplit(self._sink.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            if self._connection is None:
                self._connection = self._connected()
            self._connection.request("POST", target, body, dict(headers))
            answer = self._connection.getresponse()
            said = answer.read(_SAID).decode("utf-8", errors="replace")
            answer.read()
        except (OSError, HTTPException) as error:
            self.close()
            return f"{type(error).__name__}: {error}"
        if 200 <= answer.status < 300:
            return ""
        why = f"answer {answer.status}: {' '.join(said.split())}"
        if answer.status == 429 or answer.status >= 500:
            return why
        remedy = "see what the server says"
        msg = f"the rows were refused: {why}"
        raise SinkError(msg, place=self._sink.describe(), remedy=remedy)

    def _connected(self) -> http.client.HTTPConnection:
        import ssl
        from http.client import HTTPConnection, HTTPSConnection

        parts = urlsplit(self._sink.url)
        host, seconds = str(parts.hostname), self._sink.timeout_us / 1e6
        if parts.scheme == "http":
            return HTTPConnection(host, parts.port, timeout=seconds)
        context = ssl.create_default_context()
        return HTTPSConnection(host, parts.port, timeout=seconds, context=context)
