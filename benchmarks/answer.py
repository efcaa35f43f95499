"""What a contender answered, reduced to what can be compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Answer:
    """Totals of a result; exact, because values are multiples of 2^-12.

    ``on_time`` and ``missed`` count (row, window) pairs by window start in µs: folded into its
    result, and refused by it because they came too late. A batch engine knows no lateness: it folds
    everything and misses nothing.
    """

    results: int
    on_time: dict[int, int]
    missed: dict[int, int]
    sum_of_sums: float
    sum_of_mins: float
    sum_of_maxs: float
    sum_of_means: float

    @property
    def seen(self) -> dict[int, int]:
        """Pairs by window whether late or not: what a batch engine answers."""
        return {
            w: self.on_time.get(w, 0) + self.missed.get(w, 0)
            for w in sorted({*self.on_time, *self.missed})
        }

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; window starts become strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        """Read back what `to_json` wrote."""
        windows = {
            field: {int(w): n for w, n in data[field].items()} for field in ("on_time", "missed")
        }
        return cls(**{**data, **windows})


def summarise(results: pa.Table, missed_starts_us: np.ndarray | None = None) -> Answer:
    """Reduce a result table with ``window_start`` (µs or timestamp), count, sum, min, max, mean.

    Args:
        results: one row for each (window, key).
        missed_starts_us: one int64 window start for each (row, window) pair that came too late.
    """
    starts = pc.cast(results["window_start"], pa.int64())
    grouped = pa.table({"w": starts, "n": results["count"]}).group_by("w").aggregate([("n", "sum")])
    missed = np.empty(0, np.int64) if missed_starts_us is None else missed_starts_us
    windows, pairs = np.unique(missed, return_counts=True)
    totals = {
        name: float(pc.sum(results[name]).as_py() or 0.0) for name in ("sum", "min", "max", "mean")
    }
    return Answer(
        results=results.num_rows,
        on_time=dict(
            sorted(zip(grouped["w"].to_pylist(), grouped["n_sum"].to_pylist(), strict=True))
        ),
        missed=dict(zip(windows.tolist(), pairs.tolist(), strict=True)),
        sum_of_sums=totals["sum"],
        sum_of_mins=totals["min"],
        sum_of_maxs=totals["max"],
        sum_of_means=totals["mean"],
    )


def disagreements(answers: dict[str, Answer]) -> Iterable[str]:
    """Say where contenders differ: in rows by window, and in all where both judge lateness."""
    names = list(answers)
    reference = next((n for n in names if answers[n].missed), names[0])
    wanted = answers[reference]
    for name in names:
        got = answers[name]
        if got.seen != wanted.seen:
            where = _first_difference(got.seen, wanted.seen)
            yield f"{name} and {reference} differ in the rows of {where}"
        if got.missed and got != wanted and not _equal_up_to_means(got, wanted):
            yield f"{name} and {reference} both judge lateness, and differ: {got} against {wanted}"


def _equal_up_to_means(got: Answer, wanted: Answer) -> bool:
    """Equal but for the sum of rounded means, which depends on the order of addition."""
    exact = ("results", "on_time", "missed", "sum_of_sums", "sum_of_mins", "sum_of_maxs")
    same = all(getattr(got, f) == getattr(wanted, f) for f in exact)
    return same and bool(np.isclose(got.sum_of_means, wanted.sum_of_means, rtol=1e-9))


def _first_difference(got: dict[int, int], wanted: dict[int, int]) -> str:
    window = next(w for w in sorted({*got, *wanted}) if got.get(w) != wanted.get(w))
    return f"the window from {window} µs: {got.get(window, 0)} against {wanted.get(window, 0)}"
