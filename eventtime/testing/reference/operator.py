"""Windows, lateness and firing under one watermark, row by row (S13, S14, S18 to S21, S24, S25)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from eventtime.testing.reference.aggregates import aggregate
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
    """Windows, lateness and firing under one combined watermark (S18 to S21)."""

    def __init__(self, spec: Spec, downstream: Operator | None = None, number: int = 1) -> None:
        self.spec, self.number = spec, number
        self.downstream = downstream
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

    def lateness_of(self, end: Time) -> int:
        """The lateness under which a window expired, otherwise that of now."""
        for lateness, watermark in self.before:
            if end + lateness <= watermark:
                return lateness
        return self.spec.lateness

    def missed(self, windows: Iterable[Window], watermark: Time) -> list[Window]:
        """Those expired under a watermark: e + L <= W (S18)."""
        return [w for w in windows if w[1] + self.lateness_of(w[1]) <= watermark]

    def take(self, row: Row, partition: str, own: Time) -> bool:
        """Fold a row into its windows that are not expired; True when it missed none (S20)."""
        windows = windows_of(row[self.spec.time], self.spec)
        missed = self.missed(windows, self.watermark)
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
            blameless = not self.missed(windows, own)
            reason = "idle_partition" if blameless else "beyond_lateness"
            self._tell(row, windows, missed, partition, reason)
        return not missed

    def _tell(
        self,
        row: Row,
        windows: Sequence[Window],
        missed: Sequence[Window],
        partition: str,
        reason: str,
    ) -> None:
        """The row as it comes out of the side output for late ones (S20)."""
        spec, (start, end) = self.spec, missed[-1]
        over = self.watermark
        late_by = None if math.isinf(over) else over - (end + self.lateness_of(end))
        own = row if spec.late_columns is None else {name: row[name] for name in spec.late_columns}
        told = {
            "window_start": spec.written(start),
            "window_end": spec.written(end),
            "windows_missed": len(missed),
            "windows_total": len(windows),
            "watermark": spec.written(over),
            "late_by": late_by,
            "partition": partition,
            "reason": reason,
        }
        self.late.append(beside(own, told))

    def advance(self, to: Time) -> None:
        """Move the watermark and fire at each point passed, in ascending order (S21)."""
        assert to >= self.watermark
        while True:
            due = [self._point(w[1]) for (_, w), c in self.state.items() if c.fresh]
            if not due or min(due) > to:
                break
            point = min(due)
            emitted = self._fire(point, is_end=to == INFINITY)
            self._move(point)
            self._send(emitted)
        self._move(to)
        self._send([])

    def _point(self, end: Time) -> Time:
        """Where a window with fresh rows fires: its end while open, else the next point."""
        if end > self.watermark:
            return end
        spec = self.spec
        assert spec.size is not None
        grid = math.gcd(spec.size, spec.step)
        bases = {spec.offset, spec.offset + spec.lateness}
        return min(base + ((self.watermark - base) // grid + 1) * grid for base in bases)

    def _fire(self, point: Time, *, is_end: bool) -> list[tuple[Time, Row]]:
        """All result rows of one point, each with the start of its window.

        By window end, window start and key, nulls last (S24).
        """
        due = [
            (w[1], w[0], tuple((value is None, value) for value in key), key, w, c)
            for (key, w), c in self.state.items()
            if c.fresh and w[1] <= point
        ]
        emitted: list[tuple[Time, Row]] = []
        for end, _, _, key, window, contents in sorted(due, key=lambda item: item[:3]):
            timing = "on_time" if end == point else "late"
            is_final = is_end or end + self.spec.lateness <= point
            rows = self._emit(key, window, contents, timing=timing, is_final=is_final)
            emitted += [(window[0], row) for row in rows]
        self.results += [row for _, row in emitted]
        return emitted

    def _emit(
        self,
        key: tuple[Any, ...],
        window: Window,
        contents: Contents,
        *,
        timing: str,
        is_final: bool,
    ) -> list[Row]:
        """The row of one firing, and before it in retracting mode the row it takes back (S21)."""
        spec = self.spec
        rows = contents.fresh if spec.mode == "discarding" else contents.rows
        contents.version += 1
        result: Row = dict(zip(spec.keys, key, strict=True))
        result |= {
            "window_start": spec.written(window[0]),
            "window_end": spec.written(window[1]),
        }
        for wanted in spec.aggregates:
            result[wanted.name] = aggregate(wanted, rows, window, spec)
        self.answers[key, window] = result
        if spec.mode == "discarding":
            whole = {a.name: aggregate(a, contents.rows, window, spec) for a in spec.aggregates}
            self.answers[key, window] = result | whole
        result = result | {"version": contents.version, "timing": timing, "is_final": is_final}
        self.ledger["emitted"] += len(contents.fresh)
        self.ledger["open"] -= len(contents.fresh)
        before, contents.last, contents.fresh = contents.last, result, []
        if spec.mode != "retracting":
            return [result]
        taken_back = [before | {"diff": -1}] if before else []
        return [*taken_back, result | {"diff": 1}]

    def _move(self, to: Time) -> None:
        """Set the watermark; windows that expired are gone (S18, S30)."""
        self.watermark = to
        for key, window in list(self.state):
            if self.missed([window], to):
                assert not self.state.pop((key, window)).fresh, (
                    "a window expired with rows in no result"
                )

    def _send(self, emitted: Sequence[tuple[Time, Row]]) -> None:
        """Hand result rows on; W is the start of the earliest window yet to fire on time (S25)."""
        if self.downstream is None:
            return
        below = self.downstream
        for start, row in emitted:
            as_input = below.spec.behind(row | {below.spec.time: start})
            if as_input is not None:
                below.take(as_input, f"window {self.number}", below.watermark)
        to = self.watermark
        if math.isfinite(to):
            assert self.spec.size is not None
            to = windows_of(to - self.spec.size, self.spec)[-1][0] + self.spec.step
        below.advance(max(to, below.watermark))
