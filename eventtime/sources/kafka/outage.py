"""The time while no broker of Kafka answers, told in the log."""

from __future__ import annotations

from typing import Final

from eventtime.clock import Interval
from eventtime.kafka_client import LOG

__all__ = ("Outage",)

_TOLD_AGAIN_US: Final = 60_000_000


class Outage:
    """Tells in the log that no broker answers, and that one does again: one outage a minute.

    Args:
        servers: where the brokers are.
        place: for messages.
    """

    def __init__(self, servers: str, place: str) -> None:
        self._servers, self._place = servers, place
        self._again = Interval(_TOLD_AGAIN_US, None)
        self._is_told = False

    def lasts(self, now_us: int) -> None:
        """Note that no broker answers; as often as it is seen.

        Args:
            now_us: reading of the clock.
        """
        if not self._is_told and self._again.has_passed(now_us):
            self._is_told = True
            text = "%s: no broker answers at %s; it is tried on, and no row comes meanwhile"
            LOG.warning(text, self._place, self._servers)

    def is_over(self) -> None:
        """Note that a broker answers again."""
        if self._is_told:
            self._is_told = False
            LOG.warning("%s: a broker answers again at %s", self._place, self._servers)
