"""Progress of partitions: own watermarks, and the minimum over those that count (S5–S9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ("AllIdle", "PartitionProgress", "Progress", "check_all_idle")

AllIdle = Literal["hold", "flush_max"]


def check_all_idle(policy: str) -> None:
    """Refuse an unknown all-idle policy (S7)."""
    if not is_one_of(policy, get_args(AllIdle)):
        msg = f"all-idle policy {shown(policy)} is unknown"
        raise PlanError(
            msg, place="watermark(all_idle=…)", remedy=f"one of {', '.join(get_args(AllIdle))}"
        )


@dataclass
class PartitionProgress:
    """How far one partition is.

    Args:
        name: of the partition.
        watermark_us: its own watermark.
        idle: whether it is left out of the minimum for now.
        finished: whether it has ended.
    """

    name: str
    watermark_us: int = MINUS_INFINITY
    idle: bool = False
    finished: bool = False
    empty_since_us: int | None = None
    silent_us: int = 0

    @property
    def counts(self) -> bool:
        """Whether it holds the combined watermark back."""
        return not self.idle and not self.finished


@dataclass
class Progress:
    """All partitions and their combined watermark.

    Rows: `heard`. Silence: `polled_empty`. Coming and going: `add`, `finish`. Reading:
    `combined_us`, `others_us`. Surviving: `save`, `restore`.

    Args:
        idle_after_us: silence after which a partition is idle; None: never (replay).
        all_idle: what the combined watermark does when every unfinished partition is idle (S7).
    """

    idle_after_us: int | None = None
    all_idle: AllIdle = "hold"
    combined_us: int = MINUS_INFINITY
    partitions: list[PartitionProgress] = field(default_factory=list)

    def add(self, name: str, *, known_at_start: bool = True, historical: bool = False) -> int:
        """Add a partition and return its index (S8).

        Known at the start or historical: from minus infinity. Found later: from the combined
        watermark.
        """
        start = MINUS_INFINITY if known_at_start or historical else self.combined_us
        self.partitions.append(PartitionProgress(name, start))
        return len(self.partitions) - 1

    def others_us(self, index: int) -> int:
        """Return the minimum over the others that count; plus infinity if there is none."""
        return min(
            (p.watermark_us for i, p in enumerate(self.partitions) if i != index and p.counts),
            default=PLUS_INFINITY,
        )

    def heard(self, index: int) -> None:
        """Note that rows came: the partition counts again, with its own watermark (S6)."""
        partition = self.partitions[index]
        partition.idle, partition.empty_since_us, partition.silent_us = False, None, 0

    def moved(self, index: int, watermark_us: int) -> None:
        """Set a partition's own watermark, already clamped, and combine."""
        self.partitions[index].watermark_us = watermark_us
        self.combine()

    def polled_empty(self, index: int, now_us: int) -> None:
        """Note an empty poll; only time between empty polls in a row counts as silence (S6)."""
        partition = self.partitions[index]
        if partition.finished or self.idle_after_us is None:
            return
        if partition.empty_since_us is not None:
            # A clock stepped back adds nothing.
            partition.silent_us += max(0, now_us - partition.empty_since_us)
        partition.empty_since_us = now_us
        if not partition.idle and partition.silent_us > self.idle_after_us:
            partition.idle = True
            self.combine()

    def finish(self, index: int) -> None:
        """Note the end of a partition: it leaves the minimum (S9)."""
        self.partitions[index].finished = True
        self.combine()

    def combine(self) -> int:
        """Recompute the combined watermark; it never goes back (S5)."""
        counting = [p.watermark_us for p in self.partitions if p.counts]
        if counting:
            reached = min(counting)
        elif all(p.finished for p in self.partitions):
            reached = PLUS_INFINITY if self.partitions else MINUS_INFINITY
        elif self.all_idle == "flush_max":
            reached = max(p.watermark_us for p in self.partitions if not p.finished)
        else:
            reached = self.combined_us
        self.combined_us = max(self.combined_us, reached)
        return self.combined_us

    def save(self, now_us: int) -> list[dict[str, Any]]:
        """Return what is known of each partition; instants of the clock as time that has passed."""
        return [
            {
                "name": p.name,
                "watermark_us": p.watermark_us,
                "is_idle": p.idle,
                "is_finished": p.finished,
                "empty_for_us": None if p.empty_since_us is None else now_us - p.empty_since_us,
                "silent_us": p.silent_us,
            }
            for p in self.partitions
        ]

    def restore(self, combined_us: int, saved: Sequence[Mapping[str, Any]], now_us: int) -> None:
        """Go on from there; the time since is none in which partitions were silent (S6, S28)."""
        self.combined_us = combined_us
        self.partitions = [
            PartitionProgress(
                p["name"],
                p["watermark_us"],
                p["is_idle"],
                p["is_finished"],
                None if p["empty_for_us"] is None else now_us - p["empty_for_us"],
                p["silent_us"],
            )
            for p in saved
        ]

    @property
    def held_by(self) -> str | None:
        """Name of the partition that holds the combined watermark back."""
        counting = [p for p in self.partitions if p.counts]
        return min(counting, key=lambda p: p.watermark_us).name if counting else None
