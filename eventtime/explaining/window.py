"""What became of one window, and why, in words."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from eventtime.errors import EventTimeError
from eventtime.explaining.row import iso, rows_in
from eventtime.explaining.values import values_of
from eventtime.stages import names_of
from eventtime.timestamp import PLUS_INFINITY, add, to_us
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from eventtime.compiled import StagePlan
    from eventtime.explaining.row import RowExplained
    from eventtime.explaining.seen import Seen
    from eventtime.process.plan import ProcessPlan

_NOT_SHOWN: Final = {"window_start", "window_end", "timing", "is_final", "version"}

__all__ = ("Fired", "WindowExplained", "WindowOnlooker")


@dataclass(frozen=True)
class Fired:
    """A window sent a result.

    Args:
        watermark_us: of the operator, behind the step that fired it.
        by: that step, in words.
        result: the row that came out.
    """

    watermark_us: int
    by: str
    result: dict[str, Any]

    def __str__(self) -> str:
        """Say it in a line."""
        own = {name: self.result[name] for name in self.result if name not in _NOT_SHOWN}
        values = ", ".join(f"{name}={value}" for name, value in own.items())
        how = self.result.get("timing", "on_time").replace("_", " ")
        version = self.result.get("version", 1)
        how = how if version == 1 else f"{how}, version {version},"
        return f"{how} at watermark {iso(self.watermark_us)}, by {self.by}: {values}"


@dataclass(frozen=True)
class WindowExplained:
    """What became of a window.

    Args:
        key: values of the key columns; start_us, end_us: bounds, int64 microseconds UTC.
        rows: (partition, number) of the rows in it, in the order in which they came; see
            `RowExplained`.
        watermarks_us: the watermark of the operator before each of them.
        fired: its results, in order.
        missed: (partition, number) of rows that came too late for it.
        expires_us: the watermark from which on it takes no row.
        expired_by: the step behind which it was gone, in words; empty: it is not.
        operator: its name, of one that is not the first; its rows are results of the one before.
        error: that ended the run, by its name; what came before it is told. Empty: none did.
    """

    key: tuple[Any, ...]
    start_us: int
    end_us: int
    rows: tuple[tuple[str, int], ...]
    watermarks_us: tuple[int, ...]
    fired: tuple[Fired, ...]
    missed: tuple[tuple[str, int], ...]
    expires_us: int
    expired_by: str
    operator: str = ""
    error: str = ""

    def __str__(self) -> str:
        """Say all of it in lines."""
        of = f" of key {', '.join(map(repr, self.key))}" if self.key else ""
        whose = f" of {self.operator}" if self.operator else ""
        lines = [f"window [{iso(self.start_us)}, {iso(self.end_us)}){of}{whose}"]
        if not self.rows:
            lines.append("  opened    never: no row came in time for it")
        else:
            first, at = self._row(*self.rows[0]), iso(self.watermarks_us[0])
            lines.append(f"  opened    by {first}, at watermark {at}")
        if len(self.rows) > 1:
            more, at = counted(len(self.rows) - 1, "row"), iso(self.watermarks_us[-1])
            last = f"the last is {self._row(*self.rows[-1])}, at watermark {at}"
            lines.append(f"  extended  by {more} more; {last}")
        lines += [f"  fired     {fired}" for fired in self.fired]
        if self.rows and not self.fired:
            why = f"the watermark has not passed {iso(self.end_us)}"
            lines.append(f"  fired     never: {'the run stopped' if self.error else why}")
        if self.expired_by:
            gone = f"the watermark passed {iso(self.expires_us)}, by {self.expired_by}"
            lines.append(f"  expired   when {gone}")
        elif self.rows:
            lines.append(f"  expires   when the watermark reaches {iso(self.expires_us)}")
        lines += [f"  missed    by {self._row(*row)}" for row in self.missed]
        if self.error:
            lines.append(f"  stopped   by an error: {self.error}")
        return "\n".join(lines)

    def _row(self, partition: str, row: int) -> str:
        where = f"the results of {partition}" if self.operator else f"partition {partition!r}"
        return f"row {row:,} of {where}"


@dataclass
class WindowOnlooker:
    """Looks for what concerns one window.

    Args:
        plans: of all operators; operator: number of the one whose window it is.
        key: of the window.
        start_us: of the window; end_us: of it.
    """

    plans: Sequence[StagePlan | ProcessPlan]
    operator: int
    key: tuple[Any, ...]
    start_us: int
    end_us: int
    rows: list[tuple[str, int]] = field(default_factory=list)
    watermarks_us: list[int] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    missed: list[tuple[str, int]] = field(default_factory=list)
    expired_by: str = ""
    steps: int = 0
    error: str = ""

    def __post_init__(self) -> None:
        self._plan = cast("StagePlan", self.plans[self.operator])
        self.expires_us = add(self.end_us, self._plan.spec.lateness_us)

    def see(self, seen: Seen) -> None:
        self.steps += 1
        for row in rows_in(seen, self.operator, self.plans):
            if row.windows and self._is_of(row):
                self._take(row)
        if not seen.operators:
            return
        around = seen.operators[self.operator]
        for batch in around.results:
            self._look(batch, seen.what, around.after_us)
        if not self.expired_by and around.before_us < self.expires_us <= around.after_us:
            self.expired_by = seen.what

    @contextlib.contextmanager
    def until_error(self) -> Iterator[None]:
        """Let an error end the run that is looked at; one before its first step is raised."""
        try:
            yield
        except EventTimeError as error:
            if not self.steps:
                raise
            where = f" ({error.place})" if error.place else ""
            self.error = f"{type(error).__name__}: {error.what}{where}"

    def explained(self) -> WindowExplained:
        """Return what was found."""
        return WindowExplained(
            self.key,
            self.start_us,
            self.end_us,
            tuple(self.rows),
            tuple(self.watermarks_us),
            tuple(self.fired),
            tuple(self.missed),
            self.expires_us,
            self.expired_by if self.rows else "",
            names_of(self.plans)[self.operator] if self.operator else "",
            self.error,
        )

    def _is_of(self, row: RowExplained) -> bool:
        return tuple(row.values[name] for name in self._plan.keys) == self.key

    def _take(self, row: RowExplained) -> None:
        mine = [window for window in row.windows if window.start_us == self.start_us]
        if mine and mine[0].state == "expired":
            self.missed.append((row.partition, row.row))
        elif mine:
            self.rows.append((row.partition, row.row))
            self.watermarks_us.append(row.watermark_us)

    def _look(self, batch: pa.RecordBatch, by: str, watermark_us: int) -> None:
        column = batch.column("window_start")
        starts, _ = to_us(column, self._plan.time_unit, latest=PLUS_INFINITY)
        for i in range(batch.num_rows):
            is_mine = int(starts[i]) == self.start_us or (
                self._plan.spec.grid.everything and not column[i].is_valid
            )
            if is_mine and self._key_in(batch, i) == self.key:
                self.fired.append(Fired(watermark_us, by, values_of(batch, i)))

    def _key_in(self, batch: pa.RecordBatch, i: int) -> tuple[Any, ...]:
        values = values_of(batch.select(list(self._plan.keys)), i)
        return tuple(values[name] for name in self._plan.keys)
