"""Whom to ask next, of many who may have nothing: those that had rows at once, others later."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("Schedule",)

_EACH_US: Final = 5_000
_FEW_US: Final = 500_000


@dataclass
class Schedule:
    """When each of many is to be asked again: after an eighth of the time since it had something.

    Asking: `due`, then `had_rows`, `had_nothing`, `wait` or `over` for each of them. Sleeping:
    `rest_us`. Cost of each: O(log all).

    However many have nothing, they are asked 200 times a second in all, if the longest wait lets
    them; those of a hundred and fewer twice a second each.

    Args:
        every_us: the shortest wait.
        most_us: the longest one, of however many.

    >>> schedule = Schedule(10, 40)
    >>> schedule.add(["a"], now_us=0)
    >>> for now_us in (0, 10, 160, 800):
    ...     for name in schedule.due(now_us):
    ...         print(now_us, schedule.had_nothing(name, now_us))
    0 10
    10 10
    160 20
    800 40
    """

    every_us: int
    most_us: int
    _due: list[tuple[int, str]] = field(default_factory=list)
    _quiet_us: dict[str, int] = field(default_factory=dict)
    _seen_us: int | None = None

    def add(self, names: Iterable[str], now_us: int) -> None:
        """Take in some, to be asked at once."""
        for name in names:
            heappush(self._due, (now_us, name))

    def due(self, now_us: int) -> list[str]:
        """Take out those whose time has come, the longest due first."""
        if self._seen_us is not None and now_us < self._seen_us:
            # The clock was stepped back: nobody is to wait for it to catch up.
            self._due = [(min(at_us, now_us), name) for at_us, name in self._due]
            heapify(self._due)
        self._seen_us = now_us
        names: list[str] = []
        while self._due and self._due[0][0] <= now_us:
            names.append(heappop(self._due)[1])
        return names

    def had_rows(self, name: str, now_us: int) -> None:
        """Ask it again at once."""
        self._quiet_us.pop(name, None)
        heappush(self._due, (now_us, name))

    def had_nothing(self, name: str, now_us: int) -> int:
        """Ask it again the later the longer it has had nothing; returns the wait."""
        since_us = self._quiet_us.setdefault(name, now_us)
        if now_us < since_us:
            since_us = self._quiet_us[name] = now_us
        longest_us = min(max(_FEW_US, _EACH_US * len(self._quiet_us)), self.most_us)
        wait_us = max(self.every_us, min((now_us - since_us) // 8, longest_us))
        heappush(self._due, (now_us + wait_us, name))
        return wait_us

    def over(self, name: str) -> None:
        """Ask it no more."""
        self._quiet_us.pop(name, None)

    def wait(self, name: str, now_us: int) -> None:
        """Ask it again soon: there is no room for its rows."""
        heappush(self._due, (now_us + self.every_us, name))

    def rest_us(self, now_us: int) -> int:
        """Tell how long nobody is due."""
        return max(0, min(self._due[0][0] - now_us, self.most_us)) if self._due else self.most_us
