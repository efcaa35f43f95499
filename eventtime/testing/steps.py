"""What can happen to a pipeline, step by step: what the kit draws, drives, writes and prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

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
    """

    partitions: tuple[str, ...]
    steps: tuple[Step, ...]
    start_us: int = 0
