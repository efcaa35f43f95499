"""A feed over readers of partitions, each asked by a thread: what most live sources need.

A reader says `Poll.PAUSE` when it has nothing now. Readers that wait a moment themselves, at a
socket for instance, have a thread each; those that answer at once, such as files, share one.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.sources.base import MalformedRows, Poll
from eventtime.sources.feed import Arrived, Ended, Found, News, Silent, Unpolled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import PartitionReader, Position

__all__ = ("ReaderFeed",)

_MOST_WAITING: Final = 262_144
"""Rows of a partition that may wait in the feed; then its reader is not asked."""

_GAP_US: Final = 1_000_000
"""Between two polls at least, for it to count as a time in which nobody polled."""


@dataclass
class _Lane:
    """One partition."""

    reader: PartitionReader
    waiting: deque[Arrived] = field(default_factory=deque)
    rows: int = 0
    polled_us: int | None = None
    has_paused: bool = False
    was_unpolled: bool = False
    is_told_silent: bool = False
    has_ended: bool = False
    is_told_ended: bool = False


class ReaderFeed:
    """Feeds the loop from readers.

    Args:
        readers: of the partitions known at the start.
        clock: of the machine's time.
        every_us: how long the thread that readers share waits when none had anything; None: each
            reader has a thread, and waits itself.
        discover: asked now and then for readers of partitions that are new; None: there are none.
        discover_every_us: how often.
    """

    def __init__(
        self,
        readers: Sequence[PartitionReader],
        clock: Clock,
        *,
        every_us: int | None,
        discover: Callable[[], Sequence[PartitionReader]] | None = None,
        discover_every_us: int = 1_000_000,
    ) -> None:
        self._clock, self._every_us = clock, every_us
        self._discover, self._discover_every_us = discover, discover_every_us
        self._lanes = {reader.name: _Lane(reader) for reader in readers}
        self._found: list[str] = []
        # Of the lanes that have something to tell, in the order in which it came.
        self._telling: dict[str, None] = {}
        self._error: BaseException | None = None
        self._lock, self._room = threading.Lock(), threading.Condition()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._wake: Callable[[], None] = lambda: None

    @property
    def known(self) -> Sequence[str]:
        return list(self._lanes)

    def start(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        if self._every_us is None:
            for lane in list(self._lanes.values()):
                self._begin(self._read_alone, lane)
        else:
            self._begin(self._read_all)
        if self._discover is not None and self._every_us is None:
            self._begin(self._look_for_more)

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        with self._lock:
            news: list[News] = [Found(name) for name in self._found]
            self._found.clear()
            for name in [n for n in self._telling if n not in held]:
                lane = self._lanes[name]
                news += self._told(lane, most_rows)
                if not lane.waiting:
                    del self._telling[name]
            error = None if self._telling or news else self._error
        with self._room:
            self._room.notify_all()
        if error is not None:
            raise error
        return news

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Nobody else is told."""

    @property
    def is_over(self) -> bool:
        with self._lock:
            ended = all(lane.is_told_ended for lane in self._lanes.values())
        return ended and self._discover is None and self._error is None

    def close(self) -> None:
        self._closing.set()
        with self._room:
            self._room.notify_all()
        for thread in self._threads:
            thread.join()
        for lane in self._lanes.values():
            lane.reader.close()

    def _begin(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, name="eventtime-feed", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _told(self, lane: _Lane, most_rows: int) -> list[News]:
        """Tell what is new of a partition; the lock is held."""
        name = lane.reader.name
        news: list[News] = []
        if lane.was_unpolled:
            lane.was_unpolled = lane.is_told_silent = False
            news.append(Unpolled([name]))
        arrived = _joined(lane, most_rows)
        news += arrived
        if arrived:
            lane.is_told_silent = False
        if lane.waiting:
            return news
        if lane.has_ended and not lane.is_told_ended:
            lane.is_told_ended = True
            news.append(Ended(name))
        elif lane.has_paused and not lane.is_told_silent and not lane.has_ended:
            lane.is_told_silent = True
            news.append(Silent([name]))
        return news

    def _read_alone(self, lane: _Lane) -> None:
        with self._failing():
            while not self._closing.is_set() and not lane.has_ended:
                if self._is_full(lane):
                    with self._room:
                        self._room.wait(0.05)
                else:
                    self._read(lane)

    def _read_all(self) -> None:
        assert self._every_us is not None
        looked_us = self._clock.now_us()
        with self._failing():
            while not self._closing.is_set():
                came = False
                for lane in list(self._lanes.values()):
                    if not lane.has_ended and not self._is_full(lane):
                        came |= self._read(lane)
                now_us = self._clock.now_us()
                if self._discover is not None and now_us - looked_us >= self._discover_every_us:
                    looked_us = now_us
                    self._take_in()
                if not came:
                    self._closing.wait(self._every_us / 1e6)

    def _look_for_more(self) -> None:
        with self._failing():
            while not self._closing.wait(self._discover_every_us / 1e6):
                self._take_in()

    def _take_in(self) -> None:
        assert self._discover is not None
        readers = self._discover()
        for reader in readers:
            lane = _Lane(reader)
            with self._lock:
                self._lanes[reader.name] = lane
                self._found.append(reader.name)
            if self._every_us is None:
                self._begin(self._read_alone, lane)
        if readers:
            self._wake()

    def _is_full(self, lane: _Lane) -> bool:
        is_full = lane.rows >= _MOST_WAITING
        if is_full:
            lane.polled_us = None
        return is_full

    def _read(self, lane: _Lane) -> bool:
        """Ask a reader once; returns whether it had rows."""
        answer = lane.reader.read()
        now_us = self._clock.now_us()
        with self._lock:
            is_new = self._note(lane, answer, now_us)
            if is_new:
                self._telling[lane.reader.name] = None
        if is_new:
            self._wake()
        return not isinstance(answer, Poll)

    def _note(
        self, lane: _Lane, answer: pa.RecordBatch | MalformedRows | Poll, now_us: int
    ) -> bool:
        """Keep an answer for `take`; returns whether there is something to tell."""
        if lane.polled_us is not None and now_us - lane.polled_us > _GAP_US and lane.is_told_silent:
            lane.was_unpolled = True
        lane.polled_us = now_us
        if answer is Poll.PAUSE:
            is_new = lane.was_unpolled or not lane.is_told_silent
            lane.has_paused = True
            return is_new
        if answer is Poll.END:
            lane.has_ended = True
            return True
        assert not isinstance(answer, Poll)
        lane.has_paused = False
        lane.waiting.append(Arrived(lane.reader.name, answer, lane.reader.position))
        lane.rows += _rows(answer)
        return True

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Keep for `take` what a thread of the feed raises."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - it is raised where rows are taken
            with self._lock:
                self._error = self._error or error
            self._wake()


def _rows(answer: pa.RecordBatch | MalformedRows) -> int:
    rows = answer.rows if isinstance(answer, MalformedRows) else answer
    return int(rows.num_rows)


def _joined(lane: _Lane, most_rows: int) -> list[Arrived]:
    """Take the rows that wait, about so many; what stands next to each other is one batch."""
    taken: list[Arrived] = []
    n = 0
    while lane.waiting and n < most_rows:
        taken.append(lane.waiting.popleft())
        n += _rows(taken[-1].rows)
    lane.rows -= n
    joined: list[Arrived] = []
    for is_batch, group in groupby(taken, lambda item: isinstance(item.rows, pa.RecordBatch)):
        items = list(group)
        if is_batch and len(items) > 1:
            rows = pa.concat_batches([item.rows for item in items])
            items = [Arrived(items[-1].partition, rows, items[-1].position)]
        joined += items
    return joined
