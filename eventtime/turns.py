"""The clock as a live loop's core sees it: read once for each turn, so that a turn is one moment.

What a run does depends on what its sources tell and on these readings alone; a journal keeps both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventtime.clock import Clock

__all__ = ("TurnClock",)


class TurnClock:
    """Shows the time at which the turn began.

    Args:
        clock: that goes on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now_us = clock.now_us()

    def now_us(self) -> int:
        """Return the reading of this turn, in microseconds UTC."""
        return self._now_us

    def open(self) -> int:
        """Read the clock before the first turn, all sources being open."""
        self._now_us = self._clock.now_us()
        return self._now_us

    def begin(self, *, is_ending: bool) -> int:
        """Read the clock for a turn; `is_ending`: in it all input is taken as ended."""
        self._now_us = self._clock.now_us()
        return self._now_us
