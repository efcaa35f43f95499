"""Sources as the readers describe them, without the stream around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec

import pyarrow as pa

import eventtime as et
from eventtime.plan import Read
from eventtime.sources import Poll

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.sources import PartitionReader, Position, Source

__all__ = (
    "arrow_source",
    "csv_source",
    "ipc_source",
    "json_lines_source",
    "parquet_source",
    "positions_after",
    "times_of",
)

P = ParamSpec("P")


def _source_of(read: Callable[P, et.Stream]) -> Callable[P, Any]:
    def source(*args: P.args, **how: P.kwargs) -> Any:
        node = read(*args, **how).node
        assert isinstance(node, Read)
        return node.source

    return source


arrow_source = _source_of(et.from_arrow)
csv_source = _source_of(et.read_csv)
ipc_source = _source_of(et.read_ipc)
json_lines_source = _source_of(et.read_json_lines)
parquet_source = _source_of(et.read_parquet)


def times_of(reader: PartitionReader) -> list[int]:
    """Read column ``t`` to the end."""
    times: list[int] = []
    while (item := reader.read()) is not Poll.END:
        assert isinstance(item, pa.RecordBatch)
        rows: Any = item
        times += rows.column("t").to_pylist()
    reader.close()
    return times


def positions_after(source: Source, reads: int, batch_rows: int = 10) -> dict[str, Position]:
    """Ask every partition so many times."""
    readers = source.open(None, batch_rows)
    for reader in readers:
        for _ in range(reads):
            reader.read()
        reader.close()
    return {reader.name: reader.position for reader in readers}
