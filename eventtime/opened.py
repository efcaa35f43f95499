"""The feed of one source, and which of the run's partitions are its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.sources.base import Position
    from eventtime.sources.feed import Feed

__all__ = ("Opened", "note_readers", "positions_in")


@dataclass
class Opened:
    """The feed of one source.

    Args:
        feed: open.
        branch: number of the source.
        indexes: of its partitions, by the name the feed gives them.
        held: names of those that are to wait for slower ones.
        left: names of those that somebody else reads.
    """

    feed: Feed
    branch: int
    indexes: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)

    @property
    def held_indexes(self) -> set[int]:
        """Partitions of the run that are to wait for slower ones."""
        return {self.indexes[name] for name in self.held}

    @property
    def left_indexes(self) -> set[int]:
        """Partitions of the run that somebody else reads."""
        return {self.indexes[name] for name in self.left}

    def each(self, names: Sequence[str], act: Callable[[int], None]) -> None:
        """Call a function with the index of each partition."""
        for name in names:
            act(self.indexes[name])


def note_readers(
    head: dict[str, Any], feeds: Sequence[Opened], positions: Sequence[Position | None]
) -> None:
    """Add to what is saved of partitions how their feeds call them, and where they are.

    Args:
        head: of a checkpoint; changed.
        feeds: of the run.
        positions: by partition.
    """
    readers = {p: (name, it) for it in feeds for name, p in it.indexes.items()}
    for p, known in enumerate(head["partitions"]):
        name, it = readers[p]
        known |= {"reader": name, "position": positions[p], "is_held": name in it.held}


def positions_in(head: dict[str, Any], branch: int) -> dict[str, Position]:
    """Return the positions of a source's partitions; those never heard have none."""
    return {
        known["reader"]: known["position"]
        for known in head["partitions"]
        if known["branch"] == branch and known["position"] is not None
    }
