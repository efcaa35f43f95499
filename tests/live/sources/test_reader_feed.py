"""The feed over readers, with readers made by hand: who is asked, when, and what is told."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from eventtime.clock import ManualClock
from eventtime.errors import SourceError
from eventtime.sources.base import MalformedRows, Poll
from eventtime.sources.feed import Arrived, Ended, Found, Left, Silent, Stands, Unpolled
from eventtime.sources.reader_feed import ReaderFeed
from eventtime.sources.schedule import Schedule
from live.script import rows
from live.sources.waiting import taken_until, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from eventtime.sources.base import Position
    from eventtime.sources.feed import News


class Reader:
    """Answers what it is given, then that it has nothing."""

    def __init__(
        self, name: str, answers: Iterable[pa.RecordBatch | Poll | Exception] = ()
    ) -> None:
        self.name, self.asked, self.closed = name, 0, 0
        self.answers = deque(answers)
        self._rows = 0
        self.gate = threading.Event()
        self.gate.set()

    @property
    def position(self) -> Position:
        return {"rows": self._rows}

    def read(self) -> pa.RecordBatch | Poll:
        self.gate.wait(20)
        self.asked += 1
        answer = self.answers.popleft() if self.answers else Poll.PAUSE
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, Poll):
            self._rows += answer.num_rows
        return answer

    def close(self) -> None:
        self.closed += 1


class MovingReader(Reader):
    """Goes over to another place once, without rows."""

    has_moved = False

    def moved(self) -> Position | None:
        first, self.has_moved = not self.has_moved, True
        return {"rows": 7} if first else None


def fed(*readers: Reader, clock: ManualClock | None = None, **more: Any) -> ReaderFeed:
    feed = ReaderFeed(readers, clock or ManualClock(), **{"every_us": 1_000, **more})
    feed.start(lambda: None)
    return feed


def has(kind: type, name: str) -> Any:
    def looked(news: list[News]) -> bool:
        return any(isinstance(n, kind) and name in str(vars(n)) for n in news)

    return looked


def test_a_position_that_moves_without_rows_is_told_behind_those_before() -> None:
    """S28: once."""
    feed = fed(MovingReader("a", [rows(1)]))
    news = taken_until(feed, has(Stands, "a"))
    assert [type(n) for n in news if not isinstance(n, Silent)] == [Arrived, Stands]
    assert news[-1] == Stands("a", {"rows": 7}) or news[-2] == Stands("a", {"rows": 7})
    feed.close()


@pytest.mark.parametrize("every_us", [None, 1_000])
def test_rows_positions_and_the_end_come_in_order(every_us: int | None) -> None:
    """S9: by a thread each and by one they share."""
    reader = Reader("a", [rows(1), rows(2, 3), Poll.END])
    feed = fed(reader, every_us=every_us)
    assert list(feed.known) == ["a"]
    news = taken_until(feed, has(Ended, "a"))
    arrived = [n for n in news if isinstance(n, Arrived)]
    batches = [n.rows for n in arrived if not isinstance(n.rows, MalformedRows)]
    assert sum(batch.num_rows for batch in batches) == 3
    assert arrived[-1].position == {"rows": 3}
    assert news[-1] == Ended("a")
    assert feed.is_over
    feed.close()
    assert reader.closed == 1


def test_an_end_that_only_leaves_keeps_the_feed_open() -> None:
    feed = fed(Reader("a", [Poll.END]), ends_leave=True)
    assert taken_until(feed, has(Left, "a")) == [Left("a")]
    assert not feed.is_over
    feed.close()


def test_what_a_reader_raises_is_raised_behind_its_rows() -> None:
    feed = fed(Reader("a", [rows(1), SourceError("gone")]))
    seen: list[News] = []

    def never(news: list[News]) -> bool:
        seen.extend(news)
        return False

    with pytest.raises(SourceError, match="gone"):
        taken_until(feed, never)
    assert has(Arrived, "a")(seen)
    feed.close()


def test_new_partitions_are_found() -> None:
    """S8."""
    waiting = [Reader("b", [rows(1)])]

    def discover() -> list[Reader]:
        found, waiting[:] = waiting[:], []
        return found

    for every_us in (1_000, None):
        waiting[:] = [Reader("b", [rows(1)])]
        clock = ManualClock()
        feed = fed(
            Reader("a"), clock=clock, every_us=every_us, discover=discover, discover_every_us=1_000
        )
        clock.advance(2_000)
        news = taken_until(feed, has(Arrived, "b"))
        assert Found("b") in news
        assert not feed.is_over
        feed.close()


def test_a_reader_that_does_not_answer_is_not_silent() -> None:
    """S6: nobody knows what it has; once it answers, silence begins anew."""
    clock, reader = ManualClock(), Reader("a")
    feed = fed(reader, clock=clock, every_us=None)
    taken_until(feed, has(Silent, "a"))
    reader.gate.clear()
    asked = reader.asked
    until(lambda: reader.asked <= asked + 1, "it waits at the gate")
    clock.advance(60_000_000)
    news = taken_until(feed, has(Unpolled, "a"))
    reader.gate.set()
    news = taken_until(feed, has(Silent, "a"))
    assert isinstance(news[-1], Silent)
    feed.close()


def test_a_full_lane_is_not_asked() -> None:
    many = rows(*[0.0] * 262_144)
    reader = Reader("a", [many, rows(1)])
    feed = fed(reader, clock=ManualClock())
    until(lambda: reader.asked == 1, "it is asked")
    until(lambda: not threading.Event().wait(0.05), "time passes")
    assert reader.asked == 1
    feed.close()


def test_the_wait_of_quiet_readers_grows_up_to_the_longest() -> None:
    """A thousand of them, for ten minutes: asked by the longest wait, not the first."""
    schedule = Schedule(50_000, 5_000_000)
    schedule.add((f"p{n}" for n in range(1_000)), 0)
    asked = now_us = 0
    while now_us < 600_000_000:
        for name in schedule.due(now_us):
            asked += 1
            schedule.had_nothing(name, now_us)
        now_us += max(1, schedule.rest_us(now_us))
    assert asked < 1_000 * (600 / 5 + 60)


@pytest.mark.parametrize(("quiet", "longest_ms"), [(1, 500), (300, 1_500), (2_000, 5_000)])
def test_the_longest_wait_is_that_of_so_many_quiet_ones(quiet: int, longest_ms: int) -> None:
    """However many: 200 looks a second, and no wait longer than 5 s."""
    schedule = Schedule(50_000, 5_000_000)
    names = [f"p{n}" for n in range(quiet)]
    for name in names:
        schedule.had_nothing(name, 0)
    waits_us = [schedule.had_nothing(name, 600_000_000) for name in names]
    assert waits_us == [longest_ms * 1_000] * quiet
    for name in names[1:]:
        schedule.over(name)
    assert schedule.had_nothing("p0", 700_000_000) == 500_000


def test_rows_make_a_reader_quick_again() -> None:
    schedule = Schedule(10, 1_000)
    schedule.add(["a"], 0)
    now_us = 0
    while now_us < 8_000:
        now_us += schedule.rest_us(now_us)
        assert schedule.due(now_us) == ["a"]
        schedule.had_nothing("a", now_us)
    assert schedule.rest_us(now_us) == 1_000
    now_us += 1_000
    schedule.due(now_us)
    schedule.had_rows("a", now_us)
    assert schedule.due(now_us) == ["a"]
    schedule.had_nothing("a", now_us)
    assert schedule.rest_us(now_us) == 10


def test_a_clock_stepped_back_makes_nobody_wait() -> None:
    schedule = Schedule(10, 1_000)
    schedule.add(["a"], 5_000_000)
    assert schedule.due(5_000_000) == ["a"]
    schedule.had_nothing("a", 5_000_000)
    assert schedule.due(1_000_000) == ["a"]
