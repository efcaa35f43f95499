"""Columns as kernels take them: int64, float64 or two-word decimals; a byte a row says not null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.validity import NO_NULLS, of_words, valid_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = (
    "DECIMAL",
    "FLOAT",
    "INT",
    "OBJECT",
    "UINT64",
    "Lane",
    "address_of",
    "is_binary",
    "lane_kind",
    "lane_of",
    "lanes_of",
    "to_arrow",
)

Bytes = NDArray[np.uint8]
_Word = TypeVar("_Word", np.int64, np.float64)

INT: Final = "int"
UINT64: Final = "uint64"
FLOAT: Final = "float"
DECIMAL: Final = "decimal"
OBJECT: Final = "object"

# Known by Arrow's number of the type: units, zones and scales make no difference.
_KINDS: Final[dict[int, str]] = {}


@dataclass(frozen=True, slots=True)
class Lane:
    """One column of a batch.

    Args:
        kind: INT, UINT64, FLOAT, DECIMAL or OBJECT.
        values: (n,) int64 or float64, (n, 2) int64 for decimals; empty for OBJECT.
        valid: (n,) uint8, or NO_NULLS.
    """

    kind: str
    values: NDArray[np.int64] | NDArray[np.float64]
    valid: Bytes


def is_binary(kind: pa.DataType) -> bool:
    """Tell whether it is one of the types of bytes."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def lane_kind(kind: pa.DataType) -> str:
    """Say how kernels see a type: anything of up to 8 bytes with an order is INT or FLOAT."""
    known = _KINDS.get(kind.id)
    if known is None:
        known = _KINDS[kind.id] = _lane_kind(kind)
    return known


def _lane_kind(kind: pa.DataType) -> str:
    t = pa.types
    if t.is_uint64(kind):
        return UINT64
    if t.is_integer(kind) or t.is_boolean(kind) or t.is_temporal(kind):
        return OBJECT if t.is_interval(kind) else INT
    if t.is_floating(kind):
        return FLOAT
    if t.is_decimal(kind) and not t.is_decimal256(kind):
        return DECIMAL
    return OBJECT


def lane_of(array: pa.Array) -> Lane:
    """Convert a column. Cost: nothing for 8-byte types without nulls, else one vectorised pass."""
    kind, valid = lane_kind(array.type), valid_bytes(array)
    if kind == OBJECT:
        return Lane(kind, np.empty(0, np.int64), valid)
    if kind == DECIMAL:
        return Lane(kind, _decimal_words(array), valid)
    if kind == FLOAT:
        plain = array if pa.types.is_float64(array.type) else array.cast(pa.float64())
        return Lane(kind, _buffer(plain, np.float64), valid)
    return Lane(kind, _buffer(_as_int64(array), np.int64), valid)


_NO_LANE: Final = Lane(OBJECT, np.empty(0, np.int64), NO_NULLS)


def lanes_of(columns: Sequence[pa.Array], wanted: Sequence[bool]) -> list[Lane]:
    """Convert the wanted columns; the others come as Arrow arrays and get an empty lane."""
    return [lane_of(c) if use else _NO_LANE for c, use in zip(columns, wanted, strict=True)]


def address_of(array: NDArray[Any]) -> int:
    """Return where an array lies, row behind row; 0 of an empty one.

    By way of Arrow: what NumPy makes to tell it costs several times as much.
    """
    if not array.size:
        return 0
    assert array.flags.c_contiguous
    return int(pa.py_buffer(array).address)


def to_arrow(
    values: NDArray[np.int64] | NDArray[np.float64], kind: pa.DataType, valid: NDArray[np.bool_]
) -> pa.Array:
    """Convert lane values back to a column of type `kind`; rows not `valid` become null."""
    if kind.bit_width == 64:
        return of_words(values, kind, valid)
    if lane_kind(kind) == FLOAT:
        return of_words(values, pa.float64(), valid).cast(kind)
    plain = of_words(values, pa.int64(), valid)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return plain.cast(kind)
    return plain.cast(pa.int32()).view(kind)


def _as_int64(array: pa.Array) -> pa.Array:
    if array.type.bit_width == 64:
        return array if pa.types.is_int64(array.type) else array.view(pa.int64())
    if not (pa.types.is_integer(array.type) or pa.types.is_boolean(array.type)):
        array = array.view(pa.int32())
    return array.cast(pa.int64())


def _buffer(array: pa.Array, dtype: type[_Word]) -> NDArray[_Word]:
    """View the values; what stands under a null is arbitrary and never read."""
    data = array.buffers()[1]
    if data is None or not len(array):
        return np.empty(0, dtype) if not len(array) else np.zeros(len(array), dtype)
    return np.frombuffer(data, dtype, count=array.offset + len(array))[array.offset :]


def _decimal_words(array: pa.Array) -> NDArray[np.int64]:
    if not pa.types.is_decimal128(array.type):
        array = array.cast(pa.decimal128(array.type.precision, array.type.scale))
    words = np.frombuffer(array.buffers()[1], np.int64, count=2 * (array.offset + len(array)))
    return words.reshape(-1, 2)[array.offset :]
