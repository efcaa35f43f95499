"""Slots of keys are those of a dict, whatever is forgotten in between."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eventtime.state.slots import SlotMap

KEYS = st.tuples(st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 7, 2**32]), st.integers(0, 1))


Round = tuple[list[tuple[int, int]], bool]


@given(st.lists(st.tuples(st.lists(KEYS, max_size=30), st.booleans()), max_size=8))
def test_equal_keys_have_one_slot_while_they_are_kept(rounds: list[Round]) -> None:
    slots, model = SlotMap(), dict[tuple[int, int], int]()
    for keys, is_swept in rounds:
        words = np.array([word for word, _ in keys], np.int64)
        tags = np.array([tag for _, tag in keys], np.int64)
        got = slots.intern(words, tags).tolist()
        for key, slot in zip(keys, got, strict=True):
            assert model.setdefault(key, slot) == slot
        assert len(set(model.values())) == len(model) == len(slots)
        if is_swept:
            kept = {key: slot for key, slot in model.items() if key[0] % 2}
            alive = np.zeros(slots.capacity, np.bool_)
            alive[list(kept.values())] = True
            gone = slots.keep_only(alive).tolist()
            assert sorted(gone) == sorted(set(model.values()) - set(kept.values()))
            model = kept
        slots.check_invariants()


def test_many_keys_and_one_after_the_other() -> None:
    slots = SlotMap()
    whole = slots.intern(np.arange(10_000) * 7919)
    assert sorted(whole.tolist()) == list(range(10_000))
    assert [int(slots.intern(np.array([i * 7919]))[0]) for i in range(0, 10_000, 999)] == whole[
        ::999
    ].tolist()
    slots.check_invariants()
