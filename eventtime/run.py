"""What came of a run: results and side outputs kept in memory, and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError

if TYPE_CHECKING:
    from eventtime.ledger import Ledger
    from eventtime.report import ProgressReport

__all__ = ("Run",)

_RESULTS: Final = ""


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    Results: `table`. Side outputs: `side`, `tags`. Account: `ledger`. What a sink took is not kept
    here as well: `table` and `side` say where it is.

    Args:
        schema: of the results.
        batches: results kept in memory.
        sides: rows of side outputs kept in memory, by tag.
        side_schemas: schemas of all side outputs, by tag.
        ledger: where every row went.
        report: the last progress report.
        taken: what took rows, by tag; the results under ''.
        checkpoint: number of the last one; None: there is none.
        is_finished: whether all input was processed; otherwise it was suspended.
    """

    schema: pa.Schema
    batches: list[pa.RecordBatch]
    sides: dict[str, list[pa.RecordBatch]]
    side_schemas: dict[str, pa.Schema]
    ledger: Ledger
    report: ProgressReport
    taken: dict[str, str]
    checkpoint: int | None = None
    is_finished: bool = True

    def table(self) -> pa.Table:
        """Return the results as one table, in the order of S24.

        Raises:
            PlanError: a sink took them; says which.
        """
        self._check_kept(_RESULTS, "table()", "the results", "run it without a sink")
        return pa.Table.from_batches(self.batches, self.schema)

    def side(self, tag: str) -> pa.Table:
        """Return a side output, in replay order.

        Raises:
            PlanError: there is no such tag, and which there are; or a sink took the rows.
        """
        if not is_one_of(tag, self.tags):
            msg = f"there is no side output {shown(tag)}"
            raise PlanError(msg, place="side(...)", remedy=f"tags are {', '.join(self.tags)}")
        self._check_kept(tag, f"side({tag!r})", f"the rows of {tag!r}", "leave them out of sides=")
        return pa.Table.from_batches(self.sides.get(tag, []), self.side_schemas[tag])

    def _check_kept(self, tag: str, place: str, what: str, instead: str) -> None:
        if tag in self.taken:
            msg = f"{what} are not in memory: they went to {self.taken[tag]}"
            raise PlanError(msg, place=place, remedy=f"read them from there, or {instead}")

    def __repr__(self) -> str:
        """Say in a line what came of it; the rows are in `table`."""
        outcome = "finished" if self.is_finished else "suspended"
        report = self.report
        counts = f"{report.rows:,} rows, {report.results:,} results, {report.late:,} late"
        return f"<Run {outcome}: {counts}>"

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the results over as an Arrow stream: see `Stream.__arrow_c_stream__`."""
        return self.table().__arrow_c_stream__(requested_schema)

    @property
    def tags(self) -> list[str]:
        """Tags of the side outputs."""
        return sorted(self.side_schemas)

    def assert_balanced(self) -> None:
        """Check the ledger; see `Ledger.assert_balanced`."""
        self.ledger.assert_balanced()
