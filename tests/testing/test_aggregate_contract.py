"""Aggregates of users: right ones pass, and each law is seen to be broken by a wrong one."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import eventtime as et
from eventtime.testing import (
    BrokenLawError,
    BrokenRuleError,
    Push,
    Streams,
    check_aggregate,
    check_oracle,
)


class Total:
    """A sum of integers, and how many there were."""

    def create(self, n: int) -> Any:
        return np.zeros(n, np.int64), np.zeros(n, np.int64)

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (column,) = columns
        np.add.at(state[0], slots, column.fill_null(0).to_numpy())
        np.add.at(state[1], slots, 1)

    def merge(self, state: Any, into: Any, source: Any) -> None:
        for part in state:
            part[into] += part[source]

    def result(self, state: Any, slots: Any) -> Any:
        return pa.array(state[0][slots])

    def result_type(self, *_types: pa.DataType) -> Any:
        return pa.int64()


class GeometricMean:
    """The example of `eventtime.UserAggregate`: right but for rounding."""

    def create(self, n: int) -> Any:
        return np.zeros(n), np.zeros(n, np.int64)

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (column,) = columns
        known = column.is_valid().to_numpy(zero_copy_only=False)
        with np.errstate(all="ignore"):
            logs = np.log(np.abs(column.drop_null().to_numpy()) + 1)
        np.add.at(state[0], slots[known], logs)
        np.add.at(state[1], slots[known], 1)

    merge = Total.merge

    def result(self, state: Any, slots: Any) -> Any:
        total, count = state[0][slots], state[1][slots]
        return pa.array(np.exp(total / np.maximum(count, 1)), mask=count == 0)

    def result_type(self, *_types: pa.DataType) -> Any:
        return pa.float64()


class Several(GeometricMean):
    """In a list, as quantiles are, and NaN where nothing came."""

    def result(self, state: Any, slots: Any) -> Any:
        means = super().result(state, slots).fill_null(float("nan")).to_pylist()
        return pa.array([[mean, mean] for mean in means], self.result_type())

    def result_type(self, *_types: pa.DataType) -> Any:
        return pa.list_(pa.float64())


class First(Total):
    """The first value: what is merged into came first, so the order matters."""

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (column,) = columns
        for slot, value in zip(slots.tolist(), column.fill_null(0).to_pylist(), strict=True):
            if not state[1][slot]:
                state[0][slot], state[1][slot] = value, 1

    def merge(self, state: Any, into: Any, source: Any) -> None:
        new = state[1][into] == 0
        for part in state:
            part[into[new]] = part[source[new]]


class Objects(Total):
    def create(self, n: int) -> Any:
        return np.array([None] * n), np.zeros(n, np.int64)


class OtherType(Total):
    def result(self, state: Any, slots: Any) -> Any:
        return pa.array(state[0][slots].astype(np.float64))


class OnlyOnce(Total):
    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (column,) = columns
        state[0][slots] += column.fill_null(0).to_numpy()


class OfCalls(Total):
    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (column,) = columns
        super().add(state, slots, column)
        state[0][np.unique(slots)] += 1


class NextSlot(Total):
    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (column,) = columns
        super().add(state, np.minimum(slots + (slots > 0), len(state[0]) - 1), column)


class Counting(Total):
    def result(self, state: Any, slots: Any) -> Any:
        found = super().result(state, slots)
        state[0][slots] += 1
        return found


class Remembering(Total):
    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (column,) = columns
        super().add(state, slots, column)
        self.bonus = 1

    def result(self, state: Any, slots: Any) -> Any:
        return pa.array(state[0][slots] + (state[1][slots] > 0) * getattr(self, "bonus", 0))


class FromOne(Total):
    def create(self, n: int) -> Any:
        return np.ones(n, np.int64), np.zeros(n, np.int64)


class Emptying(Total):
    def merge(self, state: Any, into: Any, source: Any) -> None:
        super().merge(state, into, source)
        for part in state:
            part[source] = 0


class Rounding(Total):
    """Merged, it keeps one of both where neither is empty."""

    def merge(self, state: Any, into: Any, source: Any) -> None:
        for part in state:
            part[into] = np.where(state[1][into] == 0, part[source], part[into])


class Averaging(Total):
    """A mean that is merged as the mean of means."""

    def create(self, n: int) -> Any:
        return np.zeros(n), np.zeros(n, np.int64)

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        for slot in slots.tolist():
            state[0][slot] += 1.0
            state[1][slot] = 1

    def merge(self, state: Any, into: Any, source: Any) -> None:
        both = (state[1][into] > 0) & (state[1][source] > 0)
        whole = state[0][into] + state[0][source]
        close = np.abs(state[0][into] - state[0][source]) > 2
        state[0][into] = np.where(both & close, whole + 1, whole)
        state[1][into] |= state[1][source]

    def result_type(self, *_types: pa.DataType) -> Any:
        return pa.float64()


class OnePair(Total):
    """Right where two are merged, and not where a window of several keys is."""

    def merge(self, state: Any, into: Any, source: Any) -> None:
        for part in state:
            part[into] += part[source].sum()


class Full(Total):
    """Takes no more once it has many."""

    def merge(self, state: Any, into: Any, source: Any) -> None:
        fits = (state[1][into] < 9) | (state[1][source] < 9)
        for part in state:
            part[into] += np.where(fits, part[source], 0)


class Binned(Total):
    """Sums floats of each call by themselves first."""

    def create(self, n: int) -> Any:
        return (np.zeros(n),)

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        (column,) = columns
        weights = column.fill_null(0.0).to_numpy()
        state[0][:] += np.bincount(slots, weights, len(state[0]))

    def result_type(self, *_types: pa.DataType) -> Any:
        return pa.float64()


class Unstable(Total):
    """The last of each slot, by a sort that keeps the order of few rows, as some machines' do."""

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        order = np.argsort(slots, kind="stable")
        if len(slots) > 16 and np.ptp(slots):
            order = order[np.lexsort((-order, slots[order]))]
        state[0][slots[order]] = columns[0].fill_null(0).to_numpy()[order]
        state[1][slots] = 1

    def merge(self, state: Any, into: Any, source: Any) -> None:
        has = state[1][source] > 0
        for part in state:
            part[into[has]] = part[source[has]]


@pytest.mark.parametrize(
    "aggregate", [Total(), First(), GeometricMean(), Several()], ids=lambda a: type(a).__name__
)
def test_right_aggregates_keep_all_laws(aggregate: Any) -> None:
    check_aggregate(aggregate, pa.int64(), max_examples=25)


def test_a_sum_is_commutative_and_a_first_is_not() -> None:
    check_aggregate(Total(), pa.int64(), commutative=True, max_examples=25)
    with pytest.raises(BrokenLawError, match="merge is commutative") as broken:
        check_aggregate(First(), pa.int64(), commutative=True, max_examples=30)
    assert "found:   b and a: [1], not [0]" in str(broken.value)


@pytest.mark.parametrize(
    ("aggregate", "law"),
    [
        (Objects(), "shapes and types"),
        (OtherType(), "shapes and types"),
        (OnlyOnce(), "one call or two"),
        (OfCalls(), "one call or two"),
        (NextSlot(), "slots repeat"),
        (Unstable(), "slots repeat"),
        (Counting(), "result changes nothing"),
        (Remembering(), "all is in the state"),
        (FromOne(), "create is neutral"),
        (Emptying(), "merge leaves its source"),
        (Rounding(), "merge is folding"),
        (Averaging(), "merge is folding"),
        (Full(), "merge is folding"),
        (OnePair(), "pairs are merged apart"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_each_law_of_aggregates_is_seen_to_be_broken(aggregate: Any, law: str) -> None:
    with pytest.raises(BrokenLawError) as broken:
        check_aggregate(aggregate, pa.int64(), max_examples=40)
    assert broken.value.law == law
    assert f"{type(aggregate).__name__} breaks a law: {law}\n  law:  " in str(broken.value)


def test_floats_that_are_rounded_by_the_cuts_are_seen() -> None:
    """S4: of small whole numbers nothing is rounded."""
    with pytest.raises(BrokenLawError) as broken:
        check_aggregate(Binned(), pa.float64(), max_examples=40)
    assert broken.value.law == "one call or two"


@pytest.mark.parametrize("factor", [0, 2])
def test_a_merge_that_is_wrong_in_a_window_is_found_by_the_oracle(factor: int) -> None:
    """S24: what the window's rows come to without a merge."""

    class Wrong(Total):
        def merge(self, state: Any, into: Any, source: Any) -> None:
            state[0][into] += factor * state[0][source]

    times = pa.array([0, 10, 30], pa.timestamp("s"))
    nothing = pa.table({"t": times, "x": [1, 2, 3]}).slice(0, 0)
    marked = et.from_arrow(nothing, time="t").watermark(et.ascending())
    rows = [{"t": 0, "x": 1}, {"t": 30, "x": 2}]
    for aggregate, is_right in ((Total(), True), (Wrong(), False)):
        windows = marked.window(et.sliding("1m", slide="20s"))
        pipeline = windows.aggregate(x=et.user(aggregate, "x"))
        with nullcontext() if is_right else pytest.raises(BrokenRuleError, match="check_oracle"):
            check_oracle(pipeline, Streams(("a",), (Push("a", rows),)))


def test_what_is_no_aggregate_is_refused() -> None:
    with pytest.raises(et.PlanError, match="3 has no create"):
        check_aggregate(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["text", int, 5, None])
def test_what_is_no_type_is_refused(kind: Any) -> None:
    with pytest.raises(et.PlanError, match="is no type of Arrow's"):
        check_aggregate(Total(), kind)
