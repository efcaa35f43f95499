"""A source that tells what a journal says, with rows that are read again."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from eventtime.alarm import ThreadAlarm
from eventtime.clock import SystemClock
from eventtime.errors import JournalError
from eventtime.journal.digest import Digest
from eventtime.journal.entries import Read
from eventtime.journal.seen import Seen
from eventtime.sources.base import MalformedRows, count_of, without_first
from eventtime.sources.feed import Accepting, Arrived
from eventtime.sources.following import follow
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.journal.playing import Player
    from eventtime.journal.story import Moment
    from eventtime.sources.base import Position, Rows
    from eventtime.sources.feed import Feed, News

__all__ = ("PlayedSource", "changed")

_MOST_ROWS: Final = 65_536
_WAIT_US: Final = 100_000
_MOST_WAITS: Final = 50
"""So often nothing came within `_WAIT_US`, before a source counts as one that has no more rows."""


def changed(partition: str, place: str, there: int, were: int) -> JournalError:
    """Build the error for input that is not that of the journal.

    Args:
        partition: whose rows.
        place: of the input.
        there, were: how many rows are there, and how many the journal has.
    """
    msg = f"rows of partition {partition!r} are others than when the journal was written"
    if there != were:
        msg = f"partition {partition!r} has {counted(there, 'row')} where the journal has {were:,}"
    return JournalError(msg, place=place, remedy="give the input as it was, all of it")


@dataclass(frozen=True)
class PlayedSource(Seen):
    """A source, by its number, whose rows come as the journal says."""

    player: Player

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> _PlayedFeed:
        story, before = self.player.story, None
        # What somebody kept of the rows begins where the journal does, and has other positions.
        if story.first.sources[self.number : self.number + 1] == [self.describe()]:
            before = story.positions(self.number) or None
        feed = follow(self.source, columns, before, SystemClock())
        if isinstance(feed, Accepting):
            feed.close()
            msg = f"{self.describe()} cannot be read again: nobody sends its rows once more"
            remedy = "give a pipeline over a copy of its rows, in partitions of the same names"
            raise JournalError(msg, place=self.player.place, remedy=remedy)
        return _PlayedFeed(feed, self)


@dataclass
class _Rest:
    """Rows of a partition that were read and not yet told."""

    waiting: deque[Rows] = field(default_factory=deque)
    rows: int = 0
    digest: Digest = field(default_factory=Digest)

    def put(self, rows: Rows) -> None:
        self.waiting.append(rows)
        self.rows += count_of(rows)

    def take(self, n: int) -> list[Rows]:
        taken: list[Rows] = []
        self.rows -= n
        while n:
            first = self.waiting.popleft()
            if count_of(first) > n:
                self.waiting.appendleft(without_first(first, n))
                first = _first(first, n)
            taken.append(first)
            n -= count_of(first)
        return taken


class _PlayedFeed:
    """Tells what the journal says, with rows of another feed.

    Args:
        feed: of the source, from where the journal begins.
        source: it is of.
    """

    def __init__(self, feed: Feed, source: PlayedSource) -> None:
        self._feed, self._source, self._player = feed, source, source.player
        known = self._player.story.first.known
        self.known: Sequence[str] = known[source.number] if source.number < len(known) else []
        self._alarm = ThreadAlarm()
        self._played: Moment | None = None
        self._rests: defaultdict[tuple[str, bool], _Rest] = defaultdict(_Rest)

    @property
    def is_over(self) -> bool:
        return self._player.is_exhausted

    def start(self, wake: Callable[[], None]) -> None:
        self._feed.start(self._alarm.ring)

    def cease(self) -> None:
        """Nobody sends."""

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        moment = self._player.moment
        if moment is None or moment is self._played:
            return []
        self._played = moment
        if moment.is_anew:
            for rest in self._rests.values():
                rest.digest = Digest()
        told: list[News] = []
        for entry in moment.told:
            if entry.source != self._source.number:
                continue
            if isinstance(entry.news, Read):
                told += self._arrived(entry.news)
            else:
                told.append(entry.news)
        return told

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Nobody has to be told."""

    def close(self) -> None:
        self._feed.close()

    def _arrived(self, read: Read) -> list[News]:
        rest = self._rests[read.partition, read.is_malformed]
        waits = 0
        while rest.rows < read.rows:
            if self._fetch(read):
                waits = 0
            elif self._feed.is_over or (waits := waits + 1) > _MOST_WAITS:
                raise changed(read.partition, self._source.describe(), rest.rows, read.rows)
            else:
                self._alarm.wait(_WAIT_US)
        taken = rest.take(read.rows)
        for rows in taken:
            rest.digest.add(rows)
        if rest.digest.value != read.digest:
            raise changed(read.partition, self._source.describe(), read.rows, read.rows)
        return [Arrived(read.partition, rows, {}) for rows in _joined(taken)]

    def _fetch(self, read: Read) -> bool:
        """Take what the source has; returns whether it had rows."""
        full = [
            name for (name, _), rest in self._rests.items()
            if rest.rows > _MOST_ROWS and name != read.partition
        ]  # fmt: skip
        arrived = [n for n in self._feed.take(_MOST_ROWS, full) if isinstance(n, Arrived)]
        for news in arrived:
            self._rests[news.partition, isinstance(news.rows, MalformedRows)].put(news.rows)
        return bool(arrived)


def _first(rows: Rows, n: int) -> Rows:
    if isinstance(rows, MalformedRows):
        return MalformedRows(rows.rows.slice(0, n))
    return rows.slice(0, n)


def _joined(parts: list[Rows]) -> list[Rows]:
    """Make one batch of several: where rows were cut does not show, but in what it costs."""
    if len(parts) == 1 or isinstance(parts[0], MalformedRows):
        return parts
    return [pa.concat_batches(cast("list[Any]", parts))]
