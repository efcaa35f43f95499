"""What happens in a transcript, one by one; most acts are steps of the kit's alphabet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from eventtime.testing.steps import (
    AddPartition,
    AdvanceClock,
    Finish,
    Heartbeat,
    PollEmpty,
    Push,
)

if TYPE_CHECKING:
    from eventtime.testing.steps import Step
    from eventtime.testing.transcripts.declared import Declared
    from eventtime.testing.transcripts.reading import Entry

__all__ = (
    "Act",
    "Add",
    "Beat",
    "Crash",
    "Cut",
    "End",
    "Expect",
    "Idle",
    "Input",
    "Pass",
    "Poll",
    "Replay",
    "Restarted",
    "Rows",
)

Rows: TypeAlias = dict[str, list[dict[str, Any]]]
"""By partition."""


@dataclass(frozen=True)
class Act:
    """Something that happens.

    Args:
        entry: where it is written.
    """

    entry: Entry

    def steps(self) -> list[Step]:
        """Return it as steps; what is more than steps has none."""
        return []


@dataclass(frozen=True)
class Input(Act):
    """Rows come, as one batch for each partition."""

    rows: Rows

    def steps(self) -> list[Step]:
        return [Push(name, rows) for name, rows in self.rows.items()]


@dataclass(frozen=True)
class Replay(Act):
    """All rows of all partitions, as files hold them, to the end (S10)."""

    rows: Rows


@dataclass(frozen=True)
class Beat(Act):
    """Heartbeats."""

    times_us: dict[str, int]

    def steps(self) -> list[Step]:
        return [Heartbeat(name, time_us) for name, time_us in self.times_us.items()]


@dataclass(frozen=True)
class Poll(Act):
    """Partitions are polled and have nothing."""

    partitions: list[str]

    def steps(self) -> list[Step]:
        return [PollEmpty(name) for name in self.partitions]


@dataclass(frozen=True)
class Idle(Act):
    """Partitions are polled, time passes, and they are polled again: nothing."""

    partitions: list[str]
    spell_us: int

    def steps(self) -> list[Step]:
        polls: list[Step] = [PollEmpty(name) for name in self.partitions]
        return [*polls, AdvanceClock(self.spell_us), *polls]


@dataclass(frozen=True)
class Pass(Act):
    """The clock goes on."""

    by_us: int

    def steps(self) -> list[Step]:
        return [AdvanceClock(self.by_us)]


@dataclass(frozen=True)
class Add(Act):
    """A partition is found."""

    partition: str
    historical: bool

    def steps(self) -> list[Step]:
        return [AddPartition(self.partition, self.historical)]


@dataclass(frozen=True)
class End(Act):
    """Partitions end."""

    partitions: list[str]

    def steps(self) -> list[Step]:
        return [Finish(name) for name in self.partitions]


@dataclass(frozen=True)
class Cut(Act):
    """A checkpoint."""


@dataclass(frozen=True)
class Crash(Act):
    """All since the last checkpoint is lost; its input comes again."""


@dataclass(frozen=True)
class Restarted(Act):
    """State is saved, all else is destroyed, and another engine goes on.

    Args:
        shards: of it; None: as many as before.
        pipeline: of it; None: the same.
        refused: part of the message with which it is refused; empty: it is not.
    """

    shards: int | None = None
    pipeline: Declared | None = None
    refused: str = ""


@dataclass(frozen=True)
class Expect(Act):
    """What is expected of what came since the last expectation, and of what can be seen now."""

    said: dict[str, Entry]
