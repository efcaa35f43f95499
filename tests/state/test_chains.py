"""Chains hold words by slot; what a slot held in an earlier life does not show."""

from __future__ import annotations

import numpy as np
import pytest

from eventtime.state.chains import Chains, mostly_dead


def ints(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def test_words_of_a_slot_come_oldest_first() -> None:
    chains = Chains()
    chains.reset(ints(0, 2))
    chains.push(ints(2, 0, 2, 2), ints(9, 1, 8, 7))
    assert chains.gather(ints(2, 0)).tolist() == [9, 8, 7, 1]
    assert chains.gather(ints(2, 0), ascending=True).tolist() == [7, 8, 9, 1]


def test_a_distinct_chain_takes_a_word_once() -> None:
    chains = Chains(distinct=True)
    chains.reset(ints(0, 1))
    chains.push(ints(0, 1, 0, 0), ints(5, 5, 5, 6))
    chains.push(ints(0, 1), ints(6, 5))
    assert chains.length[:2].tolist() == [2, 1]
    chains.check_invariants()


def test_a_slot_that_lives_again_does_not_remember() -> None:
    chains = Chains(distinct=True)
    chains.reset(ints(0, 1))
    chains.push(ints(0, 1), ints(5, 5))
    chains.release(ints(0))
    chains.reset(ints(0))
    chains.push(ints(0, 0), ints(5, 5))
    assert chains.gather(ints(0)).tolist() == [5]
    chains.check_invariants()


@pytest.mark.parametrize("distinct", [False, True])
def test_compacting_keeps_the_living_and_drops_the_dead(distinct: bool) -> None:  # noqa: FBT001
    chains = Chains(distinct=distinct)
    slots = np.arange(50)
    chains.reset(slots)
    for word in range(100):
        chains.push(slots, np.full(50, word))
    chains.release(slots[::2])
    before = chains.gather(slots[1::2])
    assert len(chains.compact()) == chains.live == chains.used == 2500
    assert np.array_equal(chains.gather(slots[1::2]), before)
    chains.push(slots[1::2], np.full(25, 99))
    assert chains.live == (2500 if distinct else 2525)
    chains.check_invariants()


def test_extreme_words_are_words() -> None:
    chains = Chains(distinct=True)
    chains.reset(ints(0))
    extremes = ints(-(2**63), 2**63 - 1, 0, -1)
    chains.push(np.zeros(8, np.int64), np.concatenate([extremes, extremes]))
    assert chains.gather(ints(0)).tolist() == extremes.tolist()


def test_nothing_is_rewritten_for_a_few_dead() -> None:
    assert not mostly_dead(used=0, live=0, slots=10)
    assert not mostly_dead(used=1024, live=1, slots=10)
    assert not mostly_dead(used=60_000, live=1, slots=10**6)
    assert mostly_dead(used=1025, live=1, slots=10)
