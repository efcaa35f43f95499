"""Reading a whole source, and a count of what the process holds open."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from eventtime.sources import MalformedRows, Poll

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.sources import Source

Read = dict[str, list[dict[str, Any]]]


def read_source(
    source: Source, columns: Sequence[str] | None = None, batch_rows: int = 1000
) -> Read:
    """Rows of every partition in order; a malformed one has ``line``, ``raw`` and ``error``."""
    found: Read = {}
    schema = source.schema() if columns is None else None
    for reader in source.open(columns, batch_rows):
        rows = found.setdefault(reader.name, [])
        while (item := reader.read()) is not Poll.END:
            assert not isinstance(item, Poll)
            if isinstance(item, MalformedRows):
                rows += item.rows.to_pylist()
                continue
            assert isinstance(item, pa.RecordBatch)
            assert item.num_rows > 0
            assert schema is None or item.schema.equals(schema)
            rows += item.to_pylist()
        assert reader.read() is Poll.END
        reader.close()
        reader.close()
    assert list(found) == sorted(found)
    return found


@pytest.fixture
def read_all() -> Callable[..., Read]:
    """`read_source`, for tests that cannot import this file."""
    return read_source


@pytest.fixture
def decode_threads() -> Callable[[], int]:
    """How many decode threads live."""

    def count() -> int:
        return sum(thread.name.startswith("eventtime-decode") for thread in threading.enumerate())

    return count
