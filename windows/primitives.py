"""What words can keep of one column: the primitives that aggregates are made of."""

from __future__ import annotations

__all__ = (
    "DECIMAL_MAX",
    "DECIMAL_MIN",
    "DECIMAL_SUM",
    "FIRST",
    "LAST",
    "MAX_FLOAT",
    "MAX_INT",
    "MIN_FLOAT",
    "MIN_INT",
    "MOMENTS",
    "NAMES",
    "NULLS",
    "SUM_FLOAT",
    "SUM_INT",
)

(
    NULLS, SUM_INT, SUM_FLOAT, MIN_INT, MAX_INT, MIN_FLOAT, MAX_FLOAT,
    MOMENTS, FIRST, LAST, DECIMAL_SUM, DECIMAL_MIN, DECIMAL_MAX,
) = range(13)  # fmt: skip
# Nulls are counted, not values: most columns have none, and a row is counted anyway.
NAMES = (
    "nulls", "sum_int", "sum_float", "min_int", "max_int", "min_float", "max_float",
    "moments", "first", "last", "decimal_sum", "decimal_min", "decimal_max",
)  # fmt: skip
"""As savepoints call them."""
