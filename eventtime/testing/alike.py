"""Whether two values are the same, but for the rounding of floats."""

from __future__ import annotations

import math
from typing import Any

__all__ = ("alike",)


def alike(a: Any, b: Any, tolerance: float) -> bool:
    """Tell whether two plain values are equal, NaN to itself; floats up to a tolerance.

    Args:
        a, b: what Arrow gives Python, lists and dicts of such included.
        tolerance: relative and absolute.

    >>> alike([0.1 + 0.2, None], [0.3, None], 1e-9), alike([1], [1, 2], 1e-9)
    (True, False)
    """
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(alike(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[name], b[name], tolerance) for name in a)
    if isinstance(a, float) and isinstance(b, float):
        is_nan = math.isnan(a) and math.isnan(b)
        return is_nan or math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return bool(a == b)
