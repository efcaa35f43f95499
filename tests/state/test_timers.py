"""Timers are a set of pairs, taken from the front."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eventtime.state.timers import CHANGE, NEVER, Timers

PAIRS = st.tuples(st.integers(-3, 6), st.integers(0, 3))
STEPS = st.one_of(
    st.tuples(st.just("add"), PAIRS),
    st.tuples(st.just("discard"), PAIRS),
    st.tuples(st.just("rows"), st.lists(PAIRS, max_size=5)),
    st.tuples(st.just("pop"), st.none()),
)


@given(st.lists(STEPS, max_size=200))
def test_timers_are_a_set_taken_from_the_front(steps: list[tuple[str, object]]) -> None:
    timers, model = Timers(), set[tuple[int, int]]()
    for what, given_ in steps:
        if what == "pop" and model:
            first = min(time for time, _ in model)
            assert timers.pop() == (first, {slot for time, slot in model if time == first})
            model = {pair for pair in model if pair[0] != first}
        elif what == "rows":
            assert isinstance(given_, list)
            times, slots = (np.array([pair[i] for pair in given_], np.int64) for i in range(2))
            timers.add_rows(times, slots)
            model |= set(given_)
        elif isinstance(given_, tuple):
            getattr(timers, what)(*given_)
            (model.add if what == "add" else model.discard)(given_)
        assert len(timers) == len(model)
        assert timers.next_us == min((time for time, _ in model), default=NEVER)
        got = list(zip(*(column.tolist() for column in timers.rows()), strict=True))
        assert got == sorted(model, key=lambda pair: (pair[1], pair[0]))


def test_times_that_were_taken_back_do_not_pile_up() -> None:
    timers = Timers()
    for time in range(10_000):
        timers.add(time, 1)
        timers.discard(time, 1)
    assert len(timers._times) < 100


def test_a_change_is_no_timer_of_a_key() -> None:
    timers = Timers()
    timers.add(5, CHANGE)
    timers.add(5, 2)
    assert [column.tolist() for column in timers.rows()] == [[5], [2]]
