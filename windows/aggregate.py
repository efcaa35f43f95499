"""Aggregates as users write them: function, columns, parameters; types are checked by the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from eventtime.checks import check_whole, is_one_of, shown
from eventtime.errors import AggregateTypeError, PlanError
from eventtime.lanes import DECIMAL, FLOAT, OBJECT, is_binary, lane_kind
from eventtime.state.arrays import fits_in_a_word, holds_bytes, plain_type
from eventtime.windows.user_aggregate import UserAccumulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.windows.user_aggregate import UserAggregate

__all__ = (
    "Aggregate",
    "all_",
    "any_",
    "collect",
    "count",
    "count_distinct",
    "first",
    "last",
    "max_",
    "mean",
    "min_",
    "result_type",
    "stddev",
    "sum_",
    "user",
    "var",
)

Column: TypeAlias = str | pc.Expression


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate over the rows of a window and key; nulls are ignored as in SQL (D10).

    Args:
        function: 'count', 'sum', …, or 'user'.
        columns: names or expressions; none for `count()`.
        ddof: for var and stddev, subtracted from the number of rows.
        user: the object behind a user-written aggregate.
    """

    function: str
    columns: tuple[Column, ...] = ()
    ddof: int = 1
    user: UserAggregate | None = field(default=None, compare=True)

    def __post_init__(self) -> None:
        functions = [*_WITHOUT_TYPE, *_RESULT_TYPES]
        if self.user is None and not is_one_of(self.function, functions):
            msg = f"{shown(self.function)} is no aggregate function"
            raise PlanError(
                msg, place="Aggregate(function)", remedy=f"one of {', '.join(functions)}"
            )

    def describe(self) -> str:
        """Return the call in the words of the user."""
        name = type(self.user).__name__ if self.user is not None else self.function
        ddof = "" if self.ddof == 1 else f", ddof={self.ddof}"
        return f"{name}({', '.join(str(c) for c in self.columns)}{ddof})"


def count(column: Column | None = None) -> Aggregate:
    """Count rows, or the values of a column that are not null; int64, 0 if none."""
    return Aggregate("count", () if column is None else (_checked("count", column),))


def sum_(column: Column) -> Aggregate:
    """Add values; null if there is none.

    Integers and booleans give int64 (exact; an error if the result leaves it), floats float64
    (added in row order), decimals decimal128(38, s), durations durations.
    """
    return Aggregate("sum", (_checked("sum", column),))


def min_(column: Column) -> Aggregate:
    """Take the least value of any ordered type; NaN counts as greatest. Null if none."""
    return Aggregate("min", (_checked("min", column),))


def max_(column: Column) -> Aggregate:
    """Take the greatest value of any ordered type; NaN counts as greatest. Null if none."""
    return Aggregate("max", (_checked("max", column),))


def mean(column: Column) -> Aggregate:
    """Average numbers: float64, null if there is none."""
    return Aggregate("mean", (_checked("mean", column),))


def var(column: Column, *, ddof: int = 1) -> Aggregate:
    """Compute the variance (of a sample by default): float64, null for `ddof` values or fewer.

    Its root is exact but for n·M·2^-51, where M is the greatest magnitude among the n values.
    Subtract a constant from integers that are large and close together.
    """
    _check_ddof("var", ddof)
    return Aggregate("var", (_checked("var", column),), ddof)


def stddev(column: Column, *, ddof: int = 1) -> Aggregate:
    """Compute the standard deviation (of a sample by default); null for `ddof` values or fewer.

    As exact as the root of `var`.
    """
    _check_ddof("stddev", ddof)
    return Aggregate("stddev", (_checked("stddev", column),), ddof)


def first(column: Column) -> Aggregate:
    """Take the value with the earliest event time; of equal times the one that arrived first."""
    return Aggregate("first", (_checked("first", column),))


def last(column: Column) -> Aggregate:
    """Take the value with the latest event time; of equal times the one that arrived last."""
    return Aggregate("last", (_checked("last", column),))


def any_(column: Column) -> Aggregate:
    """Say whether any boolean is true; null if there is none."""
    return Aggregate("any", (_checked("any", column),))


def all_(column: Column) -> Aggregate:
    """Say whether all booleans are true; null if there is none."""
    return Aggregate("all", (_checked("all", column),))


def count_distinct(column: Column) -> Aggregate:
    """Count distinct values, exactly; memory grows with their number."""
    return Aggregate("count_distinct", (_checked("count_distinct", column),))


def collect(column: Column) -> Aggregate:
    """List the values in order of arrival, nulls left out; memory grows with their number."""
    return Aggregate("collect", (_checked("collect", column),))


def user(aggregate: UserAggregate, *columns: Column) -> Aggregate:
    """Use an aggregate of your own; see `UserAggregate` for what it must offer.

    Raises:
        PlanError: a method of the protocol is missing, or it is a class.
    """
    if isinstance(aggregate, type):
        msg = f"{aggregate.__name__} is a class, not an aggregate"
        raise PlanError(msg, place="user(aggregate=…)", remedy=f"make one: {aggregate.__name__}()")
    missing = [
        m for m in ("create", "add", "merge", "result", "result_type") if not hasattr(aggregate, m)
    ]
    if missing:
        msg = f"{type(aggregate).__name__} lacks {', '.join(missing)}"
        raise PlanError(msg, place="user(aggregate=…)", remedy="implement eventtime.UserAggregate")
    return Aggregate("user", tuple(_checked("user", c) for c in columns), user=aggregate)


def result_type(aggregate: Aggregate, types: tuple[pa.DataType, ...]) -> pa.DataType:
    """Return the type of an aggregate over columns of the given types.

    Raises:
        AggregateTypeError: the function has no meaning for them; names function, column and type.
    """
    if aggregate.user is not None:
        # Tried and checked here, so that a wrong one is refused before anything is read.
        return UserAccumulator(aggregate.describe(), aggregate.user, types).result_type
    if aggregate.function in _WITHOUT_TYPE:
        return pa.int64()
    wanted = _RESULT_TYPES[aggregate.function](types[0])
    if wanted is None:
        msg = f"{aggregate.describe()} has no meaning for type {types[0]}"
        raise AggregateTypeError(
            msg, place=f"column {aggregate.columns[0]}", remedy=_REMEDIES[aggregate.function]
        )
    return wanted


def _numeric(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or lane_kind(kind) == DECIMAL


def _sum_type(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return pa.int64()
    if pa.types.is_duration(kind):
        return kind
    if lane_kind(kind) == FLOAT:
        return pa.float64()
    return pa.decimal128(38, kind.scale) if lane_kind(kind) == DECIMAL else None


def _mean_type(kind: pa.DataType) -> pa.DataType | None:
    return pa.float64() if _numeric(kind) or pa.types.is_boolean(kind) else None


def _bool_type(kind: pa.DataType) -> pa.DataType | None:
    return kind if pa.types.is_boolean(kind) else None


def _countable_type(kind: pa.DataType) -> pa.DataType | None:
    plain = plain_type(kind)
    return pa.int64() if fits_in_a_word(plain) or holds_bytes(plain) else None


def _ordered_type(kind: pa.DataType) -> pa.DataType | None:
    t = pa.types
    if pa.types.is_dictionary(kind):
        return _ordered_type(kind.value_type)
    ordered = (
        lane_kind(kind) != OBJECT
        or t.is_string(kind)
        or t.is_large_string(kind)
        or t.is_string_view(kind)
    )
    return kind if ordered or is_binary(kind) or t.is_decimal(kind) else None


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _list_type(kind: pa.DataType) -> pa.DataType:
    return pa.list_(_plain(kind))


_WITHOUT_TYPE = ("count",)
"""Functions that count whatever the values are."""
_RESULT_TYPES: dict[str, Callable[[pa.DataType], pa.DataType | None]] = {
    "sum": _sum_type,
    "mean": _mean_type,
    "var": _mean_type,
    "stddev": _mean_type,
    "any": _bool_type,
    "all": _bool_type,
    "min": _ordered_type,
    "max": _ordered_type,
    "first": _plain,
    "last": _plain,
    "collect": _list_type,
    "count_distinct": _countable_type,
}
_NUMBERS = "use a column of numbers, or cast it with with_columns(...)"
_BOOLEANS = "use a boolean column or an expression such as pc.field('x') > 0"
_ORDERED = "use a type with an order"
_REMEDIES = {
    "sum": _NUMBERS + "; for text use count, min, max or collect",
    "mean": _NUMBERS,
    "var": _NUMBERS,
    "stddev": _NUMBERS,
    "any": _BOOLEANS,
    "all": _BOOLEANS,
    "min": _ORDERED,
    "max": _ORDERED,
    "count_distinct": "use a column of plain values, or cast it with with_columns(...)",
}


def _checked(function: str, column: Column) -> Column:
    if isinstance(column, str | pc.Expression):
        return column
    msg = f"{shown(column)} names no column"
    raise PlanError(
        msg,
        place=f"{function}(column=…)",
        remedy="give a column's name or a pyarrow.compute expression",
    )


def _check_ddof(function: str, ddof: int) -> None:
    what, remedy = "a number of zero or more", "1 for a sample, 0 for the population"
    check_whole(ddof, least=0, what=what, place=f"{function}(ddof=…)", remedy=remedy)
