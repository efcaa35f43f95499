"""A live source that plays a script on a clock moved by hand: no thread, no sleep."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.clock import ManualClock
from eventtime.sources.feed import Arrived, News

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position

SCHEMA = pa.schema([("t", pa.timestamp("us", "UTC")), ("x", pa.int64())])
SECOND = 1_000_000


def rows(*seconds: float, x: int = 1) -> pa.RecordBatch:
    """Rows at some seconds."""
    times = [round(s * SECOND) for s in seconds]
    return pa.record_batch([times, [x] * len(times)], schema=SCHEMA)


class Alarm:
    """Lets the clock go on where the loop waits.

    Args:
        clock: moved by hand.
        rings_us: it rings so often, as if a feed had something.
    """

    def __init__(self, clock: ManualClock, rings_us: int = 100_000) -> None:
        self._clock, self._rings_us = clock, rings_us

    def ring(self) -> None:
        """Nobody else works."""

    def wait(self, most_us: int) -> None:
        self._clock.advance(min(most_us, self._rings_us))

    def sleep(self, duration_us: int) -> None:
        self._clock.advance(duration_us)


@dataclass(frozen=True)
class Script:
    """What happens, and at which second of the clock.

    Args:
        events: (second, news), in order; rows as (second, partition, batch).
        known: partitions known at the start.
        clock: that they go by.
    """

    events: Sequence[tuple[float, News] | tuple[float, str, pa.RecordBatch]]
    known: tuple[str, ...]
    clock: ManualClock = field(default_factory=ManualClock)
    heard: list[set[str]] = field(default_factory=list)
    told: list[dict[str, Position]] = field(default_factory=list)
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
    ) -> ScriptFeed:
        return ScriptFeed(self, list(columns or SCHEMA.names), dict(positions or {}))

    def describe(self) -> str:
        return "a script"


@dataclass(frozen=True)
class Accepted(Script):
    """A script with rows that were accepted, and wait until there is nothing more to accept.

    Args:
        queue: of one partition.
    """

    queue: tuple[str, pa.RecordBatch] = ("a", rows())

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> AcceptedFeed:
        return AcceptedFeed(self, list(columns or SCHEMA.names), dict(positions or {}))


class ScriptFeed:
    """Plays it; rows of partitions that are held wait."""

    def __init__(self, script: Script, columns: list[str], positions: dict[str, Position]) -> None:
        self._script, self._columns = script, columns
        self._taken = {name: position["rows"] for name, position in positions.items()}
        self._skip = dict(self._taken)
        self._left = list(script.events)

    @property
    def known(self) -> Sequence[str]:
        return self._script.known

    def start(self, wake: Callable[[], None]) -> None:
        """Nothing to begin."""

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        self._script.heard.append(set(held))
        now = self._script.clock.now_us()
        news: list[News] = []
        waiting: list[tuple[float, News] | tuple[float, str, pa.RecordBatch]] = []
        for event in self._left:
            is_held = len(event) == 3 and event[1] in held
            if event[0] * SECOND > now or is_held:
                waiting.append(event)
            elif len(event) == 2:
                news.append(event[1])
            else:
                news += self._arrived(event[1], event[2])
        self._left = waiting
        return news

    def _arrived(self, name: str, batch: pa.RecordBatch) -> list[News]:
        skip = min(self._skip.get(name, 0), batch.num_rows)
        self._skip[name] = self._skip.get(name, 0) - skip
        batch = batch[skip:].select(self._columns)
        if not batch.num_rows:
            return []
        self._taken[name] = self._taken.get(name, 0) + batch.num_rows
        return [Arrived(name, batch, {"rows": self._taken[name]})]

    def settled(self, positions: Mapping[str, Position]) -> None:
        self._script.told.append(dict(positions))

    @property
    def is_over(self) -> bool:
        return not self._left

    def close(self) -> None:
        """Nothing is held."""


class AcceptedFeed(ScriptFeed):
    """Plays it, and hands the queue over at the end."""

    def cease(self) -> None:
        assert isinstance(self._script, Accepted)
        self._left.append((0, *self._script.queue))
