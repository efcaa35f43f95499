"""Reading results: each function returns a reader from words, as columns, to an Arrow column."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import DECIMAL, FLOAT, UINT64, to_arrow

__all__ = ("SumTooLargeError", "extreme", "mean", "ordered", "spread", "total")

Ints = NDArray[np.int64]
Reader = Callable[[Ints], pa.Array]


class SumTooLargeError(Exception):
    """Raised when a sum does not fit its type; the operator adds window and key.

    Args:
        position: index of the slot among those read.
        value: the exact sum, as text.
        kind: the type it should have fitted.
    """

    def __init__(self, position: int, value: str, kind: pa.DataType) -> None:
        self.position, self.value, self.kind = position, value, kind
        super().__init__(value)


def total(lane: str, at: int, count: int, out: pa.DataType) -> Reader:
    """Read a sum; null where no value was seen."""

    def read(words: Ints) -> pa.Array:
        seen = words[count] > 0
        if lane == FLOAT:
            return to_arrow(words[at].view(np.float64), out, seen)
        if lane == DECIMAL:
            return _decimal_sums(words, at, out, seen)
        carries = words[at + 1]
        if carries.any():
            position = int(np.flatnonzero(carries)[0])
            value = (int(carries[position]) << 64) + int(words[at, position])
            raise SumTooLargeError(position, str(value), out)
        return to_arrow(words[at], out, seen)

    return read


def mean(lane: str, at: int, count: int, kind: pa.DataType) -> Reader:
    """Read sum / count as float64."""

    def read(words: Ints) -> pa.Array:
        n = words[count]
        if lane == FLOAT:
            sums = words[at].view(np.float64)
        elif lane == DECIMAL:
            high = words[at + 2].astype(np.float64) * 2.0**128
            middle = words[at + 1].view(np.uint64).astype(np.float64) * 2.0**64
            sums = _decimal_floats(words, at, high + middle) / 10.0**kind.scale
        else:
            sums = words[at].astype(np.float64) + words[at + 1] * 2.0**64
        with np.errstate(divide="ignore", invalid="ignore"):
            return to_arrow(sums / n, pa.float64(), n > 0)

    return read


def extreme(lane: str, at: int, count: int, out: pa.DataType) -> Reader:
    """Read a minimum or maximum; null where no value was seen."""

    def read(words: Ints) -> pa.Array:
        seen = words[count] > 0
        if lane == FLOAT:
            return to_arrow(words[at].view(np.float64), out, seen)
        if lane == DECIMAL:
            return _decimals(_pairs(words, at + 1), out, seen)
        values = words[at]
        return to_arrow(values ^ np.int64(-(2**63)) if lane == UINT64 else values, out, seen)

    return read


def ordered(at: int, out: pa.DataType) -> Reader:
    """Read a first or last value: words (set, time, bits)."""

    def read(words: Ints) -> pa.Array:
        bits = words[at + 2]
        values = bits.view(np.float64) if pa.types.is_floating(out) else bits
        return to_arrow(values, out, words[at] != 0)

    return read


def spread(at: int, ddof: int, kind: pa.DataType, *, root: bool) -> Reader:
    """Read a variance or standard deviation from (count, mean, squared distances)."""
    # Decimals were folded as their unscaled integers.
    scale = 10.0 ** (2 * kind.scale) if pa.types.is_decimal(kind) else 1.0

    def read(words: Ints) -> pa.Array:
        n = words[at]
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = words[at + 2].view(np.float64) / (n - ddof) / scale
            values = np.sqrt(variance) if root else variance
        return to_arrow(values, pa.float64(), n > ddof)

    return read


def _pairs(words: Ints, at: int) -> Ints:
    return np.stack([words[at], words[at + 1]], axis=1)


def _decimals(pairs: Ints, out: pa.DataType, seen: NDArray[np.bool_]) -> pa.Array:
    wide = pa.decimal128(38, out.scale)
    validity = None if seen.all() else pa.py_buffer(np.packbits(seen, bitorder="little"))
    array = pa.Array.from_buffers(
        wide, len(pairs), [validity, pa.py_buffer(np.ascontiguousarray(pairs))]
    )
    return array if out == wide else array.cast(out)


def _decimal_sums(words: Ints, at: int, out: pa.DataType, seen: NDArray[np.bool_]) -> pa.Array:
    low, high, top = (words[at + i] for i in range(3))
    limit_high = (10**38 - 1) >> 64
    suspects = np.flatnonzero((top != high >> 63) | (high >= limit_high) | (high < -limit_high))
    for position in suspects:
        exact = (
            (int(top[position]) << 128)
            + (int(high[position]) % 2**64 << 64)
            + int(low[position]) % 2**64
        )
        if abs(exact) >= 10**38:
            raise SumTooLargeError(int(position), str(Decimal(exact).scaleb(-out.scale)), out)
    return _decimals(_pairs(words, at), out, seen)


def _decimal_floats(words: Ints, at: int, upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the low word.

    Negative sums cancel in floats unless top and middle are taken as signed together.
    """
    low = words[at].view(np.uint64).astype(np.float64)
    top, middle = words[at + 2], words[at + 1]
    signed = np.where(top == middle >> 63, middle.astype(np.float64) * 2.0**64, upper)
    small = (top == middle >> 63) & (middle == words[at] >> 63)
    sums: NDArray[np.float64] = np.where(small, words[at].astype(np.float64), signed + low)
    return sums
