"""Sockets as live sources: each connection a partition, or one connection that is kept up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from eventtime.errors import SourceError
from eventtime.sources.address import Address, listening
from eventtime.sources.async_feed import AsyncFeed
from eventtime.sources.base import count_of
from eventtime.sources.gathering import Gathering, Reader
from eventtime.sources.mailbox import Mailbox
from eventtime.sources.wire import WireSource

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position, Rows
    from eventtime.sources.wire import Decoder

__all__ = ("Refusals", "SocketSource")

_FIRST_REST_S: Final = 0.1
_MOST_REST_S: Final = 10.0
_TOLD_AGAIN_S: Final = 60.0
_MOST_PEERS_TOLD: Final = 10

_LOG: Final = logging.getLogger("eventtime.sockets")
_LOG.addHandler(logging.NullHandler())  # silent, unless somebody listens


@dataclass(frozen=True)
class SocketSource(WireSource):
    """Rows that come over sockets; made by `eventtime.read_socket`.

    Attributes:
        wire: what comes.
        address: to listen at, or to connect to.
        connects: whether to connect.
        most: connections at once; others are closed at once, and told in the log.
    """

    address: Address
    connects: bool
    most: int

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> AsyncFeed:
        """Listen, or begin to connect; what went by before a restart is gone.

        Raises:
            SourceError: somebody else listens there.
        """
        mail = Mailbox(clock, self.unsettled)
        self.wire.decoder(columns, str(self.address))  # columns that are not there
        if self.connects:
            mail.add(str(self.address), is_found=False)
            caller = _Caller(self, columns, mail, self.rows_before(positions))
            return AsyncFeed(caller.run, mail)
        server = listening(self.address)
        listener = _Listener(self, columns, mail, server, self.rows_before(positions))
        return AsyncFeed(listener.run, mail, let_go=listener.close, leaves=True)

    def describe(self) -> str:
        """Return one line."""
        how = "connection to" if self.connects else "socket at"
        return f"{self.wire.format} from {how} {self.address}, time={self.time}"


class _Connection:
    """Rows of one connection after another, of one partition."""

    def __init__(
        self,
        source: SocketSource,
        columns: Sequence[str] | None,
        mail: Mailbox,
        gathering: Gathering,
        name: str,
    ) -> None:
        self._source, self._columns, self._mail, self._name = source, columns, mail, name
        self._gathering = gathering
        self.rows = 0

    async def read(self, reader: Reader, peer: str) -> None:
        """Read to the end of a connection; what cannot be read is set aside, and ends it."""
        wire = self._source.wire
        decoder = wire.decoder(self._columns, f"{self._name}, {peer}")
        try:
            await self._read(reader, decoder)
        except SourceError as error:
            await self._put([wire.set_aside(error)])

    async def _read(self, reader: Reader, decoder: Decoder) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                left = await self._gathering.take(reader, decoder, self._put_first)
                if left is None:
                    break
                await self._put(left)
        await self._put(decoder.end())

    async def _put(self, items: Sequence[Rows]) -> None:
        while items:
            await AsyncFeed.room(self._mail, self._name)
            items = items[self._put_first(items) :]

    def _put_first(self, items: Sequence[Rows]) -> int:
        """Put as many as there is room for; returns how many."""
        for n, item in enumerate(items):
            if not self._mail.has_room(self._name):
                return n
            self.rows += count_of(item)
            self._mail.put(self._name, item, {"rows": self.rows}, is_quiet=True)
        return len(items)


class Refusals:
    """Tells in the log who was refused: each peer once a minute, and few of them.

    Args:
        where: the address.
        most: connections at once.
    """

    def __init__(self, where: str, most: int) -> None:
        self._where, self._most = where, most
        self._told: set[str] = set()
        self._until_s = 0.0

    def note(self, peer: str, now_s: float) -> None:
        """Note that a connection was one too many.

        Args:
            peer: whose it was.
            now_s: reading of a clock that never goes back.
        """
        if now_s >= self._until_s:
            self._told, self._until_s = set(), now_s + _TOLD_AGAIN_S
        if peer in self._told or len(self._told) >= _MOST_PEERS_TOLD:
            return
        self._told.add(peer)
        text = "%s: a connection %s was closed: there are as many as connections=%d allows"
        _LOG.warning(text, self._where, peer, self._most)


class _Listener:
    """Takes connections in; each is the partition of the lowest number that is free."""

    def __init__(
        self,
        source: SocketSource,
        columns: Sequence[str] | None,
        mail: Mailbox,
        server: socket.socket,
        rows: Mapping[str, int],
    ) -> None:
        self._source, self._columns, self._mail, self._socket = source, columns, mail, server
        self._gathering = Gathering(source.wire, columns, mail)
        self._rows = dict(rows)
        self._used: set[int] = set()
        self._refusals = Refusals(str(source.address), source.most)

    async def run(self) -> None:
        """Serve until cancelled, or until a connection may not be read."""
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()
        tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        async def served(reader: Reader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._serve(reader, writer)
            except SourceError as error:
                if not failed.done():
                    failed.set_exception(error)

        def serve(reader: Reader, _: object, writer: asyncio.StreamWriter) -> None:
            if failed.done():
                writer.close()
                return
            task = loop.create_task(served(reader, writer))
            tasks[task] = writer
            task.add_done_callback(tasks.pop)

        def protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(reader := Reader(), partial(serve, reader))

        server = await loop.create_server(protocol, sock=self._socket, start_serving=False)
        try:
            await server.start_serving()
            await failed
        finally:
            failed.cancel()
            # Connections that were just accepted are made before the server closes, or they leak.
            loop.remove_reader(self._socket)
            await AsyncFeed.steps()
            server.close()
            # A task that never began closes nothing itself.
            for writer in tasks.values():
                writer.close()

    def close(self) -> None:
        """Stop listening; a socket that is a file goes."""
        self._socket.close()
        if self._source.address.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._source.address.path)

    async def _serve(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        number = next(n for n in range(1, self._source.most + 2) if n not in self._used)
        if number > self._source.most:
            self._refusals.note(_host(writer), asyncio.get_running_loop().time())
            writer.close()
            return
        self._used.add(number)
        name = f"connection-{number}"
        self._mail.add(name, is_found=True)
        self._mail.quiet(name)
        connection = _Connection(self._source, self._columns, self._mail, self._gathering, name)
        connection.rows = self._rows.get(name, 0)
        try:
            await connection.read(reader, _peer(writer))
        finally:
            self._rows[name] = connection.rows
            self._mail.leave(name)
            self._used.discard(number)
            writer.close()


class _Caller:
    """Connects, reads to the end, and connects again after a rest that doubles."""

    def __init__(
        self,
        source: SocketSource,
        columns: Sequence[str] | None,
        mail: Mailbox,
        rows: Mapping[str, int],
    ) -> None:
        self._address, self._mail = source.address, mail
        gathering = Gathering(source.wire, columns, mail)
        self._connection = _Connection(source, columns, mail, gathering, str(self._address))
        self._connection.rows = rows.get(str(self._address), 0)

    async def run(self) -> None:
        """Go on until cancelled."""
        rest_s = _FIRST_REST_S
        while True:
            before = self._connection.rows
            with contextlib.suppress(OSError):
                await self._once()
            self._mail.unpolled(str(self._address))
            if self._connection.rows > before:
                rest_s = _FIRST_REST_S
            await asyncio.sleep(rest_s)
            rest_s = min(2 * rest_s, _MOST_REST_S)

    async def _once(self) -> None:
        where, loop, reader = self._address, asyncio.get_running_loop(), Reader()
        protocol = asyncio.StreamReaderProtocol(reader)
        if where.path:
            transport, _ = await loop.create_unix_connection(lambda: protocol, where.path)
        else:
            transport, _ = await loop.create_connection(lambda: protocol, where.host, where.port)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        self._mail.quiet(str(where))
        try:
            await self._connection.read(reader, "to it")
        finally:
            writer.close()


def _peer(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return f"{_host(writer)}:{peer[1]}" if isinstance(peer, tuple) else _host(writer)


def _host(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return f"from {peer[0]}" if isinstance(peer, tuple) else "from this machine"
