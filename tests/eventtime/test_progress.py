"""Watermarks of partitions and the combined one (S5-S9), which never goes back."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.errors import PlanError
from eventtime.progress import Progress, check_all_idle
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY


def progress_of(*names: str, idle_after_us: int | None = 10, all_idle: str = "hold") -> Progress:
    progress = Progress(idle_after_us, all_idle)  # type: ignore[arg-type]  # refused elsewhere
    for name in names:
        progress.add(name)
    return progress


def silence(progress: Progress, index: int, *polls_us: int) -> None:
    for now_us in polls_us:
        progress.polled_empty(index, now_us)


def test_the_combined_watermark_is_the_minimum() -> None:
    progress = progress_of("a", "b")
    progress.moved(0, 50)
    assert progress.combined_us == MINUS_INFINITY
    progress.moved(1, 30)
    assert progress.combined_us == 30
    progress.moved(1, 90)
    assert progress.combined_us == 50


def test_the_partition_that_holds_back_is_named() -> None:
    progress = progress_of("a", "b")
    progress.moved(0, 50)
    assert progress.held_by == "b"
    progress.finish(1)
    assert progress.held_by == "a"
    progress.finish(0)
    assert progress.held_by is None


def test_the_minimum_of_the_others_leaves_out_one() -> None:
    progress = progress_of("a", "b", "c")
    for index, watermark_us in enumerate((50, 30, 40)):
        progress.moved(index, watermark_us)
    assert [progress.others_us(i) for i in range(3)] == [30, 40, 30]
    assert progress_of("a").others_us(0) == PLUS_INFINITY


def test_silence_longer_than_idle_after_makes_a_partition_idle() -> None:
    # polls:  0 .... 10 . 11      idle after 10
    progress = progress_of("a", "b")
    progress.moved(0, 50)
    silence(progress, 1, 0, 10)
    assert (progress.partitions[1].idle, progress.combined_us) == (False, MINUS_INFINITY)
    silence(progress, 1, 11)
    assert (progress.partitions[1].idle, progress.combined_us) == (True, 50)


def test_time_before_the_first_empty_poll_is_no_silence() -> None:
    progress = progress_of("a", "b")
    silence(progress, 1, 1_000_000)
    assert not progress.partitions[1].idle


def test_rows_end_the_silence() -> None:
    progress = progress_of("a", "b")
    silence(progress, 1, 0, 10)
    progress.heard(1)
    silence(progress, 1, 20, 30)
    assert not progress.partitions[1].idle
    silence(progress, 1, 31)
    assert progress.partitions[1].idle


def test_a_clock_that_steps_back_adds_no_silence_and_takes_none_away() -> None:
    # 0 -> 8: eight; 8 -> -1000: none; -1000 -> -998: two; -998 -> -997: one, so eleven in all.
    progress = progress_of("a", "b")
    silence(progress, 1, 0, 8, -1_000, -998)
    assert not progress.partitions[1].idle
    silence(progress, 1, -997)
    assert progress.partitions[1].idle


def test_without_idle_after_no_silence_is_long_enough() -> None:
    progress = progress_of("a", "b", idle_after_us=None)
    silence(progress, 1, 0, 2**62)
    assert not progress.partitions[1].idle


def test_an_idle_partition_that_is_heard_counts_again_and_nothing_goes_back() -> None:
    progress = progress_of("a", "b")
    progress.moved(0, 50)
    progress.moved(1, 20)
    silence(progress, 1, 0, 11)
    assert progress.combined_us == 50
    progress.heard(1)
    progress.moved(0, 80)
    assert progress.combined_us == 50
    progress.moved(1, 60)
    assert progress.combined_us == 60


def test_when_all_are_idle_the_watermark_holds() -> None:
    progress = progress_of("a", "b")
    progress.moved(0, 50)
    progress.moved(1, 20)
    silence(progress, 0, 0, 11)
    silence(progress, 1, 0, 11)
    assert progress.combined_us == 20


def test_when_all_are_idle_flush_max_goes_to_the_furthest() -> None:
    progress = progress_of("a", "b", "c", all_idle="flush_max")
    for index, watermark_us in enumerate((50, 20, 90)):
        progress.moved(index, watermark_us)
    progress.finish(2)
    silence(progress, 0, 0, 11)
    assert progress.combined_us == 20
    silence(progress, 1, 0, 11)
    assert progress.combined_us == 50


def test_flush_max_with_a_partition_that_left_does_not_depend_on_what_came_first() -> None:
    """S7: a is silent, b has gone and c, the furthest, is silent or has gone."""
    for steps in itertools.permutations(["a falls silent", "b leaves", "c leaves"]):
        progress = progress_of("a", "b", "c", all_idle="flush_max")
        for index, watermark_us in enumerate((50, 20, 90)):
            progress.moved(index, watermark_us)
        for step in steps:
            if step == "a falls silent":
                silence(progress, 0, 0, 11)
            else:
                progress.leave("abc".index(step[0]))
        assert progress.combined_us == 90, steps


@pytest.mark.parametrize("all_idle", ["hold", "flush_max"])
def test_where_all_have_left_nobody_is_silent(all_idle: str) -> None:
    """S7, S28: the watermark holds, over a restart too, until one comes back and is silent."""
    progress = progress_of("a", "b", all_idle=all_idle)
    progress.moved(0, 50)
    progress.moved(1, 20)
    progress.leave(0)
    progress.leave(1)
    assert progress.combined_us == 20
    again = progress_of(all_idle=all_idle)
    again.restore(progress.combined_us, progress.save(0), 0)
    assert again.combine() == 20
    again.heard(1)
    assert again.combine() == 20
    silence(again, 1, 0, 11)
    assert again.combined_us == (50 if all_idle == "flush_max" else 20)


def test_an_unknown_all_idle_policy_is_refused_with_those_there_are() -> None:
    with pytest.raises(PlanError, match=r"'flush' is unknown.*\n.*\n.*hold, flush_max"):
        check_all_idle("flush")


def test_a_partition_known_at_the_start_begins_at_minus_infinity() -> None:
    progress = progress_of("a")
    progress.moved(0, 50)
    assert progress.combined_us == 50
    late = progress_of("a", "b")
    late.moved(0, 50)
    assert late.combined_us == MINUS_INFINITY


def test_a_partition_found_later_begins_at_the_combined_watermark() -> None:
    progress = progress_of("a")
    progress.moved(0, 50)
    new = progress.add("b", known_at_start=False)
    progress.moved(0, 70)
    assert progress.partitions[new].watermark_us == 50
    assert progress.combined_us == 50


def test_a_historical_partition_holds_the_others_back() -> None:
    progress = progress_of("a")
    progress.moved(0, 50)
    new = progress.add("old", known_at_start=False, historical=True)
    progress.moved(0, 70)
    assert progress.partitions[new].watermark_us == MINUS_INFINITY
    assert progress.combined_us == 50
    progress.moved(new, 60)
    assert progress.combined_us == 60


def test_a_finished_partition_leaves_the_minimum() -> None:
    progress = progress_of("a", "b")
    progress.moved(0, 50)
    progress.finish(1)
    assert progress.combined_us == 50


def test_when_the_last_has_finished_the_watermark_is_plus_infinity() -> None:
    progress = progress_of("a", "b")
    progress.finish(0)
    assert progress.combined_us == MINUS_INFINITY
    progress.finish(1)
    assert progress.combined_us == PLUS_INFINITY


def test_silence_of_a_finished_partition_means_nothing() -> None:
    progress = progress_of("a", "b")
    progress.finish(1)
    silence(progress, 1, 0, 1_000)
    assert not progress.partitions[1].idle


def test_no_partitions_have_no_minimum() -> None:
    assert Progress().combine() == MINUS_INFINITY


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("moved"), st.integers(0, 2), st.integers(-50, 50)),
        st.tuples(st.just("heard"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("silent"), st.integers(0, 2), st.integers(-50, 50)),
        st.tuples(st.just("finish"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("add"), st.integers(0, 2), st.integers(0, 1)),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from(["hold", "flush_max"]))
def test_the_combined_watermark_never_goes_back(
    steps: list[tuple[str, int, int]], all_idle: str
) -> None:
    progress = progress_of("a", "b", "c", idle_after_us=5, all_idle=all_idle)
    before = progress.combined_us
    for what, index, value in steps:
        match what:
            case "moved":
                progress.moved(index, max(progress.partitions[index].watermark_us, value))
            case "heard":
                progress.heard(index)
            case "silent":
                progress.polled_empty(index, value)
            case "finish":
                progress.finish(index)
            case _:
                progress.add("new", known_at_start=False, historical=bool(value))
        assert progress.combined_us >= before
        before = progress.combined_us


def test_silence_that_a_feed_tells_lasts_while_the_loop_listens() -> None:
    """S6: eleven of listening in all, with a time between in which nobody polled."""
    progress = progress_of("a", "b")
    progress.moved(0, 50)
    progress.silent(1)
    progress.listened(6)
    progress.unpolled(1)
    progress.listened(100)
    progress.silent(1)
    progress.listened(4)
    assert not progress.partitions[1].idle
    progress.listened(1)
    assert (progress.partitions[1].idle, progress.combined_us) == (True, 50)
    progress.heard(1)
    progress.silent(1)
    progress.listened(10)
    assert not progress.partitions[1].idle


def test_of_one_long_turn_partitions_fall_idle_in_the_order_of_their_silences() -> None:
    """S6, S7: a silence that was broken leaves nothing behind that lets a later one go first."""
    progress = progress_of("a", "c")
    progress.moved(0, 30)
    progress.moved(1, 65)
    progress.silent(0)
    progress.listened(2)
    progress.silent(1)
    progress.listened(2)
    progress.heard(0)
    progress.silent(0)
    progress.listened(100)
    assert [p.idle for p in progress.partitions] == [True, True]
    assert progress.combined_us == 30


def test_a_partition_that_left_counts_again_when_it_is_heard() -> None:
    progress = progress_of("a", "b")
    progress.moved(0, 50)
    progress.leave(1)
    progress.moved(0, 60)
    assert progress.combined_us == 60
    progress.heard(1)
    progress.moved(0, 70)
    assert (progress.combined_us, progress.held_by) == (60, "b")


TOLD = st.lists(
    st.tuples(
        st.sampled_from(["moved", "heard", "silent", "unpolled", "listened", "leave", "finish"]),
        st.integers(0, 3),
        st.integers(0, 9),
    ),
    max_size=60,
)


class Looked:
    """Who is idle, by looking at every partition each time."""

    def __init__(self) -> None:
        self.silence = dict.fromkeys(range(4), 0)
        self.asked: set[int] = set()
        self.idle: set[int] = set()

    def tell(self, what: str, index: int, value: int) -> None:
        if what == "silent":
            self.asked.add(index)
        elif what in {"heard", "unpolled", "leave"}:
            self.asked.discard(index)
        if what == "heard":
            self.silence[index] = 0
            self.idle.discard(index)
        if what == "leave":
            self.idle.add(index)
        if what == "listened":
            for i in self.asked:
                self.silence[i] += value
        self.idle |= {i for i in self.asked if self.silence[i] > 20}


@given(TOLD)
def test_who_counts_and_who_holds_back_is_what_looking_at_all_says(
    steps: list[tuple[str, int, int]],
) -> None:
    """S5, S6: the sorted book-keeping equals a look at each partition, its silence added up."""
    progress, looked = progress_of("a", "b", "c", "d", idle_after_us=20), Looked()
    states = progress.partitions
    for what, index, value in steps:
        if what == "listened":
            progress.listened(value)
        elif what == "moved":
            progress.moved(index, states[index].watermark_us + value)
        else:
            getattr(progress, what)(index)
        looked.tell(what, index, value)
        for i, state in enumerate(states):
            assert state.finished or state.idle == (i in looked.idle)
        counting = [(p.watermark_us, i) for i, p in enumerate(states) if p.counts]
        assert progress.slowest_us == (min(counting)[0] if counting else None)
        assert progress.held_by == (states[min(counting)[1]].name if counting else None)
        for i in range(4):
            others = [w for w, other in counting if other != i]
            assert progress.others_us(i) == min(others, default=PLUS_INFINITY)
