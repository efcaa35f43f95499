"""What can happen to a pipeline, step by step: what the kit draws, drives, writes and prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.timestamp import PLUS_INFINITY

__all__ = (
    "AddPartition",
    "AdvanceClock",
    "Checkpoint",
    "Crash",
    "Finish",
    "Heartbeat",
    "PollEmpty",
    "Push",
    "Restart",
    "Row",
    "Step",
    "Streams",
    "Survived",
    "Told",
    "check_step",
)

Row: TypeAlias = dict[str, Any]
"""Values by column, as Arrow's arrays of the column's type take them; a time may be whole units."""


@dataclass(frozen=True)
class Push:
    """Rows arrive in a partition, as one batch."""

    partition: str
    rows: list[Row]


@dataclass(frozen=True)
class PollEmpty:
    """A partition was polled and had nothing (S6)."""

    partition: str


@dataclass(frozen=True)
class AdvanceClock:
    """Processing time goes on by so many microseconds; below zero, the clock is stepped back."""

    by_us: int


@dataclass(frozen=True)
class Heartbeat:
    """Somebody knows that a partition has no more rows before a time, µs UTC (S2, S5)."""

    partition: str
    time_us: int


@dataclass(frozen=True)
class AddPartition:
    """A partition is found; a historical one holds the others back (S8)."""

    partition: str
    historical: bool = False


@dataclass(frozen=True)
class Finish:
    """A partition has ended (S9)."""

    partition: str


@dataclass(frozen=True)
class Restart:
    """The state is saved, all else is destroyed, and another engine goes on (S28)."""


@dataclass(frozen=True)
class Checkpoint:
    """The state is saved, and with it how far the input was taken (S27)."""


@dataclass(frozen=True)
class Crash:
    """All since the last checkpoint is lost, or all there was; its input comes again (S28).

    So do the readings of the clock since then, as from a journal: what comes out is the same.
    """


Told: TypeAlias = PollEmpty | AdvanceClock | Heartbeat | AddPartition | Finish
"""What an engine is told, without rows."""
Survived: TypeAlias = Restart | Checkpoint | Crash
"""What nobody can tell from what comes out."""
Step: TypeAlias = Push | Told | Survived


@dataclass(frozen=True)
class Streams:
    """What a pipeline goes through.

    Args:
        partitions: known at the start; nothing fires before each was heard (S8).
        steps: in the order in which they happen.
        start_us: what the clock shows at the start.

    Raises:
        PlanError: one of the first two is no list, something in `steps` is no step, or a step has
            what cannot be; shows it.
    """

    partitions: tuple[str, ...]
    steps: tuple[Step, ...]
    start_us: int = 0

    def __post_init__(self) -> None:
        for name, what in (("partitions", "names"), ("steps", "steps")):
            given: object = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Iterable):
                msg, remedy = f"{shown(given)} is no list of {what}", "put it in a list"
                raise PlanError(msg, place=f"Streams({name})", remedy=remedy)
            # It is gone through more than once.
            object.__setattr__(self, name, tuple(given))
        _check_us(self.start_us, "Streams(start_us)")
        for step in self.steps:
            check_step(step, place="Streams(steps)")


def check_step(step: object, *, place: str) -> None:
    """Refuse what is no step, such as a class of steps.

    Raises:
        PlanError: shows it.
    """
    if not isinstance(step, get_args(Step)):
        msg = f"{shown(step)} is no step"
        remedy = f"{step.__name__}()" if isinstance(step, type) else "such as Push('a', rows)"
        raise PlanError(msg, place=place, remedy=remedy)
    name = type(step).__name__
    for field in ("by_us", "time_us"):
        _check_us(getattr(step, field, 0), f"{name}({field})")
    partition: object = getattr(step, "partition", "")
    if not isinstance(partition, str):
        msg, remedy = f"{shown(partition)} is no name of a partition", "give its name, such as 'a'"
        raise PlanError(msg, place=f"{name}(partition)", remedy=remedy)
    rows: object = getattr(step, "rows", ())
    if not isinstance(rows, list | tuple | pa.RecordBatch | pa.Table):
        msg = f"{shown(rows)} are no rows"
        remedy = "give a list of dicts, a pyarrow.RecordBatch or a pyarrow.Table"
        raise PlanError(msg, place=f"{name}(rows)", remedy=remedy)


def _check_us(given: object, place: str) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or abs(given) > PLUS_INFINITY:
        msg, remedy = f"{shown(given)} is no whole number of µs", "5_000_000 for five seconds"
        raise PlanError(msg, place=place, remedy=remedy)
