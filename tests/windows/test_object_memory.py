"""Accumulators by slot: memory follows the live contents, types without meaning are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from eventtime.errors import AggregateTypeError
from eventtime.windows.by_reference import ReferenceAccumulator
from eventtime.windows.collect import CollectAccumulator
from eventtime.windows.count_distinct import CountDistinctAccumulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.windows.accumulator import Accumulator

MAKERS: dict[str, Callable[[], Accumulator]] = {
    "collect": lambda: CollectAccumulator(pa.string()),
    "count_distinct": lambda: CountDistinctAccumulator(pa.string()),
    "last": lambda: ReferenceAccumulator(pa.string(), "last"),
    "max": lambda: ReferenceAccumulator(pa.string(), "max"),
}


def batch(start: int, rows: int = 2000) -> pa.Array:
    return pa.array([f"value {i:012}" for i in range(start, start + rows)])


@pytest.mark.parametrize("name", MAKERS)
def test_memory_is_flat_over_a_stream_of_windows(name: str) -> None:
    accumulator, sizes = MAKERS[name](), []
    for window in range(60):
        # Two windows are open at any time; slots are reused.
        slots = np.arange(10) + 10 * (window % 3)
        accumulator.reset(slots)
        accumulator.add(np.tile(slots, 200), [batch(window * 2000)], np.arange(2000))
        if window:
            accumulator.release((slots - 10) % 30)
        accumulator.check_invariants()
        sizes.append(accumulator.nbytes)
    # Up to a thousand dead values are not worth a walk.
    assert max(sizes[30:]) <= max(*sizes[:10], 40_000)


@pytest.mark.parametrize("name", MAKERS)
def test_merged_windows_that_are_released_leave_nothing(name: str) -> None:
    accumulator, sizes = MAKERS[name](), []
    accumulator.reset(np.arange(4))
    accumulator.add(np.arange(2000) % 4, [batch(0)], np.arange(2000))
    for _ in range(50):
        accumulator.copy(np.array([4, 5]), np.array([0, 1]))
        accumulator.merge(np.array([4, 5]), np.array([2, 3]))
        accumulator.release(np.array([4, 5]))
        accumulator.check_invariants()
        sizes.append(accumulator.nbytes)
    assert max(sizes[10:]) <= max(sizes[:10])


@pytest.mark.parametrize("name", MAKERS)
def test_after_the_last_window_the_contents_are_gone(name: str) -> None:
    accumulator = MAKERS[name]()
    slots = np.arange(2000)
    accumulator.reset(slots)
    accumulator.add(np.repeat(slots, 10), [batch(0, 20_000)], np.arange(20_000))
    full = accumulator.nbytes
    accumulator.release(slots)
    assert accumulator.nbytes < max(full // 3, 200_000)


def test_repeats_take_no_memory_in_count_distinct() -> None:
    sets = CountDistinctAccumulator(pa.string())
    sets.reset(np.array([0]))
    sets.add(np.zeros(2000, np.int64), [batch(0)], np.arange(2000))
    once = sets.nbytes
    for _ in range(20):
        sets.add(np.zeros(2000, np.int64), [batch(0)], np.arange(2000))
    assert sets.nbytes == once
    assert sets.result(np.array([0])).to_pylist() == [2000]


def test_replaced_values_do_not_pile_up() -> None:
    latest = ReferenceAccumulator(pa.string(), "last")
    latest.reset(np.array([0]))
    for i in range(5000):
        latest.add(np.array([0]), [pa.array(["x" * 100 + str(i)])], np.array([i]))
    assert latest.nbytes < 300_000
    assert latest.result(np.array([0])).to_pylist() == ["x" * 100 + "4999"]


def test_a_merged_list_is_in_order_of_arrival_not_of_merging() -> None:
    lists = CollectAccumulator(pa.string())
    lists.reset(np.array([0, 1, 2]))
    lists.add(np.array([1, 0, 1, 0]), [pa.array(["a", "b", "c", "d"])], np.zeros(4, np.int64))
    lists.merge(np.array([2]), np.array([0]))
    lists.merge(np.array([2]), np.array([1]))
    assert lists.result(np.array([2, 0])).to_pylist() == [["a", "b", "c", "d"], ["b", "d"]]


def test_values_that_are_all_null_give_no_list() -> None:
    lists = CollectAccumulator(pa.int64())
    lists.reset(np.array([0]))
    lists.add(np.array([0, 0]), [pa.array([None, None], pa.int64())], np.zeros(2, np.int64))
    assert lists.result(np.array([0])).to_pylist() == [None]


@pytest.mark.parametrize("kind", ["min", "max"])
def test_a_type_without_order_has_no_extreme(kind: str) -> None:
    with pytest.raises(AggregateTypeError, match=rf"{kind} has no order for type list<item: int8>"):
        ReferenceAccumulator(pa.list_(pa.int8()), kind)  # type: ignore[arg-type]


def test_a_type_without_equality_has_no_distinct_values() -> None:
    with pytest.raises(AggregateTypeError, match="no equality for type struct"):
        CountDistinctAccumulator(pa.struct({"a": pa.int8()}))
