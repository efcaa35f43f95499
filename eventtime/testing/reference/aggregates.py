"""Each aggregate over a list of rows: the SQL meaning, and the order of float sums (S24)."""

from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from eventtime.errors import AggregateOverflowError
from eventtime.testing.reference.near import Near
from eventtime.testing.reference.plain import laid, plain
from eventtime.testing.reference.spec import Folded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from eventtime.testing.reference.spec import Aggregate, Row, Spec, Window

__all__ = ("aggregate",)

INT64_LIMIT = 2**63
DECIMAL_DIGITS = 38
EXACT = Context(prec=200)
LARGEST_SQUARED = 1e150
"""No float holds the squares of what is larger, and what comes of them is not promised."""


def aggregate(wanted: Aggregate, rows: Sequence[Row], window: Window, spec: Spec) -> Any:
    """One result value over the rows of one (key, window), which are in arrival order.

    Raises:
        AggregateOverflowError: a sum does not fit its type.
    """
    if isinstance(wanted, Folded):
        return _folded(wanted, rows, window, spec)
    column = wanted.column
    if column is None:
        return len(rows)
    known = [row for row in rows if row[column] is not None]
    values = [row[column] for row in known]
    if wanted.function == "count":
        return len(values)
    if wanted.function == "count_distinct":
        return len({"nan" if value != value else value for value in values})  # noqa: PLR0124 - NaN is one value
    return _of_known(wanted, column, known, window, spec) if known else None


def _of_known(
    wanted: Aggregate, column: str, known: Sequence[Row], window: Window, spec: Spec
) -> Any:
    """The value over rows in which the column is not null, at least one."""
    values = [row[column] for row in known]
    match wanted.function:
        case "sum":
            return _fitting(_sum(column, known, window, spec), wanted, window)
        case "mean":
            return _mean(values, _sum(column, known, window, spec))
        case "first" | "last":
            return _by_time(wanted.function, known, column, spec)
        case "var":
            return _variance(values, wanted.ddof)
        case "stddev":
            return _deviation(values, wanted.ddof)
        case other:
            return SIMPLE[other](values)


def _by_time(function: str, known: Sequence[Row], column: str, spec: Spec) -> Any:
    """The value at the least or greatest event time; ties by arrival."""
    times = [row[spec.time] for row in known]
    if function == "first":
        return known[times.index(min(times))][column]
    return known[len(times) - 1 - times[::-1].index(max(times))][column]


# Sums


def _sum(column: str, known: Sequence[Row], window: Window, spec: Spec) -> Any:
    """A sum; of floats in the order of S24, which defines the bits; of all others exact."""
    values = [row[column] for row in known]
    if isinstance(values[0], float):
        return _over_slices(
            known, window, spec, lambda rows: _merged([0.0, *(r[column] for r in rows)], _add), _add
        )
    with localcontext(EXACT):
        return sum(values)


def _fitting(total: Any, wanted: Aggregate, window: Window) -> Any:
    """The sum, if its type holds it."""
    fits = True
    if isinstance(total, int):
        fits = -INT64_LIMIT <= total < INT64_LIMIT
    elif isinstance(total, Decimal):
        fits = len(total.as_tuple().digits) <= DECIMAL_DIGITS
    if fits:
        return total
    what = f"{wanted.name} = sum({wanted.column}) is {total}, which does not fit"
    raise AggregateOverflowError(what, place=f"window {window}")


def _mean(values: Sequence[Any], total: Any) -> float:
    """Sum by number: of floats the bits of their sum decide, others may be rounded twice."""
    mean = float(total) / len(values)
    if isinstance(total, float) or (isinstance(total, int) and abs(total) < INT64_LIMIT):
        return mean
    return Near(mean, float(sum(map(abs, values))) / len(values) * 2.0**-50)


def _over_slices(
    rows: Sequence[Row],
    window: Window,
    spec: Spec,
    fold: Callable[[Sequence[Row]], Any],
    merge: Callable[[Any, Any], Any],
) -> Any:
    """Fold rows slice by slice, in order, and merge slices as S24 says.

    A window that is a block of slices is merged from the left; another one is the end of a block,
    merged from the right, and then the begin of the next one, merged from the left.
    """
    by_slice: dict[int, list[Row]] = {}
    for row in rows:
        by_slice.setdefault(_slice(row, spec), []).append(row)
    parts = {number: fold(some) for number, some in by_slice.items()}
    first = last = 0
    if spec.size is not None:
        grid = math.gcd(spec.size, spec.step)
        first = int(window[0] - spec.offset % spec.step) // grid
        last = first + spec.size // grid
    count = max(last - first, 1)
    border = -(-first // count) * count
    halves = []
    before = [parts[number] for number in sorted(parts) if number < border]
    while len(before) > 1:
        right, left = before.pop(), before.pop()
        before.append(merge(left, right))
    halves += before
    after = [parts[number] for number in sorted(parts) if number >= border]
    if after:
        halves.append(_merged(after, merge))
    return _merged(halves, merge)


def _slice(row: Row, spec: Spec) -> int:
    """Number of the slice of gcd(size, slide) that holds the row; 0 in the global window."""
    if spec.size is None:
        return 0
    number: int = (row[spec.time] - spec.offset % spec.step) // math.gcd(spec.size, spec.step)
    return number


def _merged(parts: Sequence[Any], merge: Callable[[Any, Any], Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = merge(total, part)
    return total


def _add(left: Any, right: Any) -> Any:
    return left + right


# An aggregate of the user's


def _folded(wanted: Folded, rows: Sequence[Row], window: Window, spec: Spec) -> Any:
    """What the user's own methods make of the rows, given one at a time."""
    own = wanted.own
    both = np.array([0, 1])

    def fold(some: Sequence[Row]) -> tuple[np.ndarray, ...]:
        state = tuple(own.create(1))
        for row in some:
            values = [laid([row[n]], t) for n, t in zip(wanted.columns, wanted.types, strict=True)]
            own.add(state, both[:1], *values)
        return state

    def merge(
        left: tuple[np.ndarray, ...], right: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, ...]:
        state = tuple(np.concatenate(pair) for pair in zip(left, right, strict=True))
        own.merge(state, both[:1], both[1:])
        return tuple(array[:1] for array in state)

    result: pa.Array = own.result(_over_slices(rows, window, spec, fold, merge), both[:1])
    return plain(result)[0]


# Functions of the values alone


def _least(values: Sequence[Any]) -> Any:
    """Minimum with NaN greater than everything."""
    numbers = [value for value in values if value == value]  # noqa: PLR0124
    return _zero(min(numbers)) if numbers else values[0]


def _greatest(values: Sequence[Any]) -> Any:
    """Maximum with NaN greater than everything."""
    unknown = [value for value in values if value != value]  # noqa: PLR0124
    return unknown[0] if unknown else _zero(max(values))


def _zero(value: Any) -> Any:
    """Of two zeros nobody says which is less."""
    return Near(0.0, 0.0) if isinstance(value, float) and value == 0 else value


def _variance(values: Sequence[Any], ddof: int) -> float | None:
    """Variance, exact until the last rounding; none of `ddof` values or fewer."""
    if len(values) <= ddof:
        return None
    if not all(math.isfinite(value) for value in values):
        return math.nan
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / (len(exact) - ddof)
    greatest = float(max(abs(value) for value in exact))
    if greatest > LARGEST_SQUARED:
        return Near(math.inf, math.inf)
    return Near(float(variance), len(values) * greatest * 2.0**-51, is_square=True)


def _deviation(values: Sequence[Any], ddof: int) -> float | None:
    """Square root of the variance."""
    variance = _variance(values, ddof)
    if not isinstance(variance, Near) or math.isinf(variance):
        return variance
    return Near(math.sqrt(variance), variance.within)


SIMPLE: dict[str, Callable[[Sequence[Any]], Any]] = {
    "min": _least,
    "max": _greatest,
    "any": any,
    "all": all,
    "collect": list,
}
