"""`combine` makes one accumulator of two and leaves both as they were."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import eventtime as et
from accumulator_chunks import Slots
from eventtime.state.kernels import NO_SLOT

VALUES: dict[pa.DataType, tuple[list[Any], list[Any]]] = {
    pa.int64(): ([3, 2**62, 2**62, None], [2**62, -5, 2**62]),
    pa.uint64(): ([2**63, 1], [2**64 - 1, None, 0]),
    pa.float64(): ([0.1, 1e16, -0.0], [0.3, math.inf, math.nan]),
    pa.decimal128(20, 2): ([Decimal("0.01"), Decimal(10**17)], [Decimal(-(10**17)), Decimal(3)]),
    pa.string(): (["b", "a", None], ["c", ""]),
}
CASES = [
    (kind, function)
    for kind in VALUES
    for function in ("count", "min", "max", "first", "last", "mean", "var", "count_distinct")
    if kind != pa.string() or function not in {"mean", "var"}
]


def slot_of(slots: Slots, row: int) -> np.ndarray[Any, Any]:
    return slots.accumulators.tables.slots(row)


@pytest.mark.parametrize(("kind", "function"), CASES, ids=str)
def test_both_stay_as_they_were(kind: pa.DataType, function: str) -> None:
    before, after = VALUES[kind]
    slots = Slots(getattr(et, function)("x"), kind)
    left = slots.table(before, range(len(before)))
    right = slots.table(after, range(len(after)))
    joined, whole = slots.table([], []), slots.table(before, range(len(before)))
    parts = [repr(slots.result(row)) for row in (left, right)]
    slots.accumulators.combine(*(slot_of(slots, row) for row in (joined, left, right)))
    slots.absorb(whole, right)
    assert repr(slots.result(joined)) == repr(slots.result(whole))
    assert [repr(slots.result(row)) for row in (left, right)] == parts


@pytest.mark.parametrize(("kind", "function"), CASES, ids=str)
def test_nothing_added_is_a_copy_whatever_was_there(kind: pa.DataType, function: str) -> None:
    values, other = VALUES[kind]
    slots = Slots(getattr(et, function)("x"), kind)
    row, used = slots.table(values, range(len(values))), slots.table(other, range(len(other)))
    slots.accumulators.combine(slot_of(slots, used), slot_of(slots, row), np.array([NO_SLOT]))
    words = slots.accumulators.tables.words
    assert np.array_equal(words[slot_of(slots, used)], words[slot_of(slots, row)])
    assert repr(slots.result(used)) == repr(slots.result(row))
