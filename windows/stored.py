"""Results of a window that has no room in memory: they wait outside of it until they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa

from eventtime.errors import ScratchError

if TYPE_CHECKING:
    from eventtime.state.blocks import BlockStore

__all__ = ("Rows", "StoredRows", "in_memory", "stored")


class StoredRows:
    """Rows in a block, to be taken once.

    Args:
        store: of the block.
        block: number.
        num_rows: in it.
    """

    def __init__(self, store: BlockStore, block: int, num_rows: int) -> None:
        self._store, self._block, self.num_rows = store, block, num_rows

    def take(self) -> pa.RecordBatch:
        """Read the rows, and delete the block.

        Raises:
            ScratchError: it is not what was written.
        """
        data = self._store.get_many([self._block])[0]
        self._store.delete([self._block])
        with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
            return reader.read_next_batch()


Rows: TypeAlias = "pa.RecordBatch | StoredRows"
"""Rows in memory or outside of it."""


def stored(rows: pa.RecordBatch, store: BlockStore) -> Rows:
    """Put rows out of memory; where that cannot be they stay in it."""
    counted = pa.MockOutputStream()
    _write(rows, counted)
    # A buffer that grows would be twice as large for a moment.
    data = np.empty(counted.size(), np.uint8)
    _write(rows, pa.FixedSizeBufferWriter(pa.py_buffer(data)))
    try:
        block = store.put([data])
    except ScratchError:
        return rows
    return StoredRows(store, block, rows.num_rows)


def _write(rows: pa.RecordBatch, sink: pa.NativeFile) -> None:
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)


def in_memory(rows: Rows) -> pa.RecordBatch:
    """Return rows, taken from where they are.

    >>> batch = pa.record_batch({"x": [1]})
    >>> in_memory(batch) is batch
    True
    """
    return rows.take() if isinstance(rows, StoredRows) else rows
