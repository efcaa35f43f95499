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
        if math.isinf(self.within):
            return True
        if not self.is_square:
            return abs(self - other) <= self.within
        return other >= 0 and abs(math.sqrt(self) - math.sqrt(other)) <= self.within
