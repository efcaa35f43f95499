"""The door from Arrow values to words and bytes keeps equality, whatever the type and offset."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from eventtime.errors import AggregateTypeError
from eventtime.state.arrays import (
    as_binary,
    byte_spans,
    fits_in_a_word,
    grown,
    holds_bytes,
    plain,
    plain_type,
    words_of,
)

WORDS = [
    pa.array([1, -1, 1], pa.int8()),
    pa.array([1, 2**64 - 1, 1], pa.uint64()),
    pa.array([1.5, -0.0, 1.5], pa.float16()),
    pa.array([1, 2, 1], pa.timestamp("ns", "UTC")),
    pa.array([dt.date(1970, 1, 1), dt.date(1969, 1, 1), dt.date(1970, 1, 1)]),
    pa.array([True, False, True]),
    pa.array([1, 2, 1], pa.time32("s")),
    pa.array([1, 2, 1], pa.duration("ms")),
]
SPANS = [
    pa.array(["a", "", "a"]),
    pa.array([b"a", b"a\0", b"a"], pa.large_binary()),
    pa.array([b"ab", b"ac", b"ab"], pa.binary(2)),
    pa.array([Decimal(1), Decimal(-1), Decimal(1)], pa.decimal128(5)),
    pa.array([Decimal(1), Decimal(-1), Decimal(1)], pa.decimal256(50)),
    pa.array([pa.MonthDayNano([1, 2, 3]), pa.MonthDayNano([3, 2, 1]), pa.MonthDayNano([1, 2, 3])]),
]


@pytest.mark.parametrize("values", WORDS, ids=lambda v: str(v.type))
def test_equal_values_are_equal_words(values: pa.Array) -> None:
    assert fits_in_a_word(values.type)
    a, b, c = words_of(values).tolist()
    assert a == c != b
    assert words_of(values.slice(1)).tolist() == [b, c]


@pytest.mark.parametrize("values", SPANS, ids=lambda v: str(v.type))
def test_equal_values_are_equal_bytes(values: pa.Array) -> None:
    assert holds_bytes(values.type)
    assert not fits_in_a_word(values.type)

    def spans(array: pa.Array) -> list[bytes]:
        starts, data = byte_spans(as_binary(array))
        return [bytes(data[a:b]) for a, b in itertools.pairwise(starts)]

    a, b, c = spans(values)
    assert a == c != b
    assert spans(values.slice(1)) == [b, c]
    assert spans(values.slice(3)) == []


def test_every_nan_is_one_word() -> None:
    bits = np.array([0x7FF8000000000000, 0x7FF8000000000001, -1], np.int64)
    assert len(set(words_of(pa.array(bits.view(np.float64))).tolist())) == 1


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.DictionaryArray.from_arrays([0, 1, None], ["a", None]), pa.string(), ["a", None, None]),
        (pa.array(["a", None], pa.string_view()), pa.string(), ["a", None]),
        (pa.array([b"a"], pa.binary_view()), pa.binary(), [b"a"]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], [7, 8]), pa.int64(), [7, 7, 8]),
    ],
)
def test_encodings_are_laid_aside(values: pa.Array, kind: pa.DataType, expected: list[Any]) -> None:
    assert plain_type(values.type) == kind
    assert plain(values, kind).to_pylist() == expected


def test_a_type_that_cannot_be_picked_by_row_is_refused() -> None:
    with pytest.raises(AggregateTypeError, match="string_view"):
        plain_type(pa.struct({"a": pa.string_view()}))


def test_growing_at_least_doubles() -> None:
    array = np.arange(4)
    assert grown(array, 4, 0) is array
    assert grown(array, 5, 9).tolist() == [0, 1, 2, 3, 9, 9, 9, 9]
    assert len(grown(array, 100, 0)) == 100
