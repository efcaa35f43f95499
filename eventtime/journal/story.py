"""What a journal tells, put together: the turns that counted, over all processes of a run.

A process that goes on from a checkpoint undoes what the one before did behind it; those turns are
left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from eventtime.errors import JournalError
from eventtime.journal.entries import Cut, Ending, Life, Over, Read, Told, Turn
from eventtime.sources.feed import Found, Left, Silent, Stands, Unpolled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.journal.entries import Entry
    from eventtime.sources.base import Position

__all__ = ("Moment", "Story", "story_of")


@dataclass(frozen=True)
class Moment:
    """One turn.

    Args:
        us: reading of the clock.
        told: what the sources told, in order.
        is_ending: whether all input is taken as ended.
        is_anew: whether a process began in front of it.
    """

    us: int
    told: list[Told] = field(default_factory=list)
    is_ending: bool = False
    is_anew: bool = False


@dataclass(frozen=True)
class Story:
    """All that counted.

    Args:
        first: the process that began it.
        moments: turns, in order.
        is_finished: whether it came to its end, and was not suspended, killed or still at work.
        lives: how many processes there were.
        kind: 'live' or 'replay'.
    """

    first: Life
    moments: list[Moment]
    is_finished: bool
    lives: int

    def positions(self, source: int) -> dict[str, Position]:
        """Return where partitions of a source began, of those that told before any row."""
        found: dict[str, Position] = {}
        heard: set[str] = set()
        for moment in self.moments:
            for told in moment.told:
                news = told.news
                if told.source != source or isinstance(news, Silent | Unpolled):
                    continue
                if isinstance(news, Stands) and news.partition not in heard:
                    found[news.partition] = news.position
                if not isinstance(news, Found):
                    heard.add(news.partition)
        return found

    def rows_like(self, read: Read, source: int) -> int:
        """Count the rows of a partition of a source: those that parse, or those that do not."""
        return sum(
            told.news.rows
            for moment in self.moments
            for told in moment.told
            if isinstance(told.news, Read)
            and (told.source, told.news.partition) == (source, read.partition)
            and told.news.is_malformed == read.is_malformed
        )


def story_of(entries: Sequence[Entry], place: str) -> Story:
    """Put a journal together.

    Args:
        entries: in order.
        place: of the journal, for messages.

    Raises:
        JournalError: it is empty, or does not hold what it goes on from.
    """
    teller = _Teller(place)
    for entry in entries:
        teller.hear(entry)
    if teller.first is None:
        msg = f"the journal {place!r} tells of no run"
        raise JournalError(msg, place=place, remedy="name one that run(journal=…) has written")
    return Story(teller.first, teller.moments, teller.is_finished, teller.lives)


class _Teller:
    def __init__(self, place: str) -> None:
        self._place = place
        self.first: Life | None = None
        self.moments: list[Moment] = []
        self.is_finished = False
        self.lives = 0
        # Length of `moments` and what each partition was, at each checkpoint by its epoch.
        self._cuts: dict[int, tuple[int, _Partitions]] = {}
        self._partitions = _Partitions()
        # What a process found otherwise when it began, until its first turn.
        self._coming: list[Told] = []

    def hear(self, entry: Entry) -> None:
        match entry:
            case Life():
                self._begin(entry)
            case Turn(us):
                self.moments.append(Moment(us, self._coming))
                self._coming = []
            case Ending():
                self.moments[-1] = replace(self.moments[-1], is_ending=True)
            case Cut(epoch):
                self._cuts[epoch] = len(self.moments), self._partitions.copy()
            case Over(is_finished):
                self.is_finished = is_finished
            case Told():
                self.moments[-1].told.append(entry)
                self._partitions.hear(entry)

    def _begin(self, life: Life) -> None:
        self.is_finished, self._coming = False, []
        if life.kind == "replay":
            # A pure function of its rows (S10): wherever it was cut, only they count.
            self.first, self.lives, self.moments = life, 1, [Moment(life.us)]
            return
        if life.resumed is None and not life.is_from_savepoint:
            self.first, self.lives = life, 1
            self.moments, self._cuts, self._partitions = [], {}, _Partitions()
            self._partitions.begin(life)
            return
        if self.first is None or life.is_from_savepoint or life.resumed not in self._cuts:
            what = "a savepoint" if life.is_from_savepoint else f"a checkpoint ({life.resumed})"
            msg = f"the journal {self._place!r} goes on from {what} and lacks what was before it"
            remedy = "write a journal from the first run on"
            raise JournalError(msg, place=self._place, remedy=remedy)
        length, self._partitions = self._cuts[life.resumed]
        self._partitions = self._partitions.copy()
        self.lives += 1
        self.moments = self.moments[:length]
        self._cuts = {e: cut for e, cut in self._cuts.items() if cut[0] <= length}
        us = self.moments[-1].us if self.moments else self.first.us
        # Silence stands still before time goes on; all else is seen in the first turn.
        self.moments.append(Moment(us, self._partitions.unpolled(), is_anew=True))
        self._coming = self._partitions.go_on(life)


class _Partitions:
    """Which partitions each source has, and which of them are not there."""

    def __init__(self, known: dict[tuple[int, str], None] | None = None) -> None:
        self._known = known or {}

    def copy(self) -> _Partitions:
        return _Partitions(dict(self._known))

    def begin(self, life: Life) -> None:
        for source, names in enumerate(life.known):
            self._known |= dict.fromkeys((source, name) for name in names)

    def hear(self, told: Told) -> None:
        if isinstance(told.news, Found):
            self._known[told.source, told.news.partition] = None

    def unpolled(self) -> list[Told]:
        """Say that nobody asked them."""
        return [Told(source, Unpolled([name])) for source, name in self._known]

    def go_on(self, life: Life) -> list[Told]:
        """Say what is otherwise for a process that begins, and take it in."""
        told: list[Told] = []
        for source, names in enumerate(life.known):
            before = [name for s, name in self._known if s == source]
            told += [Told(source, Left(name)) for name in before if name not in names]
            told += [Told(source, Found(name)) for name in names if name not in before]
        self.begin(life)
        return told
