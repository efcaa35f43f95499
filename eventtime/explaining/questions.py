"""What is asked of a run: a row or a window, and of which operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from eventtime.checks import check_text, check_whole, is_one_of, shown
from eventtime.errors import PlanError
from eventtime.explaining.row import iso, rows_in
from eventtime.explaining.seen import Enough
from eventtime.explaining.values import value_of
from eventtime.explaining.window import WindowOnlooker
from eventtime.instant import instant_us
from eventtime.process.plan import ProcessPlan
from eventtime.stages import names_of
from eventtime.state.exact import scalar_of
from eventtime.timestamp import MINUS_INFINITY
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.compiled import CompiledPlan, StagePlan
    from eventtime.explaining.row import RowExplained
    from eventtime.explaining.seen import Seen
    from eventtime.instant import Instant

__all__ = ("RowQuestion", "number_of", "row_question", "window_question")

_ROW: Final = "explain_row(row=…)"


def row_question(
    plan: CompiledPlan,
    partition: str | None,
    row: int | None,
    late: int | None,
    operator: str | None,
) -> RowQuestion:
    """Ask for a row; see `explain_row`.

    Raises:
        PlanError: there is no such operator, or not one row is named.
    """
    number = number_of(plan, operator, "explain_row(operator=…)")
    if number and late is None:
        before = names_of(plan.stages)[number - 1]
        if partition not in {None, before}:
            msg = f"rows of partition {shown(partition)} do not come to {operator}"
            remedy = f"leave partition= out: its rows are the results of {before}"
            raise PlanError(msg, place="explain_row(partition=…)", remedy=remedy)
        partition = before
    if late is None and partition is None and row is not None:
        msg = f"of which partition is row {shown(row)}"
        raise PlanError(msg, place=_ROW, remedy="name it too: partition='a'")
    if (late is None) == (row is None and (partition is None or number > 0)):
        msg = "one row is to be named"
        remedy = "give partition= and row=, or late="
        raise PlanError(msg, place="explain_row(...)", remedy=remedy)
    what, remedy = "a number from 0 on", "such as 0 for the first"
    if late is not None:
        check_whole(late, least=0, what=what, place="explain_row(late=…)", remedy=remedy)
    else:
        remedy_name = "name the partition, such as 'a'"
        check_text(partition, what="name", place="explain_row(partition=…)", remedy=remedy_name)
        check_whole(row, least=0, what=what, place=_ROW, remedy=remedy)
    return RowQuestion(plan.stages, number, partition, row, late)


def window_question(
    plan: CompiledPlan, start: Instant, key: tuple[Any, ...], operator: str | None
) -> WindowOnlooker:
    """Ask for a window; see `explain_window`.

    Raises:
        PlanError: the operator has no windows; none starts there; or keys are missing.
    """
    number = number_of(plan, operator, "explain_window(operator=…)")
    stage = plan.stages[number]
    if isinstance(stage, ProcessPlan):
        which = operator or "the first operator"
        msg = f"{which} is a process function, which has no windows"
        windows = [n for n in names_of(plan.stages) if n.startswith("window")]
        other = f", or name a window: operator={windows[0]!r}" if windows else ""
        remedy = f"ask of a row: explain_row{other}"
        raise PlanError(msg, place="explain_window(stream)", remedy=remedy)
    if len(key) != len(stage.keys):
        names = ", ".join(stage.keys) or "none"
        msg = f"{shown(key)} are no values of the key columns: {names}"
        raise PlanError(msg, place="explain_window(key)", remedy="give one for each, in order")
    parts = zip(stage.keys, stage.key_types, key, strict=True)
    known = tuple(_key_value(column, kind, value) for column, kind, value in parts)
    return WindowOnlooker(plan.stages, number, known, *_bounds(start, stage))


@dataclass
class RowQuestion:
    """Looks for one row.

    Args:
        plans: of all operators; operator: number of the one that is asked.
        partition, row: of the row.
        late: instead, its number among the late ones.
    """

    plans: Sequence[StagePlan | ProcessPlan]
    operator: int
    partition: str | None
    row: int | None
    late: int | None
    found: RowExplained | None = None
    rows: dict[str, int] = field(default_factory=dict)
    lates: int = 0

    def see(self, seen: Seen) -> None:
        for row in rows_in(seen, self.operator, self.plans):
            self.rows[row.partition] = max(self.rows.get(row.partition, 0), row.row + 1)
            is_late = row.verdict == "late"
            is_named = (row.partition, row.row) == (self.partition, self.row)
            if is_named or (is_late and self.lates == self.late):
                self.found = row
                raise Enough
            self.lates += is_late

    def answer(self) -> RowExplained:
        """Return the row.

        Raises:
            PlanError: there was none such.
        """
        if self.found is None:
            raise self._missing()
        return self.found

    def _missing(self) -> PlanError:
        if self.late is not None:
            msg = f"there is no late row {self.late}: {counted(self.lates, 'late row')} came"
            return PlanError(msg, place="explain_row(late=…)", remedy="they count from 0")
        if self.operator:
            there = counted(self.rows.get(self.partition or "", 0), "result")
            msg = f"{self.partition} has no result {self.row}: {there} came"
            return PlanError(msg, place=_ROW, remedy="they count from 0")
        if self.partition not in self.rows:
            names = ", ".join(map(repr, sorted(self.rows))) or "none"
            msg = f"there is no partition {self.partition!r} with rows"
            return PlanError(msg, place="explain_row(partition=…)", remedy=f"there are {names}")
        last = self.rows[self.partition] - 1
        msg = f"row {self.row} of partition {self.partition!r} did not come to a window"
        remedy = f"a filter left it out, or it is not there: they count from 0, {last} is the last"
        return PlanError(msg, place=_ROW, remedy=remedy)


def number_of(plan: CompiledPlan, operator: str | None, place: str) -> int:
    """Return the number of an operator, from 0.

    Raises:
        PlanError: there is none of that name.
    """
    names = names_of(plan.stages)
    if operator is None:
        return 0
    if not is_one_of(operator, names):
        msg = f"there is no operator {shown(operator)}"
        raise PlanError(msg, place=place, remedy=f"they are {', '.join(map(repr, names))}")
    return names.index(operator)


def _key_value(column: str, kind: pa.DataType, value: object) -> Any:
    """Return a value of a key as rows have it: whole units as times, texts for their bytes."""
    try:
        return value_of(scalar_of(value, kind))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        msg = f"{shown(value)} is no {kind}, the type of {column!r}"
        remedy = "give the values of the key one by one, as their columns have them"
        raise PlanError(msg, place="explain_window(key)", remedy=remedy) from error


def _bounds(start: Instant, stage: StagePlan) -> tuple[int, int]:
    grid = stage.spec.grid
    if grid.everything:
        return MINUS_INFINITY, int(grid.last_end(np.array([0]))[0])
    start_us = instant_us(start, place="explain_window(start)")
    if (start_us - grid.offset_us) % grid.slide_us:
        below = start_us - (start_us - grid.offset_us) % grid.slide_us
        msg = f"no window starts at {iso(start_us)}"
        remedy = f"the last before it starts at {iso(below)}"
        raise PlanError(msg, place="explain_window(start)", remedy=remedy)
    return start_us, start_us + grid.size_us
