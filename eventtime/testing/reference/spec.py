"""What is to be computed: a pipeline as plain values, with all times and durations in µs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.windows.user_aggregate import UserAggregate

__all__ = (
    "INFINITY",
    "TIME_LIMIT",
    "Aggregate",
    "Bounded",
    "Generator",
    "Marks",
    "Row",
    "Spec",
    "Time",
    "Window",
    "same",
)

INFINITY = math.inf
TIME_LIMIT = 2**62
"""No time below minus this or above it is admitted (S1)."""
Time: TypeAlias = int | float
"""Microseconds; a float only for the two infinities."""
Row: TypeAlias = dict[str, Any]
Window: TypeAlias = tuple[Time, Time]
Marks: TypeAlias = "Callable[[Sequence[Row], Sequence[int]], Sequence[Time | None]]"
"""The watermark after each of some rows, of these times; None and lower ones are no news (S3)."""
Generator: TypeAlias = "Callable[[str], Marks]"
"""Gives each partition, by name, its own (S3)."""


@dataclass(frozen=True)
class Bounded:
    """W = largest time seen - bound; of what the rows say the largest counts (S3)."""

    bound: int = 0

    def __call__(self, partition: str) -> Marks:
        """A new one, which has nothing to remember."""
        return lambda _, times: [t - self.bound for t in times]


@dataclass(frozen=True)
class Aggregate:
    """One result column: its name, the function, and its input column (`count()` has none).

    `own` is the object behind a function of the user's; `inputs` are its columns.
    """

    name: str
    function: str
    column: str | None = None
    ddof: int = 1
    own: UserAggregate | None = None
    inputs: pa.Schema = field(default=pa.schema([]), repr=False)


def same(value: Any) -> Any:
    """The value itself."""
    return value


@dataclass(frozen=True)
class Spec:
    """Watermark, keyed windows, aggregates; durations in µs.

    Args:
        size: of windows; None: the global window; slide: None: as the size; offset: of windows.
        lateness, mode: of the window.
        keys: names of key columns.
        aggregates: what is computed.
        generator: of watermarks; max_future, idle_after, all_idle: beside it.
        time: the column that holds the event time.
        behind: what a row becomes behind the watermark, or between two windows; None: it is
            filtered out.
        late_columns: own columns of late rows; None: all.
        tag: of the side output for late rows; None: they are counted only.
        written: how a time is written in results, from µs.
        limit: no time below minus this or above it is admitted (S1).
    """

    size: int | None
    slide: int | None = None
    offset: int = 0
    lateness: int = 0
    mode: str = "accumulating"
    keys: tuple[str, ...] = ("key",)
    aggregates: tuple[Aggregate, ...] = (Aggregate("n", "count"),)
    generator: Generator = Bounded()
    max_future: int | None = None
    idle_after: int | None = None
    all_idle: str = "hold"
    time: str = "t"
    behind: Callable[[Row], Row | None] = same
    late_columns: tuple[str, ...] | None = None
    tag: str | None = "late"
    written: Callable[[Time], Any] = same
    limit: int = TIME_LIMIT

    @property
    def step(self) -> int:
        """Distance between window starts; a tumbling window slides by its size."""
        assert self.size is not None
        return self.size if self.slide is None else self.slide

    @property
    def slice(self) -> int:
        """Length of the slices that windows are made of (S14)."""
        assert self.size is not None
        return math.gcd(self.size, self.step)
