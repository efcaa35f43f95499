"""A run once more from its journal: the same news at the same readings, over rows read again.

journal ─ what came, when ──► what plays ─ news ─► the loop
source ─ rows, as they come ─────┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.clock import SystemClock
from eventtime.errors import JournalError
from eventtime.fingerprint import differences
from eventtime.journal.counting import Counted
from eventtime.journal.digest import Digest
from eventtime.journal.entries import Read
from eventtime.journal.played import PlayedSource, changed, other_count
from eventtime.journal.wrapped import wrapped
from eventtime.sources.base import MalformedRows, count_of
from eventtime.turns import TurnClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.clock import Clock
    from eventtime.compiled import CompiledPlan
    from eventtime.execution import Pauses
    from eventtime.following import Following
    from eventtime.journal.story import Moment, Story
    from eventtime.sources.base import Rows
    from eventtime.state.parts import Saved

__all__ = ("NoAlarm", "Player")


class Player:
    """Plays the story of a journal; stands where a `Recorder` stands while one is written.

    Args:
        story: to be played.
        place: of the journal, for messages.
    """

    def __init__(self, story: Story, place: str) -> None:
        self.story, self.place = story, place
        self._next = 0
        self.moment: Moment | None = None
        self.clock = _Turns(self)
        self._stop = _Stop(self)
        self._read: dict[tuple[int, str, bool], tuple[Digest, int]] = {}

    def begin(
        self, plan: CompiledPlan, saved: Saved | None, clock: Clock | None
    ) -> tuple[CompiledPlan, Clock | None]:
        """Return the plan and the clock to run with.

        Raises:
            JournalError: the journal is of another pipeline.
        """
        # A lateness that became longer would change the results, too.
        lines = differences(self.story.first.pipeline, plan)
        if lines:
            msg = "\n  ".join([f"the journal {self.place!r} is of another pipeline:", *lines])
            raise JournalError(msg, place=self.place, remedy="take the one it is of")
        if clock is None:
            return wrapped(plan, lambda source, i: Counted(source, i, self._count)), None
        return wrapped(plan, lambda source, i: PlayedSource(source, i, self)), self.clock

    @property
    def is_exhausted(self) -> bool:
        """Whether all turns were played."""
        return self._next >= len(self.story.moments)

    @property
    def is_before_ending(self) -> bool:
        """Whether with the next turn all input is taken as ended."""
        return not self.is_exhausted and self.story.moments[self._next].is_ending

    def turn(self) -> int:
        """Go on to the next turn; returns its reading of the clock."""
        if not self.is_exhausted:
            self.moment = self.story.moments[self._next]
            self._next += 1
        return self.story.first.us if self.moment is None else self.moment.us

    def pausing(self, pauses: Pauses | None, epoch: Callable[[], int] | None) -> Pauses | None:
        """Return what stops the run where the journal ends."""
        return self._stop if self.story.first.kind == "live" else pauses

    def noting(self, after_turn: Callable[[], bool] | None) -> Callable[[], bool] | None:
        """Return what is called after each turn."""
        return after_turn

    def runs(self, following: Following) -> None:
        """Take the run."""
        self._stop.following = following

    def end(self, *, is_finished: bool) -> None:
        """Check what a replay has read; a live run's rows were checked as they came.

        Raises:
            JournalError: these are not the rows of the journal.
        """
        first = self.story.first
        if first.kind == "live" or first.resumed is not None or not self.story.is_finished:
            return
        wanted: dict[tuple[int, str, bool], tuple[int, int]] = {}
        for told in self.story.moments[0].told:
            read = told.news
            assert isinstance(read, Read)
            key = told.source, read.partition, read.is_malformed
            wanted[key] = read.digest, wanted.get(key, (0, 0))[1] + read.rows
        found = {key: (digest.value, rows) for key, (digest, rows) in self._read.items()}
        for key in {**wanted, **found}:
            there, were = found.get(key, (0, 0)), wanted.get(key, (0, 0))
            if there[1] != were[1]:
                raise other_count(key[1], self.place, there[1], were[1], is_malformed=key[2])
            if were[1] and there != were:
                raise changed(key[1], self.place, range(were[1]), is_malformed=key[2])

    def _count(self, source: int, partition: str, rows: Rows) -> None:
        key = source, partition, isinstance(rows, MalformedRows)
        digest, before = self._read.get(key, (Digest(), 0))
        digest.add(rows)
        self._read[key] = digest, before + count_of(rows)


class NoAlarm:
    """Nobody waits: what comes is known."""

    def ring(self) -> None:
        """Nobody hears it."""

    def wait(self, most_us: int) -> None:
        """Go on."""

    def sleep(self, duration_us: int) -> None:
        """Go on."""


class _Turns(TurnClock):
    """Shows what the clock showed."""

    def __init__(self, player: Player) -> None:
        super().__init__(SystemClock())
        self._player = player
        self._now_us = player.story.first.us

    def open(self) -> int:
        return self._now_us

    def begin(self, *, is_ending: bool) -> int:
        self._now_us = self._player.turn()
        return self._now_us


class _Stop:
    """Suspends a run where its journal ends, and ends its input where that was ended."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self.following: Following | None = None
        self.clock: Clock = SystemClock()
        self.saves = False

    @property
    def stops(self) -> bool:
        return self._player.is_exhausted

    def is_due(self, rows: int) -> bool:
        if self._player.is_before_ending and self.following is not None:
            self.following.end_input()
        return self._player.is_exhausted

    def pause(self, *, is_end: bool) -> None:
        """Save nothing."""
