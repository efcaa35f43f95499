"""Scratch that the assign kernel writes to; nothing in it outlives a chunk."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ("Buffers",)

Ints = NDArray[np.int64]


@dataclass
class Buffers:
    """Scratch of the assign kernel, as long as the longest chunk so far."""

    slots: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    late: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    corrections: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    aside: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    fresh: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def fit(self, n: int) -> None:
        if len(self.slots) < n:
            self.slots, self.late, self.corrections, self.aside = (
                np.empty(n, np.int32) for _ in range(4)
            )
            self.fresh = np.empty(n, np.int64)
