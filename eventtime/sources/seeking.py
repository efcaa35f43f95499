"""Opening sources of users, which need not know positions unless there are checkpoints."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from eventtime.errors import PlanError
from eventtime.sources.positions import check_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.sources.base import PartitionReader, Position, Source

__all__ = ("open_source", "position_of")


def open_source(
    source: Source,
    columns: Sequence[str] | None,
    batch_rows: int,
    positions: Mapping[str, Position] | None = None,
) -> list[PartitionReader]:
    """Open a source, which is told of positions only if there are any.

    Raises:
        PlanError: there are positions, and the source does not take them.
        SourceError: the input is not that of ``positions``.
    """
    if not positions:
        return source.open(columns, batch_rows)
    if not _takes_positions(source):
        message = "the source cannot go on from a checkpoint: its open() takes no positions"
        remedy = "write open(columns, batch_rows, positions=None); see eventtime.sources.Source"
        raise PlanError(message, place=type(source).__name__, remedy=remedy)
    readers = source.open(columns, batch_rows, positions=positions)
    try:
        check_known(positions, [reader.name for reader in readers])
    except BaseException:
        for reader in readers:
            reader.close()
        raise
    return readers


def position_of(reader: PartitionReader) -> Position:
    """Return the position of a reader.

    Raises:
        PlanError: it is that of a user's source, and has none.
    """
    # First without asking for it: an AttributeError inside a property is another matter.
    if not (hasattr(type(reader), "position") or hasattr(reader, "position")):
        message = f"the reader of partition {reader.name!r} has no position to put in a checkpoint"
        remedy = "give it a property position; see eventtime.sources.PartitionReader"
        raise PlanError(message, place=type(reader).__name__, remedy=remedy)
    return reader.position


def _takes_positions(source: Source) -> bool:
    named = inspect.signature(source.open).parameters
    return "positions" in named or any(p.kind is p.VAR_KEYWORD for p in named.values())
