"""Partitions, their watermarks and the combined one, the quarantine: row by row (S1 to S12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventtime.testing.reference.operator import Operator
from eventtime.testing.reference.spec import INFINITY, TIME_LIMIT, generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from eventtime.testing.reference.spec import Row, Spec, Time

__all__ = ("Oracle", "Partition")


@dataclass
class Partition:
    """One partition: its own watermark, and whether it takes part in the minimum."""

    name: str
    generate: Callable[[Row], Time | None]
    watermark: Time = -INFINITY
    is_finished: bool = False
    is_idle: bool = False
    empty_since: int | None = None
    idle_for: int = 0


class Oracle:
    """Partitions, combined watermark, quarantine and one window operator; driven row by row."""

    def __init__(
        self, spec: Spec, names: Iterable[str], downstream: Operator | None = None, by: Any = None
    ) -> None:
        self.spec = spec
        self.operator = by or Operator(spec, downstream)
        self.partitions: dict[str, Partition] = {}
        self.quarantine: list[Row] = []
        self.ledger: dict[str, dict[str, int]] = {}
        self.now = 0
        for name in names:
            self.add_partition(name, historical=True)

    @property
    def results(self) -> list[Row]:
        """Result rows so far, in the total order of S24."""
        return self.operator.results

    @property
    def late(self) -> list[Row]:
        """Late rows so far, in the order they were read."""
        return self.operator.late

    def add_partition(self, name: str, *, historical: bool = False) -> None:
        """A partition found now starts at the combined watermark, unless historical (S8)."""
        start = -INFINITY if historical else self.operator.watermark
        self.partitions[name] = Partition(name, generate(self.spec), start)
        reasons = ("rows_in", "windowed", "late", "null_time", "future", "malformed", "filtered")
        self.ledger[name] = dict.fromkeys(reasons, 0)

    def push(self, name: str, rows: Sequence[Row]) -> None:
        """Rows of a live partition; the future guard looks at the clock (S11)."""
        limit = None if self.spec.max_future is None else self.now + self.spec.max_future
        for row in rows:
            t = row[self.spec.time]
            self.row(name, row, is_future=limit is not None and t is not None and t > limit)

    def poll_empty(self, name: str) -> None:
        """A poll that had nothing; only time between two such polls in a row counts (S6)."""
        partition = self.partitions[name]
        if partition.empty_since is not None:
            partition.idle_for += self.now - partition.empty_since
        partition.empty_since = self.now
        if self.spec.idle_after is not None and partition.idle_for > self.spec.idle_after:
            partition.is_idle = True
        self._combine()

    def finish(self, name: str) -> None:
        """The partition leaves the minimum; after the last one W is plus infinity (S9)."""
        self.partitions[name].is_finished = True
        self._combine()

    def advance_clock(self, by: int) -> None:
        """Move the injected clock; by itself this changes nothing."""
        self.now += by

    def row(self, name: str, row: Row, *, is_future: bool) -> None:
        """One row: door, judgement by W before it, then its partition's watermark (S4, S12)."""
        partition, counts = self.partitions[name], self.ledger[name]
        partition.is_idle, partition.empty_since, partition.idle_for = False, None, 0
        self._combine()
        counts["rows_in"] += 1
        reason = _quarantine_reason(row[self.spec.time], is_future=is_future)
        if reason:
            counts[reason] += 1
            self.quarantine.append(row | {"partition": name, "reason": reason})
            return
        if self.spec.where is not None and not row[self.spec.where]:
            counts["filtered"] += 1
        else:
            missed = not self.operator.take(row, name, partition.watermark)
            counts["late" if missed else "windowed"] += 1
        proposed = partition.generate(row)
        if proposed is not None:
            partition.watermark = max(partition.watermark, proposed)
        self._combine()

    def _combine(self) -> None:
        """Minimum over partitions not idle, not finished; never back (S5, S6, S7, S9)."""
        unfinished = [p for p in self.partitions.values() if not p.is_finished]
        active = [p.watermark for p in unfinished if not p.is_idle]
        combined = self.operator.watermark
        if active:
            combined = min(active)
        elif not unfinished and self.partitions:
            combined = INFINITY
        elif unfinished and self.spec.all_idle == "flush_max":
            combined = max(p.watermark for p in unfinished)
        self.operator.advance(max(combined, self.operator.watermark))


def _quarantine_reason(t: int | None, *, is_future: bool) -> str:
    """Why a row cannot be admitted, or nothing (S1, S11, S12)."""
    if t is None:
        return "null_time"
    if not -TIME_LIMIT <= t <= TIME_LIMIT:
        return "malformed"
    return "future" if is_future else ""
