"""What comes over several connections in a moment, decoded together and handed over at once.

    connection ── data ──┐              ┌─ rows ─► [lane] ─┐
    connection ── data ──┼─► one parse ─┼─ rows ─► [lane] ─┼─► one turn of the loop
    connection ── data ──┘              └─ rows ─► [lane] ─┘

A parse of a few lines of JSON costs about what one of a hundred does, and the loop needs the
interpreter's lock meanwhile. So few lines wait for others for a moment; many, and rows of other
formats, are decoded as they come.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import SourceError
from eventtime.sources.decoding import LineDecoder
from eventtime.sources.jsonlines import parse_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from eventtime.sources.base import Rows
    from eventtime.sources.mailbox import Mailbox
    from eventtime.sources.wire import Decoder, Wire

__all__ = ("Gathering", "Reader")

_APART_S: Final = 0.003
"""From one parse to the next at least, while little comes."""

_CHUNK_BYTES: Final = 256 << 10
_MUCH_BYTES: Final = 64 << 10
"""Of a connection; it is decoded at once, alone."""


class Reader(asyncio.StreamReader):
    """A reader that knows whether something has come that was not read."""

    def __init__(self) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._unread = 0

    def feed_data(self, data: Any) -> None:
        super().feed_data(data)
        self._unread += len(data)

    async def come(self) -> bytes:
        """Wait for data; empty: there is no more."""
        data = await self.read(_CHUNK_BYTES)
        self._unread -= len(data)
        return data

    async def come_meanwhile(self) -> bytes:
        """Return data that is there, without waiting."""
        return await self.come() if self._unread else b""


@dataclass(frozen=True)
class _Piece:
    """Data of one connection.

    Args:
        decoder: of the connection.
        data: as it came.
        put: puts the first of some rows, as many as there is room for, and says how many.
        done: gets the rows that are left.
    """

    decoder: Decoder
    data: bytes
    put: Callable[[Sequence[Rows]], int]
    done: asyncio.Future[Sequence[Rows]]


class Gathering:
    """Decodes for all connections of a feed, on its event loop.

    Args:
        wire: what comes over all of them.
        columns: those to deliver.
        mail: takes the rows.
    """

    def __init__(self, wire: Wire, columns: Sequence[str] | None, mail: Mailbox) -> None:
        self._wanted = wire.wanted(columns)
        self._is_json, self._mail = wire.format == "jsonl", mail
        self._pieces: list[_Piece] = []
        self._last_s = float("-inf")
        self._moment: asyncio.Future[None] | None = None

    async def take(
        self, reader: Reader, decoder: Decoder, put: Callable[[Sequence[Rows]], int]
    ) -> Sequence[Rows] | None:
        """Wait for data of a connection, decode it, and put the rows for which there is room.

        Args:
            reader: of the connection, which waits until this returns.
            decoder: of the connection.
            put: puts the first of some rows, as many as there is room for, and says how many.

        Returns:
            The rows that are left; None: no more data comes.

        Raises:
            SourceError: nothing more can be read.
        """
        data = await reader.come()
        if not data:
            return None
        if self._is_json and len(data) < _MUCH_BYTES:
            await self._next()
            data += await reader.come_meanwhile()
        if not self._is_json or len(data) >= _MUCH_BYTES:
            rows = decoder.feed(data)
            return rows[put(rows) :]
        loop = asyncio.get_running_loop()
        piece = _Piece(decoder, data, put, loop.create_future())
        self._pieces.append(piece)
        if len(self._pieces) == 1:
            loop.call_soon(self._decode)  # behind the others that waited for this moment
        return await piece.done

    async def _next(self) -> None:
        """Wait until it is time for the next parse."""
        loop = asyncio.get_running_loop()
        at_s = self._last_s + _APART_S
        if loop.time() >= at_s:
            return
        if self._moment is None:
            self._moment = loop.create_future()
            loop.call_at(at_s, self._begin)
        await asyncio.shield(self._moment)

    def _begin(self) -> None:
        assert self._moment is not None
        self._moment.set_result(None)
        self._moment = None

    def _decode(self) -> None:
        self._last_s = asyncio.get_running_loop().time()
        pieces, self._pieces = self._pieces, []
        pieces = [piece for piece in pieces if not piece.done.done()]  # else it was cancelled
        found = self._found(pieces)
        with self._mail.at_once():
            for piece, rows in zip(pieces, found, strict=True):
                if isinstance(rows, BaseException):
                    piece.done.set_exception(rows)
                else:
                    piece.done.set_result(rows[piece.put(rows) :])

    def _found(self, pieces: list[_Piece]) -> list[list[Rows] | BaseException]:
        if len(pieces) == 1:
            return [_caught(pieces[0].decoder.feed, pieces[0].data)]
        found: list[list[Rows] | BaseException] = []
        texts: dict[int, tuple[LineDecoder, bytes]] = {}
        for i, piece in enumerate(pieces):
            assert isinstance(piece.decoder, LineDecoder)
            try:
                if text := piece.decoder.whole(piece.data):
                    texts[i] = piece.decoder, text
                found.append([])
            except SourceError as error:
                found.append(error)
        for i, rows in zip(texts, self._decoded(list(texts.values())), strict=True):
            found[i] = rows
        return found

    def _decoded(
        self, texts: Sequence[tuple[LineDecoder, bytes]]
    ) -> Sequence[list[Rows] | BaseException]:
        """Decode whole lines: all together; if one does not parse, each alone."""
        together: list[pa.RecordBatch] | None = None
        if len(texts) > 1:
            together = parse_together([text for _, text in texts], self._wanted)
        if together is None:
            return [_caught(decoder.decoded, text) for decoder, text in texts]
        for decoder, text in texts:
            decoder.passed(text)
        return [[rows] for rows in together]


def _caught(decode: Callable[[bytes], list[Rows]], data: bytes) -> list[Rows] | BaseException:
    """Decode; an error is raised where the connection is read."""
    try:
        return decode(data)
    except BaseException as error:  # noqa: BLE001
        return error
