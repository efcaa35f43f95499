"""From messages of a partition to rows in their order, and to what does not parse."""

from __future__ import annotations

from dataclasses import dataclass
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from eventtime.errors import MalformedRowError
from eventtime.sources.kafka.payloads import Parsed
from eventtime.sources.textblocks import PARSE_ERRORS, malformed, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eventtime.sources.base import Rows
    from eventtime.sources.kafka.payloads import Payload
    from eventtime.sources.kafka.polled import Messages, Wanted
    from eventtime.sources.textblocks import OnMalformed

__all__ = ("HEADERS", "KEY", "TIMESTAMP", "Decoded", "Decoder")

TIMESTAMP: Final = pa.timestamp("ms", "UTC")
KEY: Final = pa.binary()
HEADERS: Final = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))

_TIMESTAMP: Final = methodcaller("timestamp")
_KEY: Final = methodcaller("key")
_HEADERS: Final = methodcaller("headers")

_BAD: Final = (*PARSE_ERRORS, OSError)
_LETTERS_SHOWN: Final = 200


class Decoded(NamedTuple):
    """What some messages held.

    Args:
        rows: at least one, or None.
        offset: of the message behind.
    """

    rows: Rows | None
    offset: int


@dataclass(frozen=True)
class Decoder:
    """Makes rows of messages.

    Args:
        payload: of the columns that come from the value; at least one.
        schema: of the rows.
        timestamp, key, headers: names of the columns that hold these, or None.
        on_malformed: what to do with a message that does not parse.
    """

    payload: Payload
    schema: pa.Schema
    timestamp: str | None = None
    key: str | None = None
    headers: str | None = None
    on_malformed: OnMalformed = "quarantine"

    @property
    def wanted(self) -> Wanted:
        """What is needed of messages beside their values, by column."""
        known = ((self.timestamp, _TIMESTAMP), (self.key, _KEY), (self.headers, _HEADERS))
        names = self.schema.names
        return {name: take for name, take in known if name is not None and name in names}

    def decoded(self, place: str, messages: Messages) -> Iterator[Decoded]:
        """Yield rows, and those that do not parse at their place between them.

        Cost: one parse; for each message that does not parse about two more at most.

        Args:
            place: topic and partition, for messages.
            messages: with what is wanted; at least one.

        Raises:
            MalformedRowError: a message does not parse and ``on_malformed`` is ``"error"``.
        """
        bad: list[tuple[int, str, str]] = []
        for piece in self._halved(messages):
            if isinstance(piece, Decoded):
                if bad:
                    yield Decoded(malformed(bad), bad[-1][0] + 1)
                    bad = []
                yield piece
                continue
            bad.append(self._told(place, *piece))
        if bad:
            yield Decoded(malformed(bad), bad[-1][0] + 1)

    def together(self, parts: Sequence[Messages]) -> list[Decoded] | None:
        """Decode messages of several partitions in one parse, which is what few of them cost.

        Args:
            parts: of each partition, with what is wanted; at least one message each.

        Returns:
            What each held, as `decoded` would say it; None: one of them does not parse.
        """
        found: list[Decoded] = []
        first = row = 0
        try:
            rows, counts = self.payload.parse([value for part in parts for value in part.values])
            for part in parts:
                own = None if counts is None else counts[first : first + len(part)]
                n = len(part) if own is None else sum(own)
                made = self._rows(Parsed(rows.slice(row, n), own), part)
                found.append(Decoded(made if n else None, part.offsets[-1] + 1))
                first, row = first + len(part), row + n
        except _BAD:
            return None
        return found

    def _told(self, place: str, offset: int, value: Any, why: str) -> tuple[int, str, str]:
        text = None if value is None else self.payload.text(value)
        if self.on_malformed == "error":
            shown = "" if text is None else f"; it is {text[:_LETTERS_SHOWN]!r}"
            msg = f"the message does not parse: {why}{shown}"
            remedy = "mend what writes it, pass schema= if the type is wrong, or quarantine it"
            raise MalformedRowError(msg, place=f"{place}, offset {offset}", remedy=remedy)
        return offset, text or "", f"{place}, offset {offset}: {why}"

    def _halved(self, messages: Messages) -> Iterator[Decoded | tuple[int, Any, str]]:
        try:
            rows = self._rows(self.payload.parse(messages.values), messages)
        except _BAD as error:
            if len(messages) == 1:
                yield messages.offsets[0], messages.values[0], why_not(error)
                return
            middle = len(messages) // 2
            yield from self._halved(messages[:middle])
            yield from self._halved(messages[middle:])
        else:
            yield Decoded(rows if rows.num_rows else None, messages.offsets[-1] + 1)

    def _rows(self, parsed: Parsed, messages: Messages) -> pa.RecordBatch:
        """Put the columns together that come from the value and from beside it."""
        if parsed.rows.schema.names == self.schema.names:
            return parsed.rows
        makers: dict[str | None, Callable[[list[Any]], pa.Array]] = {
            self.timestamp: _timestamps,
            self.key: _keys,
            self.headers: _headers,
        }
        beside = {name: makers[name](told) for name, told in messages.beside.items()}
        if parsed.counts is not None:
            each = pa.array([i for i, n in enumerate(parsed.counts) for _ in range(n)], pa.int64())
            beside = {name: column.take(each) for name, column in beside.items()}
        columns = [
            beside[name] if name in beside else parsed.rows.column(name)
            for name in self.schema.names
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _timestamps(told: Sequence[tuple[int, int]]) -> pa.Array:
    """Take the timestamp of each message; one of a broker that sets none is null."""
    known = [at if kind else None for kind, at in told]
    return pa.array(known, pa.int64()).cast(TIMESTAMP)


def _keys(told: Sequence[bytes | None]) -> pa.Array:
    return pa.array(told, KEY)


def _headers(told: Sequence[Sequence[tuple[str, bytes]] | None]) -> pa.Array:
    return pa.array([[{"key": k, "value": v} for k, v in each or ()] for each in told], HEADERS)
