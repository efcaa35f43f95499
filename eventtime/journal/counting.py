"""A bounded source whose rows are shown to somebody as they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from eventtime.journal.seen import Seen
from eventtime.sources.base import Poll
from eventtime.sources.seeking import open_source, position_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.sources.base import PartitionReader, Position, Rows, Source

__all__ = ("Counted",)


@dataclass(frozen=True)
class Counted(Seen):
    """One that is read to its end.

    Args:
        count: called with its number, the partition and the rows.
    """

    count: Callable[[int, str, Rows], None]

    def total_rows(self) -> int | None:
        return cast("Source", self.source).total_rows()

    def open(
        self,
        columns: Sequence[str] | None,
        batch_rows: int,
        positions: Mapping[str, Position] | None = None,
    ) -> list[PartitionReader]:
        readers = open_source(cast("Source", self.source), columns, batch_rows, positions)
        return [_Reader(reader, self) for reader in readers]


class _Reader:
    def __init__(self, reader: PartitionReader, source: Counted) -> None:
        self._reader, self._source = reader, source

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def position(self) -> Position:
        return position_of(self._reader)

    def read(self) -> Rows | Poll:
        answer = self._reader.read()
        if not isinstance(answer, Poll):
            self._source.count(self._source.number, self.name, answer)
        return answer

    def close(self) -> None:
        self._reader.close()
