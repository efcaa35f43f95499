"""Asking why: of a row, of a late row, of a window."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from eventtime.checks import check_text, check_whole, shown
from eventtime.errors import PlanError
from eventtime.explaining.row import RowExplained, explained, iso
from eventtime.explaining.seen import Enough, Watch
from eventtime.timestamp import MINUS_INFINITY, as_us
from eventtime.wording import counted

if TYPE_CHECKING:
    from datetime import datetime

    from eventtime.compiled import CompiledPlan, StagePlan
    from eventtime.explaining.seen import Onlooker, Seen
    from eventtime.explaining.window import WindowExplained
    from eventtime.journal.file import JournalLike
    from eventtime.stream import Stream

__all__ = ("explain_row", "explain_window")

_ROW: Final = "explain_row(row=…)"


def explain_row(
    stream: Stream,
    *,
    partition: str | None = None,
    row: int | None = None,
    late: int | None = None,
    journal: JournalLike | None = None,
) -> RowExplained:
    """Say what became of a row and why: its windows, the watermark, who moved and who held it.

    The pipeline runs once more, row by row, up to that row: a replay, or a run as its journal tells
    it. The verdict is the engine's own.

    Args:
        stream: the pipeline; its first operator is asked.
        partition, row: whose row, and which of that partition in the order of the source, from 0.
        late: instead, a row of the late side output, by its number from 0.
        journal: of a run to look at; None: a replay.

    Raises:
        PlanError: there is no such row; or not one row is named.
        EventTimeError: as `Stream.run`, and `replay_journal`.

    Cost: about a millisecond a row, up to the one asked for.

    >>> import pyarrow as pa, eventtime as et
    >>> rows = pa.table({"t": pa.array([0, 70, 30], pa.timestamp("s")), "x": [1, 2, 3]})
    >>> marked = et.from_arrow(rows, time="t").watermark(et.ascending())
    >>> stream = marked.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    >>> why = explain_row(stream, late=0)
    >>> why.partition, why.row, why.late_by_us, why.set_by
    ('memory', 2, 10000000, "row 1 of partition 'memory'")
    """
    plan = _compiled(stream, "explain_row(stream)")
    _check_row(partition, row, late)
    asked = _RowAsked(partition, row, late)
    with contextlib.suppress(Enough):
        _watch(plan, asked, journal)
    if asked.found is None:
        raise asked.missing()
    return explained(asked.found, plan.stages[0])


def explain_window(
    stream: Stream,
    start: datetime | int,
    *key: Any,
    journal: JournalLike | None = None,
) -> WindowExplained:
    """Say what became of a window: what opened, extended and fired it, and when it was gone.

    Args:
        stream: the pipeline; the window is one of its first operator.
        start: of the window, a datetime with a zone, or microseconds UTC; any for the global one.
        key: values of the key columns, in their order.
        journal: of a run to look at; None: a replay.

    Raises:
        PlanError: the first operator has no windows; none starts there; or keys are missing.
        EventTimeError: as `Stream.run`, and `replay_journal`.

    >>> import pyarrow as pa, eventtime as et
    >>> rows = pa.table({"t": pa.array([0, 70, 30], pa.timestamp("s")), "x": [1, 2, 3]})
    >>> marked = et.from_arrow(rows, time="t").watermark(et.ascending())
    >>> stream = marked.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    >>> print(explain_window(stream, 0))
    window [1970-01-01T00:00:00Z, 1970-01-01T00:01:00Z)
      opened    by row 0 of partition 'memory', at watermark the beginning of time
      fired     on time at watermark 1970-01-01T00:01:10Z, by row 1 of partition 'memory': x=1
      expired   when the watermark passed 1970-01-01T00:01:00Z, by row 1 of partition 'memory'
      missed    by row 2 of partition 'memory'
    """
    from eventtime.explaining.window import WindowOnlooker

    plan = _compiled(stream, "explain_window(stream)")
    stage: Any = plan.stages[0]
    if not hasattr(stage, "spec"):
        msg = "the first operator is a process function, which has no windows"
        raise PlanError(msg, place="explain_window(stream)", remedy="ask of a row: explain_row")
    if len(key) != len(stage.keys):
        names = ", ".join(stage.keys) or "none"
        msg = f"{shown(key)} are no values of the key columns: {names}"
        raise PlanError(msg, place="explain_window(key)", remedy="give one for each, in order")
    for column, kind, value in zip(stage.keys, stage.key_types, key, strict=True):
        _check_key(column, kind, value)
    start_us, end_us = _bounds(start, stage)
    looks = WindowOnlooker(stage, tuple(key), start_us, end_us)
    _watch(plan, looks, journal)
    return looks.explained()


def _compiled(stream: object, place: str) -> CompiledPlan:
    from eventtime.compiled import compile_plan

    node: Any = getattr(stream, "node", None)
    if node is None:
        msg = f"{shown(stream)} is no stream"
        raise PlanError(msg, place=place, remedy="give what .window(...).aggregate(...) returns")
    return compile_plan(node)


def _check_row(partition: object, row: object, late: object) -> None:
    if (late is None) == (row is None and partition is None):
        msg = "one row is to be named"
        remedy = "give partition= and row=, or late="
        raise PlanError(msg, place="explain_row(...)", remedy=remedy)
    what, remedy = "a number from 0 on", "such as 0 for the first"
    if late is not None:
        check_whole(late, least=0, what=what, place="explain_row(late=…)", remedy=remedy)
        return
    remedy_name = "name the partition, such as 'a'"
    check_text(partition, what="name", place="explain_row(partition=…)", remedy=remedy_name)
    check_whole(row, least=0, what=what, place=_ROW, remedy=remedy)


def _check_key(column: str, kind: pa.DataType, value: object) -> None:
    try:
        pa.scalar(value, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        msg = f"{shown(value)} is no {kind}, the type of {column!r}"
        remedy = "give the values of the key one by one, as their columns have them"
        raise PlanError(msg, place="explain_window(key)", remedy=remedy) from error


def _bounds(start: datetime | int, stage: StagePlan) -> tuple[int, int]:
    grid = stage.spec.grid
    if grid.everything:
        return MINUS_INFINITY, int(grid.last_end(np.array([0]))[0])
    start_us = as_us(start, place="explain_window(start)")
    if (start_us - grid.offset_us) % grid.slide_us:
        below = start_us - (start_us - grid.offset_us) % grid.slide_us
        msg = f"no window starts at {iso(start_us)}"
        remedy = f"the last before it starts at {iso(below)}"
        raise PlanError(msg, place="explain_window(start)", remedy=remedy)
    return start_us, start_us + grid.size_us


@dataclass
class _RowAsked:
    partition: str | None
    row: int | None
    late: int | None
    found: Seen | None = None
    rows: dict[str, int] = field(default_factory=dict)
    lates: int = 0

    def see(self, seen: Seen) -> None:
        if seen.partition is None or seen.row is None:
            return
        self.rows[seen.partition] = max(self.rows.get(seen.partition, 0), seen.row + 1)
        is_late = seen.fate == "late"
        if (seen.partition == self.partition and seen.row == self.row) or (
            is_late and self.lates == self.late
        ):
            self.found = seen
            raise Enough
        self.lates += is_late

    def missing(self) -> PlanError:
        if self.late is not None:
            msg = f"there is no late row {self.late}: there are {counted(self.lates, 'late row')}"
            return PlanError(msg, place="explain_row(late=…)", remedy="they count from 0")
        if self.partition not in self.rows:
            names = ", ".join(map(repr, sorted(self.rows))) or "none"
            msg = f"there is no partition {self.partition!r} with rows"
            return PlanError(msg, place="explain_row(partition=…)", remedy=f"there are {names}")
        there = counted(self.rows[self.partition], "row")
        msg = f"row {self.row} of partition {self.partition!r} did not come to a window"
        remedy = f"a filter left it out, or there are only {there}, which count from 0"
        return PlanError(msg, place=_ROW, remedy=remedy)


def _watch(plan: CompiledPlan, onlooker: Onlooker, journal: JournalLike | None) -> None:
    from eventtime.explaining.replayed import watch_replay

    watch = Watch(onlooker)
    if journal is None:
        watch_replay(plan, watch)
        return
    from eventtime.journal.opening import player_of

    player = player_of(journal, place="explain(journal=…)")
    if player.story.first.kind != "live":
        watch_replay(plan, watch)
        return
    from eventtime.explaining.live import watch_journal

    watch_journal(plan, watch, player)
