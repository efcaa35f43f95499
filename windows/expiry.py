"""Which windows have expired: what did stays so, whatever lateness is allowed later (S18, S29)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eventtime.timestamp import LATEST, MINUS_INFINITY, PLUS_INFINITY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventtime.windows.grid import Grid

__all__ = ("Expiry",)

Ints = NDArray[np.int64]
# Stands for infinity in sums: beyond every window end and lateness.
_BEYOND = LATEST + LATEST // 2


class Expiry:
    """The lateness of each window: that of now, or the shorter one under which it had expired.

    A window that ends at e has expired when e + L(e) <= W. As L only grows from one restoring to
    the next, that is when e + L <= W with the L of now, or e is at most `floor_us`.

    Args:
        grid: of the windows.
        lateness_us: allowed lateness from now on.

    >>> from eventtime.windows.grid import Grid
    >>> expiry = Expiry(Grid(60, 60, 0), 100)
    >>> expiry.restore({"lateness_us": 0, "expired": []}, watermark_us=130)
    >>> expiry.floor_us, expiry.lateness_of(np.array([60, 120, 180])).tolist()
    (120, [0, 0, 100])
    """

    def __init__(self, grid: Grid, lateness_us: int) -> None:
        self._grid, self.lateness_us = grid, lateness_us
        # Ascending both: windows that end up to there, and no lower entry, expired under that.
        self._floors: list[int] = []
        self._latenesses: list[int] = []

    @property
    def floor_us(self) -> int:
        """The greatest end of windows that had expired under a shorter lateness."""
        return self._floors[-1] if self._floors else MINUS_INFINITY

    def lateness_of(self, end_us: Ints) -> Ints:
        """Return L of the windows with these ends, (n,) int64 microseconds."""
        which = np.searchsorted(np.array(self._floors, np.int64), end_us)
        return np.array([*self._latenesses, self.lateness_us], np.int64)[which]

    def has_expired(self, end_us: Ints, watermark_us: Ints) -> NDArray[np.bool_]:
        """Return whether windows with these ends have expired under these watermarks, (n,) bool."""
        expired: NDArray[np.bool_] = end_us <= (
            np.maximum(watermark_us, -_BEYOND) - self.lateness_of(end_us)
        )
        return expired

    def last_expired(self, watermark_us: Ints) -> Ints:
        """Return the greatest end of windows that have expired under each watermark."""
        expired = (
            self._grid.end_at_or_after(np.minimum(watermark_us, _BEYOND) - self.lateness_us + 1)
            - self._grid.slide_us
        )
        return np.maximum(expired, self.floor_us)

    def save(self) -> dict[str, Any]:
        """Return what `restore` takes."""
        pairs = zip(self._floors, self._latenesses, strict=True)
        return {"lateness_us": self.lateness_us, "expired": [list(pair) for pair in pairs]}

    def restore(self, numbers: Mapping[str, Any], watermark_us: int) -> None:
        """Go on from what was saved under a lateness at most that of now.

        Args:
            numbers: from `save`.
            watermark_us: of the operator when it was saved.
        """
        self._floors = [floor for floor, _ in numbers["expired"]]
        self._latenesses = [lateness for _, lateness in numbers["expired"]]
        before_us = numbers["lateness_us"]
        if before_us == self.lateness_us:
            return
        floor_us = self._expired_then(before_us, watermark_us)
        if floor_us > self.floor_us:
            self._floors.append(floor_us)
            self._latenesses.append(before_us)

    def _expired_then(self, lateness_us: int, watermark_us: int) -> int:
        if watermark_us in {MINUS_INFINITY, PLUS_INFINITY}:
            return watermark_us
        if self._grid.everything:
            return MINUS_INFINITY
        return self._grid.end_from(watermark_us - lateness_us + 1) - self._grid.slide_us
