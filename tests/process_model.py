"""Process functions in slow, plain Python: a dict for each key, row by row, timers in a set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventtime.testing.reference import INFINITY, TIME_LIMIT

if TYPE_CHECKING:
    from eventtime.testing.reference import Row, Time

Key = tuple[Any, ...]
STATES = ("last", "total", "least", "code", "longest", "mean", "brief", "listed", "mapped", "ticks")


def in_order(key: Key) -> tuple[tuple[bool, Any], ...]:
    """Keys ascend column by column, nulls last (S24)."""
    return tuple((value is None, value) for value in key)


def longer(held: str, name: str) -> str:
    """The longer of two names; the one held if they are as long."""
    return name if len(name) > len(held) else held


@dataclass
class Cell:
    """A value that lives until a time."""

    value: Any = None
    until: Time = INFINITY

    def at(self, now: Time) -> Any:
        return None if self.until <= now < INFINITY or self.until < now else self.value


@dataclass
class Settings:
    """What the function of `process_runs` is told: durations in µs.

    `ttl` is by event time or, `is_by_clock`, by processing time, as that of one state always is.
    """

    unit: int = 1
    ttl: int | None = None
    processing_ttl: int | None = None
    is_batch: bool = False
    is_by_clock: bool = False


@dataclass
class KeyedOperator:
    """Stands where `oracle.Operator` does: `take`, `advance`, `watermark`, `ledger`."""

    settings: Settings
    keys: tuple[str, ...]
    watermark: Time = -INFINITY
    clock: int = -(2**63)
    results: list[Row] = field(default_factory=list)
    noted: list[Row] = field(default_factory=list)
    late: list[Row] = field(default_factory=list)
    ledger: dict[str, int] = field(default_factory=lambda: {"assigned": 0, "emitted": 0})
    state: dict[Key, dict[str, Cell]] = field(default_factory=dict)
    timers: set[tuple[Time, Key]] = field(default_factory=set)
    clock_timers: set[tuple[int, Key]] = field(default_factory=set)
    shared: int = 0

    def take(self, row: Row, partition: str, own: Time) -> bool:
        key = tuple(row[name] for name in self.keys)
        self.ledger["assigned"] += 1
        self.ledger["emitted"] += 1
        self._on_row(key, row)
        return True

    def advance(self, to: Time) -> None:
        """Fire what is due, in order of time and key, each as of its own time."""
        while self.timers and min(t for t, _ in self.timers) <= to:
            time = min(t for t, _ in self.timers)
            due = sorted((k for t, k in self.timers if t == time), key=in_order)
            self.timers -= {(time, key) for key in due}
            self.watermark = max(self.watermark, time)
            for key in due:
                self._on_timer(key, time)
        self.watermark = max(self.watermark, to)
        if to == INFINITY:
            while self.clock_timers:
                self.read_clock(min(t for t, _ in self.clock_timers))
            self.state, self.shared = {}, 0

    def read_clock(self, now: int) -> None:
        self.clock = max(self.clock, now)
        while self.clock_timers and min(t for t, _ in self.clock_timers) <= self.clock:
            time = min(t for t, _ in self.clock_timers)
            for key in sorted((k for t, k in self.clock_timers if t == time), key=in_order):
                self.clock_timers.discard((time, key))
                seen = self._cells(key)["ticks"].at(self.watermark)
                self._emit(key, "tick", time, ticks=(seen or 0) + 1)
                self._cells(key)["ticks"] = Cell((seen or 0) + 1)

    def _cells(self, key: Key) -> dict[str, Cell]:
        return self.state.setdefault(key, {name: Cell() for name in STATES})

    def _now(self) -> Time:
        return self.clock if self.settings.is_by_clock else self.watermark

    def _until(self, time: Time) -> Time:
        ttl = self.settings.ttl
        start = self.clock if self.settings.is_by_clock else max(time, self.watermark)
        return INFINITY if ttl is None else start + ttl

    def _on_row(self, key: Key, row: Row) -> None:
        cells, now, t, n = self._cells(key), self._now(), row["t"], row["n"]
        self.shared += 1
        last = cells["last"].at(now)
        cells["last"] = Cell(row["name"], self._until(t))
        total = (cells["total"].at(now) or 0) + (n or 0)
        cells["total"] = Cell(total)
        if row["x"] is not None and row["x"] == row["x"]:
            least = cells["least"].at(now)
            least = row["x"] if least is None else min(least, row["x"])
            cells["least"] = Cell(least, self._until(t))
        code = cells["code"].at(now)
        cells["code"] = Cell(n, self._until(t))
        longest = cells["longest"].at(now)
        if row["name"] is not None:
            longest = row["name"] if longest is None else longer(longest, row["name"])
            cells["longest"] = Cell(longest, self._until(t))
        mean = [*(cells["mean"].at(now) or []), n or 0]
        cells["mean"] = Cell(mean, self._until(t))
        brief, ttl = cells["brief"].at(self.clock), self.settings.processing_ttl
        cells["brief"] = Cell(row["b"], INFINITY if ttl is None else self.clock + ttl)
        listed = [*(cells["listed"].at(now) or []), n]
        if row["b"]:
            listed = []
        cells["listed"] = Cell(listed, self._until(t))
        mapped = {k: c for k, c in (cells["mapped"].value or {}).items() if c.until > now}
        times = 1 + (mapped[row["name"] or ""].value if (row["name"] or "") in mapped else 0)
        mapped[row["name"] or ""] = Cell(times, self._until(t))
        cells["mapped"] = Cell(mapped)
        self._emit(
            key,
            "row",
            t,
            last=last,
            total=total,
            least=cells["least"].at(now),
            code=code,
            longest=longest,
            mean=sum(mean) / len(mean),
            brief=brief,
            listed=listed,
            mapped=times,
            shared=self.shared,
        )
        if row["is_mark"]:
            del mapped[row["name"] or ""]
        if n is not None and n < 0:
            self.noted.append({"n": n, "t": t})
        self._set_timers(key, t, n, is_mark=bool(row["is_mark"]))

    def _set_timers(self, key: Key, t: Time, n: int | None, *, is_mark: bool) -> None:
        ahead, unit = max(t, self.watermark), self.settings.unit
        if n is not None and n % 3 == 0:
            self.timers.add((ahead + (1 + abs(n)) * unit, key))
        if n is not None and n % 3 == 1:
            self.timers.discard((ahead + abs(n) * unit, key))
            self.timers.discard((ahead + (1 + abs(n)) * unit, key))
        if is_mark and not self.settings.is_batch:
            self.timers.add((max(t - unit, -TIME_LIMIT), key))
        if is_mark and self.settings.processing_ttl is not None:
            self.clock_timers.add((self.clock + 2 * unit, key))

    def _on_timer(self, key: Key, time: Time) -> None:
        cells, now, unit = self._cells(key), self._now(), self.settings.unit
        total = cells["total"].at(now)
        listed = cells["listed"].at(now) or []
        self._emit(key, "timer", time, last=cells["last"].at(now), total=total,
                   least=cells["least"].at(now), listed=listed)  # fmt: skip
        if total is not None and total % 2 == 0:
            cells["total"] = Cell(total + 1)
            self.timers.add((max(time, self.watermark) + 2 * unit, key))
            self.timers.discard((max(time, self.watermark) + 3 * unit, key))

    def _emit(self, key: Key, what: str, time: Time, **values: Any) -> None:
        row: Row = dict(zip((f"k{i}" for i in range(len(self.keys))), key, strict=True))
        names = [*STATES[:-1], "shared", STATES[-1]]
        self.results.append(
            row | {"what": what, "at": time} | {name: values.get(name) for name in names}
        )
