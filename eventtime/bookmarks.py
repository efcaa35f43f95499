"""Places at which the reading of a partition can be taken up again (S27)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventtime.sources.seeking import position_of

if TYPE_CHECKING:
    import pyarrow as pa

    from eventtime.partition import PartitionIntake
    from eventtime.sources.base import PartitionReader, Position

__all__ = ("Bookmark", "Bookmarks", "Needed")


@dataclass(frozen=True)
class Needed:
    """What of a partition is yet to come out.

    Args:
        row: number of the first row to be windowed, or to be set aside after it was held back.
        aside: number of the first row to be set aside as it is read.
    """

    row: int
    aside: int


@dataclass(frozen=True)
class Bookmark:
    """A place between two reads.

    Args:
        position: of the reader.
        intake: what the door remembered there, for JSON.
        held: rows that the future guard held back there.
        first: number of the first row that is windowed when reading goes on from here.
        next_read: number of the first row that is read then.
    """

    position: Position
    intake: dict[str, Any]
    held: pa.RecordBatch | None
    first: int
    next_read: int

    def precedes(self, needed: Needed) -> bool:
        """Whether all that is needed comes out again when reading goes on from here."""
        return self.first <= needed.row and self.next_read <= needed.aside


class Bookmarks:
    """The bookmarks of one partition, as many as rows read and not yet processed ask for.

    Making: `add`. Finding: `before`.
    """

    def __init__(self, reader: PartitionReader, intake: PartitionIntake) -> None:
        self._reader, self._intake = reader, intake
        self._kept: deque[Bookmark] = deque()

    def add(self, needed: Needed) -> None:
        """Put a bookmark here, and forget those before the last that will do."""
        self._kept.append(self._here())
        while len(self._kept) > 1 and self._kept[1].precedes(needed):
            self._kept.popleft()

    def before(self, needed: Needed) -> Bookmark:
        """Return the last bookmark from which all that is needed comes out again."""
        here = self._here()
        return next(b for b in (here, *reversed(self._kept)) if b.precedes(needed))

    def _here(self) -> Bookmark:
        door = self._intake
        first, next_read = door.first_held, door.next_number
        return Bookmark(position_of(self._reader), door.save(), door.held_rows, first, next_read)
