"""Which rows are not null, from Arrow to bytes and back, wherever a column begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.validity import NO_NULLS, bitmap_of, of_words, valid_bytes


def column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)


@given(
    valid=st.lists(st.booleans(), min_size=1, max_size=70),
    first=st.integers(0, 20),
    left=st.integers(0, 20),
    kind=st.sampled_from(
        [
            pa.int64(),
            pa.bool_(),
            pa.string(),
            pa.dictionary(pa.int32(), pa.string()),
            pa.list_(pa.int64()),
            pa.struct([("x", pa.int64())]),
            pa.null(),
        ]
    ),
)
def test_it_is_what_arrow_says_of_any_slice_of_a_column(
    valid: list[bool], first: int, left: int, kind: pa.DataType
) -> None:
    some: dict[int, Any] = {pa.bool_().id: True, pa.list_(pa.int64()).id: [1]}
    some |= {pa.int64().id: 7, pa.null().id: None, pa.struct([("x", pa.int64())]).id: {"x": 1}}
    value = some.get(kind.id, "x")
    whole = column([value if is_valid else None for is_valid in valid], kind)
    part = whole.slice(first, max(0, len(whole) - first - left))
    found = valid_bytes(part)
    assert found.dtype == np.uint8
    if part.null_count:
        assert found.tolist() == [int(v.is_valid) for v in part]
    else:
        assert found is NO_NULLS


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), max_size=40))
def test_words_become_the_column_that_they_are(values: list[int | None]) -> None:
    words = np.array([7 if v is None else v for v in values], np.int64)
    valid = np.array([v is not None for v in values], np.bool_)
    for kind in (pa.int64(), pa.timestamp("us", "UTC"), pa.duration("ns"), pa.time64("us")):
        made = of_words(words, kind, valid)
        made.validate(full=not pa.types.is_time64(kind))
        assert made.equals(pa.array(values, pa.int64()).view(kind))


def test_words_that_do_not_lie_side_by_side_are_copied() -> None:
    rows = np.arange(12, dtype=np.int64).reshape(4, 3)
    made = of_words(rows[:, 1], pa.int64(), np.ones(4, np.bool_))
    assert made.to_pylist() == [1, 4, 7, 10]


@pytest.mark.parametrize("n", [0, 1, 8, 9])
def test_where_all_rows_are_valid_there_is_no_bitmap(n: int) -> None:
    assert bitmap_of(np.ones(n, np.bool_)) is None
