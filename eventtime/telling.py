"""Broadcast streams of a live run: bounded ones are read when it begins, live ones are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventtime.process.broadcast import malformed
from eventtime.process.plan import ProcessPlan
from eventtime.sources.base import MalformedRows
from eventtime.sources.feed import ALL_ROWS, Accepting, Arrived, Left, Stands, is_live

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.clock import Clock
    from eventtime.compiled import CompiledPlan
    from eventtime.process.broadcast import Broadcast
    from eventtime.sources.base import Position, Rows
    from eventtime.sources.feed import Feed
    from eventtime.stages import Stages

__all__ = ("Telling",)

_MOST_ROWS: Final = 65_536


class Telling:
    """Hands rows of broadcast streams to the operators that listen.

    Beginning: `open`, `start`. Running: `turn`, `wants_cut`, `settled`. Surviving: `positions`.
    End: `close`.
    They hold back no watermark and no end: a row takes effect when the watermark passes its time,
    one that comes later than that at once.

    Args:
        plan: compiled.
        stages: at work.
        clock: of the machine's time.
    """

    def __init__(self, plan: CompiledPlan, stages: Stages, clock: Clock) -> None:
        self._stages, self._clock = stages, clock
        self._streams: dict[str, Broadcast] = {
            name: stream
            for stage in plan.stages
            if isinstance(stage, ProcessPlan)
            for name, stream in stage.broadcast.items()
        }
        self._feeds: dict[str, Feed] = {}
        self.positions: dict[str, dict[str, Position]] = {}
        self.wants_cut = False

    def open(self, saved: dict[str, dict[str, Position]] | None) -> None:
        """Read the bounded ones, and connect to the others.

        Args:
            saved: `positions` of the run that is gone on with, which had read what is bounded;
                None: this is the beginning.
        """
        self.positions = saved or {}
        for name, stream in self._streams.items():
            source = stream.source
            if is_live(source):
                before = self.positions.setdefault(name, {})
                self._feeds[name] = source.follow(None, before or None, self._clock)
            elif saved is None:
                for rows in stream.read(name):
                    self._stages.broadcast(name, rows)

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to poll."""
        for feed in self._feeds.values():
            feed.start(wake)

    def turn(self) -> int:
        """Hand over what has come; returns the number of rows."""
        return sum(self._take(name, _MOST_ROWS) for name in self._feeds)

    def take_accepted(self) -> None:
        """Hand over what feeds accepted, and nobody would send again: the run ends here."""
        for name, feed in self._feeds.items():
            if isinstance(feed, Accepting):
                feed.cease()
                self._take(name, ALL_ROWS)

    def settled(self, head: dict[str, Any]) -> None:
        """Tell the sources what is safe; from the thread that wrote the checkpoint."""
        for name, feed in self._feeds.items():
            feed.settled(head["told"][name])

    def close(self) -> None:
        """Let go of the sources."""
        for feed in self._feeds.values():
            feed.close()

    def _take(self, name: str, most_rows: int) -> int:
        rows = 0
        for news in self._feeds[name].take(most_rows, ()):
            if isinstance(news, Arrived):
                rows += self._tell(name, news.rows)
            if isinstance(news, Arrived | Stands):
                self.positions[name][news.partition] = news.position
            elif isinstance(news, Left):
                self.wants_cut |= news.wants_cut
        return rows

    def _tell(self, name: str, rows: Rows) -> int:
        if isinstance(rows, MalformedRows):
            raise malformed(name, self._streams[name].source.describe())
        self._stages.broadcast(name, rows)
        return int(rows.num_rows)
