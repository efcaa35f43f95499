"""What is to be computed: a pipeline as plain values, with all times and durations in µs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from eventtime.windows.user_aggregate import UserAggregate

__all__ = (
    "INFINITY",
    "TIME_LIMIT",
    "Aggregate",
    "Ascending",
    "Asked",
    "Bounded",
    "Custom",
    "Folded",
    "Generator",
    "Proposals",
    "PunctuatedColumn",
    "PunctuatedWhere",
    "Row",
    "Spec",
    "Time",
    "Window",
    "generate",
    "same",
)

INFINITY = math.inf
TIME_LIMIT = 2**62
"""No time below minus this or above it is admitted (S1)."""
Time: TypeAlias = int | float
"""Microseconds; a float only for the two infinities."""
Row: TypeAlias = dict[str, Any]
Window: TypeAlias = tuple[Time, Time]


@dataclass(frozen=True)
class Bounded:
    """W = largest time seen - bound."""

    bound: int


@dataclass(frozen=True)
class Ascending:
    """W = largest time seen."""


@dataclass(frozen=True)
class PunctuatedColumn:
    """W = the column's value wherever it is not null."""

    column: str


@dataclass(frozen=True)
class PunctuatedWhere:
    """W = the time of each row whose (boolean) column is true."""

    column: str


@dataclass(frozen=True)
class Custom:
    """W = what a function of the row's time returns; `make` gives each partition its own."""

    make: Callable[[], Callable[[int], int | None]]


@dataclass(frozen=True)
class Asked:
    """W = what a function of rows that came together returns for each of them.

    `make` gives each partition, by name, its own;
    """

    make: Callable[[str], Proposals]


Proposals: TypeAlias = "Callable[[Sequence[Row]], Sequence[Time | None]]"
"""The watermark after each row, lower ones and None being no news."""
Generator: TypeAlias = Bounded | Ascending | PunctuatedColumn | PunctuatedWhere | Custom | Asked


@dataclass(frozen=True)
class Aggregate:
    """One result column: its name, the function, and its input column (`count()` has none)."""

    name: str
    function: str
    column: str | None = None
    ddof: int = 1


@dataclass(frozen=True, kw_only=True)
class Folded(Aggregate):
    """One result column that an object of the user's makes of columns of these types."""

    own: UserAggregate
    columns: tuple[str, ...]
    types: tuple[pa.DataType, ...]


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
    generator: Generator = field(default_factory=Ascending)
    max_future: int | None = None
    idle_after: int | None = None
    all_idle: str = "hold"
    time: str = "t"
    behind: Callable[[Row], Row | None] = same
    late_columns: tuple[str, ...] | None = None
    written: Callable[[Time], Any] = same
    limit: int = TIME_LIMIT

    @property
    def step(self) -> int:
        """Distance between window starts; a tumbling window slides by its size."""
        assert self.size is not None
        return self.size if self.slide is None else self.slide


def generate(spec: Spec, partition: str) -> Proposals:
    """A new instance of the generator, as a function of the rows (S3)."""
    generator = spec.generator
    if isinstance(generator, Asked):
        return generator.make(partition)
    largest: Time = -INFINITY
    custom = generator.make() if isinstance(generator, Custom) else None

    def propose(row: Row) -> Time | None:
        nonlocal largest
        t: int = row[spec.time]
        largest = max(largest, t)
        match generator:
            case Bounded(bound):
                return largest - bound
            case Ascending():
                return largest
            case PunctuatedColumn(column):
                value: int | None = row[column]
                return value if value is None or abs(value) <= TIME_LIMIT else None
            case PunctuatedWhere(column):
                return t if row[column] else None
            case Custom():
                assert custom is not None
                return custom(t)

    return lambda rows: [propose(row) for row in rows]
