"""A feed over readers of partitions, each asked by a thread: what most live sources need.

A reader says `Poll.PAUSE` when it has nothing now. Readers that wait a moment themselves have a
thread each; those that answer at once, such as files, share one.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventtime.sources.base import Moving, Poll
from eventtime.sources.mail_feed import MailFeed
from eventtime.sources.mailbox import Mailbox
from eventtime.sources.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import PartitionReader, Position
    from eventtime.sources.feed import News

__all__ = ("ReaderFeed",)

_GAP_US: Final = 1_500_000
"""So long behind the time when it was to answer, nobody has asked a partition (S6)."""

_ROOM_S: Final = 0.05
_NAP_US: Final = 100_000
"""The longest nap of the thread that readers share: the clock may have been moved meanwhile."""

_LEAST_NAP_US: Final = 50_000
"""The shortest nap, so that many who are due one after another are asked together; it grows up to
the longest, more slowly than their waits, while none of them has anything."""

_LOOK_SHARE: Final = 750
"""Looking for new partitions takes this part of the time at most, however many there are."""

_CLOSE_S: Final = 2.0


@dataclass
class _Asked:
    """A reader, and when it answered last."""

    reader: PartitionReader
    answered_us: int | None = None
    rest_us: int = 0
    is_over: bool = False
    moved: Callable[[], Position | None] | None = None

    def is_overdue(self, now_us: int) -> bool:
        """Whether it should have answered long ago."""
        answered_us = self.answered_us
        return answered_us is not None and now_us - answered_us > self.rest_us + _GAP_US

    @classmethod
    def of(cls, reader: PartitionReader) -> _Asked:
        """Begin to ask a reader."""
        return cls(reader, moved=reader.moved if isinstance(reader, Moving) else None)


class ReaderFeed(MailFeed):
    """Feeds the loop from readers.

    Cost: of those that have rows; one that has none is asked ever more rarely, so that a thousand
    quiet ones are asked 200 times a second in all where the longest rest is 5 s, as fewer are.

    Args:
        readers: of the partitions known at the start.
        clock: of the machine's time.
        every_us: how long a reader of the shared thread rests after it had nothing; the longer it
            has had nothing, the longer. None: each has a thread, and waits itself, 1 s at most.
        most_us: the longest rest, of a thousand or more; see `Schedule`.
        discover: asked now and then for readers of partitions that are new; None: there are none.
        discover_every_us: how often.
        ends_leave: whether a partition that ends only leaves, as others may yet come: else the
            watermark would go to its end when all have ended.
    """

    def __init__(
        self,
        readers: Sequence[PartitionReader],
        clock: Clock,
        *,
        every_us: int | None,
        most_us: int = 500_000,
        discover: Callable[[], Sequence[PartitionReader]] | None = None,
        discover_every_us: int = 1_000_000,
        ends_leave: bool = False,
    ) -> None:
        super().__init__(Mailbox())
        self._clock, self._every_us, self._ends_leave = clock, every_us, ends_leave
        self._discover, self._discover_every_us = discover, discover_every_us
        self._schedule = Schedule(every_us or 1, max(most_us, every_us or 1))
        self._asked = {reader.name: _Asked.of(reader) for reader in readers}
        for name in self._asked:
            self._mail.add(name, is_found=False)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._looked_us = self._rows_us = clock.now_us()

    def start(self, wake: Callable[[], None]) -> None:
        self._mail.wake = wake
        if self._every_us is not None:
            self._begin(self._ask_in_turn)
            return
        for asked in list(self._asked.values()):
            self._begin(self._ask_alone, asked)
        if self._discover is not None:
            self._begin(self._look_for_more)

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        self._notice_stuck()
        return super().take(most_rows, held)

    @property
    def is_over(self) -> bool:
        return self._discover is None and not self._ends_leave and self._mail.all_ended

    def close(self) -> None:
        self._closing.set()
        self._mail.wake_waiting()
        for thread in self._threads:
            thread.join(_CLOSE_S)
        with self._lock:
            readers = [asked.reader for asked in self._asked.values()]
        for reader in readers:
            reader.close()

    def _begin(self, work: Callable[..., None], *args: object) -> None:
        def working() -> None:
            with self._mail.failing():
                work(*args)

        thread = threading.Thread(target=working, name="eventtime-feed", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ask_alone(self, asked: _Asked) -> None:
        name = asked.reader.name
        while not self._closing.is_set() and not asked.is_over:
            if self._mail.has_room(name):
                self._ask(asked)
            else:
                asked.answered_us = None
                self._mail.wait_for_room(name, _ROOM_S)

    def _ask_in_turn(self) -> None:
        self._schedule.add(self._asked, self._clock.now_us())
        looked_us, every_us = self._clock.now_us(), self._discover_every_us
        while not self._closing.is_set():
            now_us = self._clock.now_us()
            for name in self._schedule.due(now_us):
                if self._closing.is_set():
                    return
                self._ask_one(name)
            if self._discover is not None and abs(now_us - looked_us) >= every_us:
                begun_us = self._clock.now_us()
                self._take_in()
                looked_us = self._clock.now_us()
                every_us = max(self._discover_every_us, _LOOK_SHARE * (looked_us - begun_us))
            now_us = self._clock.now_us()
            rest_us = self._schedule.rest_us(now_us)
            if rest_us:
                # Not for each of many by itself: waking costs more than asking.
                self._closing.wait(min(max(rest_us, self._least_nap_us(now_us)), _NAP_US) / 1e6)

    def _least_nap_us(self, now_us: int) -> int:
        least_us = min(self._schedule.every_us, _LEAST_NAP_US)
        return max(least_us, abs(now_us - self._rows_us) // 16)

    def _ask_one(self, name: str) -> None:
        """Ask a reader of the shared thread, and say when it is asked again."""
        asked = self._asked[name]
        if not self._mail.has_room(name):
            asked.answered_us = None
            self._schedule.wait(name, self._clock.now_us())
            return
        had_rows = self._ask(asked)
        if had_rows:
            asked.rest_us, self._rows_us = 0, self._clock.now_us()
            self._schedule.had_rows(name, self._rows_us)
        elif asked.is_over:
            self._schedule.over(name)
        else:
            asked.rest_us = self._schedule.had_nothing(name, self._clock.now_us())

    def _look_for_more(self) -> None:
        while not self._closing.wait(self._discover_every_us / 1e6):
            self._take_in()

    def _take_in(self) -> None:
        assert self._discover is not None
        for reader in self._discover():
            asked = _Asked.of(reader)
            with self._lock:
                self._asked[reader.name] = asked
            self._mail.add(reader.name, is_found=True)
            if self._every_us is None:
                self._begin(self._ask_alone, asked)
            else:
                self._schedule.add([reader.name], self._clock.now_us())

    def _ask(self, asked: _Asked) -> bool:
        """Ask a reader once; returns whether it had rows."""
        name, answer = asked.reader.name, asked.reader.read()
        now_us = self._clock.now_us()
        if asked.is_overdue(now_us):
            self._mail.unpolled(name)
        asked.answered_us = now_us
        if answer is Poll.PAUSE:
            moved = asked.moved and asked.moved()
            if moved is not None:
                self._mail.stand(name, moved)
            self._mail.quiet(name)
        elif answer is Poll.END:
            asked.is_over = True
            (self._mail.leave if self._ends_leave else self._mail.end)(name)
        else:
            assert not isinstance(answer, Poll)
            self._mail.put(name, answer, asked.reader.position, arrived_us=now_us)
            return True
        return False

    def _notice_stuck(self) -> None:
        """Tell of readers that do not answer: what they have is not known, so it is no silence."""
        now_us = self._clock.now_us()
        if abs(now_us - self._looked_us) < _GAP_US:
            return
        self._looked_us = now_us
        with self._lock:
            all_asked = list(self._asked.items())
        for name, asked in all_asked:
            if asked.is_overdue(now_us):
                self._mail.unpolled(name)
