"""A float that was rounded on the way, so that another one may be a little off it."""

from __future__ import annotations

import math
from typing import Self

__all__ = ("Near",)


class Near(float):
    """A float, and how far off another one may be that was computed in another way.

    Args:
        value: the exact value, rounded once.
        within: how far off; where `is_square`, the root of the other one. Infinity: anything is
            near.

    >>> Near(0.3, 1e-9).holds(0.1 + 0.2), Near(0.3, 1e-9).holds(0.31)
    (True, False)
    """

    within: float
    is_square: bool

    def __new__(cls, value: float, within: float, *, is_square: bool = False) -> Self:
        """Make one."""
        made = super().__new__(cls, value)
        made.within, made.is_square = within, is_square
        return made

    def holds(self, other: float) -> bool:
        """Whether the other one is near enough."""
        mine: float = self
        if math.isinf(self.within):
            return True
        if self.is_square:
            if not other >= 0:
                return False
            mine, other = math.sqrt(mine), math.sqrt(other)
        return abs(mine - other) <= self.within
