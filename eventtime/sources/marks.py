"""Where reading stands: marks to start from, and rows counted from them.

```
 file 0        file 1
 ├──────────┤  ├────────┼────────┼──·────┤
                        mark     ─┬► the place: file 1, this mark, so many rows behind it
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from eventtime.errors import SourceError
from eventtime.sources.base import Rows, count_of, without_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

__all__ = (
    "BEGIN",
    "FILE_START",
    "START_ANEW",
    "Mark",
    "Marked",
    "Place",
    "Placed",
    "check_total",
    "pieces",
    "placed",
)

START_ANEW = "bring back the input as it was, or start anew without the checkpoint"
"""What to do about input that changed."""


class Mark(NamedTuple):
    """A place in a file where its format can begin to read.

    Attributes:
        offset: in the unit of the format: rows of Parquet (those of one value of `by_column` in
            the row groups that may hold it), batches of Arrow IPC, bytes of text as it is
            decompressed.
        line: number of the line that begins there; 1 of formats without lines.
        total: rows or batches of the whole file; None where only reading it tells.
    """

    offset: int = 0
    line: int = 1
    total: int | None = None


FILE_START = Mark()


class Place(NamedTuple):
    """Just behind some rows of a partition.

    Attributes:
        file: which file of the partition, from 0.
        mark: where to begin in it.
        rows: how many to drop from there, malformed ones too: of those that belong to the
            partition.
    """

    file: int = 0
    mark: Mark = FILE_START
    rows: int = 0


BEGIN = Place()

Marked: TypeAlias = tuple[Mark, Rows]
"""What a format yields: rows, and a mark to read them again from. Those of one mark come in turn,
and their places are counted from the first of them."""

Placed: TypeAlias = tuple[Rows, Place]
"""Rows, and the place just behind them."""


def placed(items: Iterable[Marked], begin: Place, *, where: str) -> Iterator[Placed]:
    """Leave out the rows before a place, and say of all others where they are.

    Args:
        items: what was read from the mark of ``begin`` on, in any batches.
        begin: a place that earlier reading of the same rows has reached.
        where: what is read, for the error.

    Raises:
        SourceError: there are fewer rows than were read before.
    """
    mark, rows_since = begin.mark, 0
    rows_left = begin.rows
    for at, item in items:
        if at != mark:
            mark, rows_since = at, 0
        size = count_of(item)
        rows_since += size
        dropped = min(rows_left, size)
        rows_left -= dropped
        if dropped < size:
            yield without_first(item, dropped), Place(begin.file, mark, rows_since)
    if rows_left:
        message = f"{rows_left:,} row(s) read before the checkpoint are not there any more"
        raise SourceError(message, place=where, remedy=START_ANEW)


def check_total(start: Mark, total: int | None, what: str, *, where: str) -> None:
    """Refuse a mark in a file that had another number of rows or batches.

    Raises:
        SourceError: shows both numbers.
    """
    if start.total not in {None, total}:
        held = f"it had {start.total:,} {what}, and now has {total or 0:,}"
        message = f"the file changed since the checkpoint: {held}"
        raise SourceError(message, place=where, remedy=START_ANEW)


def pieces(rows: pa.RecordBatch, place: Place, size: int) -> Iterator[Placed]:
    """Slice a batch in pieces of at most ``size`` rows, without copying."""
    if rows.num_rows <= size:
        yield rows, place
        return
    for start in range(0, rows.num_rows, size):
        piece = rows.slice(start, size)
        behind = rows.num_rows - start - piece.num_rows
        yield piece, place._replace(rows=place.rows - behind)
