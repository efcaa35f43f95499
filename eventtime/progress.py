"""Progress of partitions: own watermarks, and the minimum over those that count (S5–S9).

Silence is told in one of two ways: by hand, as empty polls at readings of a clock; or by a feed,
which says when it begins, while the loop counts the time in which it listened. Thousands of silent
partitions cost nothing then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Literal, get_args

from sortedcontainers import SortedList

from eventtime.checks import is_one_of, shown
from eventtime.errors import PlanError
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

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
        has_left: whether it is somebody else's for now; it is idle then.
    """

    name: str
    watermark_us: int = MINUS_INFINITY
    idle: bool = False
    finished: bool = False
    has_left: bool = False
    empty_since_us: int | None = None
    silent_us: int = 0
    silent_from_us: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it holds the combined watermark back."""
        return not self.idle and not self.finished


@dataclass
class Progress:
    """All partitions and their combined watermark.

    Rows: `heard`, `moved`, `place`. Silence: `polled_empty`; or `silent`, `unpolled`, `listened`.
    Coming and going: `add`, `leave`, `finish`. Reading: `combined_us`, `others_us`, `slowest_us`,
    `held_by`. Surviving: `save`, `restore`. Cost of each: O(log partitions), of `place` O(them).

    Args:
        idle_after_us: silence after which a partition is idle; None: never (replay).
        all_idle: what the combined watermark does when every unfinished partition is idle (S7).
    """

    idle_after_us: int | None = None
    all_idle: AllIdle = "hold"
    combined_us: int = MINUS_INFINITY
    partitions: list[PartitionProgress] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._counting = SortedList()
        self._unfinished = 0
        self._listened_us = 0
        # When those that are silent become idle, in time listened; some were heard since.
        self._due: list[tuple[int, int]] = []

    def add(self, name: str, *, known_at_start: bool = True, historical: bool = False) -> int:
        """Add a partition and return its index (S8).

        Known at the start or historical: from minus infinity. Found later: from the combined
        watermark.
        """
        start = MINUS_INFINITY if known_at_start or historical else self.combined_us
        self._enter(PartitionProgress(name, start))
        return len(self.partitions) - 1

    def others_us(self, index: int) -> int:
        """Return the minimum over the others that count; plus infinity if there is none."""
        for place in range(min(2, len(self._counting))):
            watermark_us, i = self._counting[place]
            if i != index:
                return int(watermark_us)
        return PLUS_INFINITY

    def heard(self, index: int) -> None:
        """Note that rows came: the partition counts again, with its own watermark (S6)."""
        partition = self.partitions[index]
        partition.empty_since_us, partition.silent_from_us, partition.silent_us = None, None, 0
        if partition.idle:
            self._change(index, idle=False, has_left=False)

    def moved(self, index: int, watermark_us: int) -> None:
        """Set a partition's own watermark, already clamped, and combine."""
        if watermark_us != self.partitions[index].watermark_us:
            self._change(index, watermark_us=watermark_us)
        self.combine()

    def place(
        self, indexes: Iterable[int], watermarks_us: Sequence[int] | NDArray[np.int64]
    ) -> None:
        """Set own watermarks of many partitions, and do not combine: a replay does so by row.

        Args:
            indexes: of the partitions.
            watermarks_us: of all partitions, by index.
        """
        for index in indexes:
            self.partitions[index].watermark_us = int(watermarks_us[index])
        counting = enumerate(self.partitions)
        self._counting = SortedList((p.watermark_us, i) for i, p in counting if p.counts)

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
            self._fall_idle(index)

    def silent(self, index: int) -> None:
        """Note that a partition has nothing, and is asked all the time from now on."""
        partition = self.partitions[index]
        if self.idle_after_us is None or partition.silent_from_us is not None:
            return
        partition.silent_from_us = self._listened_us
        heappush(self._due, (self._listened_us + self.idle_after_us - partition.silent_us, index))

    def unpolled(self, index: int) -> None:
        """Note that nobody asks a partition for a while: its silence stands still (S6)."""
        partition = self.partitions[index]
        partition.silent_us, partition.silent_from_us = self._silence(partition), None

    def listened(self, duration_us: int) -> None:
        """Let time pass for those that are silent; `duration_us` is not negative."""
        self._listened_us += duration_us
        while self._due and self._due[0][0] < self._listened_us:
            due_us, index = heappop(self._due)
            # Of a silence that was broken there is another entry, or none: in its own place.
            if self.partitions[index].counts and due_us == self._due_us(self.partitions[index]):
                self._fall_idle(index)

    def leave(self, index: int) -> None:
        """Note that a partition is somebody else's for now: it counts again once it is heard."""
        self.unpolled(index)
        self._change(index, idle=True, has_left=True)
        self.combine()

    def finish(self, index: int) -> None:
        """Note the end of a partition: it leaves the minimum (S9)."""
        self._unfinished -= not self.partitions[index].finished
        self._change(index, finished=True)
        self.combine()

    def combine(self) -> int:
        """Recompute the combined watermark; it never goes back (S5)."""
        if self._counting:
            reached = self._counting[0][0]
        elif not self._unfinished:
            reached = PLUS_INFINITY if self.partitions else MINUS_INFINITY
        else:
            reached = self._all_idle_us()
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
                "has_left": p.has_left,
                "empty_for_us": None if p.empty_since_us is None else now_us - p.empty_since_us,
                "silent_us": self._silence(p),
            }
            for p in self.partitions
        ]

    def restore(self, combined_us: int, saved: Sequence[Mapping[str, Any]], now_us: int) -> None:
        """Go on from there; the time since is none in which partitions were silent (S6, S28)."""
        self.combined_us, self._unfinished = combined_us, 0
        self.partitions.clear()
        self._counting.clear()
        for p in saved:
            empty_us = None if p["empty_for_us"] is None else now_us - p["empty_for_us"]
            flags = p["is_idle"], p["is_finished"], p["has_left"]
            known = PartitionProgress(
                p["name"], p["watermark_us"], *flags, empty_us, p["silent_us"]
            )
            self._enter(known)

    @property
    def held_by(self) -> str | None:
        """Name of the partition that holds the combined watermark back."""
        index = self.held_by_index
        return None if index is None else self.partitions[index].name

    @property
    def held_by_index(self) -> int | None:
        """Index of it; None: no partition counts."""
        return int(self._counting[0][1]) if self._counting else None

    @property
    def slowest_us(self) -> int | None:
        """The smallest own watermark of those that count; None: none does."""
        return int(self._counting[0][0]) if self._counting else None

    def _enter(self, partition: PartitionProgress) -> None:
        self.partitions.append(partition)
        self._unfinished += not partition.finished
        if partition.counts:
            self._counting.add((partition.watermark_us, len(self.partitions) - 1))

    def _change(self, index: int, **to: bool | int) -> None:
        """Change what decides whether and where a partition counts."""
        partition = self.partitions[index]
        if partition.counts:
            self._counting.remove((partition.watermark_us, index))
        for name, value in to.items():
            setattr(partition, name, value)
        if partition.counts:
            self._counting.add((partition.watermark_us, index))

    def _all_idle_us(self) -> int:
        """Where the watermark goes while no unfinished partition counts (S7).

        What those that left have brought comes out with the rest. But where all have left nobody is
        silent, and they are about to come back.
        """
        if self.all_idle == "hold":
            return self.combined_us
        unfinished = [p for p in self.partitions if not p.finished]
        if all(p.has_left for p in unfinished):
            return self.combined_us
        return max(p.watermark_us for p in unfinished)

    def _fall_idle(self, index: int) -> None:
        self._change(index, idle=True)
        self.combine()

    def _due_us(self, partition: PartitionProgress) -> int | None:
        """Return when a partition that is silent becomes idle, in time listened."""
        if partition.silent_from_us is None or self.idle_after_us is None:
            return None
        return partition.silent_from_us + self.idle_after_us - partition.silent_us

    def _silence(self, partition: PartitionProgress) -> int:
        since_us = partition.silent_from_us
        running_us = 0 if since_us is None else self._listened_us - since_us
        return partition.silent_us + running_us
