"""Every accumulator by slot equals a dict of lists of rows, whatever is done in which order."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accumulator_model import (
    Row,
    Twins,
    collected,
    distinct,
    drive,
    first,
    greatest,
    known,
    last,
    least,
)
from eventtime.state import chains
from eventtime.windows.by_reference import ReferenceAccumulator
from eventtime.windows.collect import CollectAccumulator
from eventtime.windows.count_distinct import CountDistinctAccumulator
from eventtime.windows.user_aggregate import UserAccumulator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.windows.accumulator import Accumulator

TEXT = st.sampled_from(["", "a", "ab", "abc", "b", "é", "\U0001f600", "￿", "a\0", "long " * 5])
NUMBERS = st.integers(-3, 3)
DECIMALS = NUMBERS.map(lambda n: Decimal(n).scaleb(-2))
PLAIN: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "string": (pa.string(), TEXT),
    "large_string": (pa.large_string(), TEXT),
    "string_view": (pa.string_view(), TEXT),
    "binary": (pa.binary(), TEXT.map(str.encode)),
    "fixed binary": (pa.binary(2), st.sampled_from([b"\0\0", b"\0\1", b"\xff\0"])),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), TEXT),
    "run-end encoded": (pa.run_end_encoded(pa.int32(), pa.string()), TEXT),
    "decimal32": (pa.decimal32(5, 2), DECIMALS),
    "decimal128": (pa.decimal128(9, 2), DECIMALS),
    "decimal256": (pa.decimal256(50, 2), DECIMALS),
    "int8": (pa.int8(), NUMBERS),
    "uint64": (pa.uint64(), st.sampled_from([0, 1, 2**63, 2**64 - 1])),
    "float64": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("-inf")])),
    "float16": (pa.float16(), st.sampled_from([0.0, -0.0, 1.5, float("nan")])),
    "bool": (pa.bool_(), st.booleans()),
    "date": (pa.date32(), NUMBERS.map(lambda n: dt.date(1970, 1, 4 + n))),
    "timestamp": (
        pa.timestamp("us"),
        NUMBERS.map(lambda n: dt.datetime(1970, 1, 4 + n)),  # noqa: DTZ001 - the type has no zone
    ),
    "null": (pa.null(), st.none()),
}
NESTED: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "list": (pa.list_(pa.string()), st.lists(TEXT, max_size=3)),
    "struct": (
        pa.struct({"a": pa.int8(), "b": pa.dictionary(pa.int8(), pa.string())}),
        st.tuples(NUMBERS, TEXT).map(lambda pair: {"a": pair[0], "b": pair[1]}),
    ),
    "interval": (
        pa.month_day_nano_interval(),
        NUMBERS.map(lambda n: pa.MonthDayNano([n, -n, n])),
    ),
}

# Only the log sees the type of what is first or last.
ANY = ("string", "dictionary", "decimal128", "null", "list", "struct")


class Median:
    """Keeps the last three values of each slot; in order of arrival, as merge says."""

    def create(self, n: int) -> tuple[np.ndarray[Any, Any], ...]:
        return np.zeros((n, 3), np.int64), np.zeros(n, np.int8)

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        for slot, value in zip(slots.tolist(), columns[0].to_pylist(), strict=True):
            if value is not None:
                state[0][slot] = [*state[0][slot, 1:], value]
                state[1][slot] = min(3, state[1][slot] + 1)

    def merge(self, state: Any, into: Any, source: Any) -> None:
        for a, b in zip(into.tolist(), source.tolist(), strict=True):
            held = [*state[0][a], *state[0][b, 3 - state[1][b] :]][-3:]
            state[0][a] = held
            state[1][a] = min(3, state[1][a] + state[1][b])

    def result(self, state: Any, slots: Any) -> pa.Array:
        held = [state[0][s, 3 - state[1][s] :].tolist() for s in slots.tolist()]
        return pa.array([sorted(h)[len(h) // 2] if h else None for h in held], pa.int64())

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        assert types == (pa.int64(),)
        return pa.int64()


def median(rows: Sequence[Row]) -> int | None:
    values: list[int] = sorted(value for _, _, value in known(rows)[-3:])
    return values[len(values) // 2] if values else None


def run(
    data: st.DataObject,
    case: tuple[pa.DataType, st.SearchStrategy[Any]],
    make: Callable[[], Accumulator],
    expected: Callable[[Sequence[Row]], Any],
) -> None:
    kind, values = case
    # Rewriting at four dead instead of a thousand, so that small programs reach it.
    with mock.patch.object(chains, "_SMALLEST", 4):
        twins = Twins(kind, [make(), make()], expected, make)
        drive(data, twins, st.none() | values, steps=10)


@pytest.mark.parametrize("name", [*PLAIN, *NESTED])
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_collect_is_the_list_of_values_in_order_of_arrival(name: str, data: st.DataObject) -> None:
    case = (PLAIN | NESTED)[name]
    run(data, case, lambda: CollectAccumulator(case[0]), collected)


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_count_distinct_is_the_size_of_the_set(name: str, data: st.DataObject) -> None:
    run(data, PLAIN[name], lambda: CountDistinctAccumulator(PLAIN[name][0]), distinct)


@pytest.mark.parametrize("name", ANY)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_first_is_the_earliest_and_of_equal_times_the_first_to_arrive(
    name: str, data: st.DataObject
) -> None:
    case = (PLAIN | NESTED)[name]
    run(data, case, lambda: ReferenceAccumulator(case[0], "first"), first)


@pytest.mark.parametrize("name", ANY)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_last_is_the_latest_and_of_equal_times_the_last_to_arrive(
    name: str, data: st.DataObject
) -> None:
    case = (PLAIN | NESTED)[name]
    run(data, case, lambda: ReferenceAccumulator(case[0], "last"), last)


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_min_is_the_least_value(name: str, data: st.DataObject) -> None:
    run(data, PLAIN[name], lambda: ReferenceAccumulator(PLAIN[name][0], "min"), least)


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_max_is_the_greatest_value(name: str, data: st.DataObject) -> None:
    run(data, PLAIN[name], lambda: ReferenceAccumulator(PLAIN[name][0], "max"), greatest)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_user_aggregate_folds_and_merges_in_order(data: st.DataObject) -> None:
    def make() -> UserAccumulator:
        return UserAccumulator("median", Median(), [pa.int64()])

    run(data, (pa.int64(), NUMBERS), make, median)
