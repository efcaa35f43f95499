"""Small batches become large ones, cut at the same rows however they came in."""

from __future__ import annotations

from collections import deque

import pyarrow as pa

__all__ = ("Gather",)


class Gather:
    """A queue of batches given out in tables of `rows_max` rows.

    The cuts depend on the rows alone, not on the batches they came in, as long as a table stays
    below `bytes_max`; a wider one is cut earlier to bound memory.

    Args:
        schema: of every batch.
        rows_max: rows of each table but the last.
        bytes_max: bytes of a table, about: whole batches are counted, a batch above it is cut.
    """

    def __init__(self, schema: pa.Schema, *, rows_max: int, bytes_max: int) -> None:
        self._schema = schema
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._batches: deque[pa.RecordBatch] = deque()
        self.rows = 0
        self.bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Queue a batch; O(1)."""
        if not batch.num_rows:
            return
        rows = batch.num_rows
        pieces = min(-(-batch.nbytes // self._bytes_max), rows) or 1
        step = -(-rows // pieces)
        for start in range(0, rows, step):
            piece = batch.slice(start, step)
            self._batches.append(piece)
            self.rows += piece.num_rows
            self.bytes += piece.nbytes

    @property
    def full(self) -> bool:
        """Whether a whole table is there."""
        return self.rows >= self._rows_max or self.bytes >= self._bytes_max

    def take(self) -> pa.Table:
        """Give out the next table: at most `rows_max` rows, in one chunk if possible; O(rows)."""
        taken: list[pa.RecordBatch] = []
        rows = size = 0
        while self._batches and rows < self._rows_max and (not taken or size < self._bytes_max):
            batch = self._batches.popleft()
            self.bytes -= batch.nbytes
            room = self._rows_max - rows
            if batch.num_rows > room:
                rest = batch.slice(room)
                batch = batch.slice(0, room)
                self._batches.appendleft(rest)
                self.bytes += rest.nbytes
            taken.append(batch)
            rows += batch.num_rows
            size += batch.nbytes
        self.rows -= rows
        table = pa.Table.from_batches(taken, self._schema)
        try:
            # One chunk a column: page and batch cuts of the formats follow chunks, and must not.
            return table.combine_chunks()
        except pa.ArrowInvalid:
            # Dictionaries whose union their indices cannot number stay apart; the format decides.
            return table
