"""Values of Python that Arrow would cut to fit a type, without a word."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from eventtime.checks import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ("Cuts", "array_of", "check_uncut", "cuts_of", "scalar_of")

Cuts = Callable[[Any], bool]
"""Tells of a value that Arrow takes, and that is not None, whether it would lose something."""

_STEP_US: Final = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}


def cuts_of(kind: pa.DataType) -> Cuts | None:
    """Return what tells whether a value would be cut to fit a type; None: no value ever is.

    Arrow takes 1.5 as an integer 1, a datetime as the second or the day it is in, and what is too
    great for a 32-bit float as infinity. Floats that are rounded are not cut. Cost of a check: O(1)
    for plain values, else O(what is inside).

    >>> cuts = cuts_of(pa.list_(pa.int64()))
    >>> cuts([1, 2.0]), cuts([1, 2.5]), cuts_of(pa.string())
    (False, True, None)
    """
    t = pa.types
    if t.is_integer(kind):
        return _has_fraction
    if t.is_float32(kind) or t.is_float16(kind):
        most = float(np.finfo(kind.to_pandas_dtype()).max)
        return lambda value: isinstance(value, float) and most < abs(value) < math.inf
    if t.is_date(kind):
        return _has_time
    if t.is_temporal(kind) and not t.is_interval(kind):
        return _of_time(kind.unit)
    return _of_nested(kind)


def check_uncut(values: Iterable[Any], kind: pa.DataType) -> None:
    """Refuse values of which one would be cut to fit a type.

    Args:
        values: that Arrow takes; None is one.
        kind: the type.

    Raises:
        ValueError: shows the first.

    >>> check_uncut([1, None, 2.5], pa.int64())
    Traceback (most recent call last):
    ValueError: 2.5 would be cut to fit
    """
    cuts = cuts_of(kind)
    if cuts is None:
        return
    for value in values:
        if value is not None and cuts(value):
            msg = f"{shown(value)} would be cut to fit"
            raise ValueError(msg)


def scalar_of(value: Any, kind: pa.DataType) -> pa.Scalar:
    """Return a value as Arrow holds it, whole.

    Raises:
        ValueError, TypeError, OverflowError, pyarrow.ArrowException: it does not fit the type.
    """
    held = pa.scalar(value, kind)
    check_uncut([value], kind)
    return held


def array_of(values: Sequence[Any] | NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return values as Arrow holds them, each whole; so are the errors of `scalar_of`."""
    array = pa.array(values, kind)
    # Of numpy's own types Arrow refuses by itself what would be cut.
    if not isinstance(values, np.ndarray) or values.dtype.hasobject:
        check_uncut(values, kind)
    return array


def _has_fraction(value: Any) -> bool:
    if isinstance(value, int):
        return False
    if isinstance(value, np.ndarray):
        return _has_fraction(value[()])
    if isinstance(value, float | np.floating):
        return not value.is_integer()
    return isinstance(value, Decimal) and value != value.to_integral_value()


def _has_time(value: Any) -> bool:
    if not isinstance(value, datetime):
        return _has_fraction(value)
    # Of pandas' NaT they are NaN: Arrow takes it as a day of the year 1.
    return _nanoseconds(value) != 0 or value.time() != time.min


def _of_time(unit: str) -> Cuts:
    step_us = _STEP_US[unit]

    def cuts(value: Any) -> bool:
        us = getattr(value, "microsecond", getattr(value, "microseconds", None))
        if us is None:
            return _has_fraction(value)
        return us % step_us != 0 or (unit != "ns" and _nanoseconds(value) != 0)

    return cuts


def _nanoseconds(value: Any) -> float:
    """Return what pandas' types have below microseconds."""
    below: float = getattr(value, "nanosecond", getattr(value, "nanoseconds", 0))
    return below


def _of_nested(kind: pa.DataType) -> Cuts | None:
    if pa.types.is_dictionary(kind):
        return cuts_of(kind.value_type)
    if pa.types.is_map(kind):
        return _of_pairs(cuts_of(kind.key_type), cuts_of(kind.item_type))
    if pa.types.is_struct(kind):
        inner = {field.name: cuts for field in kind.fields if (cuts := cuts_of(field.type))}
        names = [field.name for field in kind.fields]
        return _of_fields(inner, names) if inner else None
    if not hasattr(kind, "value_field"):
        return None
    of_one = cuts_of(kind.value_type)
    return None if of_one is None else lambda some: any(_cuts(of_one, one) for one in some)


def _of_pairs(of_key: Cuts | None, of_item: Cuts | None) -> Cuts | None:
    if of_key is None and of_item is None:
        return None

    def cuts(value: Any) -> bool:
        pairs = value.items() if hasattr(value, "items") else value
        return any(_cuts(of_key, key) or _cuts(of_item, item) for key, item in pairs)

    return cuts


def _of_fields(inner: dict[str, Cuts], names: list[str]) -> Cuts:
    def cuts(value: Any) -> bool:
        if isinstance(value, tuple):
            value = dict(zip(names, value, strict=True))
        by_name = value if hasattr(value, "get") else dict(value)
        return any(_cuts(of_one, by_name.get(name)) for name, of_one in inner.items())

    return cuts


def _cuts(cuts: Cuts | None, value: Any) -> bool:
    return value is not None and cuts is not None and cuts(value)
