"""Broadcast state, and state by key and window, in slow, plain Python: changes wait in a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventtime.testing.reference import INFINITY
from process_model import Key, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.testing.reference import Row, Time

__all__ = ("SETS", "WIPES", "Told", "ToldOperator")

SETS, WIPES = "sets", "wipes"
"""Streams: one sets a limit, or takes it away where it is null, the other takes all away."""


@dataclass(frozen=True)
class Told:
    """What the function of `broadcast_runs` is told: the windows that it counts rows in, in µs."""

    size: int = 1
    is_batch: bool = False
    has_timers: bool = True


@dataclass
class ToldOperator:
    """Stands where `oracle.Operator` does; changes come by `tell`."""

    how: Told
    keys: tuple[str, ...]
    watermark: Time = -INFINITY
    results: list[Row] = field(default_factory=list)
    missed: list[Row] = field(default_factory=list)
    late: list[Row] = field(default_factory=list)
    ledger: dict[str, int] = field(default_factory=lambda: {"assigned": 0, "emitted": 0})
    limits: dict[str, int] = field(default_factory=dict)
    seen: int = 0
    counts: dict[tuple[Key, int], int] = field(default_factory=dict)
    timers: set[tuple[Time, Key]] = field(default_factory=set)
    waiting: list[tuple[str, Row]] = field(default_factory=list)

    def tell(self, name: str, rows: Sequence[Row]) -> None:
        """Take rows of a broadcast stream; those whose time has passed hold at once."""
        self.waiting += [(name, row) for row in rows]
        self.advance(self.watermark)

    def take(self, row: Row, partition: str, own: Time) -> bool:
        key, t, size = tuple(row[name] for name in self.keys), row["t"], self.how.size
        self.ledger["assigned"] += 1
        self.ledger["emitted"] += 1
        start = t - t % size
        if start + size <= self.watermark:
            self.missed.append({"t": t, "limit": self._limit(row["name"])})
            return True
        count = self.counts[key, start] = self.counts.get((key, start), 0) + 1
        self._emit(key, "row", t, self._limit(row["name"]), count)
        if self.how.has_timers:
            self.timers.add((start + size, key))
        return True

    def advance(self, to: Time) -> None:
        """Go from time to time: there first what is changed, then what the timers say."""
        while True:
            times = [row["t"] for _, row in self.waiting] + [t for t, _ in self.timers]
            if not times or min(times) > to:
                break
            time = min(times)
            self.watermark = max(self.watermark, time)
            for name, row in [change for change in self.waiting if change[1]["t"] == time]:
                self.waiting.remove((name, row))
                self._change(name, row)
            for key in sorted((k for t, k in self.timers if t == time), key=in_order):
                self.timers.remove((time, key))
                count = self.counts.pop((key, int(time) - self.how.size))
                self._emit(key, "timer", time, self._limit("a"), count)
        self.watermark = max(self.watermark, to)
        if to == INFINITY:
            self.limits, self.seen, self.counts = {}, 0, {}

    def _change(self, name: str, row: Row) -> None:
        # So much that the order of any two changes shows.
        self.seen = (31 * self.seen + (row["n"] or 0) + (7 if name == WIPES else 1)) % 1_000_003
        if name == WIPES:
            self.limits = {}
        elif row["n"] is None:
            self.limits.pop(row["name"] or "", None)
        else:
            self.limits[row["name"] or ""] = row["n"]

    def _limit(self, name: str | None) -> int | None:
        return self.limits.get(name or "")

    def _emit(self, key: Key, what: str, at: Time, limit: int | None, count: int) -> None:
        row: dict[str, Any] = dict(zip((f"k{i}" for i in range(len(key))), key, strict=True))
        values = {"what": what, "at": at, "limit": limit, "count": count, "seen": self.seen}
        self.results.append(row | values)
