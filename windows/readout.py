"""Reading results: what turns the words of slots into one Arrow column each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.lanes import DECIMAL, FLOAT, UINT64, lane_kind, to_arrow
from eventtime.validity import bitmap_of

__all__ = (
    "Reader",
    "SumTooLargeError",
    "Values",
    "counted",
    "extreme",
    "mean",
    "ordered",
    "room",
    "spread",
    "total",
)

Ints = NDArray[np.int64]
Values = NDArray[np.int64] | NDArray[np.float64]
Words = Sequence[Ints]
"""Words of slots as columns, (n,) each."""


@dataclass(frozen=True)
class Reader:
    """Reads one result out of the words of slots.

    Args:
        kind: type of the column.
        seen: (word, least): null where the word is not greater; None: never null.
        word: the one that holds the values as they are (ROWS: without its flag); -1: `fill`
            makes them.
        fill: writes the (n,) values of a block of slots, as `room` makes them.
    """

    kind: pa.DataType
    seen: tuple[int, int] | None
    word: int = -1
    fill: Callable[[Words, Values], None] | None = None

    def room(self, n: int) -> Values:
        """Make room for the values of `n` slots."""
        if lane_kind(self.kind) == DECIMAL:
            return room(2 * n).reshape(n, 2)
        return room(n)

    def column(self, values: Values, seen: NDArray[np.bool_]) -> pa.Array:
        """Make the column of values that are all written. Cost: nothing for 8 bytes a value."""
        lane = lane_kind(self.kind)
        if lane == DECIMAL:
            return _decimals(values, self.kind, seen)
        return to_arrow(values.view(np.float64) if lane == FLOAT else values, self.kind, seen)


def room(n: int) -> Ints:
    """Make room for `n` words, of the pool of Arrow: it gives large pages, and takes them back."""
    return np.frombuffer(pa.allocate_buffer(8 * n), np.int64)


class SumTooLargeError(Exception):
    """Raised when a sum does not fit its type; the operator adds window and key.

    Args:
        position: index of the slot among those read.
        value: the exact sum, as text.
        kind: the type it should have fitted.

    Whoever reads for several outputs says in `output` for which.
    """

    output = 0

    def __init__(self, position: int, value: str, kind: pa.DataType) -> None:
        self.position, self.value, self.kind = position, value, kind
        super().__init__(value)

    @property
    def remedy(self) -> str:
        """A type that holds the sum, and to which columns of its type can be cast."""
        if pa.types.is_decimal(self.kind):
            wider = "float64"
        elif pa.types.is_duration(self.kind):
            wider = "int64 and then to decimal128(38, 0)"
        else:
            wider = "decimal128(38, 0)"
        return f"cast the column with with_columns(...) to {wider} before the window"


def counted(word: int) -> Reader:
    """Read a count: of values, or of all rows folded."""
    return Reader(pa.int64(), None, word)


def total(lane: str, at: int, count: int, out: pa.DataType) -> Reader:
    """Read a sum; null where no value was seen."""
    if lane == FLOAT:
        return Reader(out, (count, 0), at)

    def fill(words: Words, values: Values) -> None:
        if lane == DECIMAL:
            _check_decimal_sums(words, at, out)
            values[:, 0], values[:, 1] = words[at], words[at + 1]
            return
        carries = words[at + 1]
        if carries.any():
            position = int(np.flatnonzero(carries)[0])
            value = (int(carries[position]) << 64) + int(words[at][position])
            raise SumTooLargeError(position, str(value), out)
        values[:] = words[at]

    return Reader(out, (count, 0), fill=fill)


def mean(lane: str, at: int, count: int, kind: pa.DataType) -> Reader:
    """Read sum / count as float64."""

    def fill(words: Words, values: Values) -> None:
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
            np.divide(sums, n.astype(np.float64), out=values.view(np.float64))

    return Reader(pa.float64(), (count, 0), fill=fill)


def extreme(lane: str, at: int, count: int, out: pa.DataType) -> Reader:
    """Read a minimum or maximum; null where no value was seen."""
    if lane not in {DECIMAL, UINT64}:
        return Reader(out, (count, 0), at)

    def fill(words: Words, values: Values) -> None:
        if lane == DECIMAL:
            values[:, 0], values[:, 1] = words[at + 1], words[at + 2]
        else:
            np.bitwise_xor(words[at], np.int64(-(2**63)), out=values)

    return Reader(out, (count, 0), fill=fill)


def ordered(at: int, out: pa.DataType) -> Reader:
    """Read a first or last value: words (set, time, bits)."""
    return Reader(out, (at, 0), at + 2)


def spread(at: int, ddof: int, kind: pa.DataType, *, root: bool) -> Reader:
    """Read a variance or standard deviation from (count, mean, squared distances)."""
    # Decimals were folded as their unscaled integers.
    scale = 10.0 ** (2 * kind.scale) if pa.types.is_decimal(kind) else 1.0

    def fill(words: Words, values: Values) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = words[at + 2].view(np.float64) / (words[at] - ddof) / scale
            values.view(np.float64)[:] = np.sqrt(variance) if root else variance

    return Reader(pa.float64(), (at, ddof), fill=fill)


def _decimals(pairs: Values, out: pa.DataType, seen: NDArray[np.bool_]) -> pa.Array:
    wide = pa.decimal128(38, out.scale)
    array = pa.Array.from_buffers(wide, len(pairs), [bitmap_of(seen), pa.py_buffer(pairs)])
    return array if out == wide else array.cast(out)


def _check_decimal_sums(words: Words, at: int, out: pa.DataType) -> None:
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
            # Arithmetic on decimals would round to 28 digits.
            raise SumTooLargeError(int(position), f"{Decimal(f'{exact}E{-out.scale}'):f}", out)


def _decimal_floats(words: Words, at: int, upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the low word.

    Negative sums cancel in floats unless top and middle are taken as signed together.
    """
    low = words[at].view(np.uint64).astype(np.float64)
    top, middle = words[at + 2], words[at + 1]
    signed = np.where(top == middle >> 63, middle.astype(np.float64) * 2.0**64, upper)
    small = (top == middle >> 63) & (middle == words[at] >> 63)
    sums: NDArray[np.float64] = np.where(small, words[at].astype(np.float64), signed + low)
    return sums
