"""Where rows come from: files, Arrow data in memory, and unions of them.

The protocol is in `eventtime.sources.base`; the functions here make descriptions that read
nothing yet.
"""

from __future__ import annotations

from eventtime.sources.base import MalformedRows, PartitionReader, Poll, Source
from eventtime.sources.constructors import (
    arrow_source,
    csv_source,
    ipc_source,
    json_lines_source,
    parquet_source,
)
from eventtime.sources.partitions import ByColumn, by_column
from eventtime.sources.union import UnionSource

__all__ = (
    "ByColumn",
    "MalformedRows",
    "PartitionReader",
    "Poll",
    "Source",
    "UnionSource",
    "arrow_source",
    "by_column",
    "csv_source",
    "ipc_source",
    "json_lines_source",
    "parquet_source",
)
