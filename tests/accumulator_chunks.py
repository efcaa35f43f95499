"""Chunks of one column, folded into accumulators without an operator around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from eventtime.lanes import lane_of
from eventtime.validity import NO_NULLS
from eventtime.windows.accumulators import Accumulators
from eventtime.windows.chunk import Block, Chunk, Source
from eventtime.windows.rises import rises_of
from eventtime.windows.words import Output, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import eventtime as et


def chunk_of(column: pa.Array, times: Sequence[int]) -> Chunk:
    """Rows of one column, all judged by the same watermark."""
    zeros = np.zeros(len(column), np.int64)
    source = Source(pa.record_batch({"x": column}), [column])
    times_us = np.array(times, np.int64)
    lanes = [lane_of(column)]
    block = Block(times_us, rises_of(zeros), zeros, NO_NULLS, lanes, source)
    return Chunk.of_block(block, 0)


class Slots:
    """One aggregate over one column, in tables of one key each."""

    def __init__(self, aggregate: et.Aggregate, kind: pa.DataType) -> None:
        self.kind = kind
        columns = (0,) if aggregate.columns else ()
        self.accumulators = Accumulators(Words.of([Output("result", aggregate, columns)], [kind]))

    def table(self, values: Sequence[Any], times: Sequence[int]) -> int:
        """Fold values into a table of their own; returns its row."""
        tables = self.accumulators.tables
        row = tables.create(0)
        # The key is read from a slot of a free page, the one that is taken last.
        tables.add_pages(2)
        source = tables.free_pages[:1] * 256
        tables.words[source, :2] = 0
        slots, fresh = tables.pair(row, source)
        self.accumulators.reset(slots[fresh])
        n = len(values)
        chunk = chunk_of(pa.array(values, self.kind), times)
        into = np.full(n, slots[0], np.int32)
        self.accumulators.fold(chunk, 0, into)
        return row

    def absorb(self, row: int, other: int) -> None:
        """Merge a table into one whose rows came before."""
        self.accumulators.absorb(row, self.accumulators.tables.slots(other))

    def result(self, row: int) -> Any:
        slots = self.accumulators.tables.slots(row)
        (column,) = self.accumulators.read(slots, str).columns
        return column.to_pylist()[0]
