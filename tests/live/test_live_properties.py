"""Live runs of any news: as the oracle says, however they are cut, suspended and gone on with."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from engine_runs import assert_ledger, assert_rows, ipc_bytes, watermarked, windowed, without_detail
from eventtime.sources.feed import Ended, Found, Left, Silent, Unpolled
from eventtime.testing.reference import Oracle
from live.tape import Tape, Waits
from strategies import cut, cuts, partitions_of, specs

if TYPE_CHECKING:
    from eventtime.testing.reference import Spec
    from live.tape import Event, Turn, What

SECOND = 1_000_000
LONGEST_TURN = 2 * SECOND
NAMES = ("a", "b", "c", "d")
PAUSES = (0, 0, 50_000, 100_000, 400_000, SECOND, 3 * SECOND)
WAITS = (*[100_000] * 5, 30_000, 300_000, SECOND, 5 * SECOND, -200_000)


@dataclass(frozen=True)
class Story:
    """One live run.

    Args:
        spec: its pipeline; max_ahead: how far ahead a partition may be, in µs.
        known: partitions known at the start.
        events: what happens; every partition ends.
        waits: how far the clock goes at each wait; together they are above zero.
    """

    spec: Spec
    max_ahead: int | None
    known: tuple[str, ...]
    events: list[Event]
    waits: list[int]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Partitions that come, go, are silent and not asked; rows in disorder; clocks of any pace."""
    spec = replace(
        draw(specs(unit=SECOND)),
        idle_after=draw(st.sampled_from([None, 300_000, SECOND, 4 * SECOND])),
        all_idle=draw(st.sampled_from(["hold", "flush_max"])),
    )
    known = draw(st.sampled_from([("a",), ("a", "b"), ("b", "a", "c"), NAMES]))
    waits = draw(st.lists(st.sampled_from(WAITS), min_size=1, max_size=8))
    return Story(
        spec,
        draw(st.sampled_from([None, None, 5 * SECOND, 20 * SECOND])),
        known,
        _events(draw, spec, known),
        [*waits, 100_000 - sum(min(wait, 0) for wait in waits)],
    )


def _events(draw: st.DrawFn, spec: Spec, known: tuple[str, ...]) -> list[Event]:
    drawn = draw(partitions_of(spec, partitions=len(NAMES)))
    rest = {name: drawn.get(name, []) for name in NAMES}
    is_there: dict[str, bool | None] = {name: True if name in known else None for name in NAMES}
    events: list[Event] = []
    at_us = 0
    for _ in range(draw(st.integers(0, 25))):
        at_us += draw(st.sampled_from(PAUSES))
        name = draw(st.sampled_from(NAMES))
        if not is_there[name]:
            is_historical = draw(st.booleans())
            events.append((at_us, name, Found(name, is_historical)))
            is_there[name] = True
        what = draw(st.sampled_from([*["rows"] * 6, *["silent"] * 2, "unpolled", "left"]))
        if what == "rows":
            n = draw(st.integers(1, 6))
            rows, rest[name] = rest[name][:n], rest[name][n:]
            events += [(at_us, name, rows)] if rows else []
        elif what == "left":
            events.append((at_us, name, Left(name)))
            is_there[name] = False
        else:
            told: What = Silent([name]) if what == "silent" else Unpolled([name])
            events.append((at_us, name, told))
    at_us += draw(st.sampled_from(PAUSES))
    ending = draw(st.permutations([name for name, was in is_there.items() if was is not None]))
    return [*events, *((at_us, name, Ended(name)) for name in ending)]


class Told:
    """The oracle, told by hand what a live run was told, turn by turn."""

    def __init__(self, story: Story) -> None:
        self.oracle = Oracle(story.spec, story.known)
        self._spec, self._max_ahead = story.spec, story.max_ahead
        self._listened = 0
        self._last: int | None = None
        self._silent_from: dict[str, int] = {}
        self._silence: dict[str, int] = {}
        self._held: set[str] = set()

    def turn(self, turn: Turn) -> None:
        """Time passes for those that are silent; then the news; then who is held back (S6)."""
        now, news = turn
        passed = 0 if self._last is None else now - self._last
        self._listened += max(0, min(passed, LONGEST_TURN))
        self._last = self.oracle.now = now
        for name in [*self._silent_from]:
            partition = self.oracle.partitions[name]
            idle_after = self._spec.idle_after
            if idle_after is not None and self._silent(name) > idle_after and not partition.is_idle:
                partition.is_idle = True
                self.oracle._combine()
        for name, what in news:
            self._hear(name, what)
        if self._max_ahead is not None:
            self._align(self._max_ahead, {name for name, what in news if isinstance(what, list)})

    def _hear(self, name: str, what: What) -> None:
        oracle = self.oracle
        match what:
            case list():
                self._begin_anew(name)
                oracle.push(name, what)
            case Silent():
                self._silent_from.setdefault(name, self._listened)
            case Unpolled():
                self._pause(name)
            case Found() if name in oracle.partitions:
                self._begin_anew(name)
                oracle.partitions[name].is_idle = oracle.partitions[name].has_left = False
            case Found():
                oracle.add_partition(name, historical=what.historical)
            case Left():
                self._pause(name)
                oracle.partitions[name].is_idle = oracle.partitions[name].has_left = True
                oracle._combine()
            case Ended():
                self._begin_anew(name)
                oracle.finish(name)

    def _align(self, max_ahead: int, moved: set[str]) -> None:
        slowest = min(self._counting(), default=None)
        for name in sorted(moved | self._held):
            reached = self.oracle.partitions[name].watermark
            if slowest is not None and reached > slowest + max_ahead:
                if name not in self._held:
                    self._pause(name)
                self._held.add(name)
            else:
                self._held.discard(name)

    def _counting(self) -> list[Any]:
        partitions = self.oracle.partitions.values()
        return [p.watermark for p in partitions if not (p.is_idle or p.is_finished)]

    def _silent(self, name: str) -> int:
        return self._silence.get(name, 0) + self._listened - self._silent_from[name]

    def _pause(self, name: str) -> None:
        if name in self._silent_from:
            self._silence[name] = self._silent(name)
            del self._silent_from[name]

    def _begin_anew(self, name: str) -> None:
        self._silent_from.pop(name, None)
        self._silence.pop(name, None)


def tape_of(story: Story, events: list[Event] | None = None) -> Tape:
    return Tape(
        list(story.events if events is None else events), set(story.known), et.ManualClock()
    )


def run(story: Story, tape: Tape, waits: Waits, **more: Any) -> et.Run:
    marked = watermarked(et.Stream.read(tape), story.spec, max_ahead=story.max_ahead)
    live = et.live(clock=tape.clock, alarm=waits, latency="0s")
    return windowed(marked, story.spec).run(live=live, **more)


def at_once(story: Story, events: list[Event] | None = None, **more: Any) -> tuple[et.Run, Tape]:
    tape = tape_of(story, events)
    return run(story, tape, Waits(tape.clock, story.waits), **more), tape


def assert_same_run(got: et.Run, wanted: et.Run) -> None:
    """S28: results, late and quarantined rows to the byte, and the ledger."""
    assert ipc_bytes(got.table()) == ipc_bytes(wanted.table())
    for tag in ("late", "quarantine"):
        assert ipc_bytes(got.side(tag)) == ipc_bytes(wanted.side(tag))
    assert got.ledger == wanted.ledger


@given(stories())
def test_a_live_run_is_what_the_oracle_says_of_its_news(story: Story) -> None:
    """S4–S9, S11, S20: when windows fire, what is late and why, who is idle, the ledger."""
    ran, tape = at_once(story)
    told = Told(story)
    for turn in tape.turns:
        told.turn(turn)
    assert_rows(ran.table(), told.oracle.results)
    assert_rows(ran.side("late"), told.oracle.late)
    assert_rows(without_detail(ran.side("quarantine")), told.oracle.quarantine)
    assert_ledger(ran.ledger, told.oracle)


@st.composite
def cut_stories(draw: st.DrawFn) -> tuple[Story, list[Event], int]:
    """A story, the same in other batches, and how many shards take them."""
    story = draw(stories())
    events: list[Event] = []
    for at_us, name, what in story.events:
        pieces: list[Any] = [what]
        if isinstance(what, list):
            pieces = [piece for piece in cut(what, draw(cuts(what))) if piece]
        events += [(at_us, name, piece) for piece in pieces]
    return story, events, draw(st.integers(1, 3))


@given(cut_stories())
def test_batches_and_shards_do_not_show(case: tuple[Story, list[Event], int]) -> None:
    """S4, S24."""
    story, events, shards = case
    assert_same_run(at_once(story, events, shards=shards)[0], at_once(story)[0])


@dataclass(frozen=True)
class Lives:
    """A story that is suspended.

    Args:
        story: of one run.
        stops: after how many turns each process is told to stop; the last goes on to the end.
        shards: of each process.
        every_rows: from one checkpoint to the next.
    """

    story: Story
    stops: list[int]
    shards: list[int]
    every_rows: int


@st.composite
def lives(draw: st.DrawFn) -> Lives:
    """Up to three suspensions, anywhere."""
    stops = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    shards = [draw(st.integers(1, 3)) for _ in [*stops, None]]
    return Lives(draw(stories()), stops, shards, draw(st.integers(1, 30)))


@given(lives())
@settings(max_examples=max(1, settings().max_examples // 3))
def test_a_run_that_is_suspended_anywhere_leaves_no_trace(lives: Lives) -> None:
    """S9, S27, S28: silence goes on where it was, and positions are those of what was taken."""
    story, tape = lives.story, tape_of(lives.story)
    waits = Waits(tape.clock, story.waits)
    with tempfile.TemporaryDirectory() as folder:
        where = et.checkpoints(Path(folder), every=None, every_rows=lives.every_rows)
        for turns, shards in zip(lives.stops, lives.shards, strict=False):
            answers = iter([*[False] * (turns - 1), True])
            stop = partial(next, answers)
            run(story, tape, waits, checkpoint=where, shards=shards, stop=stop)
        ran = run(story, tape, waits, checkpoint=where, shards=lives.shards[-1])
    assert ran.is_finished
    assert_same_run(ran, at_once(story)[0])
