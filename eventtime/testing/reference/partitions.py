"""Partitions, their watermarks and the combined one, the quarantine: row by row (S1 to S12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventtime.testing.reference.operator import Operator, beside
from eventtime.testing.reference.spec import INFINITY, generate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventtime.testing.reference.spec import Proposals, Row, Spec, Time

__all__ = ("Oracle", "Partition")


@dataclass
class Partition:
    """One partition: its own watermark, and whether it takes part in the minimum."""

    name: str
    propose: Proposals
    watermark: Time = -INFINITY
    is_finished: bool = False
    is_idle: bool = False
    has_left: bool = False
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
        self.partitions[name] = Partition(name, generate(self.spec, name), start)
        reasons = ("rows_in", "windowed", "late", "null_time", "future", "malformed", "filtered")
        self.ledger[name] = dict.fromkeys(reasons, 0)

    def push(self, name: str, rows: Sequence[Row], left_out: int = 0) -> None:
        """Rows of a live partition; the future guard looks at the clock (S11).

        `left_out` rows came with them that steps before the watermark left out.
        """
        counts, ahead = self.ledger[name], self.spec.max_future
        limit = INFINITY if ahead is None else self.now + ahead
        if rows or left_out:
            self._heard(name)
        counts["rows_in"] += left_out
        counts["filtered"] += left_out
        times = [row[self.spec.time] for row in rows]
        reasons = [self._reason(t, is_future=t is not None and t > limit) for t in times]
        admitted = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
        # Asked once for all of them: a generator of the user's may say one thing of a batch.
        proposed = iter(self.partitions[name].propose(admitted) if admitted else ())
        for row, reason in zip(rows, reasons, strict=True):
            if reason:
                self._set_aside(name, row, reason)
            else:
                self._take(name, row, next(proposed))

    def poll_empty(self, name: str) -> None:
        """A poll that had nothing; only time between two such polls in a row counts (S6)."""
        partition = self.partitions[name]
        if partition.empty_since is not None:
            # A clock stepped back adds nothing.
            partition.idle_for += max(0, self.now - partition.empty_since)
        partition.empty_since = self.now
        if self.spec.idle_after is not None and partition.idle_for > self.spec.idle_after:
            partition.is_idle = True
        self._combine()

    def advance_to(self, name: str, time: int) -> None:
        """Somebody knows that no rows before a time will come: it was heard (S5, S6)."""
        partition = self.partitions[name]
        partition.is_idle, partition.empty_since, partition.idle_for = False, None, 0
        partition.watermark = max(partition.watermark, time)
        self._combine()

    def finish(self, name: str) -> None:
        """The partition leaves the minimum; after the last one W is plus infinity (S9)."""
        self.partitions[name].is_finished = True
        self._combine()

    def advance_clock(self, by: int) -> None:
        """Move the injected clock; by itself this changes nothing."""
        self.now += by

    def row(self, name: str, row: Row, *, is_future: bool) -> None:
        """One row of a replayed partition, whose neighbours say whether it is ahead (S11)."""
        self._heard(name)
        reason = self._reason(row[self.spec.time], is_future=is_future)
        if reason:
            self._set_aside(name, row, reason)
        else:
            (proposed,) = self.partitions[name].propose([row])
            self._take(name, row, proposed)

    def _heard(self, name: str) -> None:
        """A partition that was idle counts again, with its own watermark (S6)."""
        partition = self.partitions[name]
        partition.is_idle, partition.empty_since, partition.idle_for = False, None, 0
        partition.has_left = False
        self._combine()

    def _reason(self, t: int | None, *, is_future: bool) -> str:
        """Why a row cannot be admitted, or nothing (S1, S11, S12)."""
        if t is None:
            return "null_time"
        if not -self.spec.limit <= t <= self.spec.limit:
            return "malformed"
        return "future" if is_future else ""

    def _set_aside(self, name: str, row: Row, reason: str) -> None:
        """Quarantine: it moves no watermark (S12)."""
        self.ledger[name]["rows_in"] += 1
        self.ledger[name][reason] += 1
        self.quarantine.append(beside(row, {"partition": name, "reason": reason}))

    def _take(self, name: str, row: Row, proposed: Time | None) -> None:
        """One row: judged by W before it, and then its partition's watermark moves (S4)."""
        partition, counts = self.partitions[name], self.ledger[name]
        counts["rows_in"] += 1
        behind = self.spec.behind(row)
        if behind is None:
            counts["filtered"] += 1
        else:
            missed = not self.operator.take(behind, name, partition.watermark)
            counts["late" if missed else "windowed"] += 1
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
        elif self.spec.all_idle == "flush_max" and not all(p.has_left for p in unfinished):
            combined = max(p.watermark for p in unfinished)
        self.operator.advance(max(combined, self.operator.watermark))
