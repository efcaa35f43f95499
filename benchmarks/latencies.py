"""Latencies of the windows that count: those that end behind the warm-up."""

from __future__ import annotations

import sys
import time
from typing import Final

import numpy as np

__all__ = ("Latencies", "now_us")

_TOLD_US: Final = 30_000_000


def now_us() -> int:
    """Read the machine's clock."""
    return time.time_ns() // 1_000


class Latencies:
    """From the end of each window until it was there; twice a minute a line on stderr tells them.

    Args:
        begin_us: windows that end before it do not count.
    """

    def __init__(self, begin_us: int) -> None:
        self.begin_us = self._told_us = begin_us
        self._ms: list[float] = []

    def add(self, end_us: int, at_us: int) -> None:
        """Note when a window was there; one that is drained before its end does not count."""
        if self.begin_us <= end_us < at_us:
            self._ms.append((at_us - end_us) / 1e3)
        if self._ms and at_us - self._told_us >= _TOLD_US:
            self._told_us = at_us
            passed_s = (at_us - self.begin_us) // 1_000_000
            told = ", ".join(f"{name} {n}" for name, n in self.told().items())
            print(f"  {passed_s} s: {told}", file=sys.stderr, flush=True)

    def told(self) -> dict[str, float]:
        """Return how many there are, their median, 99th percentile and maximum.

        Raises:
            SystemExit: there is none.
        """
        if not self._ms:
            msg = "no window was measured: it takes longer --seconds"
            raise SystemExit(msg)
        return {
            "windows": len(self._ms),
            "median_ms": round(float(np.median(self._ms)), 2),
            "p99_ms": round(float(np.percentile(self._ms, 99)), 2),
            "max_ms": round(max(self._ms), 2),
        }
