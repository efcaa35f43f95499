"""Asking why: of a row, of a late row, of a window."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from eventtime.checks import shown
from eventtime.errors import PlanError

if TYPE_CHECKING:
    from eventtime.compiled import CompiledPlan
    from eventtime.explaining.row import RowExplained
    from eventtime.explaining.seen import Watch
    from eventtime.explaining.window import WindowExplained
    from eventtime.instant import Instant
    from eventtime.journal.file import JournalLike
    from eventtime.stream import Stream

__all__ = ("explain_row", "explain_window", "watch_run")


def explain_row(
    stream: Stream,
    *,
    partition: str | None = None,
    row: int | None = None,
    late: int | None = None,
    operator: str | None = None,
    journal: JournalLike | None = None,
) -> RowExplained:
    """Say what became of a row and why: its windows, the watermark, who moved and who held it.

    The pipeline runs once more, row by row, up to that row: a replay, or a run as its journal tells
    it. The verdict is the engine's own.

    Args:
        stream: the pipeline.
        partition, row: whose row, and which of that partition in the order of the source, from 0.
        late: instead, a row of the late side output, by its number from 0.
        operator: which operator is asked, such as 'window 2'; None: the first. The rows of a later
            one are the results of the one before it: name them by `row` alone, from 0.
        journal: of a run to look at; None: a replay.

    Raises:
        PlanError: there is no such row or operator; or not one row is named.
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
    from eventtime.explaining.questions import row_question
    from eventtime.explaining.seen import Enough, Watch

    plan = _compiled(stream, "explain_row(stream)")
    question = row_question(plan, partition, row, late, operator)
    with contextlib.suppress(Enough):
        watch_run(plan, Watch(question, len(plan.stages)), journal)
    return question.answer()


def explain_window(
    stream: Stream,
    start: Instant,
    *key: Any,
    operator: str | None = None,
    journal: JournalLike | None = None,
) -> WindowExplained:
    """Say what became of a window: what opened, extended and fired it, and when it was gone.

    If the run ends with an error, what came before it is told, and the error.

    Args:
        stream: the pipeline.
        start: of the window: ISO 8601 text, a datetime, or microseconds since 1970; UTC where no
            zone is said. Any for the global one.
        key: values of the key columns, in their order.
        operator: whose window, such as 'window 2'; None: the first operator's.
        journal: of a run to look at; None: a replay.

    Raises:
        PlanError: the operator has no windows; none starts there; or keys are missing.
        EventTimeError: as `Stream.run`, and `replay_journal`, before the first row.

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
    from eventtime.explaining.questions import window_question
    from eventtime.explaining.seen import Watch

    plan = _compiled(stream, "explain_window(stream)")
    question = window_question(plan, start, key, operator)
    with question.until_error():
        watch_run(plan, Watch(question, len(plan.stages)), journal)
    return question.explained()


def watch_run(plan: CompiledPlan, watch: Watch, journal: JournalLike | None) -> None:
    """Run a plan once more, a replay or as a journal tells it, and show each step."""
    from eventtime.explaining.replayed import watch_replay

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


def _compiled(stream: object, place: str) -> CompiledPlan:
    from eventtime.compiled import compile_plan

    node: Any = getattr(stream, "node", None)
    if node is None:
        msg = f"{shown(stream)} is no stream"
        raise PlanError(msg, place=place, remedy="give what .window(...).aggregate(...) returns")
    return compile_plan(node)
