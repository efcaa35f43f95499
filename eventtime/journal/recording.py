"""Writing the journal of a run: between its loop and its sources, clock and checkpoints.

sources ─ news ─► what records ─ the same news ─► the loop ─ results ─► flush ─► outputs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from eventtime.fingerprint import fingerprint
from eventtime.journal.counting import Counted
from eventtime.journal.digest import Digest
from eventtime.journal.entries import Cut, Ending, Life, Over, Read, Told, Turn
from eventtime.journal.file import JournalWriter
from eventtime.journal.seen import Seen
from eventtime.journal.wrapped import wrapped
from eventtime.recalled import columns_of
from eventtime.sources.base import MalformedRows, count_of
from eventtime.sources.feed import Accepting, Arrived
from eventtime.sources.following import follow
from eventtime.turns import TurnClock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.compiled import CompiledPlan
    from eventtime.execution import Pauses
    from eventtime.following import Following
    from eventtime.journal.file import JournalFile
    from eventtime.sources.base import Position, Rows
    from eventtime.sources.feed import Feed, News
    from eventtime.state.parts import Saved

__all__ = ("Recorder",)

_MOST_WAITING: Final = 4_096
"""Bytes of turns in which nothing came, before they are written all the same."""


class Recorder:
    """Writes the journal of a run, over all attempts at it.

    For each attempt: `begin`, which gives the plan and the clock to use; `flush` after each turn,
    before outputs commit; `pausing`; `end`. Then `close`.

    Args:
        file: of the journal; a run that begins anew is written behind what is there.

    Raises:
        JournalError: it cannot be written, or is no journal.
    """

    def __init__(self, file: JournalFile) -> None:
        self._writer = JournalWriter(file)
        self.torn = self._writer.torn
        self._digests: dict[tuple[int, str, bool], Digest] = {}
        self._has_news = False

    def begin(
        self, plan: CompiledPlan, saved: Saved | None, clock: Clock | None
    ) -> tuple[CompiledPlan, Clock | None]:
        """Begin the journal of one attempt.

        Args:
            plan: compiled.
            saved: what it goes on from; None: from the beginning.
            clock: of a live run; None: it is a replay, of which the rows are counted.

        Returns:
            The plan and the clock to run with.
        """
        self._writer.drop()
        self._digests.clear()
        about = _About(fingerprint(plan), columns_of(plan), *_resumed(saved))
        if clock is None:
            self._life("replay", 0, [], about)
            return wrapped(plan, lambda source, i: Counted(source, i, self.read)), None
        feeds: list[_Feed] = []

        def opened(us: int) -> None:
            self._life("live", us, feeds, about)

        recorded = wrapped(plan, lambda source, i: _Live(source, i, self, feeds))
        return recorded, _Turns(clock, self, opened)

    def turn(self, us: int, *, is_ending: bool) -> None:
        """Note that a turn begins."""
        self._writer.add(Turn(us))
        if is_ending:
            self._writer.add(Ending())
            self._has_news = True

    def read(self, source: int, partition: str, rows: Rows) -> None:
        """Note that rows were read."""
        is_malformed = isinstance(rows, MalformedRows)
        digest = self._digests.setdefault((source, partition, is_malformed), Digest())
        digest.add(rows)
        self.tell(source, Read(partition, count_of(rows), digest.value, is_malformed))

    def tell(self, source: int, news: Any) -> None:
        """Note what a source told."""
        self._writer.add(Told(source, news))
        self._has_news = True

    def flush(self) -> None:
        """Write the turn, before anybody sees what came of it."""
        if self._has_news or self._writer.waiting > _MOST_WAITING:
            self._writer.flush()
            self._has_news = False

    def pausing(self, pauses: Pauses | None, epoch: Callable[[], int] | None) -> Pauses | None:
        """Return the pauses of a run with checkpoints: each is noted before it is written.

        Args:
            pauses: of the run, or None.
            epoch: number of the epoch that a pause ends; None: there are no checkpoints.
        """
        return pauses if pauses is None or epoch is None else _Pauses(pauses, self, epoch)

    def noting(self, after_turn: Callable[[], bool] | None) -> Callable[[], bool]:
        """Return what is called after each turn: the journal has it before outputs commit it."""

        def noted() -> bool:
            self.flush()
            return after_turn is None or after_turn()

        return noted

    def runs(self, following: Following) -> None:
        """Nothing is asked of the run."""

    def cut(self, epoch: int) -> None:
        """Note a checkpoint: durable before it is."""
        self._writer.add(Cut(epoch))
        self._writer.flush(durable=True)

    def end(self, *, is_finished: bool) -> None:
        """Note that the attempt is over."""
        self._writer.add(Over(is_finished))
        self._writer.flush(durable=True)

    def close(self) -> None:
        """Let go of the file; a turn that did not come to its end is not written."""
        self._writer.close()

    def _life(self, kind: str, us: int, feeds: list[_Feed], about: _About) -> None:
        sources, known = [feed.what for feed in feeds], [list(feed.known) for feed in feeds]
        self._writer.add(Life(us, kind, sources=sources, known=known, **about._asdict()))
        self._writer.flush()


class _About(NamedTuple):
    """What is known of an attempt before its sources are; see `Life`."""

    pipeline: dict[str, str]
    columns: dict[str, dict[str, str]]
    resumed: int | None
    is_from_savepoint: bool


def _resumed(saved: Saved | None) -> tuple[int | None, bool]:
    from eventtime.state.saved import Checkpoint

    if saved is None:
        return None, False
    is_checkpoint = isinstance(saved, Checkpoint)
    return (int(saved.head["epoch"]) if is_checkpoint else None), not is_checkpoint


class _Turns(TurnClock):
    """Notes the readings of the clock."""

    def __init__(self, clock: Clock, recorder: Recorder, opened: Callable[[int], None]) -> None:
        super().__init__(clock)
        self._recorder, self._opened = recorder, opened

    def open(self) -> int:
        now_us = super().open()
        self._opened(now_us)
        return now_us

    def begin(self, *, is_ending: bool) -> int:
        now_us = super().begin(is_ending=is_ending)
        self._recorder.turn(now_us, is_ending=is_ending)
        return now_us


class _Pauses:
    """Notes checkpoints."""

    def __init__(self, pauses: Pauses, recorder: Recorder, epoch: Callable[[], int]) -> None:
        self._pauses, self._recorder, self._epoch = pauses, recorder, epoch

    @property
    def saves(self) -> bool:
        return self._pauses.saves

    @property
    def clock(self) -> Clock:
        return self._pauses.clock

    @property
    def stops(self) -> bool:
        return self._pauses.stops

    def is_due(self, rows: int) -> bool:
        return self._pauses.is_due(rows)

    def pause(self, *, is_end: bool) -> None:
        self._recorder.cut(self._epoch())
        self._pauses.pause(is_end=is_end)


@dataclass(frozen=True)
class _Live(Seen):
    """One that is followed."""

    recorder: Recorder
    feeds: list[_Feed]

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> _Feed:
        feed = follow(self.source, columns, positions, clock)
        kind = _AcceptingFeed if isinstance(feed, Accepting) else _Feed
        seen = kind(feed, self)
        self.feeds.append(seen)
        return seen


class _Feed:
    def __init__(self, feed: Feed, source: _Live) -> None:
        self._feed, self._number, self._recorder = feed, source.number, source.recorder
        self.what = source.describe()

    @property
    def known(self) -> Sequence[str]:
        return self._feed.known

    @property
    def is_over(self) -> bool:
        return self._feed.is_over

    def start(self, wake: Callable[[], None]) -> None:
        self._feed.start(wake)

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        told = self._feed.take(most_rows, held)
        for news in told:
            if isinstance(news, Arrived):
                self._recorder.read(self._number, news.partition, news.rows)
            else:
                self._recorder.tell(self._number, news)
        return told

    def settled(self, positions: Mapping[str, Position]) -> None:
        self._feed.settled(positions)

    def close(self) -> None:
        self._feed.close()


class _AcceptingFeed(_Feed):
    def cease(self) -> None:
        cast("Accepting", self._feed).cease()
