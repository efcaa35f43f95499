"""What a pipeline reads of its rows, and the durations by which it judges them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from eventtime.compiled import StagePlan, compile_plan
from eventtime.errors import TimeColumnError
from eventtime.process.plan import ProcessPlan
from eventtime.testing.given import check_pipeline
from eventtime.timestamp import (
    EPOCH_UNITS,
    check_time_type,
    latest_us,
    unit_of,
)
from eventtime.transform import WithColumns

if TYPE_CHECKING:
    from eventtime.compiled import Branch, CompiledPlan
    from eventtime.stream import Stream

__all__ = ("BroadcastRows", "Reads", "TimeColumn", "WindowTimes", "reads")

_DAY: Final = 86_400_000_000


@dataclass(frozen=True)
class TimeColumn:
    """A column of times, as whole units of its type.

    Args:
        kind: its type.
        time_unit: of integers.

    >>> column = TimeColumn(pa.timestamp("s"), None)
    >>> column.raw(5_000_000), column.tick_us
    (5, 1000000)
    """

    kind: pa.DataType
    time_unit: str | None

    @property
    def tick_us(self) -> int:
        """Distance of the times it can hold, at least one microsecond."""
        if pa.types.is_date(self.kind):
            return _DAY
        return max(1, EPOCH_UNITS[unit_of(self.kind, self.time_unit)])

    @property
    def latest_us(self) -> int:
        """The last admitted time (S1), as far as the type holds it."""
        unit = unit_of(self.kind, self.time_unit)
        most = min(latest_us(unit), self._us(self._raw_range[1]))
        return most // self.tick_us * self.tick_us

    @property
    def earliest_us(self) -> int:
        """The first admitted time, as far as the type holds it."""
        least = max(-latest_us(unit_of(self.kind, self.time_unit)), self._us(self._raw_range[0]))
        return -(-least // self.tick_us) * self.tick_us

    @property
    def beyond(self) -> tuple[int, ...]:
        """Values of the column that are no admitted times: those next to them, and its own ends."""
        low, high = self._raw_range
        first, last = self.raw(self.earliest_us), self.raw(self.latest_us + self.tick_us) - 1
        beside = (last + 1, first - 1, high, low)
        return tuple(raw for raw in beside if low <= raw <= high and not first <= raw <= last)

    def raw(self, time_us: int) -> int:
        """Return a time as the column holds it."""
        unit = unit_of(self.kind, self.time_unit)
        if unit == "ns":
            return time_us * 1_000
        return time_us // (_DAY if unit == "day" else EPOCH_UNITS[unit])

    def within(self, time_us: int) -> int:
        """Return the column's time at or before one, the nearest that is admitted."""
        return min(max(time_us // self.tick_us * self.tick_us, self.earliest_us), self.latest_us)

    def _us(self, raw: int) -> int:
        unit = unit_of(self.kind, self.time_unit)
        if unit == "ns":
            return raw // 1_000
        return raw * (_DAY if unit == "day" else EPOCH_UNITS[unit])

    @property
    def _raw_range(self) -> tuple[int, int]:
        if pa.types.is_unsigned_integer(self.kind):
            return 0, 2**self.kind.bit_width - 1
        bits = self.kind.bit_width - 1
        return -(2**bits), 2**bits - 1


@dataclass(frozen=True)
class WindowTimes:
    """The durations of one window operator; a size of zero is the window of all time."""

    size_us: int
    slide_us: int
    offset_us: int
    lateness_us: int

    def edge(self, time_us: int) -> int:
        """Return the last start of a window that is not after a time."""
        return (time_us - self.offset_us) // self.slide_us * self.slide_us + self.offset_us

    def end(self, time_us: int) -> int:
        """Return the first end of a window that is after a time."""
        return self.edge(time_us - self.size_us) + self.slide_us + self.size_us


@dataclass(frozen=True)
class BroadcastRows:
    """Rows of a broadcast stream.

    Args:
        schema: of them, as they are pushed.
        time: the event-time column, and as what it is held; None where steps make it of others.
    """

    schema: pa.Schema
    time: tuple[str, TimeColumn] | None


@dataclass(frozen=True)
class Reads:
    """What a pipeline reads.

    Args:
        schema: of the rows that are pushed: the columns the pipeline uses.
        time: the event-time column, and as what it is held; None where steps make it of others.
        marks: columns that carry watermarks.
        keys: columns that rows are grouped by.
        bound_us: how far its watermark is behind the latest row, as far as is known before.
        learns_after: rows of a partition behind which a percentile has a bound of its own; None: it
            learns none.
        made: columns of times and watermarks that steps before the watermark make, or make anew.
        idle_after_us, max_future_us: as declared.
        windows: of its operators, in order.
        told: broadcast streams of its process functions, by name.
    """

    schema: pa.Schema
    time: tuple[str, TimeColumn] | None
    marks: dict[str, TimeColumn]
    keys: frozenset[str]
    bound_us: int
    learns_after: int | None
    made: tuple[str, ...]
    idle_after_us: int | None
    max_future_us: int | None
    windows: tuple[WindowTimes, ...]
    told: dict[str, BroadcastRows]

    @property
    def tick_us(self) -> int:
        """Distance of event times."""
        return 1 if self.time is None else self.time[1].tick_us

    @property
    def unit_us(self) -> int:
        """A step in time of which a few make a window: a quarter of the shortest slide."""
        slides = [w.slide_us for w in self.windows if w.slide_us]
        whole = min(slides, default=self.bound_us or 4_000_000)
        return max(whole // 4 // self.tick_us, 1) * self.tick_us


def reads(pipeline: Stream, *, place: str) -> Reads:
    """Return what a pipeline reads.

    Args:
        pipeline: with windows or a process function; its source gives the schema only.
        place: where it was given.

    Raises:
        PlanError: it is no pipeline, or one that cannot run.

    >>> import eventtime as et
    >>> nothing = pa.table({"t": pa.array([], pa.timestamp("s")), "x": pa.array([], pa.int64())})
    >>> stream = et.from_arrow(nothing, time="t").watermark(et.bounded_disorder("4h"))
    >>> pipeline = stream.window(et.tumbling("1h"), late=et.DROP).aggregate(n=et.count())
    >>> found = reads(pipeline, place="streams(pipeline)")
    >>> found.schema.names, found.bound_us, found.windows[0].size_us
    (['t'], 14400000000, 3600000000)
    """
    check_pipeline(pipeline, place=place)
    plan = compile_plan(pipeline.node)
    schema, watermark, source = plan.branches[0].schema, plan.watermark, plan.branches[0].source
    generator: Any = watermark.generator
    marks = [name for name in generator.columns if isinstance(name, str)]
    return Reads(
        schema,
        next(iter(_times(schema, [source.time], source.time_unit).items()), None),
        _times(schema, marks, source.time_unit),
        frozenset(name for stage in plan.stages for name in stage.keys),
        getattr(generator, "lag_us", 0) or getattr(generator, "initial_us", 0),
        _learns_after(generator),
        _made(plan.branches[0], [source.time, *marks]),
        watermark.idle_after_us,
        watermark.max_future_us,
        tuple(
            WindowTimes(
                stage.spec.grid.size_us,
                stage.spec.grid.slide_us,
                stage.spec.grid.offset_us,
                stage.spec.lateness_us,
            )
            for stage in plan.stages
            if isinstance(stage, StagePlan)
        ),
        _told(plan),
    )


def _learns_after(generator: Any) -> int | None:
    if not hasattr(generator, "warm_up"):
        return None
    return int(-(-generator.warm_up // generator.every) * generator.every)


def _made(branch: Branch, names: list[str]) -> tuple[str, ...]:
    steps = [step for step in branch.steps if isinstance(step, WithColumns)]
    anew = {name for step in steps for name, _ in step.columns}
    return tuple(name for name in names if name in anew)


def _told(plan: CompiledPlan) -> dict[str, BroadcastRows]:
    found: dict[str, BroadcastRows] = {}
    for stage in plan.stages:
        for name, stream in stage.broadcast.items() if isinstance(stage, ProcessPlan) else ():
            source, schema = stream.source, stream.source.schema()
            times = _times(schema, [source.time], source.time_unit)
            found.setdefault(name, BroadcastRows(schema, next(iter(times.items()), None)))
    return found


def _times(schema: pa.Schema, names: list[str], time_unit: str | None) -> dict[str, TimeColumn]:
    """Return those columns that hold times as they are pushed; others are made by steps."""
    found = {}
    for name in names:
        if name in schema.names and _holds_time(name, schema.field(name).type, time_unit):
            found[name] = TimeColumn(schema.field(name).type, time_unit)
    return found


def _holds_time(name: str, kind: pa.DataType, time_unit: str | None) -> bool:
    try:
        check_time_type(name, kind, time_unit)
    except TimeColumnError:
        return False
    return True
