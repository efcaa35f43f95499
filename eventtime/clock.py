"""Processing time, passed in: the only reader of the wall clock, and one that moves by hand."""

from __future__ import annotations

import time
from typing import Protocol

from eventtime.checks import check_whole

__all__ = ("Clock", "Interval", "ManualClock", "SystemClock")


class Clock(Protocol):
    """Says what time it is, in microseconds UTC."""

    def now_us(self) -> int:
        """Return processing time, int64 microseconds since 1970 UTC."""
        ...


class SystemClock:
    """The machine's clock. Its keeper may step it, so idleness never trusts a step back."""

    def now_us(self) -> int:
        """Return the wall clock in microseconds UTC."""
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that moves only when told to.

    >>> clock = ManualClock(10)
    >>> clock.advance(5)
    >>> clock.now_us()
    15
    """

    def __init__(self, start_us: int = 0) -> None:
        _check_us(start_us, "ManualClock(start_us)")
        self._now_us = start_us

    def now_us(self) -> int:
        """Return the time last set."""
        return self._now_us

    def advance(self, duration_us: int) -> None:
        """Move the clock on by `duration_us` microseconds (negative: a clock stepped back)."""
        _check_us(duration_us, "advance(duration_us)")
        self._now_us += duration_us


class Interval:
    """Tells, now and then, that a while has passed on a clock; a step back ends the while, too.

    Args:
        every_us: how long.
        now_us: reading of the clock at the beginning; None: the first while has passed already.

    >>> interval = Interval(10, now_us=100)
    >>> [interval.has_passed(now_us) for now_us in (105, 110, 115, 90, 95, 100)]
    [False, True, False, True, False, True]
    """

    def __init__(self, every_us: int, now_us: int | None) -> None:
        self._every_us, self._since_us = every_us, now_us

    def has_passed(self, now_us: int) -> bool:
        """Whether it has, since the last time that it had."""
        if self._since_us is not None and 0 <= now_us - self._since_us < self._every_us:
            return False
        self._since_us = now_us
        return True


def _check_us(value: object, place: str) -> None:
    what, remedy = "a whole number of microseconds", "such as 5_000_000 for five seconds"
    check_whole(value, least=-(2**63), what=what, place=place, remedy=remedy)
