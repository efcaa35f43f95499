"""What is seen of a run that is watched row by row, and who watches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from eventtime.timestamp import MINUS_INFINITY

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.progress import Progress

__all__ = ("Enough", "Onlooker", "PartitionState", "Seen", "Standing", "Watch", "stood")


@dataclass(frozen=True)
class PartitionState:
    """How far a partition was.

    Args:
        name: of the partition.
        watermark_us: its own, int64 microseconds UTC.
        is_idle: whether it was left out of the minimum (S6).
        is_finished: whether it had ended (S9).
    """

    name: str
    watermark_us: int
    is_idle: bool
    is_finished: bool


@dataclass(frozen=True)
class Standing:
    """Where all partitions were at one moment.

    Args:
        watermark_us: the combined watermark.
        held_by: name of the partition that held it back; None: none counted.
        partitions: all of them, in the order in which they were found.
    """

    watermark_us: int = MINUS_INFINITY
    held_by: str | None = None
    partitions: tuple[PartitionState, ...] = ()


def stood(progress: Progress, names: list[str]) -> Standing:
    """Look where partitions are. Cost: O(partitions)."""
    states = tuple(
        PartitionState(name, it.watermark_us, it.idle, it.finished)
        for name, it in zip(names, progress.partitions, strict=True)
    )
    holder = progress.held_by_index
    return Standing(progress.combined_us, None if holder is None else names[holder], states)


@dataclass(frozen=True)
class Seen:
    """One step of a run.

    Args:
        what: in words.
        before: where everything was.
        after_us: the combined watermark after it.
        partition: name of the row's partition; None: it was no row.
        row: its number in the partition, from 0.
        fate: where the ledger has it: 'windowed', 'late', 'null_time', 'future', 'malformed', or
            'filtered'; 'waiting' while the future guard holds it.
        time_us: its event time; None: it has none, or did not come to the windows.
        values: its columns by name, as they came to the windows or were set aside.
        results: that came out.
        sides: what came out of side outputs, by tag.
        set_by: what moved the watermark to where it was before.
    """

    what: str
    before: Standing
    after_us: int
    partition: str | None = None
    row: int | None = None
    fate: str = ""
    time_us: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    results: tuple[pa.RecordBatch, ...] = ()
    sides: dict[str, tuple[pa.RecordBatch, ...]] = field(default_factory=dict)
    set_by: str = ""


class Enough(Exception):  # noqa: N818 - no error: what was looked for was seen
    """Raised by an onlooker that need not see more."""


class Onlooker(Protocol):
    """Is shown each step."""

    def see(self, seen: Seen) -> None:
        """Take a step; may raise `Enough`."""
        ...


class Watch:
    """Remembers what moved the watermark, and shows steps to an onlooker.

    Args:
        onlooker: is shown them.
    """

    def __init__(self, onlooker: Onlooker) -> None:
        self._onlooker = onlooker
        self._last = Standing()
        self.set_by = "nothing: no partition has moved it"

    def stands(self, now: Standing) -> None:
        """Look before a step: what has moved since the last came with no step of the core."""
        if now.watermark_us != self._last.watermark_us:
            was = {it.name: it for it in self._last.partitions}
            idle = [
                it.name for it in now.partitions
                if it.is_idle and it.name in was and not was[it.name].is_idle
            ]  # fmt: skip
            self.set_by = f"the silence of partition {', '.join(map(repr, idle))}"
        self._last = now

    def show(self, seen: Seen, now: Standing) -> None:
        """Show a step that was taken."""
        self._onlooker.see(seen)
        if now.watermark_us != seen.before.watermark_us:
            self.set_by = seen.what
        self._last = now
