"""First what is stored, then what goes on: one source that switches over, without gap or double.

first   ─────────────────┤ rows before `at`
then                     ├──────────────────► rows from `at` on
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.sources.base import MalformedRows
from eventtime.sources.feed import (
    Accepting,
    Arrived,
    Ended,
    Found,
    Left,
    Shared,
    Silent,
    Stands,
    Unpolled,
    reports_malformed,
)
from eventtime.sources.inferring import Inferred, Inferring
from eventtime.sources.reader_feed import ReaderFeed
from eventtime.sources.schemas import check_columns, check_same, difference
from eventtime.sources.seeking import open_source
from eventtime.sources.unsettled import Unrepeated
from eventtime.timestamp import to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position, Source
    from eventtime.sources.feed import Feed, LiveSource, News
    from eventtime.sources.unsettled import Unsettled

__all__ = ("FIRST", "HybridSource")

FIRST: Final = "first/"
"""What the names of the partitions of the first source begin with."""

_BATCH_ROWS: Final = 16_384


@dataclass(frozen=True)
class HybridSource:
    """A bounded source, and a live one behind it; made by `eventtime.hybrid`.

    Attributes:
        first: read to its end.
        then: followed from there on.
        at_us: event time from which on rows are those of the live one; None: all rows of both.
        before: columns as an earlier process found them, for what is stored may be gone by now.
    """

    first: Source
    then: LiveSource
    at_us: int | None
    before: pa.Schema | None = None

    @property
    def time(self) -> str:
        """Name of the event-time column."""
        return self.first.time

    @property
    def time_unit(self) -> str | None:
        """Unit of an integer time column."""
        return self.first.time_unit

    @property
    def reports_malformed(self) -> bool:
        """Whether one of them does."""
        return reports_malformed(self.first) or reports_malformed(self.then)

    def schema(self) -> pa.Schema:
        """Return the columns of both.

        Raises:
            SchemaError: they differ.
        """
        if self.before is not None:
            live = self.then.schema()
            if not difference(self.before, "the checkpoint", live, self.then.describe()):
                return self.before
        return self._of_both()

    def _of_both(self) -> pa.Schema:
        named = [(source.describe(), source.schema()) for source in (self.first, self.then)]
        return check_same(named)

    def inferred(self) -> Inferred:
        """See `Inferring`: all columns are inside, also those that the live one has by paths."""
        found = self.then.inferred() if isinstance(self.then, Inferring) else None
        in_paths = [] if found is None else _besides(found.in_paths, found.inside)
        return Inferred(self.schema(), pa.schema(in_paths))

    def as_inferred(self, columns: Inferred) -> HybridSource:
        """See `Inferring`."""
        live, (whole, in_paths) = self.then, columns
        if isinstance(live, Inferring):
            inside = pa.schema(_besides(whole, in_paths))
            live = live.as_inferred(Inferred(inside, in_paths))
        return replace(self, then=live, before=whole)

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> _HybridFeed:
        """Open the first source, or the live one if an earlier run came so far.

        Raises:
            SourceError: one of them cannot be read.
        """
        wanted = check_columns(self.schema(), columns).names
        held = dict(positions or {})
        behind = {name: held[name] for name in held if not name.startswith(FIRST)}
        feed = _HybridFeed(self, wanted, clock)
        if behind:
            feed.switch(behind, [name for name in held if name.startswith(FIRST)])
        else:
            self._of_both()
            feed.begin({name.removeprefix(FIRST): known for name, known in held.items()})
        return feed

    def alone(self) -> HybridSource:
        """Return one that shares nothing (see `Shared`)."""
        return replace(self, then=self.then.alone()) if isinstance(self.then, Shared) else self

    def keeping(self, unsettled: Unsettled) -> HybridSource:
        """See `Unrepeated`: rows of the live one, if those cannot be asked for again."""
        live = self.then
        return replace(self, then=live.keeping(unsettled)) if isinstance(live, Unrepeated) else self

    def describe(self) -> str:
        """Return one line with both."""
        return f"first {self.first.describe()}; then {self.then.describe()}"


class _HybridFeed:
    """The feed of the first source until it is over, then that of the live one."""

    def __init__(self, source: HybridSource, wanted: Sequence[str], clock: Clock) -> None:
        self._source, self._wanted, self._clock = source, wanted, clock
        self._feed: Feed
        self._is_first, self._is_ceasing, self._is_saved = True, False, False
        self._names: list[str] = []
        self._unended: list[str] = []
        self._wake: Callable[[], None] = lambda: None

    def begin(self, positions: Mapping[str, Position]) -> None:
        """Open the first source."""
        readers = open_source(self._source.first, self._wanted, _BATCH_ROWS, positions or None)
        self._feed = ReaderFeed(readers, self._clock, every_us=None)
        self._names = [FIRST + reader.name for reader in readers]

    def switch(self, positions: Mapping[str, Position] | None, unended: Sequence[str] = ()) -> None:
        """Open the live source.

        Args:
            positions: of it.
            unended: partitions of the first source whose end is told at last.
        """
        self._unended = list(unended)
        self._feed = self._source.then.follow(self._wanted, positions, self._clock)
        self._is_first = False

    @property
    def known(self) -> Sequence[str]:
        return self._names if self._is_first else self._feed.known

    def start(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._feed.start(wake)

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        if not self._is_first:
            told = [self._kept(news) for news in self._feed.take(most_rows, held)]
            if self._unended and self._feed.is_over:
                told += [Ended(name) for name in self._unended]
                self._unended = []
            return told
        inside = {name.removeprefix(FIRST) for name in held}
        told = [self._kept(news) for news in self._feed.take(most_rows, inside)]
        # Their ends would let every window fire: they come when others hold the watermark.
        kept: list[News] = [news for news in told if not isinstance(news, Ended)]
        goes_over = self._feed.is_over and not self._is_ceasing
        return [*kept, *self._go_over()] if goes_over else kept

    def settled(self, positions: Mapping[str, Position]) -> None:
        self._is_saved = True
        if not self._is_first:
            behind = {name: at for name, at in positions.items() if not name.startswith(FIRST)}
            self._feed.settled(behind)

    def cease(self) -> None:
        """Accept nothing more (see `Accepting`): a live source not open yet is not opened."""
        self._is_ceasing = True
        if not self._is_first and isinstance(self._feed, Accepting):
            self._feed.cease()

    @property
    def is_over(self) -> bool:
        return not self._is_first and not self._unended and self._feed.is_over

    def close(self) -> None:
        self._feed.close()

    def _go_over(self) -> list[News]:
        self._feed.close()
        self.switch(None)
        if self._is_saved:
            self._feed.settled({})
        known = list(self._feed.known)
        news: list[News] = [Found(name) for name in known]
        if known:
            news += [Ended(name) for name in self._names]
        else:
            news += [Left(name) for name in self._names]
            self._unended = list(self._names)
        self._feed.start(self._wake)
        self._wake()
        return news

    def _kept(self, news: News) -> News:
        """Return news under the name of the partition here, with the rows of the right side."""
        if self._is_first:
            news = _renamed(news)
        if not isinstance(news, Arrived) or isinstance(news.rows, MalformedRows):
            return news
        rows = self._own(news.rows)
        if not rows.num_rows:
            return Stands(news.partition, news.position)
        return replace(news, rows=rows)

    def _own(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        at_us = self._source.at_us
        if at_us is None:
            return rows
        times_us, admitted = to_us(rows.column(self._source.time), self._source.time_unit)
        is_own = times_us < at_us if self._is_first else times_us >= at_us
        if admitted is not None:
            is_own |= ~admitted
        return rows if is_own.all() else rows.filter(pa.array(is_own))


def _besides(fields: pa.Schema, known: pa.Schema) -> list[pa.Field]:
    """Return the fields whose names another schema does not have."""
    return [field for field in fields if field.name not in known.names]


def _renamed(news: News) -> News:
    if isinstance(news, Silent | Unpolled):
        return replace(news, partitions=[FIRST + name for name in news.partitions])
    return replace(news, partition=FIRST + news.partition)
