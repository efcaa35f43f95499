"""Each aggregate over a list of rows: the SQL meaning, and the order of float sums (S24)."""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import reduce
from operator import add, itemgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eventtime.errors import AggregateOverflowError
from eventtime.testing.alike import alike
from eventtime.testing.reference.near import Near
from eventtime.testing.reference.plain import laid_out, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.testing.reference.spec import Aggregate, Row, Spec, Window

__all__ = ("aggregate", "check_fits")

INT64_LIMIT = 2**63
DECIMAL_DIGITS = 38
EXACT = Context(prec=200)
ROUNDING = 1e-9
"""So far apart, relative and absolute, may be what a user's own merges make of floats."""
LARGEST_SQUARED = 1e150
"""No float holds the squares of what is larger, and what comes of them is not promised."""


def aggregate(wanted: Aggregate, rows: Sequence[Row], window: Window, spec: Spec) -> Any:
    """One result value over the rows of one (key, window), which are in arrival order.

    Nulls are ignored; over nothing, `count` is 0 and everything else null.
    """
    if wanted.own is not None:
        return _of_ones_own(wanted, rows, window, spec)
    column, function = wanted.column, wanted.function
    if column is None:
        return len(rows)
    known = [row for row in rows if row[column] is not None]
    values = [row[column] for row in known]
    if not values and function not in {"count", "count_distinct"}:
        return None
    if function in {"sum", "mean"}:
        total = _sum(column, known, window, spec)
        return total if function == "sum" else _mean(values, total)
    if function in {"first", "last"}:
        # By event time; of equal times `min` and `max` take the first that they are given.
        time = itemgetter(spec.time)
        row = min(known, key=time) if function == "first" else max(known[::-1], key=time)
        return row[column]
    return OF_VALUES[function](values, wanted.ddof)


def _is_nan(value: Any) -> bool:
    return bool(value != value)  # noqa: PLR0124 - NaN


def _zero(value: Any) -> Any:
    """Of two zeros nobody says which is less."""
    return Near(0.0, 0.0) if isinstance(value, float) and value == 0 else value


def check_fits(wanted: Aggregate, result: Any, window: Window) -> None:
    """Refuse a sum that its type does not hold.

    Raises:
        AggregateOverflowError: names the sum.
    """
    fits = True
    if wanted.function == "sum" and isinstance(result, int):
        fits = -INT64_LIMIT <= result < INT64_LIMIT
    elif wanted.function == "sum" and isinstance(result, Decimal):
        fits = len(result.as_tuple().digits) <= DECIMAL_DIGITS
    if not fits:
        what = f"{wanted.name} = sum({wanted.column}) is {result}, which does not fit"
        raise AggregateOverflowError(what, place=f"window {window}")


def _sum(column: str, known: Sequence[Row], window: Window, spec: Spec) -> Any:
    """A sum; of floats in the order of S24, which defines the bits; of all others exact."""
    if isinstance(known[0][column], float):
        # Not `sum`, which makes up for rounding (from Python 3.12 on).
        return _by_slices(
            known, window, spec, lambda rows: reduce(add, (row[column] for row in rows), 0.0), add
        )
    with localcontext(EXACT):
        return sum(row[column] for row in known)


def _mean(values: Sequence[Any], total: Any) -> float:
    """Sum by number: of floats the bits of their sum decide, others may be rounded twice."""
    mean = float(total) / len(values)
    if isinstance(total, float) or (isinstance(total, int) and abs(total) < INT64_LIMIT):
        return mean
    return Near(mean, float(sum(map(abs, values))) / len(values) * 2.0**-50)


def _by_slices(
    rows: Sequence[Row],
    window: Window,
    spec: Spec,
    fold: Callable[[Sequence[Row]], Any],
    merge: Callable[[Any, Any], Any],
) -> Any:
    """Fold rows slice by slice, in order, and merge the slices as S24 says.

    Slices are counted from the offset, and every so many as a window has are a block. What the
    window has of its first block is merged from the right, what it has of the next from the left.
    """
    if spec.size is None:
        return fold(rows)
    n = spec.size // spec.slice
    by_slice: dict[int, list[Row]] = {}
    for row in rows:
        by_slice.setdefault(_slice(row[spec.time], spec), []).append(row)
    first = _slice(int(window[0]), spec)
    border = -(-first // n) * n
    folded = [(number, fold(by_slice[number])) for number in sorted(by_slice)]
    before = [part for number, part in folded if number < border]
    after = [part for number, part in folded if number >= border]
    halves = [reduce(lambda right, left: merge(left, right), reversed(before))] if before else []
    halves += [reduce(merge, after)] if after else []
    return reduce(merge, halves)


def _slice(time: int, spec: Spec) -> int:
    return (time - spec.offset % spec.step) // spec.slice


def _of_ones_own(wanted: Aggregate, rows: Sequence[Row], window: Window, spec: Spec) -> Any:
    """What the user's own methods make of the rows, given one at a time.

    What they make without a merge is the answer, but for the rounding of floats, which is that of
    merges as S24 says: a wrong merge is not in what the engine is compared with.
    """
    own: Any = wanted.own
    into, source = np.array([0]), np.array([1])

    def fold(some: Sequence[Row]) -> tuple[np.ndarray, ...]:
        state = tuple(own.create(1))
        for row in some:
            own.add(state, into, *laid_out(row, wanted.inputs).columns)
        return state

    def merge(left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        state = tuple(np.concatenate(pair) for pair in zip(left, right, strict=True))
        own.merge(state, into, source)
        return tuple(array[:1] for array in state)

    merged = plain(own.result(_by_slices(rows, window, spec, fold, merge), into))[0]
    if spec.size is None:
        return merged
    in_order = sorted(rows, key=lambda row: _slice(row[spec.time], spec))
    folded = plain(own.result(fold(in_order), into))[0]
    return merged if alike(merged, folded, ROUNDING) else folded


def _variance(values: Sequence[Any], ddof: int) -> float | None:
    """Variance, exact until the last rounding; none of `ddof` values or fewer."""
    if len(values) <= ddof:
        return None
    if not all(math.isfinite(value) for value in values):
        return math.nan
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - ddof)
    greatest = float(max(map(abs, exact)))
    if greatest > LARGEST_SQUARED:
        return Near(math.inf, math.inf)
    return Near(float(variance), len(values) * greatest * 2.0**-51, is_square=True)


def _deviation(values: Sequence[Any], ddof: int) -> float | None:
    """Square root of the variance."""
    variance = _variance(values, ddof)
    if not isinstance(variance, Near) or math.isinf(variance):
        return variance
    return Near(math.sqrt(variance), variance.within)


def _nan_last(value: Any) -> tuple[bool, Any]:
    return _is_nan(value), value


OF_VALUES: Final[dict[str, Callable[[list[Any], int], Any]]] = {
    "count": lambda values, _: len(values),
    "count_distinct": lambda values, _: len({"nan" if _is_nan(v) else v for v in values}),
    "min": lambda values, _: _zero(min(values, key=_nan_last)),
    "max": lambda values, _: _zero(max(values, key=_nan_last)),
    "any": lambda values, _: any(values),
    "all": lambda values, _: all(values),
    "collect": lambda values, _: values,
    "var": _variance,
    "stddev": _deviation,
}
"""Functions of the values that are known, and of `ddof`; NaN is greater than all, and one value."""
