"""One run of a plan over live sources: turn by turn, news of feeds to the core (S4–S9, S11).

    feeds ──► turn: take what has come ─► core ─► results ─► outputs ─► checkpoint, if due ──┐
      ▲                                                                                     │
      └────────────────── nothing came: wait until a feed rings, 100 ms at most ◄───────────┘

The loop is one thread of control. What it does depends on the news, their order and the readings of
the clock alone; threads are at the edges, inside the feeds.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from eventtime.alarm import ThreadAlarm, longest_wait_us
from eventtime.clock import Interval
from eventtime.core import Core
from eventtime.opened import Opened, note_readers, positions_in
from eventtime.sight import Sight
from eventtime.sources.base import MalformedRows, count_of
from eventtime.sources.feed import (
    ALL_ROWS,
    Accepting,
    Arrived,
    Ended,
    Found,
    Heartbeat,
    Left,
    Silent,
    Stands,
    Unpolled,
    reports_malformed,
)
from eventtime.sources.following import follow
from eventtime.telling import Telling
from eventtime.timestamp import add
from eventtime.turns import TurnClock
from eventtime.warming import warm_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

    from eventtime.alarm import Alarm
    from eventtime.board import Board
    from eventtime.clock import Clock
    from eventtime.compiled import CompiledPlan
    from eventtime.execution import Pauses, SideOutput
    from eventtime.ledger import Ledger
    from eventtime.memory import MemoryLimit
    from eventtime.report import ProgressReport
    from eventtime.sources.base import Position
    from eventtime.sources.feed import News
    from eventtime.state.parts import PartWriter, Saved
    from eventtime.status import Status

__all__ = ("Following",)

_MOST_ROWS: Final = 65_536
"""Of a partition in one turn: what is joined is cheap for each row, and ends soon."""

_FEW_ROWS: Final = 4_096
"""So many in a turn are worth one: what a turn costs is little beside them."""

_MOST_LISTENED_US: Final = 2_000_000
"""A turn that lasted longer was our own work, or the machine slept: no silence (S6)."""

_REPORT_US: Final = 100_000


class Following:
    """A live run; see `Execution`, whose methods it has.

    Args:
        plan: compiled.
        side: takes rows of side outputs as they come, by tag.
        clock: of processing time: idleness, the future guard, timers; read once a turn for them.
        shards: threads that share the keys.
        pauses: asked after each turn whether it wants a cut; None: it cannot be saved.
        saved: what another run of the same plan saved, to go on from; None: from the beginning.
        limit: on the memory of windows; None: all of their state stays in memory.
        alarm: wakes the loop; None: on the machine's time.
        latency_us: from one turn to the next at least, so that small batches are joined.
        after_turn: called when the results of a turn have been taken; says whether all of them are
            where they can be seen.
        board: where it shows how it is while somebody looks; None: nobody can.
        core: what it drives.
    """

    def __init__(
        self,
        plan: CompiledPlan,
        side: SideOutput,
        *,
        clock: Clock,
        shards: int = 1,
        pauses: Pauses | None = None,
        saved: Saved | None = None,
        limit: MemoryLimit | None = None,
        alarm: Alarm | None = None,
        latency_us: int = 0,
        after_turn: Callable[[], bool] | None = None,
        board: Board | None = None,
        core: type[Core] = Core,
    ) -> None:
        self._plan, self._side, self._clock = plan, side, clock
        self._pauses, self._saved, self._after_turn = pauses, saved, after_turn
        self._board, self._sight = board, Sight()
        self._alarm: Alarm = ThreadAlarm() if alarm is None else alarm
        self._latency_us = latency_us
        self._wait_us = longest_wait_us(plan.watermark.idle_after_us)
        self.is_suspended = self._is_ending = self._wants_cut = False
        self._feeds: list[Opened] = []
        self._positions: list[Position | None] = []
        text = any(reports_malformed(branch.source) for branch in plan.branches)
        self._turns = clock if isinstance(clock, TurnClock) else TurnClock(clock)
        self._core = core(plan, self._turns, shards, limit, text=text)
        self._telling = Telling(plan, self._core.stages, clock)
        self._turned_us = self._told_us = clock.now_us()
        self._reports = Interval(_REPORT_US, self._turned_us)

    @property
    def side_schemas(self) -> dict[str, pa.Schema]:
        """Schemas of the side outputs by tag."""
        return self._core.side_schemas

    def results(
        self, watch: Callable[[ProgressReport], None] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield results as windows fire, until all sources have ended or the run is suspended.

        Args:
            watch: called after a turn, ten times a second at most.
        """
        try:
            self._open()
            if self._saved is None or not self._saved.head.get("is_finished"):
                yield from self._loop(watch)
            if not self.is_suspended and self._pauses is not None:
                self._sight.latencies.cut()
                self._pauses.pause(is_end=True)
        finally:
            self.close()

    def ledger(self) -> Ledger:
        """Return the balance as of now. Cost: O(keys held), for `open` is recounted."""
        return self._core.ledger()

    def report(self) -> ProgressReport:
        """Return where the run is. Cost: O(partitions)."""
        return self._core.report()

    def status(self) -> Status:
        """Return all that can be seen of the run from outside. Cost: see `status_of`."""
        held = set[int]().union(*(opened.held_indexes for opened in self._feeds))
        left = set[int]().union(*(opened.left_indexes for opened in self._feeds))
        return self._sight.status(self._core, self._clock.now_us(), held, left)

    @property
    def is_empty(self) -> bool:
        """Whether no state is held (S30)."""
        return self._core.stages.is_empty

    def end_input(self) -> None:
        """Take all input as ended where reading is (S9: finish); only between two turns."""
        self._is_ending = True

    def close(self) -> None:
        """Let go of sources, and stop the shards' threads; may be called more than once."""
        for opened in self._feeds:
            opened.feed.close()
        self._telling.close()
        self._core.stages.close()

    def save(self, writer: PartWriter) -> dict[str, Any]:
        """Write all state but what has come out; only while a pause lasts (S27).

        Args:
            writer: takes the parts.

        Returns:
            The rest, for JSON.
        """
        told = {"kind": "live", "told": deepcopy(self._telling.positions)}
        head = {**self._core.save(writer), **told}
        note_readers(head, self._feeds, self._positions)
        return head

    def settled(self, head: dict[str, Any]) -> None:
        """Tell the sources what is safe; from the thread that wrote the checkpoint."""
        self._sight.latencies.settled(self._clock.now_us())
        for opened in self._feeds:
            opened.feed.settled(positions_in(head, opened.branch))
        self._telling.settled(head)

    def _open(self) -> None:
        head = None if self._saved is None else self._saved.head
        for i, branch in enumerate(self._plan.branches):
            before = None if head is None else positions_in(head, i)
            feed = follow(branch.source, branch.columns, before, self._clock)
            self._feeds.append(Opened(feed, i))
        if self._saved is not None:
            self._core.restore(self._saved)
            self._sight.goes_on(self._core)
            self._positions = [known["position"] for known in self._saved.head["partitions"]]
        for opened in self._feeds:
            self._take_in_known(opened)
        if isinstance(self._alarm, ThreadAlarm):  # others live in no hurry
            warm_up(self._plan, self._core.stages.shards)
        self._telling.open(None if head is None else head["told"])
        self._telling.start(self._alarm.ring)
        for opened in self._feeds:
            if self._pauses is not None and self._pauses.saves:
                opened.feed.settled({} if head is None else positions_in(head, opened.branch))
            opened.feed.start(self._alarm.ring)
        self._turned_us = self._turns.open()

    def _take_in_known(self, opened: Opened) -> None:
        """Take in what is there at the start; what was there before a restart waits to be found."""
        known = list(opened.feed.known)
        if self._saved is not None:
            for p, partition in enumerate(self._saved.head["partitions"]):
                if partition["branch"] == opened.branch:
                    opened.indexes[partition["reader"]] = p
                    if partition["is_held"]:
                        opened.held.add(partition["reader"])
                    if partition["reader"] not in known:
                        self._leave(opened, partition["reader"])
        for name in known:
            if name not in opened.indexes:
                self._add(opened, name, known_at_start=self._saved is None)

    def _add(
        self, opened: Opened, name: str, *, known_at_start: bool, historical: bool = False
    ) -> None:
        whole = name if len(self._plan.branches) == 1 else f"{opened.branch}/{name}"
        opened.indexes[name] = self._core.add(
            whole, known_at_start=known_at_start, historical=historical, branch=opened.branch
        )
        self._positions.append(None)

    def _leave(self, opened: Opened, name: str) -> None:
        opened.left.add(name)
        self._core.progress.leave(opened.indexes[name])

    def _loop(self, watch: Callable[[ProgressReport], None] | None) -> Iterator[pa.RecordBatch]:
        while True:
            rows = self._turn()
            is_end = self._is_over()
            yield from self._taken()
            self._commit()
            self._report(watch)
            if is_end:
                return
            if self._pauses is not None and self._is_due(self._pauses, rows):
                if self._pauses.stops:
                    self._take_accepted()
                    yield from self._taken()
                    self._commit()
                self._sight.latencies.cut()
                self._pauses.pause(is_end=False)
                self.is_suspended = self._pauses.stops
                if self.is_suspended:
                    return
            if not self._is_ending:
                self._rest(rows)

    def _is_due(self, pauses: Pauses, rows: int) -> bool:
        """Ask whether it is time for a cut; who gives a partition away waits for one."""
        is_wanted = self._wants_cut or self._telling.wants_cut
        self._wants_cut = self._telling.wants_cut = False
        return pauses.is_due(rows) or is_wanted

    def _rest(self, rows: int) -> None:
        """Wait for news; while few rows come at a time, for more of them."""
        if not rows:
            self._alarm.wait(self._wait_us)
        since_us = self._clock.now_us() - self._told_us
        if rows < _FEW_ROWS and 0 <= since_us < self._latency_us:
            self._alarm.sleep(self._latency_us - since_us)

    def _turn(self) -> int:
        """Take what has come; returns the number of rows."""
        now_us = self._turns.begin(is_ending=self._is_ending)
        passed_us = now_us - self._turned_us
        self._turned_us = now_us
        # A clock that was stepped back adds nothing.
        self._core.progress.listened(max(0, min(passed_us, _MOST_LISTENED_US)))
        if self._is_ending:
            self._take_accepted()
            self._finish_all()
            return 0
        rows = self._telling.turn()
        for opened in self._feeds:
            told = opened.feed.take(_MOST_ROWS, opened.held)
            rows += sum(self._hear(opened, news) for news in told)
            self._told_us = now_us if told or rows else self._told_us
            if self._plan.watermark.max_ahead_us is not None:
                self._align(opened, {news.partition for news in told if isinstance(news, Arrived)})
        self._core.advance()
        return rows

    def _take_accepted(self) -> None:
        """Take what feeds accepted, and nobody would send again: the run ends here."""
        self._telling.take_accepted()
        for opened in self._feeds:
            if isinstance(opened.feed, Accepting):
                opened.feed.cease()
                for news in opened.feed.take(ALL_ROWS, ()):
                    # A connection that is cut off now has not left.
                    if isinstance(news, Found | Arrived):
                        self._hear(opened, news)
        self._core.advance()

    def _hear(self, opened: Opened, news: News) -> int:
        """Act on news; returns the number of rows."""
        progress = self._core.progress
        match news:
            case Arrived(name, rows, position, arrived_us):
                p = opened.indexes[name]
                self._positions[p] = position
                opened.left.discard(name)
                self._sight.arrived(p, self._turned_us, arrived_us)
                if isinstance(rows, MalformedRows):
                    self._core.take_malformed(p, rows.rows)
                else:
                    self._core.gather(p, rows)
                return count_of(rows)
            case Stands(name, position):
                self._positions[opened.indexes[name]] = position
            case Silent(names):
                opened.each(names, progress.silent)
            case Unpolled(names):
                opened.each(names, progress.unpolled)
            case Found(name, historical):
                self._find(opened, name, historical=historical)
            case Left(name, wants_cut):
                self._leave(opened, name)
                self._wants_cut |= wants_cut
            case Heartbeat(name, time_us):
                self._core.advance_to(opened.indexes[name], time_us)
            case Ended(name):
                self._core.finish(opened.indexes[name])
        return 0

    def _find(self, opened: Opened, name: str, *, historical: bool) -> None:
        opened.left.discard(name)
        if name in opened.indexes:
            self._core.progress.heard(opened.indexes[name])
        else:
            self._add(opened, name, known_at_start=False, historical=historical)

    def _align(self, opened: Opened, moved: set[str]) -> None:
        """Hold partitions that are too far ahead of the slowest, until it has come closer."""
        ahead_us, slowest_us = self._plan.watermark.max_ahead_us, self._core.progress.slowest_us
        assert ahead_us is not None
        states = self._core.progress.partitions
        for name in moved | opened.held:
            p = opened.indexes[name]
            is_far = slowest_us is not None and states[p].watermark_us > add(slowest_us, ahead_us)
            if is_far and name not in opened.held:
                opened.held.add(name)
                self._core.progress.unpolled(p)
            elif not is_far:
                opened.held.discard(name)

    def _finish_all(self) -> None:
        for p, state in enumerate(self._core.progress.partitions):
            if not state.finished:
                self._core.finish(p)

    def _is_over(self) -> bool:
        if self._is_ending:
            return True
        return self._core.is_finished and all(opened.feed.is_over for opened in self._feeds)

    def _taken(self) -> Iterator[pa.RecordBatch]:
        kept = self._core.kept
        self._core.stages.flush()
        batches, kept.results = kept.results, []
        sides, kept.sides = kept.sides, {}
        for tag, rows in sides.items():
            for batch in rows:
                self._side(tag, batch)
        yield from batches

    def _commit(self) -> None:
        """Let the outputs commit what they do at once."""
        self._sight.fired(self._core.results)
        if self._after_turn is not None and self._after_turn():
            self._sight.committed(self._clock)

    def _report(self, watch: Callable[[ProgressReport], None] | None) -> None:
        if watch is not None and self._reports.has_passed(self._turned_us):
            watch(self.report())
        if self._board is not None and self._board.is_due(self._turned_us):
            self._board.show(self.status())
