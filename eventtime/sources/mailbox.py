"""What has come from live partitions and was not taken yet: bounded, filled by any thread.

threads of a feed ── put, quiet, leave ──► [lane] [lane] … ── take ──► the loop
                 ◄──────────── has_room, wait_for_room ────────────
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from eventtime.sources.base import count_of
from eventtime.sources.feed import Arrived, Ended, Found, Left, News, Silent, Stands, Unpolled
from eventtime.sources.joining import bytes_of, first_of, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from eventtime.clock import Clock
    from eventtime.sources.base import Position, Rows
    from eventtime.sources.unsettled import Unsettled

__all__ = ("Mailbox",)

_MOST_ROWS: Final = 262_144
"""Of a partition that may wait; then nothing more is read for it."""

_MOST_BYTES: Final = 64 << 20
"""The same, for rows that are long."""

_MOST_BYTES_IN_ALL: Final = 512 << 20
"""Above it only partitions of which nothing waits may add to it."""


@dataclass
class _Lane:
    """One partition.

    Args:
        waiting: rows that were not taken.
        is_quiet: whether it is asked, and had nothing the last time.
        is_told_silent: whether `take` has said so.
        is_unpolled: whether to say that nobody asked it for a while.
        begins: a position to tell in front of the rows, or None.
        stands: a position to tell behind the rows, or None.
        reached: the position in front of the rows; None: nobody said.
        parting: what to say when all rows have been taken.
        is_gone: whether that was said.
    """

    waiting: deque[Arrived] = field(default_factory=deque)
    rows: int = 0
    bytes: int = 0
    is_quiet: bool = False
    is_told_silent: bool = False
    is_unpolled: bool = False
    begins: Position | None = None
    stands: Position | None = None
    reached: Position | None = None
    parting: Ended | Left | None = None
    is_gone: bool = False


class Mailbox:
    """Rows and other news of partitions, until the loop takes them.

    Coming and going: `add`, `end`, `leave`, `withdraw`. Filling: `put`, `stand`, `quiet`,
    `unpolled`, `fail`, `failing`, several of them `at_once`; `hand_back`. Holding back: `has_room`,
    `wait_for_room`, `wait_for_room_but`. Taking: `take`, `settled`. Looking: `names`, `all_ended`.

    Cost of `take`: O(partitions that have something to tell); thousands of silent ones cost
    nothing.

    Args:
        clock: says when rows are put in, where who puts them does not; None: nobody does.
        unsettled: keeps all rows until a checkpoint holds them; None: nobody does.
    """

    def __init__(self, clock: Clock | None = None, unsettled: Unsettled | None = None) -> None:
        self._clock, self._unsettled = clock, unsettled
        self.wake: Callable[[], None] = lambda: None
        self._lanes: dict[str, _Lane] = {}
        self._found: list[Found] = []
        # Names of the lanes that have something to tell, in the order in which it came.
        self._telling: dict[str, None] = {}
        self._bytes = self._unended = 0
        self._held: frozenset[str] = frozenset()
        self._error: BaseException | None = None
        self._is_gathering = self._is_to_wake = False
        self._room = threading.Condition()

    @property
    def names(self) -> list[str]:
        """Of all partitions, those that left too."""
        with self._room:
            return list(self._lanes)

    @property
    def all_ended(self) -> bool:
        """Whether `take` has told the end of every partition."""
        with self._room:
            return not self._unended and self._error is None

    def add(self, name: str, *, is_found: bool, historical: bool = False) -> None:
        """Take in a partition, or one that had left again.

        Args:
            name: of the partition.
            is_found: whether `take` is to tell of it: all but those known at the start.
            historical: see `Found`.
        """
        with self._room:
            lane = self._lanes.get(name)
            if lane is None:
                self._lanes[name] = _Lane()
                self._unended += 1
            elif not lane.is_gone:
                lane.parting = None
                return
            else:
                lane.parting, lane.is_gone = None, False
                lane.is_quiet = lane.is_told_silent = False
            if is_found:
                self._found.append(Found(name, historical))
        self._ring()

    def put(
        self,
        name: str,
        rows: Rows,
        position: Position,
        *,
        is_quiet: bool = False,
        arrived_us: int | None = None,
    ) -> None:
        """Add rows.

        Args:
            name: of the partition.
            rows: at least one.
            position: just behind them.
            is_quiet: whether it is silent as soon as they are taken, as nobody needs to ask it.
            arrived_us: see `Arrived`.
        """
        with self._room:
            lane = self._lanes[name]
            if arrived_us is None and self._clock is not None:
                arrived_us = self._clock.now_us()
            if lane.stands is not None and not lane.waiting:
                lane.begins = lane.stands
            lane.is_quiet, lane.stands = is_quiet, None
            item, size = Arrived(name, rows, position, arrived_us), bytes_of(rows)
            self._append(lane, item, size)
            if self._unsettled is not None:
                self._unsettled.add(item, size)
        self._ring()

    def hand_back(self, *, leaves: bool = False) -> None:
        """Put in once more what an attempt before this one had, and no checkpoint holds.

        Args:
            leaves: whether partitions that are not there by themselves leave behind their rows.
        """
        if self._unsettled is None:
            return
        for name, items in self._unsettled.hand_back().items():
            is_found = name not in self._lanes
            self.add(name, is_found=is_found)
            with self._room:
                lane = self._lanes[name]
                lane.is_quiet = True
                for item in items:
                    self._append(lane, item, bytes_of(item.rows))
            if is_found and leaves:
                self.leave(name)
        self._ring()

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Note that a checkpoint holds what is in front of these positions."""
        if self._unsettled is not None:
            self._unsettled.settle(positions)
            self.wake_waiting()

    def stand(self, name: str, position: Position) -> None:
        """Note where a partition is read on from, behind the rows put before."""
        with self._room:
            lane = self._lanes[name]
            lane.stands = position
            if not lane.waiting:
                lane.reached = position
            self._telling[name] = None

    def quiet(self, name: str) -> None:
        """Note that a partition was asked and had nothing.

        Nobody is woken: where rows come and go that would be a turn behind each of theirs. The loop
        looks often enough for what is idle (see `longest_wait_us`).
        """
        with self._room:
            lane = self._lanes[name]
            lane.is_quiet = True
            if not lane.is_told_silent or lane.is_unpolled:
                self._telling[name] = None

    def unpolled(self, name: str) -> bool:
        """Note that nobody could ask a partition for a while (S6); tells if it was silent."""
        with self._room:
            lane = self._lanes[name]
            is_new = lane.is_told_silent and not lane.is_gone
            if is_new:
                lane.is_unpolled, lane.is_quiet = True, False
                self._telling[name] = None
        if is_new:
            self._ring()
        return is_new

    def end(self, name: str) -> None:
        """Note the end of a partition, behind its rows."""
        self._part(name, Ended(name))

    def leave(self, name: str, *, wants_cut: bool = False) -> None:
        """Note that a partition is gone until it is added again, behind its rows.

        Args:
            name: of the partition.
            wants_cut: see `Left`.
        """
        self._part(name, Left(name, wants_cut))

    def withdraw(self, name: str) -> Position | None:
        """Drop the rows of a partition that were not taken, for somebody else will read them.

        Returns:
            Where it stands without them, which `take` tells; None: nobody ever said.
        """
        with self._room:
            lane = self._lanes[name]
            self._bytes -= lane.bytes
            lane.waiting.clear()
            lane.rows = lane.bytes = 0
            lane.begins, lane.stands = None, lane.reached
            self._telling[name] = None
            self._room.notify_all()
            return lane.reached

    def fail(self, error: BaseException) -> None:
        """Keep an error, which `take` raises when all rows before it have been taken."""
        with self._room:
            self._error = self._error or error
        self._ring()

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Keep what a thread of the feed raises: it is raised where rows are taken."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - of any kind
            self.fail(error)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let `take` see all that is told meanwhile, or nothing of it; it is woken for all once.

        Else it would come for the rows of the first of several partitions, and those of the others
        would wait for the next turn.
        """
        with self._room:
            self._is_gathering = True
            try:
                yield
            finally:
                self._is_gathering = False
                is_to_wake, self._is_to_wake = self._is_to_wake, False
        if is_to_wake:
            self.wake()

    def has_room(self, name: str) -> bool:
        """Tell whether more rows of a partition may be put."""
        with self._room:
            return self._has_room(name)

    def wait_for_room(self, name: str, most_s: float) -> bool:
        """Wait until there is room, a while at most; returns whether there is."""
        with self._room:
            return self._room.wait_for(lambda: self._has_room(name), most_s)

    def wait_for_room_but(self, held: Collection[str], most_s: float) -> bool:
        """Wait until all partitions but those held have room; returns whether they have."""
        with self._room:
            return self._room.wait_for(lambda: self._all_have_room(held), most_s)

    def wake_waiting(self) -> None:
        """End the waits for room, for the feed closes."""
        with self._room:
            self._room.notify_all()

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        """Hand over what has come, as `Feed.take` says."""
        with self._room:
            news: list[News] = [*self._found]
            self._found.clear()
            silent: list[str] = []
            self._let_go(frozenset(held))
            for name in [name for name in self._telling if self._may_tell(name, held)]:
                lane = self._lanes[name]
                news += self._told(name, lane, most_rows)
                if not lane.waiting:
                    del self._telling[name]
                    if lane.is_quiet and not lane.is_told_silent and not lane.is_gone:
                        lane.is_told_silent = True
                        silent.append(name)
            # Rows that are held may wait for ever: for a partition that failed.
            error = None if news else self._error
            self._room.notify_all()
        if error is not None:
            raise error
        return [*news, Silent(silent)] if silent else news

    def _let_go(self, held: frozenset[str]) -> None:
        """Let those that are not held any more say again that they are silent."""
        for name in (self._held - held) & self._lanes.keys():
            self._lanes[name].is_told_silent = False
            self._telling[name] = None
        self._held = held

    def _may_tell(self, name: str, held: Collection[str]) -> bool:
        """Tell whether a partition is not held, or goes and has no rows that would have to wait."""
        lane = self._lanes[name]
        return name not in held or (lane.parting is not None and not lane.waiting)

    def _told(self, name: str, lane: _Lane, most_rows: int) -> list[News]:
        news: list[News] = []
        if lane.is_unpolled:
            lane.is_unpolled = lane.is_told_silent = False
            news.append(Unpolled([name]))
        if lane.begins is not None:
            news.append(Stands(name, lane.begins))
            lane.begins = None
        taken = first_of(lane.waiting, most_rows)
        if taken:
            lane.is_told_silent, lane.reached = False, taken[-1].position
            if self._unsettled is not None:
                self._unsettled.took(name, len(taken))
            size, n = lane.bytes, lane.rows
            if lane.waiting:
                size = sum(bytes_of(item.rows) for item in taken)
                n = sum(count_of(item.rows) for item in taken)
            lane.rows -= n
            lane.bytes -= size
            self._bytes -= size
            news += joined(taken)
        if lane.stands is not None and not lane.waiting:
            news.append(Stands(name, lane.stands))
            lane.reached, lane.stands = lane.stands, None
        if lane.parting is not None and not lane.waiting and not lane.is_gone:
            lane.is_gone = True
            self._unended -= isinstance(lane.parting, Ended)
            news.append(lane.parting)
        return news

    def _append(self, lane: _Lane, item: Arrived, size: int) -> None:
        lane.waiting.append(item)
        lane.rows += count_of(item.rows)
        lane.bytes += size
        self._bytes += size
        self._telling[item.partition] = None

    def _ring(self) -> None:
        with self._room:
            is_gathering = self._is_gathering
            self._is_to_wake |= is_gathering
        if not is_gathering:
            self.wake()

    def _part(self, name: str, parting: Ended | Left) -> None:
        with self._room:
            lane = self._lanes[name]
            lane.parting = parting
            self._telling[name] = None
        self._ring()

    def _all_have_room(self, held: Collection[str]) -> bool:
        """Look only at those that have something to tell: others hold no rows."""
        return all(name in held or self._has_room(name) for name in self._telling)

    def _has_room(self, name: str) -> bool:
        lane = self._lanes[name]
        if self._unsettled is not None and self._unsettled.is_full:
            return False
        if self._bytes >= _MOST_BYTES_IN_ALL:
            return not lane.waiting
        return lane.rows < _MOST_ROWS and lane.bytes < _MOST_BYTES
