"""How the live loop sleeps: until a feed has something, or for a while; passed in as clocks are."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ("Alarm", "ThreadAlarm")


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
