"""Where rows come from: files, Arrow data in memory, and unions of them.

The protocol is in `eventtime.sources.base`; `eventtime.readers` makes descriptions.
"""

from __future__ import annotations

from eventtime.sources.base import MalformedRows, PartitionReader, Poll, Position, Source
from eventtime.sources.partitions import ByColumn, by_column
from eventtime.sources.seeking import open_source, position_of
from eventtime.sources.union import UnionSource

__all__ = (
    "ByColumn",
    "MalformedRows",
    "PartitionReader",
    "Poll",
    "Position",
    "Source",
    "UnionSource",
    "by_column",
    "open_source",
    "position_of",
)
