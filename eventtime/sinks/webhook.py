"""The webhook sink: rows posted to an address, each epoch under a key of its own."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from eventtime.checks import check_callable, check_text, check_whole, shown
from eventtime.clock import SystemClock
from eventtime.duration import parse_us
from eventtime.errors import PlanError, SinkError
from eventtime.sinks.epochs import check_job
from eventtime.sinks.json_text import json_rows
from eventtime.sinks.one_epoch import OneEpoch
from eventtime.sinks.text import check_text_types
from eventtime.wording import counted, without_secrets

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from eventtime.clock import Clock
    from eventtime.duration import DurationLike
    from eventtime.sinks.epochs import Delivery, Guarantee

__all__ = ("WebhookEpochs", "WebhookSink", "to_webhook")

_SAID: Final = 200
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS: Final = ("content-type", "content-length", "transfer-encoding", "idempotency-key")
_DIGITS: Final = 9
"""Of seconds: more are years in any case."""


def to_webhook(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: DurationLike = "10s",
    attempts: int = 3,
    pause: DurationLike = "200ms",
    max_pause: DurationLike = "30s",
    rows: int = 1_000,
    sleep: Callable[[float], None] = time.sleep,
    clock: Clock | None = None,
) -> WebhookSink:
    """Post rows as JSON lines to an address, as soon as they come out.

    At least once. Each request has a header ``Idempotency-Key: JOB/EPOCH/PART-CHECKSUM``, the same
    when it is tried again, so that a server that keeps these keys takes it once. After a restart
    rows since the last checkpoint are sent again, perhaps cut otherwise, under other keys.

    A request is tried again when nobody answers, or the answer is 429 or 5xx; any other that is not
    2xx is an error at once. Redirects are not followed. Before it is tried again there is a pause,
    each twice as long as the one before; at least as long as ``Retry-After`` of the answer says
    (seconds, or a date), but never longer than `max_pause`. The run waits meanwhile.

    Args:
        url: 'https://…' or 'http://…'; user and password in it are sent as a Basic login.
        headers: such as {'Authorization': 'Bearer …'}; they are not shown.
        timeout: for an answer.
        attempts: of a request, in a row, before the run fails; see `restart` for more patience.
        pause: behind the first of them.
        max_pause: no pause is longer, whatever the server asks for.
        rows: of a request, at most.
        sleep: waits for so many seconds.
        clock: that a date in ``Retry-After`` is compared with; None: the machine's.

    Raises:
        PlanError, DurationError: an argument is wrong.

    >>> to_webhook("https://example.org/hook?secret=1").describe()
    'webhook https://example.org/hook'
    """
    place = "to_webhook(…)"
    check_text(url, what="address", place=place, remedy="such as 'https://example.org/hook'")
    parts = _parts(url)
    if parts is None:
        msg = f"{shown(without_secrets(url))} is no address of a web server"
        remedy = "such as 'https://example.org/hook', in ASCII, with %20 for a space"
        raise PlanError(msg, place=place, remedy=remedy)
    for name, value in (("attempts", attempts), ("rows", rows)):
        check_whole(value, least=1, what=f"a number of {name}", place=place, remedy="1 or more")
    given = _checked_headers(headers, place)
    if parts.username is not None and "authorization" not in {name.lower() for name, _ in given}:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        given += (("Authorization", f"Basic {b64encode(login.encode()).decode()}"),)
    times = (
        parse_us(timeout, name="timeout", zero=False),
        parse_us(pause, name="pause"),
        parse_us(max_pause, name="max_pause"),
    )
    remedy = "give a function of a number of seconds"
    check_callable(sleep, place="to_webhook(sleep=…)", remedy=remedy)
    return WebhookSink(url, given, *times, attempts, rows, sleep, clock or SystemClock())


def _parts(url: str) -> SplitResult | None:
    """Take an address apart; None if it cannot be asked as it is written.

    >>> [
    ...     _parts(url) is None
    ...     for url in ("http://h:1/x", "http://h:port/", "http://h/a b", "ftp://h")
    ... ]
    [False, True, True, True]
    """
    try:
        parts = urlsplit(url)
        is_port = parts.port != 0
    except ValueError:
        return None
    is_web = parts.scheme in {"http", "https"} and bool(parts.hostname)
    target = f"{parts.path}{parts.query}"
    is_plain = target.isascii() and url.isprintable() and " " not in url
    return parts if is_web and is_port and is_plain else None


def _checked_headers(headers: object, place: str) -> tuple[tuple[str, str], ...]:
    """Return headers that can be sent beside our own.

    Raises:
        PlanError: names the first that cannot.
    """
    if headers is None:
        return ()
    remedy = "such as {'Authorization': 'Bearer …'}"
    if not isinstance(headers, Mapping):
        msg = f"{shown(headers)} are no headers"
        raise PlanError(msg, place=place, remedy=remedy)
    given = tuple((str(name), str(value)) for name, value in headers.items())
    for name, value in given:
        is_latin = all(ord(letter) < 256 for letter in value)
        if not (_HEADER.fullmatch(name) and value.isprintable() and is_latin):
            msg = f"header {shown(name)} is no name with a value of one line, in Latin letters"
            raise PlanError(msg, place=place, remedy=remedy)
        if name.lower() in _OURS:
            msg = f"header {shown(name)} says what is sent, which is JSON lines"
            raise PlanError(msg, place=place, remedy="leave it out")
    return given


@dataclass(frozen=True)
class WebhookSink:
    """Rows to an address; made by `to_webhook`."""

    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # there may be a token
    timeout_us: int
    pause_us: int
    max_pause_us: int
    attempts: int
    rows: int
    sleep: Callable[[float], None]
    clock: Clock

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
        return f"webhook {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def wait_us(self, failures: int, asked_us: int) -> int:
        """Return the pause behind so many failures in a row.

        Args:
            failures: one or more.
            asked_us: the server asked for so much.

        >>> sink = to_webhook("http://example.org/", pause="1s", max_pause="5s")
        >>> [sink.wait_us(n, 3_000_000) // 1_000_000 for n in (1, 2, 3, 4)]
        [3, 3, 4, 5]
        """
        own_us = self.pause_us << min(failures - 1, 40)
        return min(max(own_us, asked_us), self.max_pause_us)


class _Refusal(NamedTuple):
    """A request is to be tried again.

    Args:
        why: in words.
        asked_us: the server asked for such a pause.
    """

    why: str
    asked_us: int = 0


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
        refusal = self._tried(body, headers)
        for failures in range(1, self._sink.attempts):
            if refusal is None:
                return
            self._sink.sleep(self._sink.wait_us(failures, refusal.asked_us) / 1e6)
            refusal = self._tried(body, headers)
        if refusal is None:
            return
        msg = f"the rows were not taken in {counted(self._sink.attempts, 'attempt')}: {refusal.why}"
        remedy = "see what the server says; run(restart=et.restart(…)) waits longer"
        raise SinkError(msg, place=self._sink.describe(), remedy=remedy)

    def _tried(self, body: bytes, headers: Mapping[str, str]) -> _Refusal | None:
        """Post once; returns why it is to be tried again, None if it was taken."""
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
        except (OSError, HTTPException, UnicodeError) as error:  # the last: no name of a host
            self.close()
            return _Refusal(f"{type(error).__name__}: {error}")
        if 200 <= answer.status < 300:
            return None
        why = f"answer {answer.status}: {' '.join(said.split())}"
        if answer.status == 429 or answer.status >= 500:
            asked = answer.headers.get("Retry-After", "")
            return _Refusal(why, _asked_us(asked.strip(), self._sink.clock))
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


def _asked_us(text: str, clock: Clock) -> int:
    """Read a header Retry-After: seconds, or a date; 0 if it is neither.

    >>> from eventtime.clock import ManualClock
    >>> dated = "Thu, 01 Jan 1970 00:01:30 GMT"
    >>> [_asked_us(text, ManualClock(60_000_000)) for text in ("7", dated, "soon")]
    [7000000, 30000000, 0]
    """
    from email.utils import parsedate_to_datetime

    if text.isascii() and text.isdigit():
        return int(text[:_DIGITS]) * 1_000_000
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round(moment.timestamp() * 1e6) - clock.now_us())
