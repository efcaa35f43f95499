"""Partitions, their watermarks and the combined one, the quarantine: row by row (S1 to S12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventtime.testing.reference.operator import Operator, beside
from eventtime.testing.reference.spec import INFINITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventtime.testing.reference.spec import Marks, Row, Spec, Time

__all__ = ("Oracle", "Partition")

COUNTS = ("rows_in", "windowed", "late", "null_time", "future", "malformed", "filtered")


@dataclass
class Partition:
    """One partition: its own watermark, and whether it takes part in the minimum."""

    name: str
    marks: Marks
    watermark: Time
    is_finished: bool = False
    is_idle: bool = False
    has_left: bool = False
    empty_since: int | None = None
    idle_for: int = 0


class Oracle:
    """Partitions, combined watermark, quarantine and the first operator; driven row by row."""

    def __init__(self, spec: Spec, names: Iterable[str], operator: Any = None) -> None:
        self.spec = spec
        self.operator = operator or Operator(spec)
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
        """Late rows so far, in the order they were read (S20, S24)."""
        return self.operator.late

    def add_partition(self, name: str, *, historical: bool = False) -> None:
        """A partition found now starts at the combined watermark, unless historical (S8)."""
        start = -INFINITY if historical else self.operator.watermark
        self.partitions[name] = Partition(name, self.spec.generator(name), start)
        self.ledger[name] = dict.fromkeys(COUNTS, 0)

    def push(
        self, name: str, rows: Sequence[Row], left_out: int = 0, ahead: Sequence[bool] | None = None
    ) -> None:
        """Rows come in a partition, and with them some that steps before the watermark left out.

        `ahead` says which are from the future, as in a replay; None: the clock says so (S11).
        """
        if rows or left_out:
            self._heard(name)
        partition, counts = self.partitions[name], self.ledger[name]
        counts["rows_in"] += len(rows) + left_out
        counts["filtered"] += left_out
        times = [row[self.spec.time] for row in rows]
        if ahead is None:
            latest = INFINITY if self.spec.max_future is None else self.now + self.spec.max_future
            ahead = [t is not None and t > latest for t in times]
        reasons = list(map(self._reason, times, ahead))
        admitted = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
        known = [t for t, reason in zip(times, reasons, strict=True) if not reason]
        # Asked once for all of them: a generator of the user's may say one thing of a batch (S3).
        marks = iter(partition.marks(admitted, known) if admitted else ())
        for row, reason in zip(rows, reasons, strict=True):
            if reason:  # It moves no watermark (S12).
                counts[reason] += 1
                told = {"partition": name, "reason": reason, "detail": None}
                self.quarantine.append(beside(row, told))
            else:
                self._take(partition, row, next(marks))

    def _reason(self, t: int | None, is_ahead: bool) -> str:  # noqa: FBT001 - for map
        """Why a row cannot be admitted, or nothing (S1, S11, S12)."""
        if t is None:
            return "null_time"
        if abs(t) > self.spec.limit:
            return "malformed"
        return "future" if is_ahead else ""

    def _take(self, partition: Partition, row: Row, mark: Time | None) -> None:
        """One row: judged by W before it, and then its partition's watermark moves (S4).

        Also the watermark of a row that is filtered out behind it.
        """
        counts, behind = self.ledger[partition.name], self.spec.behind(row)
        if behind is None:
            counts["filtered"] += 1
        elif self.operator.take(behind, partition.name, partition.watermark):
            counts["windowed"] += 1
        else:
            counts["late"] += 1
        if mark is not None:
            partition.watermark = max(partition.watermark, mark)
        self._combine()

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
        """Somebody knows that no rows before a time will come (S2)."""
        partition = self.partitions[name]
        partition.watermark = max(partition.watermark, time)
        self._heard(name)

    def finish(self, name: str) -> None:
        """The partition leaves the minimum; after the last one W is plus infinity (S9)."""
        self.partitions[name].is_finished = True
        self._combine()

    def advance_clock(self, by: int) -> None:
        """Move the injected clock; by itself this changes nothing."""
        self.now += by

    def _heard(self, name: str) -> None:
        """A partition that was idle counts again, with its own watermark (S6)."""
        partition = self.partitions[name]
        partition.is_idle = partition.has_left = False
        partition.empty_since, partition.idle_for = None, 0
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
