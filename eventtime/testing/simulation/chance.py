"""All that is left to chance in a simulation, out of one seed, and the trace of what came of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("Chance", "Trace")

T = TypeVar("T")


class Chance:
    """Numbers out of a seed.

    Args:
        seed: the same gives the same numbers.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def below(self, n: int) -> int:
        """Return a number from 0 on, below `n`."""
        return int(self._random.integers(n))

    def between(self, least: int, most: int) -> int:
        """Return a number from `least` to `most`."""
        return least + self.below(most - least + 1)

    def happens(self, share: float) -> bool:
        """Tell whether what happens this often happens now."""
        return bool(self._random.random() < share)

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of them."""
        return choices[self.below(len(choices))]

    def tail_us(self, scale_us: int) -> int:
        """Return a duration that is mostly short and now and then very long."""
        return min(int(self._random.pareto(1.5) * scale_us), 100 * scale_us)


class Trace:
    """A checksum of everything that happened, in its order."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def note(self, *what: object) -> None:
        """Add what happened."""
        self._sum.update(repr(what).encode())

    def digest(self) -> str:
        """Return the checksum so far, 16 hexadecimal digits."""
        return self._sum.hexdigest()[:16]
