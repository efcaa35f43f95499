"""Instants as people write them, in microseconds UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.timestamp import EARLIEST, LATEST

__all__ = ("Instant", "as_us", "instant_us", "ticks_of_text")

Instant = datetime | str | int
"""ISO 8601 text, a datetime, or microseconds since 1970; UTC where no zone is said."""


def as_us(time: object, *, place: str) -> int:
    """Return an instant that a user gave, in int64 microseconds UTC.

    Args:
        time: a datetime with a zone, or microseconds since 1970 UTC.
        place: for messages.

    Raises:
        PlanError: it is neither, or outside the admitted range.

    >>> from datetime import UTC, datetime
    >>> as_us(datetime(1970, 1, 1, 0, 1, tzinfo=UTC), place="advance_to(time)")
    60000000
    """
    remedy = "a datetime with a zone, or whole microseconds since 1970 UTC"
    if isinstance(time, datetime) and time.tzinfo is not None:
        passed = time - datetime(1970, 1, 1, tzinfo=UTC)
        return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
    if isinstance(time, int) and not isinstance(time, bool) and EARLIEST <= time <= LATEST:
        return time
    msg = f"{shown(time)} is no instant"
    raise PlanError(msg, place=place, remedy=remedy)


def instant_us(time: Instant, *, place: str) -> int:
    """Read an instant, in microseconds UTC.

    Args:
        time: see `Instant`.
        place: for messages.

    Raises:
        PlanError: it is none.

    >>> instant_us("1970-01-01T00:01Z", place="push(rows)")
    60000000
    """
    if isinstance(time, str):
        try:
            return ticks_of_text(time, "us")
        except pa.ArrowInvalid as error:
            msg = f"{shown(time)} is no instant"
            remedy = "write it as '2024-03-01T12:00:00Z', or give a datetime or whole microseconds"
            raise PlanError(msg, place=place, remedy=remedy) from error
    if isinstance(time, datetime) and time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return as_us(time, place=place)


def ticks_of_text(text: str, unit: str) -> int:
    """Return the instant that ISO 8601 text says, in a unit: 's', 'ms', 'us' or 'ns'.

    Raises:
        pyarrow.ArrowInvalid: it says none, or one that is no whole number of the unit.

    >>> ticks_of_text("1970-01-01T02:00+01:00", "s"), ticks_of_text("1970-01-02", "ms")
    (3600, 86400000)
    """
    scalar = pa.scalar(text.strip())
    try:
        found = scalar.cast(pa.timestamp(unit))
    except pa.ArrowInvalid:
        found = scalar.cast(pa.timestamp(unit, "UTC"))
    ticks: int = found.value
    return ticks
