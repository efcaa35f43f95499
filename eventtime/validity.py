"""Which rows of a column are not null: Arrow's bits, and the bytes that NumPy and kernels take."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ("NO_NULLS", "bitmap_of", "of_words", "valid_bytes")

Bytes = NDArray[np.uint8]

NO_NULLS: Final[Bytes] = np.empty(0, np.uint8)


def valid_bytes(array: pa.Array) -> Bytes:
    """Return for each row whether it is not null, (n,) uint8; NO_NULLS where none is."""
    if not array.null_count:
        return NO_NULLS
    bitmap = array.buffers()[0]
    if bitmap is None:  # of a type that has none, such as null
        found: Bytes = array.is_valid().to_numpy(zero_copy_only=False).view(np.uint8)
        return found
    first, end = array.offset % 8, array.offset % 8 + len(array)
    bits = np.frombuffer(bitmap, np.uint8, offset=array.offset // 8)
    return np.unpackbits(bits, count=end, bitorder="little")[first:]


def bitmap_of(valid: NDArray[np.bool_]) -> pa.Buffer | None:
    """Return the bitmap of a column, of (n,) bool; None where all rows are valid."""
    if np.count_nonzero(valid) == len(valid):
        return None
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def of_words(values: NDArray[Any], kind: pa.DataType, valid: NDArray[np.bool_]) -> pa.Array:
    """View values of 8 bytes as a column of such a type; rows not `valid` become null."""
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, len(values), [bitmap_of(valid), data])
