"""Each aggregate over a list of rows: the SQL meaning, and the order of float sums (S24)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.testing.reference.spec import Row, Spec, Window

__all__ = ("aggregate",)

INT64_LIMIT = 2**63


def aggregate(
    function: str, column: str | None, rows: Sequence[Row], window: Window, spec: Spec
) -> Any:
    """One result value over the rows of one (key, window), which are in arrival order."""
    if column is None:
        return len(rows)
    known = [row for row in rows if row[column] is not None]
    values = [row[column] for row in known]
    if function == "count":
        return len(values)
    if function == "count_distinct":
        return len({"nan" if value != value else value for value in values})  # noqa: PLR0124 - NaN is one value
    return _of_known(function, column, known, window, spec) if known else None


def _of_known(function: str, column: str, known: Sequence[Row], window: Window, spec: Spec) -> Any:
    """The value over rows in which the column is not null, at least one."""
    values = [row[column] for row in known]
    if function in {"sum", "mean"}:
        total = _sum(values, [_slice(row, spec) for row in known], window, spec)
        return total if function == "sum" else float(total) / len(values)
    if function in {"first", "last"}:
        return _by_time(function, known, column, spec)
    return SIMPLE[function](values)


def _by_time(function: str, known: Sequence[Row], column: str, spec: Spec) -> Any:
    """The value at the least or greatest event time; ties by arrival."""
    times = [row[spec.time] for row in known]
    if function == "first":
        return known[times.index(min(times))][column]
    return known[len(times) - 1 - times[::-1].index(max(times))][column]


def _slice(row: Row, spec: Spec) -> int:
    """Number of the slice of gcd(size, slide) that holds the row; 0 in the global window."""
    if spec.size is None:
        return 0
    number: int = (row[spec.time] - spec.offset % spec.step) // math.gcd(spec.size, spec.step)
    return number


def _sum(values: Sequence[Any], slices: Sequence[int], window: Window, spec: Spec) -> Any:
    """A sum; of floats in the order of S24, which defines the bits; of integers exact."""
    if isinstance(values[0], (bool, int)):
        total = sum(values)
        if not -INT64_LIMIT <= total < INT64_LIMIT:
            message = f"sum {total} of window {window} leaves int64"
            raise OverflowError(message)
        return total
    parts: dict[int, Any] = {}
    for number, value in zip(slices, values, strict=True):
        parts[number] = parts[number] + value if number in parts else value
    first = last = 0
    if spec.size is not None:
        grid = math.gcd(spec.size, spec.step)
        first = int(window[0] - spec.offset % spec.step) // grid
        last = first + spec.size // grid
    count = max(last - first, 1)
    # A window that is a block folds left; another is a suffix of one and a prefix of the next.
    border = first if first % count == 0 else (first // count + 1) * count
    suffix = [parts[number] for number in sorted(parts, reverse=True) if number < border]
    prefix = [parts[number] for number in sorted(parts) if number >= border]
    halves = [_fold(half) for half in (suffix, prefix) if half]
    return _fold(halves)


def _fold(parts: Sequence[Any]) -> Any:
    """Add up in this order; as a + b is b + a, a right fold is that of the reversed list."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _least(values: Sequence[Any]) -> Any:
    """Minimum with NaN greater than everything."""
    numbers = [value for value in values if value == value]  # noqa: PLR0124
    return min(numbers) if numbers else values[0]


def _greatest(values: Sequence[Any]) -> Any:
    """Maximum with NaN greater than everything."""
    unknown = [value for value in values if value != value]  # noqa: PLR0124
    return unknown[0] if unknown else max(values)


def _variance(values: Sequence[Any]) -> float | None:
    """Sample variance, exact until the last rounding; none of fewer than two values."""
    if len(values) < 2:
        return None
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    return float(sum((value - mean) ** 2 for value in exact) / (len(exact) - 1))


def _deviation(values: Sequence[Any]) -> float | None:
    """Square root of the sample variance."""
    variance = _variance(values)
    return None if variance is None else math.sqrt(variance)


SIMPLE: dict[str, Callable[[Sequence[Any]], Any]] = {
    "min": _least,
    "max": _greatest,
    "var": _variance,
    "stddev": _deviation,
    "any": any,
    "all": all,
    "collect": list,
}
