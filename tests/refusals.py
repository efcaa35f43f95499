"""Pipelines to break, for the tests of bad input."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

import eventtime as et

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.stream import Stream

__all__ = ("FORMATS", "READERS", "SECONDS", "Refused", "counted", "seconds", "write")

Refused = Callable[[type[et.EventTimeError], str, str, str], AbstractContextManager[None]]
SECONDS: Final = pa.timestamp("s")
FORMATS: Final = ("parquet", "csv", "jsonl", "arrow")
READERS: Final[dict[str, Callable[..., Stream]]] = {
    "parquet": et.read_parquet,
    "csv": et.read_csv,
    "jsonl": et.read_json_lines,
    "arrow": et.read_ipc,
}


def seconds(n: int = 3, **columns: Any) -> pa.Table:
    """Make rows one second apart."""
    return pa.table({"t": pa.array(range(n), SECONDS), **columns})


def counted(stream: Stream, *keys: str, **aggregates: et.Aggregate) -> Stream:
    """Count in windows of ten seconds, or compute what is given."""
    marked: Any = stream.watermark(et.ascending())
    grouped = marked.key_by(*keys) if keys else marked
    result: Stream = grouped.window(et.tumbling("10s")).aggregate(**aggregates or {"n": et.count()})
    return result


def write(table: pa.Table, path: Path) -> Path:
    """Write a file of the format that its suffix names."""
    makers: dict[str, Any] = {
        ".parquet": et.to_parquet,
        ".csv": et.to_csv,
        ".jsonl": et.to_json_lines,
        ".arrow": et.to_ipc,
    }
    writer = makers[path.suffix](path).open(table.schema)
    for batch in table.to_batches():
        writer.write(batch)
    writer.commit()
    return path
