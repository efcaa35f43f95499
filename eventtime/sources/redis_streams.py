"""Streams of Redis as a live source: each a partition, its position the id of an entry."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.lanes import is_binary
from eventtime.redis_client import connected
from eventtime.sources.base import MalformedRows, count_of
from eventtime.sources.fetched_rows import TupleRows
from eventtime.sources.jsonlines import JsonLinesFormat
from eventtime.sources.mail_feed import MailFeed
from eventtime.sources.mailbox import Mailbox
from eventtime.sources.marks import FILE_START
from eventtime.sources.positions import check_known, checked
from eventtime.sources.schemas import check_columns
from eventtime.sources.textblocks import Block, malformed, parse_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position, Rows

__all__ = ("RedisSource",)

_POSITION: Final = {"id": str, "rows": int, "gone": int}
_MOST_ENTRIES: Final = 8_192
_BLOCK_MS: Final = 200
_ROOM_S: Final = 0.05
_CLOSE_S: Final = 5.0


@dataclass(frozen=True)
class RedisSource:
    """Entries of streams; made by `eventtime.read_redis`.

    Attributes:
        url: of the server.
        streams: their names.
        columns: of the rows.
        time: event-time column.
        time_unit: unit of an integer time column.
        field: of an entry that holds a JSON object; None: each field is a column.
    """

    url: str = field(repr=False)  # it may hold a password
    streams: tuple[str, ...]
    columns: pa.Schema
    time: str
    time_unit: str | None
    field: str | None
    reports_malformed: bool = True

    def schema(self) -> pa.Schema:
        """Return the columns as they were given."""
        return self.columns

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> _StreamsFeed:
        """Connect; begin with the first entries that are there, or behind a position.

        Raises:
            SourceError: nobody answers, a name is that of something else, or entries behind a
                position are gone.
        """
        del clock
        held = {
            name: checked(position, _POSITION, partition=name)
            for name, position in (positions or {}).items()
        }
        check_known(held, self.streams)
        wanted = check_columns(self.columns, columns)
        client, failure = connected(self.url, SourceError)
        feed = _StreamsFeed(self, wanted, held, client, failure)
        try:
            feed.check()
        except BaseException:
            client.close()
            raise
        return feed

    def describe(self) -> str:
        """Return one line, without the address."""
        return f"Redis streams {', '.join(self.streams)}, time={self.time}"

    def decode(
        self, stream: str, entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]], wanted: pa.Schema
    ) -> list[tuple[Rows, int]]:
        """Return the rows of entries, in order, and how many entries each makes."""
        ids = [name.decode() for name, _ in entries]
        if self.field is None:
            return self._columns(stream, entries, wanted)
        own = self.field.encode()
        given = [values.get(own, b"").replace(b"\n", b" ").strip() for _, values in entries]
        # Empty text is no line of its own, and would be passed by.
        texts = [text or b"null" for text in given]
        parse = JsonLinesFormat(self.time).parser(self.columns, wanted.names)
        block = Block(FILE_START, b"\n".join([*texts, b""]))
        items = [rows for _, rows in parse_blocks(stream, iter([block]), parse, "quarantine")]
        return [(_named(rows, stream, ids), count_of(rows)) for rows in items]

    def _columns(
        self, stream: str, entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]], wanted: pa.Schema
    ) -> list[tuple[Rows, int]]:
        fields = [(field.name.encode(), is_binary(field.type)) for field in wanted]
        found = [
            (*(_value(values.get(n), as_is=as_is) for n, as_is in fields), entry.decode())
            for entry, values in entries
        ]
        schema = wanted.append(pa.field("id" if "id" not in wanted.names else "", pa.string()))
        told = TupleRows(found, schema).rows(range(len(found)), wanted, stream)
        return [(rows, len(indexes)) for rows, indexes in told]


class _StreamsFeed(MailFeed):
    """A thread that asks for new entries of all streams that have room.

    A position has the ``id`` of the entry taken last, how many ``rows`` were taken, and how many
    entries were ``gone`` before the first of them.
    """

    def __init__(
        self,
        source: RedisSource,
        wanted: pa.Schema,
        held: Mapping[str, Position],
        client: Any,
        failure: type[Exception],
    ) -> None:
        self._source, self._wanted = source, wanted
        self._client, self._failure = client, failure
        self._last = {name: str(held.get(name, {}).get("id", "0-0")) for name in source.streams}
        self._rows = {name: int(held.get(name, {}).get("rows", 0)) for name in source.streams}
        self._gone = {name: int(known["gone"]) for name, known in held.items()}
        super().__init__(Mailbox())
        self._closing = threading.Event()
        for name in source.streams:
            self._mail.add(name, is_found=False)
        self._thread = threading.Thread(target=self._run, name="eventtime-redis", daemon=True)

    def check(self) -> None:
        """Refuse names of other things, and streams of which entries were not read and are gone."""
        for name in self._source.streams:
            try:
                kind = self._client.type(name).decode()
                about = self._client.xinfo_stream(name) if kind == "stream" else {}
            except self._failure as error:
                raise self._broken(error) from error
            if kind not in {"stream", "none"}:
                msg = f"{name!r} is a {kind} and no stream"
                raise SourceError(msg, place=self._source.describe(), remedy="name a stream")
            # What was trimmed before there was a run, nobody has missed.
            self._gone.setdefault(name, _removed(about))
            self._check_trimmed(name, about)

    def start(self, wake: Callable[[], None]) -> None:
        self._mail.wake = wake
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return False

    def close(self) -> None:
        self._closing.set()
        self._mail.wake_waiting()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)
        self._client.close()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._ask()
        except BaseException as error:  # noqa: BLE001 - it is raised where rows are taken
            self._mail.fail(self._broken(error) if isinstance(error, self._failure) else error)

    def _ask(self) -> None:
        asked = {name: self._last[name] for name in self._last if self._mail.has_room(name)}
        if not asked:
            self._closing.wait(_ROOM_S)
            return
        # Looked at and read in one step: what was trimmed in front of these entries is noticed.
        with self._client.pipeline(transaction=True) as pipe:
            for name in asked:
                pipe.xinfo_stream(name)
            pipe.xread(asked, count=_MOST_ENTRIES)
            *infos, found = pipe.execute(raise_on_error=False)
        if isinstance(found, self._failure):
            raise found
        for name, about in zip(asked, infos, strict=True):
            # Of a stream that is not there yet, nothing can be told.
            self._check_trimmed(name, {} if isinstance(about, self._failure) else about)
        for stream, entries in found:
            self._put(stream.decode(), entries)
        came = {stream.decode() for stream, _ in found}
        for name in asked:
            if name not in came:
                self._mail.quiet(name)
        if not found:
            self._client.xread(asked, count=1, block=_BLOCK_MS)

    def _check_trimmed(self, name: str, about: Mapping[str, Any]) -> None:
        """Refuse to pass over entries that were removed from a stream before they were read.

        Redis counts what was added since version 7; of older ones nothing is noticed.

        Raises:
            SourceError: more of them are gone than were read.
        """
        gone, read = _removed(about) - self._gone[name], self._rows[name]
        first = about.get("first-entry")
        is_passed = first is not None and _id(first[0].decode()) <= _id(self._last[name])
        if gone > read and not is_passed:
            msg = f"{gone:,} entries of {name!r} are gone, of which {read:,} were read"
            remedy = "trim only what was read, or start anew without the checkpoint"
            raise SourceError(msg, place=self._source.describe(), remedy=remedy)

    def _put(self, name: str, entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> None:
        done = 0
        for rows, size in self._source.decode(name, entries, self._wanted):
            done += size
            self._rows[name] += size
            self._last[name] = entries[done - 1][0].decode()
            position = {"id": self._last[name], "rows": self._rows[name], "gone": self._gone[name]}
            self._mail.put(name, rows, position)

    def _broken(self, error: BaseException) -> SourceError:
        msg = f"the streams cannot be read any more: {' '.join(str(error).split())}"
        remedy = "run with restart=et.restart(…) to go on when the server is back"
        broken = SourceError(msg, place=self._source.describe(), remedy=remedy)
        broken.__cause__ = error
        return broken


def _named(rows: Rows, stream: str, ids: Sequence[str]) -> Rows:
    """Name the entries of rows that do not parse, rather than lines that only we have seen."""
    if not isinstance(rows, MalformedRows):
        return rows
    told = rows.rows.to_pylist()
    prefix = f"{stream}, line "
    bad = []
    for row in told:
        why = row["error"].removeprefix(prefix).partition(": ")[2]
        bad.append((row["line"], row["raw"], f"{stream}, entry {ids[row['line'] - 1]}: {why}"))
    return malformed(bad)


def _value(value: bytes | None, *, as_is: bool) -> str | bytes | None:
    """Return a field as text; bytes of a column of bytes, and what is no UTF-8, as they are."""
    if value is None or as_is:
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value  # which no column of another type takes


def _removed(about: Mapping[str, Any]) -> int:
    """Return how many entries a stream has lost since it was made."""
    return int(about.get("entries-added", 0)) - int(about.get("length", 0))


def _id(text: str) -> tuple[int, int]:
    """Return an id as numbers, which can be compared.

    >>> _id("1700000000000-7")
    (1700000000000, 7)
    """
    time, _, number = text.partition("-")
    return int(time), int(number)
