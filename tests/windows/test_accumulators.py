"""Accumulators: a fold in parts, merged in order, is the fold of the whole (D10)."""

from __future__ import annotations

import math
import statistics
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from accumulator_chunks import Slots

SMALLEST, LARGEST = -(2**63), 2**63 - 1

VALUES: dict[pa.DataType, Any] = {
    pa.int64(): st.integers(-(2**58), 2**58),
    pa.uint64(): st.integers(0, 2**58),
    pa.float64(): st.integers(-(2**20), 2**20).map(lambda i: i / 4),
    pa.decimal128(30, 2): st.integers(-(10**20), 10**20).map(lambda i: Decimal(i).scaleb(-2)),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=3),
}
NUMBERS = [pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(30, 2)]
Row = tuple[int, Any]
"""Event time and value."""


def known(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row[1] is not None]


def values_of(rows: list[Row]) -> list[Any]:
    return [value for _, value in known(rows)]


def naive(function: str, rows: list[Row]) -> Any:  # noqa: PLR0911 - one for each function
    values = values_of(rows)
    if function == "count":
        return len(values)
    if not values:
        return None
    match function:
        case "sum":
            return sum(values)
        case "min" | "all":
            return min(values)
        case "max" | "any":
            return max(values)
        case "mean":
            return float(sum(values) / len(values))
        case "first":
            return min(known(rows), key=lambda r: r[0])[1]
        case "last":
            return max(reversed(known(rows)), key=lambda r: r[0])[1]
        case _:
            return float(statistics.variance(values)) if len(values) > 1 else None


def float_error(values: list[Any]) -> float:
    """Bound the error of a standard deviation, as docs/semantics.md gives it."""
    return float(len(values) * max(abs(value) for value in values)) * 2**-51


CASES = [
    *(
        (f, kind)
        for kind in NUMBERS
        for f in ("count", "sum", "min", "max", "mean", "var", "first", "last")
    ),
    *((f, pa.bool_()) for f in ("any", "all", "sum", "first")),
    *((f, pa.string()) for f in ("count", "min", "max", "first", "last")),
]


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()])
@given(
    base=st.integers(2**40, 2**62),
    spread=st.lists(st.lists(st.integers(-9, 9), min_size=1), min_size=2, max_size=4),
)
def test_the_spread_of_values_close_together_is_within_its_bound(
    kind: pa.DataType, base: int, spread: list[list[int]]
) -> None:
    slots = Slots(et.stddev("x"), kind)
    parts = [[base + value for value in part] for part in spread]
    first, *others = [slots.table(part, [0] * len(part)) for part in parts]
    for other in others:
        slots.absorb(first, other)
    whole = [value for part in parts for value in part]
    assert abs(slots.result(first) - statistics.stdev(whole)) <= float_error(whole)


@pytest.mark.parametrize(("function", "kind"), CASES, ids=str)
@settings(max_examples=40)
@given(data=st.data())
def test_parts_merged_in_order_are_the_whole(
    function: str, kind: pa.DataType, data: st.DataObject
) -> None:
    rows = st.tuples(st.integers(-3, 3), st.none() | VALUES[kind])
    parts = data.draw(st.lists(st.lists(rows, min_size=1, max_size=6), min_size=1, max_size=5))
    aggregate: et.Aggregate = getattr(et, function)("x")
    slots = Slots(aggregate, kind)
    tables = [slots.table([v for _, v in part], [t for t, _ in part]) for part in parts]
    for other in tables[1:]:
        slots.absorb(tables[0], other)
    whole = [row for part in parts for row in part]
    found, wanted = slots.result(tables[0]), naive(function, whole)
    if function == "var" and wanted is not None:
        assert abs(math.sqrt(found) - math.sqrt(wanted)) <= float_error(values_of(whole))
    elif isinstance(wanted, float):
        assert math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-6)
    else:
        assert found == wanted
    slots.accumulators.tables.check_invariants()


def test_the_neutral_accumulator_changes_nothing_bit_for_bit() -> None:
    values = [0.1, 1e16, -0.0, 3.3]
    for aggregate in (et.sum("x"), et.var("x"), et.min("x"), et.mean("x")):
        slots = Slots(aggregate, pa.float64())
        empty, full = slots.table([], []), slots.table(values, [0] * 4)
        alone = slots.result(full)
        slots.absorb(empty, full)
        slots.absorb(full, slots.table([None], [0]))
        assert slots.result(empty) == slots.result(full) == alone


def test_retired_accumulators_do_not_show_in_the_next() -> None:
    slots = Slots(et.max("x"), pa.int64())
    slots.accumulators.release(slots.table([LARGEST], [0]))
    assert slots.result(slots.table([SMALLEST], [0])) == SMALLEST


def test_a_reading_does_not_change_with_what_comes_after_it() -> None:
    slots = Slots(et.sum("x"), pa.int64())
    row = slots.table([1], [0])
    reading = slots.accumulators.read(slots.accumulators.tables.slots(row), str)
    slots.absorb(row, slots.table([2], [0]))
    (column,) = reading.columns
    assert column.to_pylist() == [1]
    assert slots.result(row) == 3


def test_the_error_of_a_sum_says_which_of_the_slots_read_it_was() -> None:
    slots = Slots(et.sum("x"), pa.int64())
    both = [slots.table(values, [0] * len(values)) for values in ([1], [LARGEST, 1])]
    read = np.concatenate([slots.accumulators.tables.slots(row) for row in both])
    with pytest.raises(et.AggregateOverflowError, match="at:  position 1"):
        slots.accumulators.read(read, lambda position: f"position {position}")
