"""Growing arrays, and the door from Arrow values to words and bytes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.encodings import laid_out
from eventtime.errors import AggregateTypeError
from eventtime.lanes import FLOAT, INT, UINT64, lane_kind, lane_of

__all__ = (
    "as_binary",
    "byte_spans",
    "fits_in_a_word",
    "grown",
    "holds_bytes",
    "plain",
    "plain_type",
    "words_of",
)

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Item = TypeVar("Item", bound=np.generic)

_CANONICAL_NAN = np.float64(np.nan).view(np.int64)


def grown(array: NDArray[Item], size: int, fill: int) -> NDArray[Item]:
    """Return the array with room for `size` items, at least doubled when it must grow.

    Args:
        array: (n,) any dtype.
        size: items asked for; the array itself comes back when it has them.
        fill: value of the new items.

    >>> grown(np.array([7, 8]), 3, -1).tolist()
    [7, 8, -1, -1]
    """
    if size <= len(array):
        return array
    larger = np.full(max(size, 2 * len(array)), fill, array.dtype)
    larger[: len(array)] = array
    return larger


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which values are kept: encodings are laid aside, views become plain.

    Raises:
        AggregateTypeError: pyarrow cannot pick values of this type by row.

    >>> plain_type(pa.dictionary(pa.int8(), pa.string()))
    DataType(string)
    """
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    try:
        pa.nulls(1, kind).take(pa.array([0]))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        msg = f"values of type {kind} cannot be picked by row"
        raise AggregateTypeError(
            msg, remedy="cast the column to a plain type with with_columns(...)"
        ) from error
    return kind


def plain(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return the values in their plain type `kind`, as `plain_type` names it.

    >>> plain(pa.array(["a", None, "a"]).dictionary_encode(), pa.string()).to_pylist()
    ['a', None, 'a']
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return laid_out(values, kind)


def fits_in_a_word(kind: pa.DataType) -> bool:
    """Whether equal values of the type are equal words of 64 bits."""
    return pa.types.is_null(kind) or lane_kind(kind) in {INT, UINT64, FLOAT}


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether equal values of the type are equal spans of bytes."""
    t = pa.types
    small = t.is_string(kind) or t.is_binary(kind)
    large = t.is_large_string(kind) or t.is_large_binary(kind)
    fixed = t.is_fixed_size_binary(kind) or t.is_decimal(kind) or t.is_interval(kind)
    return bool(small or large or fixed)


def words_of(values: pa.Array) -> Ints:
    """Give each value a word: two values are equal if and only if their words are.

    All NaN are one value, and -0.0 is 0.0, as in SQL's grouping.

    Args:
        values: (n,) of a type that `fits_in_a_word`, without nulls.

    Returns:
        (n,) int64.

    >>> words_of(pa.array([0.0, -0.0, 1.0])).tolist()
    [0, 0, 4607182418800017408]
    """
    if pa.types.is_null(values.type):
        return np.zeros(len(values), np.int64)
    lane = lane_of(values)
    if lane.kind != FLOAT:
        return lane.values.view(np.int64)
    # Adding positive zero turns -0.0 into 0.0 and leaves every other number.
    numbers = lane.values + 0.0
    return np.where(np.isnan(numbers), _CANONICAL_NAN, numbers.view(np.int64))


def as_binary(values: pa.Array) -> pa.Array:
    """Return text and binary as it is, and values of fixed width as large_binary of their bytes.

    Args:
        values: (n,) of a type that `holds_bytes`, without nulls.

    >>> as_binary(pa.array([1, 2, 1], pa.decimal128(5))).value_counts().field("counts").to_pylist()
    [2, 1]
    """
    kind, t = values.type, pa.types
    if not (t.is_fixed_size_binary(kind) or t.is_decimal(kind) or t.is_interval(kind)):
        return values
    fixed = pa.binary(int(kind.bit_width) // 8)
    buffers = [None, values.buffers()[1]]
    return pa.Array.from_buffers(fixed, len(values), buffers, offset=values.offset).cast(
        pa.large_binary()
    )


def byte_spans(values: pa.Array) -> tuple[Ints, Bytes]:
    """Lay values out as spans of bytes: value i is ``data[starts[i]:starts[i + 1]]``.

    Args:
        values: (n,) string, binary or their large forms; a null has a span of no meaning.

    Returns:
        ``starts`` (n + 1,) int64 and ``data``, read-only uint8, not copied.

    >>> starts, data = byte_spans(pa.array(["ab", "", "c"]))
    >>> starts.tolist(), bytes(data[:3])
    ([0, 2, 2, 3], b'abc')
    """
    _, offsets, data = values.buffers()
    # Kernels are compiled for read-only bytes: those of Arrow are, so the absent ones must be too.
    content = np.frombuffer(data if data is not None and data.size else b"\0", np.uint8)
    if len(values) == 0:
        return np.zeros(1, np.int64), content
    large = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
    end = values.offset + len(values) + 1
    starts = np.frombuffer(offsets, np.int64 if large else np.int32, count=end)[values.offset :]
    return starts.astype(np.int64), content
