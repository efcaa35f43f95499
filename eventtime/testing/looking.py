"""What can be seen of a harness: watermarks, partitions, state, the ledger."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.testing.rows import iso

if TYPE_CHECKING:
    from eventtime.engine import Engine
    from eventtime.engine_look import EngineLook, HeldState, PartitionLook, Timer
    from eventtime.ledger import Ledger
    from eventtime.testing.lives import Lives

__all__ = ("Looking",)


class Looking:
    """The looking half of `Harness`, which has the engines."""

    _lives: Lives

    @property
    def engine(self) -> Engine:
        """The engine that is driven; a restart puts another one in its place."""
        return self._lives.engine

    @property
    def shards(self) -> int:
        """Threads that share the keys."""
        return self._lives.shards

    @property
    def watermark(self) -> str:
        """The combined watermark, as ISO 8601 text; '-inf' and '+inf' at its ends."""
        return iso(self.engine.watermark_us)

    @property
    def watermark_us(self) -> int:
        """The combined watermark, int64 microseconds UTC."""
        return self.engine.watermark_us

    def watermark_of(self, partition: str) -> str:
        """Return a partition's own watermark, as ISO 8601 text."""
        return iso(self.partition(partition).watermark_us)

    def is_idle(self, partition: str) -> bool:
        """Tell whether a partition is idle (S6)."""
        return self.partition(partition).is_idle

    def partition(self, name: str) -> PartitionLook:
        """Return how far a partition is.

        Raises:
            PlanError: there is none of that name.
        """
        partitions = {known.name: known for known in self.look().partitions}
        if name not in partitions:
            msg = f"there is no partition {shown(name)}"
            remedy = f"partitions are {', '.join(partitions)}"
            raise PlanError(msg, place="harness", remedy=remedy)
        return partitions[name]

    @property
    def held_by(self) -> str | None:
        """Name of the partition that holds the watermark back; None: none counts."""
        return self.look().held_by

    @property
    def ledger(self) -> Ledger:
        """The balance as of now (S26): it stays as it is while more rows come."""
        return copy.deepcopy(self.engine.ledger)

    @property
    def timers(self) -> tuple[Timer, ...]:
        """Timers that are set, in the order of operators, then of time."""
        return self.look().timers

    @property
    def state(self) -> tuple[HeldState, ...]:
        """What each operator holds: keys, rows, bytes."""
        return self.look().operators

    @property
    def is_empty(self) -> bool:
        """Whether no state is held (S30)."""
        return self.engine.is_empty

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags of all side outputs."""
        return self.look().tags

    def look(self) -> EngineLook:
        """Return all that can be seen at once. Cost: O(keys held) and O(timers)."""
        return self.engine.look()
