"""What is to be computed: a pipeline as plain values, with all times and durations in µs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = (
    "INFINITY",
    "TIME_LIMIT",
    "Aggregate",
    "Ascending",
    "Bounded",
    "Custom",
    "Generator",
    "PunctuatedColumn",
    "PunctuatedWhere",
    "Row",
    "Spec",
    "Time",
    "Window",
    "generate",
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


Generator: TypeAlias = Bounded | Ascending | PunctuatedColumn | PunctuatedWhere | Custom


@dataclass(frozen=True)
class Aggregate:
    """One result column: its name, the function, and its input column (`count()` has none)."""

    name: str
    function: str
    column: str | None = None


@dataclass(frozen=True)
class Spec:
    """Watermark, keyed windows, aggregates; durations in µs; `size=None`: the global window."""

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
    where: str | None = None
    """A boolean column: behind the watermark only rows in which it is true go on."""

    @property
    def step(self) -> int:
        """Distance between window starts; a tumbling window slides by its size."""
        assert self.size is not None
        return self.size if self.slide is None else self.slide


def generate(spec: Spec) -> Callable[[Row], Time | None]:
    """A new instance of the generator, as a function of the row (S3)."""
    generator = spec.generator
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

    return propose
