"""What became of one row, and why, in words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eventtime.explaining.values import values_of
from eventtime.process.plan import ProcessPlan
from eventtime.stages import names_of
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY, add
from eventtime.wording import counted, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventtime.compiled import StagePlan
    from eventtime.engine_look import PartitionLook
    from eventtime.explaining.seen import Seen, Standing

__all__ = ("RowExplained", "WindowOfRow", "iso", "rows_in", "windows_of")

_MOST_SHOWN: Final = 12
_DOOR: Final = {
    "null_time": "quarantined: it has no event time (S12)",
    "malformed": "quarantined: it does not parse, or its time is outside the admitted range (S12)",
    "future": "quarantined: its time is further ahead than max_future allows (S11)",
    "filtered": "left out by a filter of the pipeline",
}


@dataclass(frozen=True)
class WindowOfRow:
    """One window that a row belongs to.

    Args:
        start_us, end_us: its bounds, int64 microseconds UTC.
        expires_us: the watermark from which on it takes no row: its end and the allowed lateness.
        state: 'open'; 'closed' when it had fired and takes corrections; or 'expired', so that the
            row missed it (S18–S20).
    """

    start_us: int
    end_us: int
    expires_us: int
    state: str

    def __str__(self) -> str:
        """Say it in a line."""
        bounds = f"[{iso(self.start_us)}, {iso(self.end_us)})"
        if self.state == "expired":
            return (
                f"{bounds} missed: it had expired when the watermark reached {iso(self.expires_us)}"
            )
        until = f"takes rows until the watermark reaches {iso(self.expires_us)}"
        if self.state == "closed":
            return f"{bounds} corrected: it had fired, and {until}"
        return f"{bounds} open until the watermark reaches {iso(self.end_us)}"


@dataclass(frozen=True)
class RowExplained:
    """What became of a row.

    Args:
        partition, row: its partition, and its number there from 0; of a result on its way into a
            later operator the name of the one before, such as 'window 1', and its number among the
            results of that.
        values: its columns, as far as the pipeline reads them.
        time_us: event time, int64 microseconds UTC; None: it has none, or did not come so far.
        verdict: where the ledger has it: 'windowed', 'late', 'null_time', 'future', 'malformed' or
            'filtered'.
        standing: where all partitions were just before it.
        watermark_us: of the operator just before it, by which it was judged (S4, S25).
        set_by: what had moved the watermark to where it was.
        windows: that it belongs to, the earliest first; empty for process functions.
        late: its row of the late side output; empty: it is not late, or these are dropped.
        by: the step in which it came out of the operator before; empty: a source had it.
        had_left: whether its partition had been with somebody else before it came.
    """

    partition: str
    row: int
    values: dict[str, Any]
    time_us: int | None
    verdict: str
    standing: Standing
    watermark_us: int
    set_by: str
    windows: tuple[WindowOfRow, ...] = ()
    late: dict[str, Any] = field(default_factory=dict)
    by: str = ""
    had_left: bool = False

    @property
    def late_by_us(self) -> int | None:
        """By how much it came too late for the last window it missed; None: it missed none."""
        missed = [window for window in self.windows if window.state == "expired"]
        if not missed or self.watermark_us == PLUS_INFINITY:
            return None
        return self.watermark_us - missed[-1].expires_us

    @property
    def in_words(self) -> str:
        """The verdict in a sentence."""
        if self.verdict in _DOOR:
            return _DOOR[self.verdict]
        missed = sum(window.state == "expired" for window in self.windows)
        if self.verdict == "late":
            of = f"{missed} of {counted(len(self.windows), 'window')}"
            by = "" if self.late_by_us is None else f" by {span(self.late_by_us)}"
            return f"late{by}: it missed {of}{self._because()}"
        if not self.windows:
            return "given to the process function"
        if any(window.state == "closed" for window in self.windows):
            return "in time: it corrects a window that had fired, within the allowed lateness"
        return "in time: its windows were open"

    def __str__(self) -> str:
        """Say all of it in lines."""
        shown = ", ".join(f"{name}={value}" for name, value in self.values.items())
        where = f"the results of {self.partition}" if self.by else f"partition {self.partition!r}"
        lines = [f"row {self.row:,} of {where}: {shown}"]
        lines += [f"  came out             by {self.by}"] if self.by else []
        upstream = f", before which {self.partition} sends nothing on time (S25)" if self.by else ""
        at = f"{iso(self.watermark_us)}{upstream}, set by {self.set_by}"
        lines += [f"  watermark before it  {at}", f"  held back by         {self._holder()}"]
        slowest = sorted(self.standing.partitions, key=lambda it: it.watermark_us)
        for state in slowest[:_MOST_SHOWN]:
            how = _how(state)
            here = f"    {state.name!r} at {iso(state.watermark_us)}"
            lines.append(f"{here}, {how}" if how else here)
        if len(slowest) > _MOST_SHOWN:
            lines.append(f"    and {len(slowest) - _MOST_SHOWN:,} more, further on")
        lines += [f"  window               {window}" for window in self.windows]
        return "\n".join([*lines, f"  verdict              {self.in_words}"])

    def _holder(self) -> str:
        if (holder := self.standing.held_by) is not None:
            return f"partition {holder!r}"
        if any(it.watermark_us > MINUS_INFINITY for it in self.standing.partitions):
            return "nobody: no partition counts"
        return "nobody: no partition had been heard, so the watermark was still minus infinity"

    def _because(self) -> str:
        if self.late.get("reason") == "idle_partition":
            away = "with somebody else: it had left" if self.had_left else "silent"
            return (
                "; under the watermark of its own partition it would have missed none, but the"
                f" others had moved on while that was {away} (idle_partition)"
            )
        return "; the watermark had passed end and allowed lateness (beyond_lateness)"


def rows_in(
    seen: Seen, operator: int, plans: Sequence[StagePlan | ProcessPlan]
) -> list[RowExplained]:
    """Explain the rows that came to an operator in a step.

    Args:
        seen: the step.
        operator: number of the operator, from 0.
        plans: of all operators.
    """
    plan = plans[operator]
    late = iter(_late(seen, plan))
    if operator == 0:
        return [_of_partition(seen, plan, late)] if seen.partition is not None else []
    if not seen.operators:
        return []
    name, around = names_of(plans)[operator - 1], seen.operators[operator]
    rows = []
    for it in around.taken:
        is_moved = it.judged_us != around.before_us
        row = RowExplained(
            name,
            it.row,
            it.values,
            it.time_us,
            it.fate,
            seen.before,
            it.judged_us,
            seen.what if is_moved else seen.set_by[operator],
            late=next(late, {}) if it.fate == "late" else {},
            by=seen.what,
        )
        rows.append(_with_windows(row, plan))
    return rows


def _of_partition(
    seen: Seen, plan: StagePlan | ProcessPlan, late: Iterator[dict[str, Any]]
) -> RowExplained:
    assert seen.partition is not None
    assert seen.row is not None
    row = RowExplained(
        seen.partition,
        seen.row,
        seen.values,
        seen.time_us,
        seen.fate,
        seen.before,
        seen.before.watermark_us,
        seen.set_by[0],
        late=next(late, {}) if seen.fate == "late" else {},
        had_left=seen.had_left,
    )
    return _with_windows(row, plan)


def _late(seen: Seen, plan: StagePlan | ProcessPlan) -> Iterator[dict[str, Any]]:
    """Yield the rows of an operator's late side output, in its order."""
    for batch in seen.sides.get(getattr(plan, "late_tag", None) or "", ()):
        for i in range(batch.num_rows):
            yield values_of(batch, i)


def _with_windows(row: RowExplained, plan: StagePlan | ProcessPlan) -> RowExplained:
    is_in = row.time_us is not None and row.verdict in {"windowed", "late"}
    if not is_in or isinstance(plan, ProcessPlan):
        return row
    return replace(row, windows=windows_of(row.time_us or 0, row.watermark_us, plan))


def _how(partition: PartitionLook) -> str:
    if partition.is_finished:
        return "ended"
    if partition.has_left:
        return "left: it is with somebody else"
    return "idle" if partition.is_idle else ""


def windows_of(time_us: int, watermark_us: int, plan: StagePlan) -> tuple[WindowOfRow, ...]:
    """List the windows of a time, and how they stand at a watermark (S13, S18)."""
    grid, lateness_us = plan.spec.grid, plan.spec.lateness_us
    if grid.everything:
        state = "expired" if watermark_us == PLUS_INFINITY else "open"
        return (WindowOfRow(MINUS_INFINITY, PLUS_INFINITY, PLUS_INFINITY, state),)
    times = np.array([time_us])
    first, last = int(grid.first_end(times)[0]), int(grid.last_end(times)[0])
    found = []
    for end in range(first, last + 1, grid.slide_us):
        expires = add(end, lateness_us)
        state = (
            "expired" if expires <= watermark_us else "closed" if end <= watermark_us else "open"
        )
        found.append(WindowOfRow(end - grid.size_us, end, expires, state))
    return tuple(found)


def iso(time_us: int) -> str:
    """Write an instant; infinities in words.

    >>> iso(70_000_000)
    '1970-01-01T00:01:10Z'
    """
    if time_us == MINUS_INFINITY:
        return "the beginning of time"
    if time_us == PLUS_INFINITY:
        return "the end of time"
    seconds, us = divmod(time_us, 1_000_000)
    text = str(np.datetime64(seconds, "s"))
    return f"{text}.{us:06d}".rstrip("0") + "Z" if us else f"{text}Z"
