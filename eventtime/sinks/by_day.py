"""Rows to a hive folder for each UTC day of a time column: `window_day=2013-01-01`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from eventtime.checks import is_one_of, shown
from eventtime.errors import ColumnError, PlanError, SinkError
from eventtime.timestamp import PLUS_INFINITY, check_time, check_time_type, to_us

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("ByDay", "DaySplitter", "by_day", "partition")

_DAY_US: Final = 86_400_000_000
_NO_DAY: Final = "__HIVE_DEFAULT_PARTITION__"
# What datetime64 prints as YYYY-MM-DD; hive readers parse no other years as dates.
_YEAR_0: Final = int(np.datetime64("0000-01-01", "D").astype(np.int64))
_YEAR_10000: Final = int(np.datetime64("10000-01-01", "D").astype(np.int64))


@dataclass(frozen=True)
class ByDay:
    """Which column's UTC day a row is filed under; made by `by_day`."""

    column: str
    time_unit: str | None = None

    @property
    def folder(self) -> str:
        """Name of the hive column: `window_day` for `window_start`, else `<column>_day`."""
        return "window_day" if self.column == "window_start" else f"{self.column}_day"

    def describe(self) -> str:
        """Say it in a few words."""
        return f"UTC day of {self.column}"


def by_day(column: str = "window_start", *, time_unit: str | None = None) -> ByDay:
    """File rows in a folder for each UTC day of a column.

    Args:
        column: timestamp, date, or integers with a unit.
        time_unit: of an integer column: 's', 'ms', 'us' or 'ns'.

    Raises:
        PlanError: these are no column name or no unit.

    >>> by_day("departed").folder
    'departed_day'
    """
    check_time(column, time_unit, place="by_day(column)")
    return ByDay(column, time_unit)


def partition(partition_by: str | ByDay | None) -> ByDay | None:
    """Check the `partition_by` argument of a sink; "day" is short for `by_day()`."""
    if partition_by is None or isinstance(partition_by, ByDay):
        return partition_by
    if not is_one_of(partition_by, ("day",)):
        msg = f"partition_by={shown(partition_by)} is unknown"
        raise PlanError(msg, place="partition_by", remedy="say 'day', by_day('column') or None")
    return by_day()


class DaySplitter:
    """Cuts batches of one schema by day.

    Raises:
        ColumnError: the column is missing; names those there are.
        TimeColumnError: it holds no time.
        SinkError: the schema has a column with the folder's name.
    """

    def __init__(self, by: ByDay, schema: pa.Schema) -> None:
        index = schema.get_field_index(by.column)
        if index < 0:
            there = ", ".join(schema.names) or "none"
            msg = f"no column {by.column!r} to take the day from; there are {there}"
            raise ColumnError(
                msg,
                place="partition_by",
                remedy="name a time column: partition_by=by_day('column')",
            )
        check_time_type(by.column, schema.field(index).type, by.time_unit)
        if by.folder in schema.names:
            msg = f"the rows have a column {by.folder!r} already, the name of the day folders"
            raise SinkError(msg, place="partition_by", remedy="rename or leave out that column")
        self._by = by
        self._index = index

    @property
    def no_day_folder(self) -> str:
        """Folder of rows without a day."""
        return f"{self._by.folder}={_NO_DAY}"

    @property
    def epoch_folder(self) -> str:
        """Folder of the empty part that an output without a day gets."""
        return self._name(0)

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield (folder, rows), days ascending, rows in their order.

        Rows without a day come last: those of a null time or a year that has not four digits.
        O(n log n); O(n) if the batch is within one day.

        >>> batch = pa.record_batch({"window_start": pa.array([0, -1], pa.timestamp("s"))})
        >>> [folder for folder, _ in DaySplitter(by_day(), batch.schema).split(batch)]
        ['window_day=1969-12-31', 'window_day=1970-01-01']
        """
        if not batch.num_rows:
            return
        time_us, admitted = to_us(
            batch.column(self._index), self._by.time_unit, latest=PLUS_INFINITY
        )
        day = time_us // _DAY_US
        outside = (day < _YEAR_0) | (day >= _YEAR_10000)
        if admitted is not None:
            outside |= ~admitted
        day = np.where(outside, _YEAR_10000, day)
        if day[0] == day[-1] and (day == day[0]).all():
            yield self._name(int(day[0])), batch
            return
        order = np.argsort(day, kind="stable")
        ordered = day[order]
        edges = np.flatnonzero(np.diff(ordered)) + 1
        for rows in np.split(order, edges):
            first, last = int(rows[0]), int(rows[-1])
            # Rows of a day side by side, the usual case of results in order, need no copy.
            together = last - first + 1 == len(rows)
            piece = batch.slice(first, len(rows)) if together else batch.take(pa.array(rows))
            yield self._name(int(day[first])), piece

    def _name(self, day: int) -> str:
        if day == _YEAR_10000:
            return self.no_day_folder
        return f"{self._by.folder}={np.datetime64(day, 'D')}"
