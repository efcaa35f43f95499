"""Generators, assigners, functions of users: each law is seen to be broken by a wrong one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st

import eventtime as et
from eventtime.testing import (
    BrokenLawError,
    check_aggregate,
    check_assigner,
    check_function,
    check_generator,
)
from eventtime.testing.contracts.laws import Law, hold
from eventtime.windows.grid import Grid

# Generators


class Lag:
    """A watermark a minute behind the latest row; one after each row."""

    def __init__(self) -> None:
        self.latest = -(2**62)

    def on_batch(self, timestamps_us: Any) -> Any:
        latest = np.maximum.accumulate(np.append(self.latest, timestamps_us))[1:]
        self.latest = int(latest[-1])
        return latest - 60_000_000

    def get_state(self) -> Any:
        return self.latest

    def set_state(self, state: Any) -> None:
        self.latest = state


class OneEach(Lag):
    def on_batch(self, timestamps_us: Any) -> Any:
        return int(super().on_batch(timestamps_us)[-1])


class Text(Lag):
    def on_batch(self, timestamps_us: Any) -> Any:
        return "soon"


class OwnTime(Lag):
    def on_batch(self, timestamps_us: Any) -> Any:
        return timestamps_us


class Forgetful(Lag):
    def set_state(self, state: Any) -> None:
        """Forget it."""


class Shared(Lag):
    seen: list[int] = []  # noqa: RUF012 - that is what is wrong

    def on_batch(self, timestamps_us: Any) -> Any:
        self.seen += timestamps_us.tolist()
        return [max(self.seen)] * len(timestamps_us)


def test_right_generators_keep_all_laws() -> None:
    check_generator(Lag, monotone=True, max_examples=25)
    check_generator(OwnTime, max_examples=25)
    check_generator(OneEach, by_row=False, max_examples=25)
    check_generator(OwnTime(), max_examples=25)
    check_generator(Lag(), monotone=True, max_examples=25)  # has seen nothing, each time


@pytest.mark.parametrize(
    ("make", "law"),
    [
        (Text, "answers can be used"),
        (OneEach, "cuts do not show"),
        (OwnTime, "never goes back"),
        (Forgetful, "goes on from its state"),
    ],
)
def test_each_law_of_generators_is_seen_to_be_broken(make: Any, law: str) -> None:
    with pytest.raises(BrokenLawError) as broken:
        check_generator(make, monotone=law == "never goes back")
    assert broken.value.law == law


def test_generators_that_share_what_they_saw_are_seen() -> None:
    with pytest.raises(BrokenLawError) as broken:
        check_generator(Shared, by_row=False)
    assert broken.value.law == "partitions are apart"


class Bounded(Lag):
    def __init__(self, bound_us: int) -> None:
        super().__init__()
        self.bound_us = bound_us


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Bounded, r"custom\(Bounded\) makes no generator: .* missing 1 required"),
        (lambda: None, "makes None, which has no on_batch"),
    ],
)
def test_what_makes_no_generator_is_refused(make: Any, why: str) -> None:
    with pytest.raises(et.PlanError, match=why):
        check_generator(make)


# Assigners


@dataclass(frozen=True)
class Odd:
    """An assigner with a grid of one's own."""

    grid: Grid

    def describe(self) -> str:
        return "odd()"


class Moving:
    """Has another grid each time it is asked."""

    n = 0

    @property
    def grid(self) -> Grid:
        self.n += 1
        return Grid(10, 10, self.n % 10)

    def describe(self) -> str:
        return "moving()"


def test_our_assigners_give_each_time_its_windows() -> None:
    for assigner in (et.tumbling("7s", offset="2s"), et.sliding("10s", slide="4s")):
        check_assigner(assigner, max_examples=20)
    check_assigner(et.global_window(), max_examples=5)
    check_assigner(Odd(Grid(60, 20, 5)), max_examples=20)


def test_an_assigner_that_says_another_thing_each_time_is_seen() -> None:
    with pytest.raises(BrokenLawError) as broken:
        check_assigner(Moving())
    assert broken.value.law == "one description"


def test_a_row_that_misses_a_window_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The law that the engine itself could break."""
    monkeypatch.setattr(
        "eventtime.testing.contracts.assigner._windows", lambda grid, t: [(t, t + grid.size_us)]
    )
    with pytest.raises(BrokenLawError) as broken:
        check_assigner(et.tumbling("8s"))
    assert broken.value.law == "each time is in its windows"


# Functions

SCHEMA = pa.schema({"t": pa.timestamp("s"), "key": pa.string(), "n": pa.int64()})
OUTPUT = pa.schema({"n": pa.int64()})


class Numbered(et.ProcessFunction):
    """The number of each row of its key."""

    n: Any = et.value_state(pa.int64(), default=0)

    def on_row(self, ctx: Any, row: Any) -> None:
        self.n.value += 1
        ctx.emit(n=self.n.value)


class Unsaved(et.ProcessFunction):
    seen = 0

    def on_row(self, ctx: Any, row: Any) -> None:
        self.seen += 1
        ctx.emit(n=self.seen)


CALLS: list[int] = []


class Restless(et.ProcessFunction):
    def on_row(self, ctx: Any, row: Any) -> None:
        CALLS.append(1)
        ctx.emit(n=len(CALLS))


class OfBatches(et.ProcessFunction):
    def on_batch(self, ctx: Any, batch: Any) -> None:
        ctx.emit_rows({"n": [batch.num_rows] * batch.num_rows})


class Once(et.ProcessFunction):
    """The first row of each key; of one batch all are."""

    seen: Any = et.value_state(pa.bool_(), ttl="1d")

    def on_batch(self, ctx: Any, batch: Any) -> None:
        is_new = self.seen.get_rows().is_null()  # wrong: what rows before it in the batch set
        self.seen.set_rows(True)
        ctx.emit_rows(pa.record_batch({"n": batch["n"].filter(is_new)}), is_new)


class OnceByRow(et.ProcessFunction):
    seen: Any = et.value_state(pa.bool_(), ttl="1d")

    def on_row(self, ctx: Any, row: Any) -> None:
        if not self.seen.value:
            ctx.emit(n=row["n"])
        self.seen.value = True


class WrongType(et.ProcessFunction):
    def on_row(self, ctx: Any, row: Any) -> None:
        ctx.emit(n=row["key"])


def of(function: Any, **more: Any) -> None:
    check_function(function, SCHEMA, time="t", keys=["key"], output=OUTPUT, max_examples=12, **more)


class Echo(et.ProcessFunction):
    def on_row(self, ctx: Any, row: Any) -> None:
        ctx.emit(n=row["n"])


class EchoOfBatches(et.ProcessFunction):
    def on_batch(self, ctx: Any, batch: Any) -> None:
        ctx.emit_rows({"n": batch["n"]})


def test_right_functions_keep_all_laws() -> None:
    of(Numbered())
    of(Echo(), by_batch=EchoOfBatches())


@pytest.mark.parametrize(
    ("function", "law"),
    [
        (WrongType(), "outputs fit"),
        (Restless(), "deterministic"),
        (OfBatches(), "cuts do not show"),
        (Unsaved(), "all is in its states"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_each_law_of_functions_is_seen_to_be_broken(function: Any, law: str) -> None:
    with pytest.raises(BrokenLawError) as broken:
        of(function)
    assert broken.value.law == law


@pytest.mark.parametrize("by_batch", [None, Once()], ids=["by itself", "beside the other form"])
def test_rows_of_one_key_meet_in_a_batch(by_batch: Any) -> None:
    law = "cuts do not show" if by_batch is None else "both forms are one"
    with pytest.raises(BrokenLawError) as broken:
        of(Once() if by_batch is None else OnceByRow(), by_batch=by_batch)
    assert broken.value.law == law


def test_what_fails_once_is_shown_with_its_example() -> None:
    seen: list[int] = []

    def only_once(number: int) -> str | None:
        seen.append(number)
        return "odd" if len(seen) == 1 else None

    found = (
        "found:   odd; another time nothing, so the same input has several answers\n  example: 0"
    )
    with pytest.raises(BrokenLawError, match=found):
        hold("it", Law("deterministic", "it is"), st.just(0), only_once, max_examples=5)


def test_two_forms_that_differ_are_seen() -> None:
    class Zero(et.ProcessFunction):
        def on_batch(self, ctx: Any, batch: Any) -> None:
            ctx.emit_rows({"n": [0] * batch.num_rows})

    with pytest.raises(BrokenLawError) as broken:
        of(Numbered(), by_batch=Zero())
    assert broken.value.law == "both forms are one"


def test_a_class_in_place_of_an_object_is_refused() -> None:
    def check_own(function: Any) -> None:
        check_function(function, SCHEMA, time="t", keys=["key"], output=OUTPUT)

    for check in (check_aggregate, check_assigner, check_own):
        checked: Any = check
        with pytest.raises(et.PlanError, match=r"Lag is a class, and one(.|\n)*fix: give Lag\(…\)"):
            checked(Lag)


def test_keys_are_named() -> None:
    with pytest.raises(et.PlanError, match="'key' names no key columns"):
        check_function(Numbered(), SCHEMA, time="t", keys="key", output=OUTPUT)
