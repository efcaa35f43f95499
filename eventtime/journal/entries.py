"""What a journal holds, and how it is written in bytes: one byte says what follows.

    life    0  text      a process begins: JSON
    turn    1  zigzag    the clock, µs since the turn before
    ending  2            all input is taken as ended with this turn
    cut     3  number    a checkpoint, by its epoch
    over    4  0 | 1     the run is suspended, or has come to its end
    name    5  number, text   a partition of a source; numbered from 0 on in each life
    rows    6  partition, number, 4 bytes   rows that were read, and a digest of all so far
    malformed 7          the same of rows that do not parse
    silent  8, unpolled 9, found 10, historical 11, left 12, ended 13    partition
    heartbeat 14         partition, zigzag
    stands  15           partition, text: JSON

Numbers are varints, least significant seven bits first; a text has its length in bytes before it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from eventtime.sources.feed import Ended, Found, Heartbeat, Left, Silent, Stands, Unpolled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ("Cut", "Ending", "Entry", "Life", "News", "Over", "Read", "Told", "Turn", "Words")


@dataclass(frozen=True)
class Life:
    """A process begins.

    Args:
        us: reading of its clock.
        kind: 'live' or 'replay'.
        pipeline: fingerprint of its plan.
        sources: what they are, in words.
        known: of each source, the partitions known at the start.
        resumed: epoch of the checkpoint it goes on from; None: from the beginning.
        is_from_savepoint: whether its state is that of a savepoint, of which the journal knows
            nothing.
        columns: as its sources found them; see `recalled`.
    """

    us: int
    kind: str
    pipeline: dict[str, str]
    sources: list[str]
    known: list[list[str]]
    resumed: int | None = None
    is_from_savepoint: bool = False
    columns: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """The loop looks at its sources, at a reading of the clock."""

    us: int


@dataclass(frozen=True)
class Ending:
    """All input is taken as ended with this turn."""


@dataclass(frozen=True)
class Cut:
    """A checkpoint of the state up to here, by its epoch; it may have failed later."""

    epoch: int


@dataclass(frozen=True)
class Over:
    """The process is done: at the end of its input, or suspended."""

    is_finished: bool


@dataclass(frozen=True)
class Read:
    """Rows of a partition came.

    Args:
        partition: its name.
        rows: how many.
        digest: of all its rows since the life began, these included.
        is_malformed: whether they do not parse.
    """

    partition: str
    rows: int
    digest: int
    is_malformed: bool = False


News: TypeAlias = Read | Found | Heartbeat | Stands | Silent | Unpolled | Left | Ended


@dataclass(frozen=True)
class Told:
    """A source, by its number, told something."""

    source: int
    news: News


Entry: TypeAlias = Life | Turn | Ending | Cut | Over | Told

_LIFE, _TURN, _ENDING, _CUT, _OVER, _NAME, _READ, _MALFORMED = range(8)
_SILENT, _UNPOLLED, _FOUND, _HISTORICAL, _LEFT, _ENDED, _HEARTBEAT, _STANDS = range(8, 16)
_OF_ONE: Final[dict[int, Callable[[str], News]]] = {
    _SILENT: lambda name: Silent([name]),
    _UNPOLLED: lambda name: Unpolled([name]),
    _FOUND: Found,
    _HISTORICAL: lambda name: Found(name, historical=True),
    _LEFT: Left,
    _ENDED: Ended,
}


class Words:
    """Turns entries into bytes and back, of one journal in its order."""

    def __init__(self) -> None:
        self._us = 0
        self._numbers: dict[tuple[int, str], int] = {}
        self._names: list[tuple[int, str]] = []

    def encode(self, entry: Entry) -> bytes:
        """Return the bytes of an entry."""
        match entry:
            case Life():
                self._begin(entry)
                return bytes([_LIFE]) + _text(json.dumps(vars(entry), separators=(",", ":")))
            case Turn(us):
                passed_us, self._us = us - self._us, us
                return bytes([_TURN]) + _varint(_zigzag(passed_us))
            case Ending():
                return bytes([_ENDING])
            case Cut(epoch):
                return bytes([_CUT]) + _varint(epoch)
            case Over(is_finished):
                return bytes([_OVER, is_finished])
            case Told(source, news):
                return self._told(source, news)

    def decode(self, data: bytes) -> Iterator[Entry]:
        """Yield the entries of whole bytes."""
        reader = _Reader(data)
        while not reader.is_done:
            kind = reader.byte()
            if kind == _LIFE:
                life = Life(**json.loads(reader.text()))
                self._begin(life)
                yield life
            elif kind == _TURN:
                self._us += _unzigzag(reader.varint())
                yield Turn(self._us)
            elif kind == _ENDING:
                yield Ending()
            elif kind == _CUT:
                yield Cut(reader.varint())
            elif kind == _OVER:
                yield Over(bool(reader.byte()))
            elif kind == _NAME:
                self._name(reader.varint(), reader.text())
            else:
                source, name = self._names[reader.varint()]
                yield Told(source, _news(kind, name, reader))

    def _begin(self, life: Life) -> None:
        self._us = life.us
        self._numbers.clear()
        self._names.clear()

    def _name(self, source: int, name: str) -> None:
        self._numbers[source, name] = len(self._names)
        self._names.append((source, name))

    def _told(self, source: int, news: News) -> bytes:
        match news:
            case Silent(names) | Unpolled(names):
                kind = _SILENT if isinstance(news, Silent) else _UNPOLLED
                return b"".join(self._of(source, name, kind) for name in names)
            case Read(name, rows, digest, is_malformed):
                kind = _MALFORMED if is_malformed else _READ
                return self._of(source, name, kind) + _varint(rows) + digest.to_bytes(4, "little")
            case Found(name, historical):
                return self._of(source, name, _HISTORICAL if historical else _FOUND)
            case Left(name) | Ended(name):
                return self._of(source, name, _LEFT if isinstance(news, Left) else _ENDED)
            case Heartbeat(name, time_us):
                return self._of(source, name, _HEARTBEAT) + _varint(_zigzag(time_us))
            case Stands(name, position):
                return self._of(source, name, _STANDS) + _text(json.dumps(position))

    def _of(self, source: int, name: str, kind: int) -> bytes:
        known = b""
        if (source, name) not in self._numbers:
            known = bytes([_NAME]) + _varint(source) + _text(name)
            self._name(source, name)
        return known + bytes([kind]) + _varint(self._numbers[source, name])


def _news(kind: int, name: str, reader: _Reader) -> News:
    if kind in {_READ, _MALFORMED}:
        rows, digest = reader.varint(), int.from_bytes(reader.take(4), "little")
        return Read(name, rows, digest, kind == _MALFORMED)
    if kind == _HEARTBEAT:
        return Heartbeat(name, _unzigzag(reader.varint()))
    if kind == _STANDS:
        position: dict[str, Any] = json.loads(reader.text())
        return Stands(name, position)
    return _OF_ONE[kind](name)


class _Reader:
    """Bytes, from their beginning."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def is_done(self) -> bool:
        return self._at >= len(self._data)

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, n: int) -> bytes:
        self._at += n
        return self._data[self._at - n : self._at]

    def varint(self) -> int:
        value = shift = 0
        while (byte := self.byte()) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def text(self) -> str:
        return self.take(self.varint()).decode()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _unzigzag(value: int) -> int:
    return -(value + 1 >> 1) if value & 1 else value >> 1


def _text(text: str) -> bytes:
    data = text.encode()
    return _varint(len(data)) + data
