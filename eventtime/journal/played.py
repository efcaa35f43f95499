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
from eventtime.sources.feed import Accepting, Arrived, Left, Stands, alone
from eventtime.sources.following import follow
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.journal.playing import Player
    from eventtime.journal.story import Moment
    from eventtime.sources.base import Position, Rows
    from eventtime.sources.feed import Feed, News

__all__ = ("PlayedSource", "changed", "other_count")

_REMEDY: Final = "give the input as it was, all of it"
_MOST_ROWS: Final = 65_536
_WAIT_US: Final = 100_000
_MOST_WAITS: Final = 50
"""So often nothing came within `_WAIT_US`, before a source counts as one that has no more rows."""


def other_count(
    partition: str, place: str, there: int, were: int, *, is_malformed: bool
) -> JournalError:
    """Build the error for input that has another number of rows than the journal.

    Args:
        partition: whose rows.
        place: of the input.
        there, were: how many rows of it are there, and how many the journal has, of all its turns.
        is_malformed: whether those that do not parse are counted; else those that do.
    """
    rows = counted(there, _noun(is_malformed=is_malformed))
    msg = f"partition {partition!r} has {rows} where the journal has {were:,}"
    return JournalError(msg, place=place, remedy=_REMEDY)


def changed(partition: str, place: str, numbers: range, *, is_malformed: bool) -> JournalError:
    """Build the error for rows that are not those of the journal.

    Args:
        partition: whose rows.
        place: of the input.
        numbers: of the rows among which others are, counted among their kind.
        is_malformed: whether they are of those that do not parse.
    """
    first, last, noun = numbers[0], numbers[-1], _noun(is_malformed=is_malformed)
    which, verb = f"{noun} {first:,}", "is another"
    if first != last:
        which, verb = f"{noun}s {first:,} to {last:,}", "are others"
    msg = (
        f"{which} of partition {partition!r}, counted from 0, {verb} than when the journal was"
        " written"
    )
    return JournalError(msg, place=place, remedy=_REMEDY)


def _noun(*, is_malformed: bool) -> str:
    return "malformed row" if is_malformed else "row"


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
        return _PlayedFeed(self, columns)

    @property
    def is_the_same(self) -> bool:
        """Whether the positions of the journal are of this source.

        What somebody kept of the rows has others: it begins where the journal does, without gaps.
        """
        return self.player.story.first.sources[self.number : self.number + 1] == [self.describe()]

    def opened(
        self, columns: Sequence[str] | None, positions: Mapping[str, Position] | None
    ) -> Feed:
        """Read it from some positions on.

        Raises:
            JournalError: nobody can.
        """
        feed = follow(alone(self.source), columns, positions, SystemClock())
        if isinstance(feed, Accepting):
            feed.close()
            msg = f"{self.describe()} cannot be read again: nobody sends its rows once more"
            remedy = "give a pipeline over a copy of its rows, in partitions of the same names"
            raise JournalError(msg, place=self.player.place, remedy=remedy)
        return feed


@dataclass
class _Rest:
    """Rows of a partition that were read and not yet told, and how many were told before."""

    waiting: deque[Rows] = field(default_factory=deque)
    rows: int = 0
    told: int = 0
    digest: Digest = field(default_factory=Digest)

    def put(self, rows: Rows) -> None:
        self.waiting.append(rows)
        self.rows += count_of(rows)

    def drop(self) -> None:
        self.waiting.clear()
        self.rows = 0

    def take(self, n: int) -> list[Rows]:
        taken: list[Rows] = []
        self.rows -= n
        self.told += n
        while n:
            first = self.waiting.popleft()
            if count_of(first) > n:
                self.waiting.appendleft(without_first(first, n))
                first = _first(first, n)
            taken.append(first)
            n -= count_of(first)
        return taken


class _PlayedFeed:
    """Tells what the journal says, with rows of other feeds.

    One reads the source from where the journal begins. A partition that left and came back may have
    been elsewhere meanwhile: another feed reads it from where it came back.

    Args:
        source: it is of.
        columns: that are wanted.
    """

    def __init__(self, source: PlayedSource, columns: Sequence[str] | None) -> None:
        self._source, self._player, self._columns = source, source.player, columns
        begin = self._player.story.positions(source.number) if source.is_the_same else None
        self._feed = source.opened(columns, begin or None)
        self._gone: set[str] = set()
        self._back: dict[str, Feed] = {}
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
        heard = [entry.news for entry in moment.told if entry.source == self._source.number]
        for i, news in enumerate(heard):
            if isinstance(news, Read):
                told += self._arrived(news)
                continue
            told.append(news)
            if isinstance(news, Left):
                self._gone.add(news.partition)
            elif isinstance(news, Stands) and news.partition in self._gone:
                self._come_back([each for each in heard[i:] if isinstance(each, Stands)])
        return told

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Nobody has to be told."""

    def close(self) -> None:
        for feed in (self._feed, *self._back.values()):
            feed.close()

    def _come_back(self, stands: Sequence[Stands]) -> None:
        """Read on partitions that had left where they stand now."""
        back = {each.partition: each.position for each in stands if each.partition in self._gone}
        self._gone -= back.keys()
        if not self._source.is_the_same:
            return
        feed, before = self._source.opened(self._columns, back), list(self._back.values())
        self._back |= dict.fromkeys(back, feed)
        for each in before:
            if each not in self._back.values():
                each.close()
        for (name, _), rest in self._rests.items():
            if name in back:
                rest.drop()
        feed.start(self._alarm.ring)

    def _arrived(self, read: Read) -> list[News]:
        rest = self._rests[read.partition, read.is_malformed]
        feed = self._back.get(read.partition, self._feed)
        waits = 0
        while rest.rows < read.rows:
            if self._fetch(feed, read):
                waits = 0
            elif feed.is_over or (waits := waits + 1) > _MOST_WAITS:
                raise self._fewer(read, rest)
            else:
                self._alarm.wait(_WAIT_US)
        taken = rest.take(read.rows)
        for rows in taken:
            rest.digest.add(rows)
        if rest.digest.value != read.digest:
            numbers = range(rest.told - read.rows, rest.told)
            place, is_malformed = self._source.describe(), read.is_malformed
            raise changed(read.partition, place, numbers, is_malformed=is_malformed)
        return [Arrived(read.partition, rows, {}) for rows in _joined(taken)]

    def _fewer(self, read: Read, rest: _Rest) -> JournalError:
        there = rest.told + rest.rows
        were = self._player.story.rows_like(read, self._source.number)
        place, is_malformed = self._source.describe(), read.is_malformed
        return other_count(read.partition, place, there, were, is_malformed=is_malformed)

    def _fetch(self, feed: Feed, read: Read) -> bool:
        """Take what a feed has of its partitions; returns whether it had rows."""
        held = {
            name for (name, _), rest in self._rests.items()
            if rest.rows > _MOST_ROWS and name != read.partition
        }  # fmt: skip
        others = {n for n in feed.known if self._back.get(n, self._feed) is not feed}
        taken = feed.take(_MOST_ROWS, held | others)
        arrived = [n for n in taken if isinstance(n, Arrived) and n.partition not in others]
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
