"""The balance of a run: rows of each partition, (row, window) pairs of each operator (S26)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("AT_DOOR", "Ledger", "OperatorLedger", "PartitionLedger")

AT_DOOR: Final = ("null_time", "future", "malformed", "filtered")
"""What the door of a partition counts as rows are read, before it is their turn."""


@dataclass
class PartitionLedger:
    """Rows of one partition.

    Balance: `rows_in = windowed + late + null_time + future + malformed + filtered + waiting`.

    Args:
        rows_in: rows read (as `map_batches` left them, plus what it removed).
        windowed: folded into all of their windows.
        late: missed at least one window; each is in the late side output once.
        null_time: quarantined, no event time.
        future: quarantined, too far ahead.
        malformed: quarantined, unreadable or outside the admitted range.
        filtered: left out by `filter`, or removed by `map_batches`.
        waiting: read, but not yet their turn in replay order; 0 at the end of a run.
    """

    rows_in: int = 0
    windowed: int = 0
    late: int = 0
    null_time: int = 0
    future: int = 0
    malformed: int = 0
    filtered: int = 0
    waiting: int = 0

    @property
    def accounted(self) -> int:
        """Sum of what became of the rows."""
        counts: list[int] = [*vars(self).values()]
        return sum(counts) - self.rows_in

    def read_from(self, place: Mapping[str, int]) -> PartitionLedger:
        """Return the counters of one who reads on from an earlier place.

        Processed rows are as they are now; in `waiting` those that are read again are missing.

        Args:
            place: what had come in there, and what the door had done with it.
        """
        there = PartitionLedger(windowed=self.windowed, late=self.late, **place)
        return replace(there, waiting=there.rows_in - there.accounted)

    def once(self, known: PartitionLedger) -> PartitionLedger:
        """Return the true balance while rows are read again: each of them counts once.

        Args:
            known: the balance that was gone on with, these rows included.
        """
        door = {name: max(getattr(self, name), getattr(known, name)) for name in AT_DOOR}
        # Rows from the future are held back again before they are judged again.
        waiting = max(0, self.waiting - (door["future"] - self.future))
        told = replace(self, **door, waiting=waiting)
        # Not `accounted` alone: what is missing in these counters must show there too.
        return replace(told, rows_in=self.rows_in + told.accounted - self.accounted)


@dataclass
class OperatorLedger:
    """(row, window) pairs of one operator: `assigned = emitted + open + missed`.

    Args:
        assigned: windows that held each row, summed over rows.
        emitted: pairs in windows that have fired, on time or as a correction.
        open: pairs in windows that may still fire.
        missed: pairs lost to lateness; their rows are in the late side output.
    """

    assigned: int = 0
    emitted: int = 0
    open: int = 0
    missed: int = 0


@dataclass
class Ledger:
    """The balance of one run; `print` it for a table.

    Args:
        partitions: by name.
        operators: in the order of the pipeline.
    """

    partitions: dict[str, PartitionLedger] = field(default_factory=dict)
    operators: list[OperatorLedger] = field(default_factory=list)

    @property
    def total(self) -> PartitionLedger:
        """The sum over partitions."""
        total = PartitionLedger()
        for part in self.partitions.values():
            for name, count in vars(part).items():
                setattr(total, name, getattr(total, name) + count)
        return total

    def assert_balanced(self) -> None:
        """Check that every row and every pair is accounted for; holds at any moment.

        Raises:
            LedgerError: names the partition or operator and its figures.
        """
        for name, part in self.partitions.items():
            if part.rows_in != part.accounted:
                msg = f"{part.rows_in} rows came in, {part.accounted} are accounted for: {part}"
                raise LedgerError(
                    msg, place=f"partition {name!r}", remedy="this is a bug of eventtime: report it"
                )
        for i, operator in enumerate(self.operators):
            if operator.assigned != operator.emitted + operator.open + operator.missed:
                msg = f"assigned is not emitted + open + missed: {operator}"
                raise LedgerError(
                    msg, place=f"operator {i}", remedy="this is a bug of eventtime: report it"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, for JSON."""
        return {
            "partitions": {name: {**vars(part)} for name, part in self.partitions.items()},
            "operators": [{**vars(operator)} for operator in self.operators],
            "total": {**vars(self.total)},
        }

    def __str__(self) -> str:
        columns = [f.name for f in fields(PartitionLedger)]
        if not self.total.waiting:
            columns.remove("waiting")
        rows = [["partition", *columns]]
        named = [*self.partitions.items(), ("total", self.total)]
        rows += [[name, *(f"{getattr(part, c):,}" for c in columns)] for name, part in named]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(
                [
                    row[0].ljust(widths[0]),
                    *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
                ]
            )
            for row in rows
        ]
        lines += [
            f"operator {i}: {o.assigned:,} (row, window) pairs = {o.emitted:,} emitted + "
            f"{o.open:,} open + {o.missed:,} missed"
            for i, o in enumerate(self.operators, 1)
        ]
        return "\n".join(lines)
