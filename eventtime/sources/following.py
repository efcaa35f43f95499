"""Any source as a feed: one that goes on is followed, one that ends is read in threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from eventtime.sources.feed import is_live
from eventtime.sources.reader_feed import ReaderFeed
from eventtime.sources.seeking import open_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position, Source
    from eventtime.sources.feed import AnySource, Feed

__all__ = ("follow",)

_BATCH_ROWS: Final = 16_384


def follow(
    source: AnySource,
    columns: Sequence[str] | None,
    positions: Mapping[str, Position] | None,
    clock: Clock,
) -> Feed:
    """Open a source for a live run; see `LiveSource.follow`."""
    if is_live(source):
        return source.follow(columns, positions, clock)
    bounded = cast("Source", source)
    readers = open_source(
        bounded, columns, _BATCH_ROWS, None if positions is None else dict(positions)
    )
    return ReaderFeed(readers, clock, every_us=None)
