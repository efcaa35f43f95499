"""Event time as columns hold it, in whole units, and as microseconds (S1)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from eventtime.testing.reference.spec import TIME_LIMIT
from eventtime.timestamp import unit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from eventtime.testing.reference.spec import Time

__all__ = ("limit_of", "microseconds", "written_as")

_UNITS: Final = {"day": 86_400_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}
_LAST_OF_NS: Final = (2**63 - 1) // 1_000
_TEN_YEARS: Final = 3_650 * 86_400_000_000


def microseconds(value: int | None, kind: pa.DataType, time_unit: str | None) -> int | None:
    """Return a column's value in µs; nanoseconds are rounded down."""
    unit = unit_of(kind, time_unit)
    if value is None:
        return None
    return value // 1_000 if unit == "ns" else value * _UNITS[unit]


def limit_of(kind: pa.DataType, time_unit: str | None) -> int:
    """Return the last time admitted; of nanoseconds the ten years at either end are not."""
    return _LAST_OF_NS - _TEN_YEARS if unit_of(kind, time_unit) == "ns" else TIME_LIMIT


def written_as(kind: pa.DataType, time_unit: str | None) -> Callable[[Time], Any]:
    """Return how µs are written in a column: rounded down, infinities as null.

    A watermark beyond the last nanosecond is that one; no window is.
    """
    unit = unit_of(kind, time_unit)

    def written(time: Time) -> int | None:
        if math.isinf(time):
            return None
        if unit == "ns":
            return int(max(-_LAST_OF_NS, min(time, _LAST_OF_NS))) * 1_000
        return int(time // _UNITS[unit])

    return written
