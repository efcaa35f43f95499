"""Rows to a hive folder for each UTC hour, day or month of a time: `window_day=2013-01-01`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import numpy as np
import pyarrow as pa

from eventtime.checks import is_one_of, shown
from eventtime.errors import ColumnError, PlanError, SinkError, TimeColumnError
from eventtime.timestamp import PLUS_INFINITY, check_time, check_time_type, to_us

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ("ByTime", "Every", "TimeSplitter", "by_day", "by_hour", "by_month", "partition")

Every: TypeAlias = Literal["hour", "day", "month"]

_CODES: Final[dict[Every, Literal["h", "D", "M"]]] = {"hour": "h", "day": "D", "month": "M"}
"""As numpy calls the units; it counts them from 1970."""

_SIZES_US: Final[dict[Every, int]] = {"hour": 3_600_000_000, "day": 86_400_000_000}
_NO_TIME: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class ByTime:
    """Which column's UTC hour, day or month a row is filed under; made by `by_day` and the like."""

    column: str
    time_unit: str | None = None
    every: Every = "day"

    @property
    def folder(self) -> str:
        """Name of the hive column: `window_day` for `window_start`, else `<column>_day`."""
        stem = "window" if self.column == "window_start" else self.column
        return f"{stem}_{self.every}"

    def describe(self) -> str:
        """Say it in a few words."""
        return f"UTC {self.every} of {self.column}"


def by_hour(column: str = "window_start", *, time_unit: str | None = None) -> ByTime:
    """File rows in a folder for each UTC hour of a column, such as ``window_hour=2013-01-01T05``.

    Args:
        column: timestamp, date, or integers with a unit.
        time_unit: of an integer column: 's', 'ms', 'us' or 'ns'.

    Raises:
        PlanError: these are no column name or no unit.

    >>> by_hour("departed").folder
    'departed_hour'
    """
    return _by(column, time_unit, "hour")


def by_day(column: str = "window_start", *, time_unit: str | None = None) -> ByTime:
    """File rows in a folder for each UTC day of a column, such as ``window_day=2013-01-01``.

    Args:
        column: timestamp, date, or integers with a unit.
        time_unit: of an integer column: 's', 'ms', 'us' or 'ns'.

    Raises:
        PlanError: these are no column name or no unit.

    >>> by_day("departed").folder
    'departed_day'
    """
    return _by(column, time_unit, "day")


def by_month(column: str = "window_start", *, time_unit: str | None = None) -> ByTime:
    """File rows in a folder for each UTC month of a column, such as ``window_month=2013-01``.

    Args:
        column: timestamp, date, or integers with a unit.
        time_unit: of an integer column: 's', 'ms', 'us' or 'ns'.

    Raises:
        PlanError: these are no column name or no unit.

    >>> by_month().folder
    'window_month'
    """
    return _by(column, time_unit, "month")


def _by(column: str, time_unit: str | None, every: Every) -> ByTime:
    check_time(column, time_unit, place=f"by_{every}(column)")
    return ByTime(column, time_unit, every)


def partition(partition_by: str | ByTime | None) -> ByTime | None:
    """Check the `partition_by` argument of a sink; "day" is short for `by_day()`, and so on."""
    if partition_by is None or isinstance(partition_by, ByTime):
        return partition_by
    if is_one_of(partition_by, tuple(_CODES)):
        return ByTime("window_start", every=cast("Every", partition_by))
    msg = f"partition_by={shown(partition_by)} is unknown"
    remedy = "say 'hour', 'day' or 'month', by_day('column') and the like, or None"
    raise PlanError(msg, place="partition_by", remedy=remedy)


class TimeSplitter:
    """Cuts batches of one schema by hour, day or month.

    Raises:
        ColumnError: the column is missing; names those there are.
        TimeColumnError: it holds no time.
        SinkError: the schema has a column with the folder's name.
    """

    def __init__(self, by: ByTime, schema: pa.Schema) -> None:
        index = schema.get_field_index(by.column)
        if index < 0:
            there = ", ".join(schema.names) or "none"
            msg = f"no column {by.column!r} to take the {by.every} from; there are {there}"
            raise ColumnError(
                msg,
                place="partition_by",
                remedy=f"name a time column: partition_by=by_{by.every}('column')",
            )
        kind = schema.field(index).type
        if pa.types.is_integer(kind) and by.time_unit is None:
            msg = f"column {by.column!r} holds integers ({kind}) of an unknown unit"
            remedy = f"such as partition_by=et.by_{by.every}({by.column!r}, time_unit='ms')"
            raise TimeColumnError(msg, place="partition_by", remedy=remedy)
        check_time_type(by.column, kind, by.time_unit)
        if by.folder in schema.names:
            msg = f"the rows have a column {by.folder!r} already, the name of the folders"
            raise SinkError(msg, place="partition_by", remedy="rename or leave out that column")
        self._by = by
        self._index = index
        # What datetime64 prints with a year of four digits; hive readers parse no other as dates.
        self._first, self._end = (self._count(year) for year in ("0000", "10000"))

    @property
    def no_time_folder(self) -> str:
        """Folder of rows without a time."""
        return f"{self._by.folder}={_NO_TIME}"

    @property
    def epoch_folder(self) -> str:
        """Folder of the empty part that an output without rows gets."""
        return self._name(0)

    def split(self, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield (folder, rows), times ascending, rows in their order.

        Rows without a time come last: those of a null time or a year that has not four digits.
        O(n log n); O(n) if the batch is within one of them.

        >>> batch = pa.record_batch({"window_start": pa.array([0, -1], pa.timestamp("s"))})
        >>> [folder for folder, _ in TimeSplitter(by_day(), batch.schema).split(batch)]
        ['window_day=1969-12-31', 'window_day=1970-01-01']
        """
        if not batch.num_rows:
            return
        time_us, admitted = to_us(
            batch.column(self._index), self._by.time_unit, latest=PLUS_INFINITY
        )
        at = self._counts(time_us)
        outside = (at < self._first) | (at >= self._end)
        if admitted is not None:
            outside |= ~admitted
        at = np.where(outside, self._end, at)
        if at[0] == at[-1] and (at == at[0]).all():
            yield self._name(int(at[0])), batch
            return
        order = np.argsort(at, kind="stable")
        ordered = at[order]
        edges = np.flatnonzero(np.diff(ordered)) + 1
        for rows in np.split(order, edges):
            first, last = int(rows[0]), int(rows[-1])
            # Rows of a folder side by side, the usual case of results in order, need no copy.
            together = last - first + 1 == len(rows)
            piece = batch.slice(first, len(rows)) if together else batch.take(pa.array(rows))
            yield self._name(int(at[first])), piece

    def _counts(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return hours, days or months since 1970, rounded down."""
        size_us = _SIZES_US.get(self._by.every)
        if size_us is not None:
            return time_us // size_us
        return time_us.view("datetime64[us]").astype("datetime64[M]").astype(np.int64)

    def _count(self, year: str) -> int:
        return int(np.datetime64(f"{year}-01-01", _CODES[self._by.every]).astype(np.int64))

    def _name(self, at: int) -> str:
        if at == self._end:
            return self.no_time_folder
        return f"{self._by.folder}={np.datetime64(at, _CODES[self._by.every])}"
