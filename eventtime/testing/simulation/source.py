"""The source of a simulation: partitions of a world, by its time; or a copy of all their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.errors import SourceError
from eventtime.sources.feed import Arrived, Ended, Found, Left, News, Silent, Unpolled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position
    from eventtime.testing.simulation.world import Lane, World
    from eventtime.testing.steps import Row

__all__ = ("SCHEMA", "CopyFeed", "SimulatedFeed", "SimulatedSource")

SCHEMA: Final = pa.schema(
    {"t": pa.timestamp("us", "UTC"), "key": pa.string(), "n": pa.int64(), "x": pa.float64()}
)


@dataclass(frozen=True, eq=False)
class SimulatedSource:
    """A live source.

    Args:
        world: it is in.
        is_copy: whether all is there at once, as somebody kept it.
    """

    world: World
    is_copy: bool = False
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
    ) -> SimulatedFeed | CopyFeed:
        names = list(columns or SCHEMA.names)
        if self.is_copy:
            return CopyFeed(self.world, names)
        return SimulatedFeed(self.world, names, positions or {})

    def describe(self) -> str:
        return "a copy of simulated rows" if self.is_copy else "simulated rows"


class SimulatedFeed:
    """Tells what is there by now; what is held back stays, with all that is behind it."""

    def __init__(self, world: World, columns: list[str], positions: Mapping[str, Position]) -> None:
        self._world, self._columns = world, columns
        self._next = {lane.name: 0 for lane in world.lanes}
        self._next |= {name: position["rows"] for name, position in positions.items()}
        self.known = [lane.name for lane in world.lanes if lane.is_there(world.now_us)]
        self._here = set(self.known)
        self._silent: set[str] = set()
        self._ended: set[str] = set()
        self._held: set[str] = set()

    def start(self, wake: Callable[[], None]) -> None:
        """Nothing to begin."""

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        world = self._world
        world.may_crash("take")
        world.counts["turns"] += 1
        if world.fails("take"):
            msg = "the source cannot be read"
            raise SourceError(msg, place="simulated rows")
        self._silent -= self._held - set(held)
        self._held = set(held)
        news: list[News] = []
        for lane in world.lanes:
            if lane.name not in held and lane.name not in self._ended:
                news += self._told(lane)
        world.trace.note("turn", world.clock.now_us(), [_words(it) for it in news])
        return news

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Nobody has to be told."""

    @property
    def is_over(self) -> bool:
        return len(self._ended) == len(self._world.lanes)

    def close(self) -> None:
        """Nothing is held."""

    def _told(self, lane: Lane) -> list[News]:
        world, name = self._world, lane.name
        if not lane.is_there(world.now_us):
            was_here = name in self._here
            self._here.discard(name)
            self._silent.discard(name)
            return [Left(name)] if was_here else []
        news: list[News] = []
        if name not in self._here:
            self._here.add(name)
            news.append(Found(name, lane.is_historical))
        first, last = self._next[name], self._next[name]
        while last < len(lane.rows) and lane.at_us[last] <= world.now_us:
            last += 1
        if last > first and world.chance.happens(0.3):
            last = world.chance.between(first, last)
        if last > first:
            self._next[name] = last
            self._silent.discard(name)
            rows = _batch(lane.rows[first:last], self._columns)
            return [*news, Arrived(name, rows, {"rows": last})]
        if last == len(lane.rows) and lane.ends_us <= world.now_us:
            self._ended.add(name)
            return [*news, Ended(name)]
        return news + self._quiet(name)

    def _quiet(self, name: str) -> list[News]:
        if name not in self._silent:
            self._silent.add(name)
            return [Silent([name])]
        if self._world.chance.happens(0.03):
            self._silent.discard(name)
            return [Unpolled([name])]
        return []


class CopyFeed:
    """Tells all rows at once, and the end."""

    def __init__(self, world: World, columns: list[str]) -> None:
        self.known = [lane.name for lane in world.lanes]
        self._left: list[News] = []
        for lane in world.lanes:
            if lane.rows:
                rows = _batch(lane.rows, columns)
                self._left.append(Arrived(lane.name, rows, {"rows": len(lane.rows)}))
            self._left.append(Ended(lane.name))

    def start(self, wake: Callable[[], None]) -> None:
        """Nothing to begin."""

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        taken, self._left = self._left, []
        return taken

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Nobody has to be told."""

    @property
    def is_over(self) -> bool:
        return not self._left

    def close(self) -> None:
        """Nothing is held."""


def _batch(rows: Sequence[Row], columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [pa.array([row[name] for row in rows], SCHEMA.field(name).type) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([SCHEMA.field(n) for n in columns]))


def _words(news: News) -> str:
    if isinstance(news, Arrived):
        return f"{news.partition} {news.position['rows']}"
    return repr(news)
