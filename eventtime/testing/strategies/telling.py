"""From what was drawn to steps: each event stands alone, so any of them can be left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eventtime.testing.steps import (
    AddPartition,
    AdvanceClock,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
    Step,
    Streams,
)
from eventtime.testing.strategies.arrival import AtEdge, Behind, Held
from eventtime.testing.strategies.kinds import (
    Again,
    Appears,
    Beat,
    Brink,
    Ends,
    Exactly,
    NewRow,
    Quiet,
    Stops,
    Tells,
    Ticks,
)
from eventtime.timestamp import EARLIEST, LATEST, MINUS_INFINITY

if TYPE_CHECKING:
    from eventtime.testing.reads import Reads
    from eventtime.testing.steps import Row
    from eventtime.testing.strategies.arrival import Place
    from eventtime.testing.strategies.kinds import Event

__all__ = ("Telling",)


class Telling:
    """Makes steps of events, one after another.

    Args:
        read: what the pipeline reads.
        base_us: where time begins.
        known: partitions at the start.
        partitions, max_rows: the most there are; what is more is left out.
        is_late: whether rows may be behind a watermark.
        has_ties: whether they may have equal times.
    """

    def __init__(
        self,
        read: Reads,
        base_us: int,
        known: int,
        *,
        partitions: int,
        max_rows: int,
        is_late: bool,
        has_ties: bool,
    ) -> None:
        # A name that a broadcast stream has is none of a partition's.
        every = map(_name, range(partitions + len(read.told)))
        names = [name for name in every if name not in read.told][:partitions]
        self._read, self._start_us = read, base_us
        self._known, self._unfound = tuple(names[:known]), names[known:]
        self._going_on = list(self._known)
        self._rows_left, self._is_late = max_rows, is_late
        self._taken_times: set[int] | None = None if has_ties else set()
        self._now_us = self._clock_us = base_us
        self._latest: dict[str, int] = {}
        # No watermark is ahead of this. A percentile that learns may be at the latest row itself.
        self._furthest_us = MINUS_INFINITY
        is_learning = read.learns_after is not None and read.learns_after <= max_rows
        self._lag_us = 0 if is_learning else read.bound_us
        self._held: dict[str, list[Row]] = {}
        self._silent: set[str] = set()
        self._history: list[tuple[int | None, Row]] = []
        self._steps: list[Step] = []

    def take(self, event: Event) -> None:
        """Let one thing happen."""
        match event:
            case NewRow():
                self._take_row(event)
            case Ticks(by_us):
                self._advance(by_us)
            case Quiet():
                self._take_silence(event)
            case Beat(partition, place, ahead_us):
                name = self._whose(partition)
                self._beat(name, self._at(name, place) + ahead_us)
            case Brink():
                self._take_brink(event)
            case Tells():
                self._tell(event)
            case Appears(historical) if self._unfound:
                self._going_on.append(self._unfound.pop(0))
                self._steps.append(AddPartition(self._going_on[-1], historical))
            case Ends(partition) if len(self._going_on) > 1:
                self._finish(self._whose(partition))
            case Stops(how):
                self._steps.append(how)
            case _:
                """Nothing, or nobody is left to appear or to end."""

    def told(self, *, is_ended: bool) -> Streams:
        """Return all that happened; all partitions end if that is wished."""
        for name in [*self._going_on]:
            self._let_go(name)
            if is_ended:
                self._finish(name)
        return Streams(self._known, tuple(self._steps), self._start_us)

    def _whose(self, partition: int) -> str:
        return self._going_on[partition % len(self._going_on)]

    def _advance(self, by_us: int) -> None:
        self._clock_us += by_us
        self._steps.append(AdvanceClock(by_us))

    def _take_silence(self, event: Quiet) -> None:
        self._poll_in_vain(event.partition, event.by_us)
        if event.heard is not None:
            row, again_us = event.heard
            self._take_row(replace(row, partition=event.partition))
            self._poll_in_vain(event.partition, again_us)

    def _poll_in_vain(self, partition: int, by_us: int) -> None:
        name = self._whose(partition)
        self._silent.add(name)
        self._steps.append(PollEmpty(name))
        self._advance(by_us)
        self._steps.append(PollEmpty(name))

    def _finish(self, name: str) -> None:
        self._let_go(name)
        self._going_on.remove(name)
        self._steps.append(Finish(name))

    def _let_go(self, name: str) -> None:
        for row in self._held.pop(name, []):
            self._push(name, row, is_cut=False)

    # Rows

    def _take_row(self, event: NewRow) -> None:
        place = event.place
        if isinstance(place, Again):
            self._take_again(self._whose(event.partition), place)
            return
        if not self._rows_left:
            return
        self._rows_left -= 1
        name, self._now_us = self._whose(event.partition), self._now_us + event.pace_us
        is_held = isinstance(place, Held) and self._is_late
        time_us, raw = self._time(name, place)
        row = self._row(event, raw)
        self._history.append((time_us, row))
        if is_held:
            self._held.setdefault(name, []).append(row)
            return
        self._pass(name, time_us)
        for column, mark_us in event.marks_us.items():
            if mark_us is not None:
                self._raise(self._read.marks[column].within(self._now_us + mark_us))
        self._push(name, row, is_cut=event.is_cut)
        self._let_go(name)

    def _row(self, event: NewRow, raw: int | None) -> Row:
        row = dict(event.cells)
        if self._read.time is not None:
            row[self._read.time[0]] = raw
        for column, mark_us in event.marks_us.items():
            of = self._read.marks[column]
            row[column] = None if mark_us is None else of.raw(of.within(self._now_us + mark_us))
        return {column: row[column] for column in self._read.schema.names}

    def _take_again(self, name: str, again: Again) -> None:
        if not self._rows_left or not self._history:
            return
        time_us, row = self._history[-1 - again.back % len(self._history)]
        if time_us is not None and not self._may_come(name, time_us, again.bound_us):
            return
        self._rows_left -= 1
        self._pass(name, time_us)
        self._push(name, dict(row), is_cut=False)

    def _push(self, name: str, row: Row, *, is_cut: bool) -> None:
        self._silent.discard(name)
        last = self._steps[-1] if self._steps else None
        if isinstance(last, Push) and last.partition == name and not is_cut:
            last.rows.append(row)
        else:
            self._steps.append(Push(name, [row]))

    def _take_brink(self, event: Brink) -> None:
        window, tick = self._read.windows[event.window], self._read.tick_us
        end_us = window.end(self._now_us)
        if event.before is not None:
            self._take_at(end_us - tick, event.before)
            self._beat_all(end_us)
        self._beat_all(end_us + window.lateness_us * event.expires + event.off * tick)
        self._take_at(end_us - tick, event.row)

    def _take_at(self, time_us: int, row: NewRow) -> None:
        self._take_row(replace(row, pace_us=0, place=Behind(self._now_us - time_us)))

    def _beat_all(self, time_us: int) -> None:
        # Who has been silent stays so, and holds the watermark back unless it is idle (S6).
        for name in self._going_on:
            if name not in self._silent:
                self._beat(name, time_us)
        self._now_us = max(self._now_us, time_us)

    def _beat(self, name: str, time_us: int) -> None:
        time_us = min(max(time_us, EARLIEST), LATEST)
        self._raise(time_us)
        self._latest[name] = max(
            self._latest.get(name, time_us), min(time_us + self._read.bound_us, LATEST)
        )
        self._silent.discard(name)
        self._steps.append(Heartbeat(name, time_us))

    def _tell(self, event: Tells) -> None:
        time = self._read.told[event.stream].time
        assert time is not None
        name, column = time
        raw = column.raw(column.within(self._now_us + event.ahead_us))
        row = {**event.cells, name: raw}
        names = self._read.told[event.stream].schema.names
        self._push(event.stream, {name: row[name] for name in names}, is_cut=event.is_cut)

    # Times

    def _time(self, name: str, place: Place | Exactly) -> tuple[int | None, int | None]:
        """Return a row's time, and as the column holds it."""
        column = None if self._read.time is None else self._read.time[1]
        if isinstance(place, Exactly) or column is None:
            return None, place.raw if isinstance(place, Exactly) else None
        time_us = self._on_time(column.within(self._at(name, place)))
        if self._taken_times is not None:
            while time_us in self._taken_times:
                time_us += column.tick_us
            self._taken_times.add(time_us)
        return time_us, column.raw(time_us)

    def _may_come(self, name: str, time_us: int, bound_us: int | None) -> bool:
        behind_us = self._latest.get(name, time_us) - time_us
        is_within = bound_us is None or behind_us <= bound_us
        return is_within and self._on_time(time_us) == time_us

    def _on_time(self, time_us: int) -> int:
        """Return the time, or where no rows may be late the first one that is behind nothing."""
        if self._is_late or self._furthest_us == MINUS_INFINITY:
            return time_us
        tick = self._read.tick_us
        return max(time_us, -(-self._furthest_us // tick) * tick)

    def _pass(self, name: str, time_us: int | None) -> None:
        if time_us is None:
            return
        self._latest[name] = max(self._latest.get(name, time_us), time_us)
        self._raise(time_us - self._lag_us)

    def _raise(self, watermark_us: int) -> None:
        self._furthest_us = max(self._furthest_us, watermark_us)

    def _at(self, name: str, place: Place) -> int:
        match place:
            case Behind(by_us):
                return self._now_us - by_us
            case Held():
                return self._now_us
            case AtEdge():
                time_us = self._edge(name, place) + place.off * self._read.tick_us
                if place.edge in {"end", "closing", "expiring"}:
                    self._now_us = max(self._now_us, time_us)
                return time_us

    def _edge(self, name: str, place: AtEdge) -> int:
        read, now = self._read, self._now_us
        watermark_us = self._latest.get(name, now) - read.bound_us
        if place.edge == "behind":
            return watermark_us
        if place.edge == "future":
            return self._clock_us + (read.max_future_us or 0)
        window = read.windows[place.window]
        if place.edge == "start":
            return window.edge(now)
        if place.edge == "expired":
            return window.end(watermark_us - window.lateness_us) - window.slide_us
        after_us = {
            "end": 0,
            "closing": read.bound_us,
            "expiring": read.bound_us + window.lateness_us,
        }
        return window.end(now) + after_us[place.edge]


def _name(i: int) -> str:
    """Return a, b, … z, a1, b1, … of 0, 1, …."""
    letter = chr(ord("a") + i % 26)
    return letter if i < 26 else f"{letter}{i // 26}"
