"""What waits of a partition, in few large batches rather than many small ones."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from eventtime.sources.base import MalformedRows, count_of
from eventtime.sources.feed import Arrived

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable

    from eventtime.sources.base import Rows

__all__ = ("bytes_of", "first_of", "joined")


def bytes_of(rows: Rows) -> int:
    """Return what rows take in memory."""
    return int((rows.rows if isinstance(rows, MalformedRows) else rows).nbytes)


def first_of(waiting: deque[Arrived], most_rows: int) -> list[Arrived]:
    """Take whole batches from the front, until there are so many rows."""
    taken: list[Arrived] = []
    n = 0
    while waiting and n < most_rows:
        taken.append(waiting.popleft())
        n += count_of(taken[-1].rows)
    return taken


def joined(taken: Iterable[Arrived]) -> list[Arrived]:
    """Make one batch of what stands next to each other."""
    whole: list[Arrived] = []
    for is_batch, group in groupby(taken, lambda item: isinstance(item.rows, pa.RecordBatch)):
        items = list(group)
        if is_batch and len(items) > 1:
            rows = pa.concat_batches([item.rows for item in items])
            last = items[-1]
            items = [Arrived(last.partition, rows, last.position, items[0].arrived_us)]
        whole += items
    return whole
