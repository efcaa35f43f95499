"""How the live loop sleeps: until a feed has something, or for a while; passed in as clocks are."""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol

__all__ = ("Alarm", "ThreadAlarm", "longest_wait_us")

_MOST_WAIT_US: Final = 100_000
_LEAST_WAIT_US: Final = 10_000


def longest_wait_us(idle_after_us: int | None) -> int:
    """Return how long a loop sleeps at most where nothing rings: silence does not (S6).

    It is noticed when the loop looks, and once more looked at when it has lasted: a partition is
    idle so much later than `idle_after_us`, twice, and a quarter of it each time at most.

    >>> longest_wait_us(None), longest_wait_us(30_000_000), longest_wait_us(200_000)
    (100000, 100000, 50000)
    """
    if idle_after_us is None:
        return _MOST_WAIT_US
    return max(_LEAST_WAIT_US, min(_MOST_WAIT_US, idle_after_us // 4))


class Alarm(Protocol):
    """Wakes the loop."""

    def ring(self) -> None:
        """End the wait that lasts, or the next one; from any thread."""
        ...

    def wait(self, most_us: int) -> None:
        """Return once it has rung since the last wait, after `most_us` at the latest."""
        ...

    def sleep(self, duration_us: int) -> None:
        """Return after a while, whether it rings or not; what rang meanwhile ends the next wait."""
        ...


class ThreadAlarm:
    """An alarm on the machine's time."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def wait(self, most_us: int) -> None:
        self._rung.wait(most_us / 1e6)
        self._rung.clear()

    def sleep(self, duration_us: int) -> None:
        time.sleep(duration_us / 1e6)
