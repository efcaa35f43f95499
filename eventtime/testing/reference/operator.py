"""Windows, lateness and firing under one watermark, row by row (S13 to S30)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from eventtime.testing.reference.aggregates import aggregate, check_fits
from eventtime.testing.reference.spec import INFINITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventtime.testing.reference.spec import Row, Spec, Time, Window

__all__ = ("Contents", "Operator", "beside", "windows_of")


def windows_of(t: Time, spec: Spec) -> list[Window]:
    """All windows [s, e) with s = offset + k * slide that hold t, ascending (S13, S14)."""
    if spec.size is None:
        return [(-INFINITY, INFINITY)]
    start = t - (t - spec.offset) % spec.step
    found: list[Window] = []
    while start + spec.size > t:
        found.append((start, start + spec.size))
        start -= spec.step
    return found[::-1]


def beside(own: Row, told: Row) -> Row:
    """Columns of a side output behind a row's own; of equal names the own becomes `row_<name>`."""
    return {f"row_{n}" if n in told else n: value for n, value in own.items()} | told


@dataclass
class Contents:
    """What one (key, window) holds: all rows, those in no result yet, and the last result."""

    rows: list[Row] = field(default_factory=list)
    fresh: list[Row] = field(default_factory=list)
    version: int = 0
    last: Row = field(default_factory=dict)


class Operator:
    """Windows under one combined watermark; a null key is a group of its own (S12)."""

    def __init__(self, spec: Spec, downstream: Operator | None = None, number: int = 1) -> None:
        self.spec, self.downstream, self.number = spec, downstream, number
        self.watermark: Time = -INFINITY
        self.state: dict[tuple[tuple[Any, ...], Window], Contents] = {}
        self.results: list[Row] = []
        self.answers: dict[tuple[tuple[Any, ...], Window], Row] = {}
        self.late: list[Row] = []
        self.ledger = {"assigned": 0, "emitted": 0, "open": 0, "missed": 0}
        self.before: list[tuple[int, Time]] = []

    def lengthen(self, lateness: int) -> None:
        """Restored with another lateness: what has expired stays so (S29)."""
        self.before.append((self.spec.lateness, self.watermark))
        self.spec = replace(self.spec, lateness=lateness)

    def expiry(self, end: Time) -> Time:
        """When a window expires: e + L (S18), with the L under which it expired (S29)."""
        for lateness, watermark in self.before:
            if end + lateness <= watermark:
                return end + lateness
        return end + self.spec.lateness

    def expired(self, windows: Iterable[Window], watermark: Time) -> list[Window]:
        """Those of which nothing is left: e + L <= W (S18)."""
        return [(start, end) for start, end in windows if self.expiry(end) <= watermark]

    def take(self, row: Row, partition: str, own: Time) -> bool:
        """Fold a row into its windows that are not expired; True when it missed none (S19, S20).

        `own` is the watermark of its partition.
        """
        windows = windows_of(row[self.spec.time], self.spec)
        missed = self.expired(windows, self.watermark)
        for window in windows:
            if window not in missed:
                key = tuple(row[name] for name in self.spec.keys)
                contents = self.state.setdefault((key, window), Contents())
                contents.rows.append(row)
                contents.fresh.append(row)
        self.ledger["assigned"] += len(windows)
        self.ledger["missed"] += len(missed)
        self.ledger["open"] += len(windows) - len(missed)
        if missed:
            (start, end), over, spec = missed[-1], self.watermark, self.spec
            is_blameless = not self.expired(windows, own)
            told = {
                "window_start": spec.written(start),
                "window_end": spec.written(end),
                "windows_missed": len(missed),
                "windows_total": len(windows),
                "watermark": spec.written(over),
                "late_by": None if math.isinf(over) else over - self.expiry(end),
                "partition": partition,
                "reason": "idle_partition" if is_blameless else "beyond_lateness",
            }
            names = row if spec.late_columns is None else spec.late_columns
            self.late.append(beside({name: row[name] for name in names}, told))
        return not missed

    def advance(self, to: Time) -> None:
        """Move the watermark and fire at each point passed, in ascending order (S21)."""
        assert to >= self.watermark
        while due := [end for (_, (_, end)), contents in self.state.items() if contents.fresh]:
            point = min(map(self._point, due))
            if point > to:
                break
            self._fire(point, is_end=to == INFINITY)
            self._move(point)
        self._move(to)

    def _point(self, end: Time) -> Time:
        """Where a window with fresh rows fires: its end while open, else the next point (S21)."""
        if end > self.watermark:
            return end
        spec = self.spec
        bases = (spec.offset, spec.offset + spec.lateness)
        return min(
            base + ((self.watermark - base) // spec.slice + 1) * spec.slice for base in bases
        )

    def _fire(self, point: Time, *, is_end: bool) -> None:
        """All results of a point, by window end, window start and key, nulls last (S24).

        Windows and keys without rows emit nothing (S23).
        """
        due = [
            (end, start, _in_order(key), key)
            for (key, (start, end)), contents in self.state.items()
            if contents.fresh and end <= point
        ]
        for end, start, _, key in sorted(due):
            timing = "on_time" if end == point else "late"
            is_final = is_end or self.expiry(end) <= point
            self._emit(key, (start, end), {"timing": timing, "is_final": is_final})

    def _emit(self, key: tuple[Any, ...], window: Window, about: Row) -> None:
        """The result of one firing, and before it in retracting mode the one it replaces (S21)."""
        spec, contents = self.spec, self.state[key, window]
        named = dict(zip(spec.keys, key, strict=True))
        named |= {"window_start": spec.written(window[0]), "window_end": spec.written(window[1])}
        answer = self.answers[key, window] = named | self._values(contents.rows, window)
        if spec.mode == "discarding":
            answer = named | self._values(contents.fresh, window)
        for wanted in spec.aggregates:
            check_fits(wanted, answer[wanted.name], window)
        contents.version += 1
        self.ledger["emitted"] += len(contents.fresh)
        self.ledger["open"] -= len(contents.fresh)
        before, contents.fresh = contents.last, []
        contents.last = answer | {"version": contents.version} | about
        if spec.mode != "retracting":
            self._send(contents.last, window)
            return
        if before:
            self._send(before | {"diff": -1}, window)
        self._send(contents.last | {"diff": 1}, window)

    def _values(self, rows: Sequence[Row], window: Window) -> Row:
        return {a.name: aggregate(a, rows, window, self.spec) for a in self.spec.aggregates}

    def _send(self, result: Row, window: Window) -> None:
        """A result comes out; in the next window its time is the start of this one (S25)."""
        self.results.append(result)
        if self.downstream is not None:
            below = self.downstream
            row = below.spec.behind(result | {below.spec.time: window[0]})
            if row is not None:
                below.take(row, f"window {self.number}", below.watermark)

    def _move(self, to: Time) -> None:
        """Set the watermark; windows that expired are gone (S18, S30).

        Sent on is the start of the earliest window that may still fire on time (S25).
        """
        self.watermark = to
        for key, window in list(self.state):
            if self.expired([window], to):
                assert not self.state.pop((key, window)).fresh, (
                    "a window expired with rows in no result"
                )
        if self.downstream is not None:
            if math.isfinite(to):
                assert self.spec.size is not None
                to = windows_of(to - self.spec.size, self.spec)[-1][0] + self.spec.step
            self.downstream.advance(max(to, self.downstream.watermark))


def _in_order(key: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is None, value) for value in key)
