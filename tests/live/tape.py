"""A live source that plays what was drawn, goes on where it was stopped, and notes what it told.

Everything about a partition that is held back waits with its rows, and who is let go says again
that it is silent, as a `Mailbox` has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from engine_runs import SCHEMA, batch_of
from eventtime.sources.feed import Arrived, Ended, Found, Left, News, Silent, Unpolled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pyarrow as pa

    from eventtime.clock import Clock, ManualClock
    from eventtime.sources.base import Position
    from eventtime.testing.reference import Row

_MOST_WAITS: Final = 10_000

__all__ = ("Event", "Tape", "Turn", "Waits", "What")

What: TypeAlias = list[Any] | Silent | Unpolled | Found | Left | Ended
"""Rows, or other news of one partition."""
Event: TypeAlias = tuple[int, str, What]
"""When, in µs of the clock; of which partition; what."""
Turn: TypeAlias = tuple[int, list[tuple[str, What]]]
"""At which reading of the clock what was told."""


class Waits:
    """An alarm: each wait takes as long as was drawn; below zero, the clock is stepped back."""

    def __init__(self, clock: ManualClock, waits_us: Sequence[int]) -> None:
        self._clock, self._waits_us, self._next = clock, waits_us, 0

    def ring(self) -> None:
        """Nobody else works."""

    def wait(self, most_us: int) -> None:
        assert self._next < _MOST_WAITS, "the run does not end"
        self._clock.advance(self._waits_us[self._next % len(self._waits_us)])
        self._next += 1

    def sleep(self, duration_us: int) -> None:
        """Turns follow each other at once."""


@dataclass(frozen=True, eq=False)
class Tape:
    """What is left to be told, and what was.

    Args:
        left: events, in order.
        here: partitions that are there; at the start those that are known.
        clock: they go by.
        silent: partitions that have nothing.
        taken: rows of each partition so far.
        turns: what was told, turn by turn.
    """

    left: list[Event]
    here: set[str]
    clock: ManualClock
    silent: set[str] = field(default_factory=set)
    taken: dict[str, int] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    time: str = "t"
    time_unit: str | None = None
    reports_malformed: bool = False

    def schema(self) -> pa.Schema:
        return SCHEMA

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> TapeFeed:
        # S27: the checkpoint knows what was taken, of each partition.
        assert {name: known["rows"] for name, known in (positions or {}).items()} == self.taken
        return TapeFeed(self, list(columns or SCHEMA.names))

    def describe(self) -> str:
        return "a tape"


class TapeFeed:
    """Plays it from where it stands."""

    def __init__(self, tape: Tape, columns: list[str]) -> None:
        self._tape, self._columns = tape, columns
        self.known = sorted(tape.here)
        self._held: set[str] = set()
        self._told_silent: set[str] = set()

    def start(self, wake: Callable[[], None]) -> None:
        """Nothing to begin."""

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        tape, now_us = self._tape, self._tape.clock.now_us()
        news: list[News] = []
        told: list[tuple[str, What]] = []
        self._told_silent -= self._held - set(held)
        self._held = set(held)
        waiting = []
        for event in tape.left:
            at_us, name, what = event
            if at_us > now_us or name in held:
                waiting.append(event)
                continue
            self._note(name, what)
            if not isinstance(what, Silent):
                told.append((name, what))
                news.append(self._arrived(name, what) if isinstance(what, list) else what)
        tape.left[:] = waiting
        silent = sorted((tape.silent & tape.here) - self._told_silent - set(held))
        if silent:
            self._told_silent.update(silent)
            news.append(Silent(silent))
            told += [(name, Silent([name])) for name in silent]
        tape.turns.append((now_us, told))
        return news

    def _note(self, name: str, what: What) -> None:
        tape = self._tape
        tape.silent.discard(name)
        self._told_silent.discard(name)
        if isinstance(what, Silent):
            tape.silent.add(name)
        elif isinstance(what, Found):
            tape.here.add(name)
        elif isinstance(what, Left | Ended):
            tape.here.discard(name)

    def _arrived(self, name: str, rows: list[Row]) -> Arrived:
        taken = self._tape.taken
        taken[name] = taken.get(name, 0) + len(rows)
        return Arrived(name, batch_of(rows).select(self._columns), {"rows": taken[name]})

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Nobody has to be told."""

    @property
    def is_over(self) -> bool:
        return not self._tape.left

    def close(self) -> None:
        """Nothing is held."""
