"""Generators and aggregates of users that raise or return nonsense: the message says where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

import eventtime as et
from refusals import Refused, seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLACE = "partition 'a', rows 0 to 2, event times 1970-01-01 00:00:00+00:00 to 1970-01-01 00:00:02"


class Says:
    """A generator that gives any answer."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self._answer = answer

    def on_batch(self, timestamps_us: Any) -> Any:
        return self._answer(timestamps_us)


def under(generator: Any) -> et.Stream:
    stream = et.from_arrow({"a": seconds()}, time="t").watermark(et.custom(generator))
    return stream.window(et.tumbling("10s")).aggregate(n=et.count())


def test_a_generator_that_raises(refused: Refused) -> None:
    stream = under(Says(lambda times: times[99]))
    with refused(et.UserCodeError, "Says.on_batch raised IndexError", PLACE, "cause"):
        stream.run()


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("noon", "noon"),
        (1.5, "1.5"),
        (True, "True"),
        ([1], "[1]"),
        ([1, 2, 3, 4], "shape (4,)"),
        ([[1], [2], [3]], "shape (3, 1)"),
        ([[1, 2], [3]], "[[1, 2], [3]]"),
        ([2**70] * 3, "118059"),
        (2**63, f"{2**63}, which is no int64"),
        (np.array([1, 2, 2**63 + 5], np.uint64), f"{2**63 + 5}, which is no int64"),
    ],
)
def test_a_generator_that_returns_the_wrong_shape(
    answer: Any, shown: str, refused: Refused
) -> None:
    with refused(et.UserCodeError, shown, PLACE, "one integer for each row"):
        under(Says(lambda times: answer)).run()


def test_the_place_of_times_beyond_the_calendar(refused: Refused) -> None:
    far = pa.table({"t": pa.array([2**61], pa.timestamp("us"))})
    stream = et.from_arrow({"a": far}, time="t").watermark(et.custom(Says(lambda times: "x")))
    with refused(et.UserCodeError, "returned", f"event times {2**61} µs", "one integer"):
        stream.window(et.tumbling("10s")).aggregate(n=et.count()).run()


def test_what_makes_no_generator(refused: Refused) -> None:
    with refused(et.PlanError, "3 has no on_batch", "custom(", "BatchGenerator"):
        et.custom(3)  # type: ignore[arg-type]
    with refused(et.UserCodeError, "raised ZeroDivisionError", "partition 'a'", "cause"):
        under(lambda: 1 // 0).run()
    with refused(
        et.UserCodeError, "made 3, which has no on_batch", "partition 'a'", "BatchGenerator"
    ):
        under(lambda: 3).run()


class Rows:
    """An aggregate that counts rows; broken ones replace a method."""

    def create(self, n: int) -> Any:
        return (np.zeros(n, np.int64),)

    def add(self, state: Any, slots: Any, *columns: pa.Array) -> None:
        np.add.at(state[0], slots, len(columns))

    def merge(self, state: Any, into: Any, source: Any) -> None:
        state[0][into] += state[0][source]

    def result(self, state: Any, slots: Any) -> Any:
        return pa.array(state[0][slots])

    def result_type(self, *types: pa.DataType) -> Any:
        return pa.int64() if types else pa.null()


def broken(method: str, does: Callable[..., Any]) -> Any:
    return type("Broken", (Rows,), {method: lambda _, *given: does(*given)})()


def over(aggregate: Any) -> et.Stream:
    stream = et.from_arrow(seconds(x=[1, 2, 3]), time="t").watermark(et.ascending())
    return stream.window(et.sliding("2s", slide="1s")).aggregate(rows=et.user(aggregate, "x"))


def test_the_aggregate_that_is_broken_below_works() -> None:
    assert over(Rows()).to_table()["rows"].to_pylist() == [1, 2, 2, 1]


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("create", "for 1 slot"),
        ("add", "event time 1970-01-01 00:00:00+00:00"),
        ("merge", "1 pairs of slots"),
        ("result", "slots"),
        ("result_type", "inputs int64"),
    ],
)
def test_an_aggregate_that_raises(method: str, place: str, refused: Refused) -> None:
    with refused(et.UserCodeError, f"Broken.{method} raised ZeroDivisionError", place, "mend"):
        over(broken(method, lambda *_: 1 // 0)).run()


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("method", ["add", "result"])
def test_the_place_of_an_aggregate_names_the_partitions(
    method: str, shards: int, refused: Refused
) -> None:
    named = {name: seconds(x=[1, 2, 3]) for name in "edcba"}
    stream = et.from_arrow(named, time="t").watermark(et.ascending())
    ones = et.user(broken(method, lambda *_: 1 // 0), "x")
    with refused(et.UserCodeError, method, "among rows of partition 'a', 'b', 'c' and 2", "mend"):
        stream.window(et.tumbling("1s")).aggregate(rows=ones).run(shards=shards)


def test_the_place_of_an_aggregate_pushed_by_hand(refused: Refused) -> None:
    engine = et.Engine(over(broken("add", lambda *_: 1 // 0)), ["a"])
    with refused(et.UserCodeError, "Broken.add", "among rows of partition 'a'", "mend"):
        engine.push("a", seconds(x=[1, 2, 3]).to_batches()[0])


@pytest.mark.parametrize(
    ("method", "does", "shown", "place"),
    [
        ("create", lambda _: np.zeros(3), "returned ndarray", "create(1)"),
        ("create", lambda _: (np.zeros(3),), "returned float64[3]", "create(1)"),
        ("create", lambda n: (np.zeros(n, np.object_),), "returned object[1]", "create(1)"),
        ("result", lambda *_: [1], "returned a list", "slots"),
        ("result", lambda *_: pa.array(range(99)), "returned 99 values of type int64", "slots"),
        ("result", lambda _, slots: pa.array(slots * 0.5), "values of type double", "slots"),
        ("result_type", lambda *_: "int64", "returned str 'int64'", "inputs int64"),
    ],
)
def test_an_aggregate_that_returns_the_wrong_shape(
    method: str, does: Callable[..., Any], shown: str, place: str, refused: Refused
) -> None:
    with refused(et.UserCodeError, shown, place, "return a "):
        over(broken(method, does)).run()


def fails(_: object) -> None:
    raise ZeroDivisionError


def interrupts(_: object) -> None:
    raise KeyboardInterrupt


def test_a_progress_function_that_raises(tmp_path: Path, refused: Refused) -> None:
    out = tmp_path / "out.parquet"
    with refused(et.UserCodeError, "fails raised ZeroDivisionError", "run(progress=…)", "cause"):
        over(Rows()).run(out, progress=fails)
    with refused(et.UserCodeError, "fails raised ZeroDivisionError", "advise(progress=…)", "cause"):
        et.advise(et.from_arrow(seconds(), time="t"), progress=fails)
    with pytest.raises(KeyboardInterrupt):
        over(Rows()).run(out, progress=interrupts)
    assert list(tmp_path.iterdir()) == []


def test_a_progress_function_that_raises_at_the_end_leaves_no_output(
    tmp_path: Path, refused: Refused
) -> None:
    reports: list[et.ProgressReport] = []
    over(Rows()).run(progress=reports.append)

    def at_the_end(report: et.ProgressReport) -> None:
        assert report != reports[-1]

    with refused(et.UserCodeError, "at_the_end raised AssertionError", "run(progress=…)", "cause"):
        over(Rows()).run(tmp_path / "out.parquet", progress=at_the_end)
    assert list(tmp_path.iterdir()) == []


class Stubborn:
    """A sink that cannot be aborted, against what `SinkWriter` says."""

    def open(self, schema: pa.Schema) -> Stubborn:
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        raise AssertionError

    def commit(self) -> None:
        raise AssertionError

    def abort(self) -> None:
        raise OSError

    def describe(self) -> str:
        return "stubborn"


def test_a_sink_that_cannot_be_aborted_leaves_the_others_and_the_error_as_they_are(
    tmp_path: Path, refused: Refused
) -> None:
    with refused(et.UserCodeError, "fails raised ZeroDivisionError", "run(progress=…)", "cause"):
        over(Rows()).run(Stubborn(), sides={"late": tmp_path / "late.csv"}, progress=fails)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_aggregate(refused: Refused) -> None:
    with refused(et.PlanError, "object lacks create, add, merge", "user(", "UserAggregate"):
        et.user(object(), "x")  # type: ignore[arg-type]
