"""How far rows are behind the latest before them: counted row by row, exactly or in fine steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY

__all__ = ("Disorder", "DisorderTally")

Ints = NDArray[np.int64]
_PENDING_ROWS: Final = 1 << 20
_STEP_BITS: Final = 10
"""Once coarse, delays are told apart by their leading 11 bits: to 0.1 %."""
_STEPS: Final = 54 << _STEP_BITS


@dataclass(frozen=True, eq=False)
class Disorder:
    """How disordered the rows of one partition are.

    The disorder of a row is the latest event time up to it less its own: 0 for a row in order.
    Under `bounded_disorder(b)` a row arrives behind its partition's watermark exactly when its
    disorder is above b.

    Args:
        partition: its name.
        rows: in all; null_times: without an event time; malformed: unreadable or out of range.
        largest_step_us: the furthest that a row was ahead of all before it.
        behind_us: (m,) int64, the delays above zero that occur, ascending.
        counts: (m,) int64, rows with each.
        exact: whether they are exact; otherwise rounded up by at most 0.1 %.
    """

    partition: str
    rows: int
    null_times: int
    malformed: int
    largest_step_us: int
    behind_us: Ints
    counts: Ints
    exact: bool

    @property
    def timed(self) -> int:
        """Rows with a usable event time."""
        return self.rows - self.null_times - self.malformed

    @property
    def out_of_order(self) -> int:
        """Rows earlier than one before them."""
        return int(self.counts.sum())

    @property
    def max_us(self) -> int:
        """The largest disorder; a bound of as much makes no row late."""
        return int(self.behind_us[-1]) if len(self.behind_us) else 0

    def late(self, bound_us: int) -> int:
        """Count the rows that a bound makes late: those with a disorder above it."""
        return int(self.counts[np.searchsorted(self.behind_us, bound_us, side="right") :].sum())

    def quantile_us(self, share: float) -> int:
        """Return the least delay that `share` of the rows keep within; 0 if there are none."""
        wanted = int(np.ceil(round(share * self.timed, 6)))
        at = int(np.searchsorted(np.cumsum(self.counts), wanted - (self.timed - self.out_of_order)))
        if wanted <= self.timed - self.out_of_order:
            return 0
        return int(self.behind_us[min(at, len(self.behind_us) - 1)])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, for JSON; durations in microseconds."""
        shares = {"median": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
        return {
            "rows": self.rows,
            "null_times": self.null_times,
            "malformed": self.malformed,
            "out_of_order": self.out_of_order,
            **{f"{name}_us": self.quantile_us(share) for name, share in shares.items()},
            "largest_step_us": self.largest_step_us,
            "exact": self.exact,
        }

    @staticmethod
    def total(parts: list[Disorder]) -> Disorder:
        """Add partitions up."""
        behind, counts = _merged([p.behind_us for p in parts], [p.counts for p in parts])
        return Disorder(
            "total",
            sum(p.rows for p in parts),
            sum(p.null_times for p in parts),
            sum(p.malformed for p in parts),
            max((p.largest_step_us for p in parts), default=0),
            behind,
            counts,
            all(p.exact for p in parts),
        )


class DisorderTally:
    """Counts the disorder of one partition's rows as they come.

    Memory: `distinct` pairs of numbers and a million delays not yet sorted in, whatever the rows.
    Not for more than one thread.

    Args:
        partition: its name.
        distinct: different delays kept exactly; beyond, they are rounded up by at most 0.1 %.
    """

    def __init__(self, partition: str, *, distinct: int) -> None:
        self._partition, self._distinct = partition, distinct
        self._rows = self._null_times = self._malformed = 0
        self._latest, self._largest_step, self._max = MINUS_INFINITY, 0, 0
        self._behind, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)
        self._steps = np.empty(0, np.int64)
        self._pending: list[Ints] = []
        self._pending_rows = 0
        self._exact = True

    def add_malformed(self, rows: int) -> None:
        """Count rows that could not be read."""
        self._rows += rows
        self._malformed += rows

    def add(self, time_us: Ints, admitted: NDArray[np.bool_] | None, *, null_times: int) -> None:
        """Count rows.

        Args:
            time_us: (n,) int64 event times.
            admitted: (n,) bool, false for null and out of range; None: all are.
            null_times: how many are null.

        Cost: O(n), and a sort of the delays above zero.
        """
        self._rows += len(time_us)
        self._null_times += null_times
        if admitted is not None:
            timed = time_us[admitted]
            self._malformed += len(time_us) - len(timed) - null_times
            time_us = timed
        if not len(time_us):
            return
        latest = np.maximum.accumulate(time_us)
        if self._latest != MINUS_INFINITY:
            np.maximum(latest, self._latest, out=latest)
            self._largest_step = max(self._largest_step, int(latest[0]) - self._latest)
        self._largest_step = max(self._largest_step, int(np.diff(latest).max(initial=0)))
        self._latest = int(latest[-1])
        behind = latest - time_us
        behind = behind[behind != 0]
        # The longest possible delay is 2^63, one more than int64 holds.
        behind[behind < 0] = PLUS_INFINITY
        self._max = max(self._max, int(behind.max(initial=0)))
        self._pending.append(behind)
        self._pending_rows += len(behind)
        if self._pending_rows > _PENDING_ROWS:
            self._sort_in()

    def result(self) -> Disorder:
        """Return what was counted so far."""
        self._sort_in()
        behind, counts = self._behind, self._counts
        if not self._exact:
            steps = np.flatnonzero(self._steps)
            # Rounded up, but never beyond what occurs.
            behind, counts = np.minimum(_ends(steps), self._max), self._steps[steps]
        return Disorder(
            self._partition,
            self._rows,
            self._null_times,
            self._malformed,
            self._largest_step,
            behind,
            counts,
            self._exact,
        )

    def _sort_in(self) -> None:
        pending = np.concatenate([np.empty(0, np.int64), *self._pending])
        self._pending, self._pending_rows = [], 0
        if not self._exact:
            self._steps += np.bincount(_step(pending), minlength=_STEPS)
            return
        values, counts = np.unique(pending, return_counts=True)
        self._behind, self._counts = _merged([self._behind, values], [self._counts, counts])
        if len(self._behind) > self._distinct:
            self._exact = False
            self._steps = np.zeros(_STEPS, np.int64)
            np.add.at(self._steps, _step(self._behind), self._counts)
            self._behind = self._counts = np.empty(0, np.int64)


def _step(behind_us: Ints) -> Ints:
    """Number the steps that delays are counted in: exact below 2,048, then 1,024 a doubling."""
    bits = np.frexp(behind_us.astype(np.float64))[1].astype(np.int64)
    # A float rounds up near a power of two; the number of the step comes out the same.
    shift = np.maximum(bits - _STEP_BITS - 1, 0)
    step: Ints = (shift << _STEP_BITS) + (behind_us >> shift)
    return step


def _ends(steps: Ints) -> Ints:
    """Return the longest delay of each step."""
    shift = np.maximum((steps >> _STEP_BITS) - 1, 0)
    ends: Ints = ((steps - (shift << _STEP_BITS)) << shift) | ((np.int64(1) << shift) - 1)
    return ends


def _merged(values: list[Ints], counts: list[Ints]) -> tuple[Ints, Ints]:
    """Add up the counts of equal values; values come out ascending."""
    joined = np.concatenate([np.empty(0, np.int64), *values])
    unique, place = np.unique(joined, return_inverse=True)
    # Weights are floats: exact up to 2^53 rows.
    weights = np.concatenate([np.empty(0), *counts])
    summed = np.bincount(place, weights=weights, minlength=len(unique))
    return unique, summed.astype(np.int64)
