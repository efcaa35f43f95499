"""Single values of an Arrow type as Python has them, checked, and as words of 64 bits."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from eventtime.checks import shown
from eventtime.lanes import lane_of, to_arrow
from eventtime.state.exact import cuts_of

__all__ = ("Scalars",)

_TWO_63: Final = 2**63
_YES: Final = np.ones(1, np.bool_)


class Scalars:
    """Checks values of one type.

    Args:
        kind: the Arrow type.
        whose: names the state, for errors.

    >>> Scalars(pa.int8(), "state 'n'").stored(7)
    7
    >>> Scalars(pa.int8(), "state 'n'").stored(700)
    Traceback (most recent call last):
    TypeError: state 'n' holds int8, not 700
    """

    def __init__(self, kind: pa.DataType, whose: str) -> None:
        self.kind, self._whose = kind, whose
        self._type: type | None = None
        self._low = self._high = 0
        self._cuts = cuts_of(kind)
        t = pa.types
        if t.is_integer(kind):
            signed, bits = t.is_signed_integer(kind), kind.bit_width
            self._low = -(2 ** (bits - 1)) if signed else 0
            self._high = 2 ** (bits - 1 if signed else bits)
            self._type = int
        elif t.is_float64(kind):
            self._type = float
        elif t.is_boolean(kind):
            self._type = bool
        elif t.is_string(kind) or t.is_large_string(kind):
            self._type = str
        self.is_plain = (t.is_integer(kind) and not t.is_uint64(kind)) or t.is_float64(kind)

    def stored(self, value: Any) -> Any:
        """Return the value as it comes back from Arrow.

        Raises:
            TypeError: it is none of the type, or would be cut to fit.
        """
        if type(value) is self._type:
            number: Any = value
            if self._type is not int or self._low <= number < self._high:
                return value
        try:
            held = pa.scalar(value, self.kind).as_py()
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            msg = f"{self._whose} holds {self.kind}, not {shown(value)}"
            raise TypeError(msg) from error
        if self._cuts is not None and held is not None and self._cuts(value):
            msg = f"{self._whose} holds {self.kind}: {shown(value)} would be cut to fit"
            raise TypeError(msg)
        return held

    def word(self, value: Any) -> int | float:
        """Return a stored value as a lane holds it."""
        if self.is_plain:
            return value  # type: ignore[no-any-return]
        if self._type is int:
            return int(value) - 2 * _TWO_63 if value >= _TWO_63 else int(value)
        if self._type is bool:
            return int(value)
        word: int | float = lane_of(pa.array([value], self.kind)).values[0].item()
        return word

    def value(self, word: Any) -> Any:
        """Return what a word of a lane stands for."""
        if self._type is bool:
            return word != 0
        if self._type is int:
            return word + 2 * _TWO_63 if word < self._low else word
        is_float = isinstance(word, float)
        values = np.array([word], np.float64) if is_float else np.array([word], np.int64)
        return to_arrow(values, self.kind, _YES)[0].as_py()
