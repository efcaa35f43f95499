"""How long results took, from the arrival of a row to the sink: a histogram of fixed buckets."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

__all__ = ("BOUNDS_US", "Latencies", "Latency")

BOUNDS_US: Final = tuple(
    round(ms * 1_000)
    for ms in (
        0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500,
        1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000,
    )
)  # fmt: skip
"""Upper bounds of the buckets, microseconds; behind them is one for all that took longer."""


@dataclass(frozen=True)
class Latency:
    """Results by how long they took.

    Args:
        counts: of each bucket of `BOUNDS_US`, and of those above.
        sum_us: over all results.
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_US) + 1)
    sum_us: int = 0

    @property
    def count(self) -> int:
        """Results in all."""
        return sum(self.counts)

    def quantile_us(self, share: float) -> int | None:
        """Return the upper bound of the bucket in which a share of results ends.

        Args:
            share: of the results, in (0, 1].

        Returns:
            Microseconds; None: there are no results, or it lies above all bounds.

        >>> Latency((0, 9, 0, 1) + (0,) * 21).quantile_us(0.5)
        1000
        """
        wanted, seen = share * self.count, 0
        for bound_us, count in zip(BOUNDS_US, self.counts, strict=False):
            seen += count
            if seen and seen >= wanted:
                return bound_us
        return None


@dataclass
class Latencies:
    """Counts results as they are committed.

    The loop: `arrived`, `fired`, `committed`, `cut`; the thread of checkpoints: `settled`. Results
    that no row has let fire, but the clock, are not counted.
    """

    _counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_US) + 1))
    _sum_us: int = 0
    # Results that wait for a commit: (arrival, number of results).
    _waiting: list[tuple[int, int]] = field(default_factory=list)
    _cut: list[tuple[int, int]] = field(default_factory=list)
    _arrived_us: int | None = None
    _lock: Lock = field(default_factory=Lock)

    def arrived(self, at_us: int) -> None:
        """Note that rows are taken which came at `at_us`; the earliest of a turn counts."""
        if self._arrived_us is None or at_us < self._arrived_us:
            self._arrived_us = at_us

    def fired(self, results: int) -> None:
        """Note the results of a turn."""
        if results and self._arrived_us is not None:
            self._waiting.append((self._arrived_us, results))
        self._arrived_us = None

    @property
    def is_waiting(self) -> bool:
        """Whether there are results that wait for a commit."""
        return bool(self._waiting)

    def committed(self, now_us: int) -> None:
        """Note that all results so far are in the sink."""
        waiting, self._waiting = self._waiting, []
        self._count(waiting, now_us)

    def cut(self) -> None:
        """Note that the results so far will be committed with the checkpoint that begins."""
        self._cut, self._waiting = self._waiting, []

    def settled(self, now_us: int) -> None:
        """Note that this checkpoint is durable, and its results are committed."""
        cut, self._cut = self._cut, []
        self._count(cut, now_us)

    def now(self) -> Latency:
        """Return what was counted so far."""
        with self._lock:
            return Latency(tuple(self._counts), self._sum_us)

    def _count(self, results: list[tuple[int, int]], now_us: int) -> None:
        with self._lock:
            for at_us, n in results:
                # A clock that was stepped back makes it nothing.
                took_us = max(0, now_us - at_us)
                self._counts[bisect_left(BOUNDS_US, took_us)] += n
                self._sum_us += took_us * n
