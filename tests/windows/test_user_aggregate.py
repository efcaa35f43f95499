"""A user's aggregate that raises or returns the wrong thing is named, with place and remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from eventtime.errors import UserCodeError
from eventtime.windows.user_aggregate import UserAccumulator, UserAggregate


class Total:
    """A sum; each test breaks one method of it."""

    def create(self, n: int) -> Any:
        return (np.zeros(n),)

    def add(self, state: Any, slots: Any, column: pa.Array) -> None:
        np.add.at(state[0], slots, column.to_numpy())

    def merge(self, state: Any, into: Any, source: Any) -> None:
        state[0][into] += state[0][source]

    def result(self, state: Any, slots: Any) -> Any:
        return pa.array(state[0][slots])

    def result_type(self, *types: pa.DataType) -> Any:
        return types[0]


def made(aggregate: Any) -> UserAccumulator:
    accumulator = UserAccumulator("total", aggregate, [pa.float64()])
    accumulator.reset(np.array([0, 1]))
    return accumulator


def add(accumulator: UserAccumulator) -> None:
    slots, times = np.array([0, 0]), np.array([1_000_000, 0])
    accumulator.add(slots, [pa.array([1.0, 2.0])], times)


def test_a_plain_class_keeps_the_protocol() -> None:
    assert isinstance(Total(), UserAggregate)
    accumulator = made(Total())
    add(accumulator)
    accumulator.copy(np.array([5]), np.array([0]))
    accumulator.merge(np.array([1]), np.array([5]))
    assert accumulator.result(np.array([5, 1, 0])).to_pylist() == [3.0, 3.0, 3.0]
    accumulator.release(np.array([0]))
    accumulator.reset(np.array([0]))
    assert accumulator.result(np.array([0])).to_pylist() == [0.0]
    assert accumulator.nbytes > 0


def test_nothing_is_called_for_no_rows() -> None:
    def fail(*_: Any) -> None:
        raise AssertionError

    never_called = type("NeverCalled", (Total,), {"add": fail, "merge": fail, "result": fail})
    accumulator, none = made(never_called()), np.zeros(0, np.int64)
    accumulator.reset(none)
    accumulator.add(none, [pa.array([], pa.float64())], none)
    accumulator.merge(none, none)
    assert accumulator.result(none).type == pa.float64()


def test_an_error_in_add_names_aggregate_rows_and_event_times() -> None:
    class Broken(Total):
        def add(self, *_: Any, **__: Any) -> None:
            msg = "no such luck"
            raise ValueError(msg)

    with pytest.raises(UserCodeError) as caught:
        add(made(Broken()))
    text = str(caught.value)
    assert "aggregate 'total': Broken.add raised ValueError: no such luck" in text
    assert "2 rows of event time 1970-01-01 00:00:00+00:00 to 1970-01-01 00:00:01+00:00" in text
    assert isinstance(caught.value.__cause__, ValueError)


def test_event_times_beyond_the_calendar_are_shown_as_numbers() -> None:
    class Broken(Total):
        def add(self, *_: Any, **__: Any) -> None:
            raise ValueError

    with pytest.raises(UserCodeError, match="raised ValueError") as caught:
        made(Broken()).add(np.array([0]), [pa.array([1.0])], np.array([2**62]))
    assert f"{2**62} µs" in caught.value.place


@pytest.mark.parametrize("method", ["create", "merge", "result", "result_type"])
def test_an_error_in_any_method_is_named(method: str) -> None:
    def fail(*_: Any) -> None:
        raise KeyError(method)

    broken = type("Broken", (Total,), {method: fail})

    def use() -> None:
        accumulator = made(broken())
        accumulator.merge(np.array([0]), np.array([1]))
        accumulator.result(np.array([0]))

    with pytest.raises(UserCodeError, match=rf"Broken\.{method} raised KeyError"):
        use()


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        (np.zeros, "returned ndarray"),
        (lambda _: (), r"returned a tuple of \(\)"),
        (lambda n: ([0] * n,), r"returned a tuple of \(list\)"),
        (lambda n: (np.zeros(n + 1),), r"returned float64\[2\]"),
        (lambda _: (np.zeros(()),), r"returned float64\[\]"),
        (lambda n: (np.full(n, None),), r"returned object\[1\]"),
        (
            lambda n: (np.zeros(n, np.int64 if n > 1 else np.int8),),
            r"int64\[2\], before .* int8\[1\]",
        ),
        (lambda n: (np.zeros((n, n)),), r"float64\[2, 2\], before it was float64\[1, 1\]"),
        (lambda n: (np.zeros(n),) * n, r"before it was float64\[1\]"),
    ],
)
def test_create_must_return_arrays_of_the_length_asked_for(returned: Any, shown: str) -> None:
    broken = type("Broken", (Total,), {"create": lambda _, n: returned(n)})
    with pytest.raises(UserCodeError, match=r"Broken\.create .*" + shown) as caught:
        made(broken())
    assert "tuple of numpy arrays" in caught.value.remedy


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        ([1.0, 2.0], r"returned a list of \(float, float\)"),
        (pa.array([1.0]), "returned 1 values of type double"),
        (pa.array([1, 2]), "returned 2 values of type int64"),
        (pa.chunked_array([[1.0, 2.0]]), "returned ChunkedArray"),
        (None, "returned NoneType None"),
    ],
)
def test_result_must_return_an_array_of_the_type(returned: Any, shown: str) -> None:
    broken = type("Broken", (Total,), {"result": lambda *_: returned})
    with pytest.raises(UserCodeError, match=r"Broken\.result " + shown) as caught:
        made(broken()).result(np.array([0, 1]))
    assert "2 values of type double" in caught.value.remedy


def test_result_type_must_return_a_type() -> None:
    broken = type("Broken", (Total,), {"result_type": lambda *_: "float64"})
    with pytest.raises(UserCodeError, match=r"Broken\.result_type returned str 'float64'"):
        made(broken())


def test_a_missing_method_is_named() -> None:
    broken = type("Broken", (Total,), {"merge": None})
    with pytest.raises(UserCodeError, match=r"Broken\.merge is missing"):
        made(broken())


def test_slots_cannot_be_changed_by_the_user() -> None:
    class Sorts(Total):
        def add(self, state: Any, slots: Any, column: pa.Array) -> None:
            slots.sort()

    with pytest.raises(UserCodeError, match="read-only"):
        add(made(Sorts()))


def test_an_array_that_create_made_by_broadcasting_can_be_written() -> None:
    class Shared(Total):
        def create(self, n: int) -> Any:
            return (np.broadcast_to(0.0, n),)

    accumulator = made(Shared())
    add(accumulator)
    assert accumulator.result(np.array([0, 1])).to_pylist() == [3.0, 0.0]
