"""Event time: int64 microseconds UTC, its bounds, and the door from and to Arrow types (S1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from eventtime.checks import check_text, is_one_of, shown
from eventtime.errors import TimeColumnError
from eventtime.validity import of_words, valid_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = (
    "EARLIEST",
    "EPOCH_UNITS",
    "LATEST",
    "MINUS_INFINITY",
    "PLUS_INFINITY",
    "add",
    "bounds_type",
    "check_time",
    "check_time_type",
    "from_us",
    "latest_us",
    "to_us",
    "unit_of",
)


MINUS_INFINITY: Final = -(2**63)
"""Watermark before anything was heard; less than every event time."""
PLUS_INFINITY: Final = 2**63 - 1
"""Watermark at the end of input; greater than every event time and window end."""
EARLIEST: Final = -(2**62)
"""First admitted event time: window bounds and lateness below it cannot overflow."""
LATEST: Final = 2**62
"""Last admitted event time."""

_NS_RESERVE_US: Final = 3_650 * 86_400_000_000
"""Ten years at either end of what nanoseconds hold: no row has its time there, but windows may."""
_NS_LATEST: Final = (2**63 - 1) // 1_000
_NS_STEP_MAX_US: Final = _NS_RESERVE_US // 10
"""So ten windows one behind another, each made of those before it, stay within the reserve."""

EPOCH_UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": -1_000}
"""Microseconds in a unit; negative: that many units in a microsecond."""


def add(time_us: int, duration_us: int) -> int:
    """Add without leaving int64: infinities stay, sums saturate.

    >>> add(PLUS_INFINITY, 5) == PLUS_INFINITY, add(MINUS_INFINITY, 5) == MINUS_INFINITY, add(7, -2)
    (True, True, 5)
    """
    if time_us in {PLUS_INFINITY, MINUS_INFINITY}:
        return time_us
    return max(MINUS_INFINITY, min(PLUS_INFINITY, time_us + duration_us))


def check_time(name: object, time_unit: object, *, place: str = "time=…") -> None:
    """Refuse what names no column or no unit, before there is a column to look at.

    Raises:
        PlanError: `name` is no text.
        TimeColumnError: `time_unit` is neither None nor 's', 'ms', 'us' or 'ns'.
    """
    remedy = "name the column that holds the time"
    check_text(name, what="column name", place=place, remedy=remedy)
    if time_unit is not None and not is_one_of(time_unit, list(EPOCH_UNITS)):
        msg = f"time unit {shown(time_unit)} is unknown"
        raise TimeColumnError(msg, place=f"column {name!r}", remedy=f"one of {sorted(EPOCH_UNITS)}")


def check_time_type(name: str, kind: pa.DataType, time_unit: str | None) -> None:
    """Refuse a column that cannot carry event time.

    Args:
        name: of the column, for the message.
        kind: its Arrow type.
        time_unit: 's', 'ms', 'us' or 'ns' for integer columns; None otherwise.

    Raises:
        TimeColumnError: the type holds no time, or an integer column has no unit.
    """
    check_time(name, time_unit)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return
    if pa.types.is_integer(kind):
        if time_unit is None:
            msg = f"time column {name!r} holds integers ({kind}) of an unknown unit"
            raise TimeColumnError(
                msg, place=f"column {name!r}", remedy="say time_unit='s', 'ms', 'us' or 'ns'"
            )
        return
    msg = f"time column {name!r} is of type {kind}, which holds no time"
    raise TimeColumnError(
        msg,
        place=f"column {name!r}",
        remedy="use a timestamp, a date or an integer epoch column; of CSV and JSON lines, give "
        "its type with schema=; parse other text with with_columns(t=pc.strptime(...)) before the "
        "watermark",
    )


def unit_of(kind: pa.DataType, time_unit: str | None) -> str:
    """Name the unit that one step of the column's stored integer stands for."""
    if pa.types.is_timestamp(kind):
        return str(kind.unit)
    if pa.types.is_date32(kind):
        return "day"
    if pa.types.is_date64(kind):
        return "ms"
    return time_unit or "us"


def latest_us(unit: str) -> int:
    """Return the last admitted time of a column that counts some unit; its negative is the first.

    >>> latest_us("s") == LATEST, latest_us("ns") < LATEST
    (True, True)
    """
    return _NS_LATEST - _NS_RESERVE_US if unit == "ns" else LATEST


def to_us(
    array: pa.Array, time_unit: str | None = None, *, latest: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Convert an Arrow time column to int64 microseconds UTC (S1); finer units round down.

    Args:
        array: (n,) timestamp of any unit and zone, date32, date64 or integers; nulls allowed.
        time_unit: unit of integers.
        latest: last time admitted, and with a minus the first; None: the one whose windows and
            lateness fit int64 and, where the column counts nanoseconds, fit those.

    Returns:
        ``time_us`` (n,) int64, zero-copy for microseconds, and ``admitted`` (n,) bool, None when
        all rows are. A row is not admitted when it is null or outside [-latest, latest]; its value
        is then 0.

    >>> to_us(pa.array([1_500, None], pa.timestamp("ns")))[0].tolist()
    [1, 0]
    """
    unit = unit_of(array.type, time_unit)
    if latest is None:
        latest = latest_us(unit)
    if pa.types.is_uint64(array.type) and unit == "ns":
        # The upper half of uint64 is a time in nanoseconds, but no int64.
        array, unit = pc.divide(array, pa.scalar(1_000, pa.uint64())), "us"
    raw, valid = _raw_int64(array)
    factor = 86_400_000_000 if unit == "day" else EPOCH_UNITS[unit]
    if factor < 0:
        time_us = np.floor_divide(raw, -factor)
        inside = _inside(time_us, -latest, latest)
    else:
        # The range is symmetric: rounding its upper end down is rounding its lower end up.
        inside = _inside(raw, -(latest // factor), latest // factor)
        time_us = (
            raw if factor == 1 else (raw if inside is None else np.where(inside, raw, 0)) * factor
        )
    admitted = inside if valid is None else (valid if inside is None else valid & inside)
    if admitted is not None:
        time_us = np.where(admitted, time_us, 0)
    return time_us, admitted


def _raw_int64(array: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    valid = None
    if array.null_count:
        valid = valid_bytes(array).view(np.bool_)
        array = array.fill_null(0) if pa.types.is_integer(array.type) else _zero_nulls(array)
    if pa.types.is_uint64(array.type):
        values = array.to_numpy(zero_copy_only=False)
        return np.minimum(values, np.uint64(PLUS_INFINITY)).astype(np.int64), valid
    if pa.types.is_date32(array.type):
        array = array.view(pa.int32())
    wide = array.type.bit_width == 64
    return (array.view(pa.int64()) if wide else array.cast(pa.int64())).to_numpy(), valid


def _zero_nulls(array: pa.Array) -> pa.Array:
    plain = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    return pc.fill_null(plain, 0)


def _inside(raw: NDArray[np.int64], low: int, high: int) -> NDArray[np.bool_] | None:
    if not len(raw) or (raw.min() >= low and raw.max() <= high):
        return None
    return (raw >= low) & (raw <= high)


def bounds_type(kind: pa.DataType, time_unit: str | None, *steps_us: int) -> pa.DataType:
    """Choose the type of result times: the input column's, or one that holds all of them.

    Integers become int64, in the same unit: a window ends after its rows, and may begin before
    1970. Microseconds it is where the column is too coarse for the steps, or counts nanoseconds and
    a window is longer than a year.

    Args:
        kind: type of the input column.
        time_unit: unit of an integer column.
        steps_us: durations (size, slide, offset) that the bounds are made of.

    >>> bounds_type(pa.timestamp("s", "UTC"), None, 500_000)
    TimestampType(timestamp[us, tz=UTC])
    >>> bounds_type(pa.uint32(), "s", 60_000_000)
    DataType(int64)
    """
    unit = unit_of(kind, time_unit)
    step = {"day": 86_400_000_000, "ms": 1_000, "s": 1_000_000}.get(unit, 1)
    if pa.types.is_date64(kind):
        step = 86_400_000_000
    too_coarse = any(s % step for s in steps_us)
    too_narrow = unit == "ns" and any(abs(s) > _NS_STEP_MAX_US for s in steps_us)
    if too_coarse or too_narrow:
        return pa.timestamp("us", getattr(kind, "tz", None))
    return pa.int64() if pa.types.is_integer(kind) else kind


def from_us(
    time_us: NDArray[np.int64], kind: pa.DataType, time_unit: str | None = None
) -> pa.Array:
    """Convert int64 microseconds to an Arrow time column; infinities become null.

    Times beyond the last nanosecond become that one: a watermark may be there, a window never is.

    Args:
        time_us: (n,) int64 microseconds UTC; MINUS_INFINITY and PLUS_INFINITY allowed.
        kind: the wanted type, one that `bounds_type` gives; integers take `time_unit`.
        time_unit: unit of integers.

    >>> from_us(np.array([0, PLUS_INFINITY]), pa.date32()).to_pylist()
    [datetime.date(1970, 1, 1), None]
    """
    unit = unit_of(kind, time_unit)
    infinite = (time_us == PLUS_INFINITY) | (time_us == MINUS_INFINITY)
    factor = 86_400_000_000 if unit == "day" else EPOCH_UNITS[unit]
    if factor < 0:
        raw = np.clip(time_us, -_NS_LATEST, _NS_LATEST) * -factor
    else:
        raw = np.floor_divide(time_us, factor)
    if pa.types.is_date32(kind):
        return pa.array(raw.astype(np.int32), pa.int32(), mask=infinite).view(kind)
    return of_words(raw, kind, ~infinite)
