"""How the live loop sleeps: until a feed has something, or for a while; passed in as clocks are."""

from __future__ import annotations

import threading
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


class ThreadAlarm:
    """An alarm on the machine's time."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def wait(self, most_us: int) -> None:
        self._rung.wait(most_us / 1e6)
        self._rung.clear()
