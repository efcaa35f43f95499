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
    "NULLS",
    "SUM_FLOAT",
    "SUM_INT",
)

(
    NULLS, SUM_INT, SUM_FLOAT, MIN_INT, MAX_INT, MIN_FLOAT, MAX_FLOAT,
    MOMENTS, FIRST, LAST, DECIMAL_SUM, DECIMAL_MIN, DECIMAL_MAX,
) = range(13)  # fmt: skip
# Nulls are counted, not values: most columns have none, and a row is counted anyway.
