"""HTTP ingest as a live source: rows that are posted, accepted into a bounded queue."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.sources.address import Address, listening
from eventtime.sources.async_feed import AsyncFeed
from eventtime.sources.http_requests import HttpError, Request, answer, read_body, read_head
from eventtime.sources.mailbox import Mailbox
from eventtime.sources.wire import WireSource

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position
    from eventtime.sources.wire import WireFormat

__all__ = ("HttpSource",)

_KINDS: Final[dict[str, WireFormat]] = {
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
    "application/json": "jsonl",
    "text/csv": "csv",
    "application/vnd.apache.arrow.stream": "arrow",
}
_RETRY_S: Final = 1
_NAME_MAX: Final = 64
_LINGER_S: Final = 1.0
_LINGER_READS: Final = 64
_NOTHING: Final = pa.schema([])


@dataclass(frozen=True)
class HttpSource(WireSource):
    """Rows that are posted; made by `eventtime.read_http`.

    Attributes:
        wire: what comes where the request does not say.
        address: to listen at.
        path: of the requests.
        token: that they must carry; None: anybody may.
        body_bytes_max: of a request.
        most: connections at once.
        partitions: different ones, at most.
        head_s, body_s, idle_s: how long a client may take.
    """

    address: Address
    path: str
    token: str | None = field(repr=False)
    body_bytes_max: int
    most: int
    partitions: int
    head_s: float = 10.0
    body_s: float = 30.0
    idle_s: float = 60.0

    @property
    def reports_malformed(self) -> bool:
        """Never: requests with such rows are refused."""
        return False

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> AsyncFeed:
        """Listen.

        Raises:
            SourceError: somebody else listens there.
        """
        self.wire.decoder(columns, self.path)  # columns that are not there
        mail = Mailbox(clock, self.unsettled)
        mail.add("http", is_found=False)
        for name in positions or {}:
            mail.add(name, is_found=False)
        server = listening(self.address)
        ingest = _Ingest(self, columns, mail, server, self.rows_before(positions))
        return AsyncFeed(ingest.run, mail, let_go=server.close)

    def describe(self) -> str:
        """Return one line, without the token."""
        return f"HTTP posts to {self.address}{self.path}, time={self.time}"


class _Ingest:
    """Serves requests, each connection in a task of its own."""

    def __init__(
        self,
        source: HttpSource,
        columns: Sequence[str] | None,
        mail: Mailbox,
        server: socket.socket,
        rows: Mapping[str, int],
    ) -> None:
        self._source, self._columns, self._mail, self._socket = source, columns, mail, server
        self._rows = {"http": 0, **rows}

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        for name in self._rows:
            self._mail.quiet(name)

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(tasks) >= self._source.most:
                busy = {"error": "too many connections"}
                writer.write(answer(503, busy, keeps=False, headers={"Retry-After": "1"}))
                writer.close()
                return
            task = loop.create_task(self._serve(reader, writer))
            tasks[task] = writer
            task.add_done_callback(tasks.pop)

        server = await asyncio.start_server(serve, sock=self._socket, start_serving=False)
        try:
            await server.start_serving()
            await loop.create_future()
        finally:
            # Connections that were just accepted are made before the server closes, or they leak.
            loop.remove_reader(self._socket)
            await AsyncFeed.steps()
            server.close()
            for writer in tasks.values():
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):  # it was reset, or took too long
                while await self._one(reader, writer):
                    pass
                await _linger(reader, writer)
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether another may follow."""
        source, keeps = self._source, False
        try:
            head = await read_head(reader, head_s=source.head_s, idle_s=source.idle_s)
            if head is None:
                return False
            # Nobody reads the body of one that is refused, so no other can come behind it.
            keeps = head.keeps and not head.has_body
            self._check(head)
            bounds: Any = {"bytes_max": source.body_bytes_max, "body_s": source.body_s}
            request = await read_body(reader, writer, head, **bounds)
            keeps = head.keeps
            text = answer(202, {"accepted": self._accept(request)}, keeps=keeps)
        except HttpError as error:
            keeps = keeps and not error.closes
            text = answer(error.status, {"error": error.what}, keeps=keeps, headers=error.headers)
        writer.write(text)
        # A client that does not read its answers is as slow as one that does not send.
        await asyncio.wait_for(writer.drain(), source.body_s)
        return keeps

    def _accept(self, request: Request) -> int:
        """Put the rows of a request into the queue, all or none; returns how many.

        Raises:
            HttpError: they are not wanted, not readable, or there is no room.
        """
        name = self._partition(request)
        if not self._mail.has_room(name if name in self._rows else "http"):
            wait = {"Retry-After": str(_RETRY_S)}
            raise HttpError(429, "the queue is full", headers=wait, closes=False)
        batch = self._decoded(request)
        if not batch.num_rows:
            return 0
        if name not in self._rows:
            self._rows[name] = 0
            self._mail.add(name, is_found=True)
        self._rows[name] += batch.num_rows
        self._mail.put(name, batch, {"rows": self._rows[name]}, is_quiet=True)
        return int(batch.num_rows)

    def _check(self, request: Request) -> None:
        """Refuse a request for what its head says.

        Raises:
            HttpError: it is not for this door, or lacks the token.
        """
        source = self._source
        if request.path != source.path:
            raise HttpError(404, f"post to {source.path}", closes=False)
        if source.token is not None:
            given = request.headers.get("authorization", "").encode("latin-1", "replace")
            if not hmac.compare_digest(given, b"Bearer " + source.token.encode()):
                challenge = {"WWW-Authenticate": "Bearer"}
                raise HttpError(401, "a token is needed", headers=challenge, closes=False)
        if request.method != "POST":
            raise HttpError(405, "only POST", headers={"Allow": "POST"}, closes=False)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise HttpError(415, "bodies are read as they are, not compressed", closes=False)

    def _partition(self, request: Request) -> str:
        values = parse_qs(request.target.partition("?")[2]).get("partition", ["http"])
        name = values[0]
        is_name = len(values) == 1 and len(name) <= _NAME_MAX and name.isprintable()
        if not is_name:
            raise HttpError(
                400, f"a partition has one name of up to {_NAME_MAX} letters", closes=False
            )
        if name not in self._rows and len(self._rows) > self._source.partitions:
            most = self._source.partitions
            raise HttpError(400, f"there are {most:,} partitions already", closes=False)
        return name

    def _decoded(self, request: Request) -> pa.RecordBatch:
        """Decode a body; one row that does not parse refuses all of it."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        form = _KINDS.get(kind, self._source.wire.format)
        wire = replace(self._source.wire, format=form, on_malformed="error")
        decoder = wire.decoder(self._columns, "body")
        try:
            body = request.body
            if form != "arrow" and body and not body.endswith(b"\n"):
                body += b"\n"
            items: list[Any] = [*decoder.feed(body), *decoder.end()]
        except SourceError as error:
            raise HttpError(400, f"{error.place}: {error.what}", closes=False) from error
        return pa.concat_batches(items) if items else pa.RecordBatch.from_pylist([], _NOTHING)


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read on for a moment: closed with bytes unread, the answer might not reach the client."""

    async def discard() -> None:
        for _ in range(_LINGER_READS):
            if not await reader.read(65_536):
                return

    if writer.can_write_eof():
        writer.write_eof()
    await asyncio.wait_for(discard(), _LINGER_S)
