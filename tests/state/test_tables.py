"""Slot tables: growth, dense and hashed keys, the null key, pages given back; beside a model."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from eventtime.state.kernels import DENSE, MASK, NO_SLOT, NULL_FLAG, PAGE_SLOTS, ROWS, TABLE
from eventtime.state.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST, LARGEST = -(2**63), 2**63 - 1
Key = tuple[int, bool]
"""A word, and whether it is the null key."""


class Filled:
    """Tables with a source of slots to pair keys from."""

    def __init__(self) -> None:
        self.tables = Tables(np.array([0, 0, 42], np.int64))

    def put(self, row: int, keys: Sequence[Key]) -> np.ndarray:
        """Find or insert keys; returns their slots."""
        tables, n = self.tables, len(keys)
        pages = n // PAGE_SLOTS + 1
        if tables.n_free < 2 * pages:
            tables.add_pages(2 * pages)
        # Keys are read from slots of free pages that are the last to be taken.
        scratch = (tables.free_pages[:pages, None] * PAGE_SLOTS + np.arange(PAGE_SLOTS)).ravel()[:n]
        tables.words[scratch, 0] = [word for word, _ in keys]
        tables.words[scratch, ROWS] = [NULL_FLAG if null else 0 for _, null in keys]
        slots, _ = tables.pair(row, scratch)
        return slots

    def entries(self, row: int) -> np.ndarray:
        mask, address = self.tables.dirs[row, MASK], self.tables.dirs[row, TABLE]
        return np.ctypeslib.as_array((ctypes.c_int64 * (int(mask) + 1)).from_address(int(address)))

    def find(self, row: int, keys: Sequence[Key]) -> list[int]:
        words = np.array([word for word, _ in keys], np.int64)
        nulls = np.array([null for _, null in keys], np.uint8)
        found: list[int] = self.tables.find(row, words, nulls).tolist()
        return found


def plain(*words: int) -> list[Key]:
    return [(word, False) for word in words]


def test_a_fresh_slot_holds_its_key_and_the_neutral_words() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    (slot,) = filled.put(row, plain(7))
    assert filled.tables.words[slot].tolist() == [7, 0, 42]


def test_the_null_key_is_a_group_of_its_own_whatever_its_word() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    keys = [(0, False), (0, True), (SMALLEST, False), (SMALLEST, True)]
    assert len(set(filled.put(row, keys).tolist())) == 4
    assert filled.find(row, [(0, True)]) == [filled.put(row, [(0, True)])[0]]
    filled.tables.check_invariants()


def test_int64_limits_are_keys() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    slots = filled.put(row, plain(SMALLEST, LARGEST, -1, 0)).tolist()
    assert filled.find(row, plain(0, -1, LARGEST, SMALLEST)) == slots[::-1]


def test_a_key_that_is_absent_has_no_slot() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    filled.put(row, plain(1))
    assert filled.find(row, [(2, False), (1, True)]) == [NO_SLOT, NO_SLOT]


@pytest.mark.parametrize("step", [1, 3, 1_000_003, 2**40], ids=str)
@pytest.mark.parametrize("start", [0, -5_000, SMALLEST, LARGEST - 2**53])
def test_a_table_grows_over_dense_and_far_keys(step: int, start: int) -> None:
    filled = Filled()
    row = filled.tables.create(0)
    keys = [start + i * step for i in range(5_000)]
    slots: list[int] = []
    for at in range(0, len(keys), 500):
        slots += filled.put(row, plain(*keys[at : at + 500])).tolist()
    assert filled.tables.count(row) == len(set(slots)) == 5_000
    assert filled.find(row, plain(*keys)) == slots
    filled.tables.check_invariants()


def test_a_far_outlier_among_dense_keys_costs_no_memory_of_its_range() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    filled.put(row, plain(*range(10_000)))
    far = plain(LARGEST, SMALLEST, 2**50)
    slots = filled.put(row, far).tolist()
    filled.put(row, plain(*range(10_000, 40_000)))
    assert filled.find(row, far) == slots
    assert filled.tables.count(row) == 40_003
    filled.tables.check_invariants()


def test_keys_that_share_their_low_bits_with_dense_ones_are_told_apart() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    dense = plain(*range(1_000))
    first = filled.put(row, dense).tolist()
    aliases = plain(*(i * 2**20 for i in range(1, 200)))
    second = filled.put(row, aliases).tolist()
    assert filled.find(row, dense + aliases) == first + second


def test_who_strays_into_a_dense_table_does_not_pass_all_its_keys() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    filled.put(row, plain(*range(5_000)))
    filled.put(row, plain(*range(10_000)))
    assert filled.tables.dirs[row, DENSE]
    size = len(filled.entries(row))
    strays = plain(*(size * i for i in range(1, 2_001)))
    slots = filled.put(row, strays).tolist()
    assert filled.find(row, strays) == slots
    assert len(filled.entries(row)) == size, "no longer the table that was dense"
    # Free places begin behind the keys: neighbours of neighbours would fill them without a gap.
    behind = filled.entries(row)[10_000:]
    runs = np.diff(np.flatnonzero(np.concatenate([[0], behind, [0]]) == 0)) - 1
    assert runs.max() < 50


@pytest.mark.parametrize("start", [0, 10_000, 2**31 - 6_000], ids=str)
@pytest.mark.parametrize("step", [1, 3])
def test_slots_of_dense_keys_come_in_the_order_of_keys(start: int, step: int) -> None:
    filled = Filled()
    row = filled.tables.create(0)
    keys = np.random.default_rng(1).permutation(np.arange(start, start + 5_000, step))
    filled.put(row, plain(*keys[:500].tolist()))
    filled.put(row, plain(*keys[500:].tolist()))
    slots = filled.tables.slots_by_key(row)
    assert slots is not None
    assert filled.tables.words[slots, 0].tolist() == sorted(keys.tolist())


@pytest.mark.parametrize(
    "others",
    [
        [(0, True)],
        [(-1, False)],
        [(2**31 - 1, False)],
        [(2**40, False), (2**40 + 1, False)],
        [(2**20 * i + 1, False) for i in range(1, 4)],
        [(70_000, False)],
    ],
    ids=str,
)
def test_slots_come_in_the_order_of_keys_or_not_at_all(others: list[Key]) -> None:
    filled = Filled()
    row = filled.tables.create(0)
    filled.put(row, plain(*range(2_000, 3_000)))
    filled.put(row, [*plain(*range(3_000, 7_000)), *others])
    slots = filled.tables.slots_by_key(row)
    if slots is not None:
        keys = [2_000 + i for i in range(5_000)] + [word for word, _ in others]
        assert not any(null for _, null in others)
        assert filled.tables.words[slots, 0].tolist() == sorted(keys)


def test_slots_of_hashed_keys_come_in_no_order() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    for first in (0, 500):
        filled.put(row, plain(*(i * 2**40 for i in range(first, first + 500))))
    assert filled.tables.slots_by_key(row) is None


def test_a_table_made_like_another_takes_its_keys() -> None:
    filled = Filled()
    model = filled.tables.create(0)
    filled.put(model, plain(*range(3_000)))
    row = filled.tables.create(1, like=model)
    assert filled.tables.count(row) == 0
    slots = filled.put(row, plain(*range(3_000), LARGEST)).tolist()
    assert filled.find(row, plain(*range(3_000), LARGEST)) == slots


def test_slots_are_listed_in_the_order_in_which_keys_came() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    slots = filled.put(row, plain(*range(1_000, 0, -1)))
    assert filled.tables.slots(row).tolist() == slots.tolist()
    assert filled.tables.words[slots, 0].tolist() == list(range(1_000, 0, -1))


@pytest.mark.parametrize("step", [1, 3, 2**40])
def test_accumulators_are_entered_as_they_are(step: int) -> None:
    filled, n = Filled(), 3 * PAGE_SLOTS
    tables = filled.tables
    row = tables.create(5)
    rows = np.stack([np.arange(n) * step, np.arange(n) + 1, -np.arange(n)], axis=1)
    rows = np.concatenate([rows, [[0, NULL_FLAG | 9, 99]]])
    slots = tables.enter(row, list(np.ascontiguousarray(rows.T)))
    assert np.array_equal(tables.words[slots], rows)
    keys = [*plain(*(np.arange(n) * step).tolist()), (0, True)]
    assert filled.find(row, keys) == slots.tolist()
    assert filled.find(row, plain(step * n, -1)) == [NO_SLOT, NO_SLOT]
    tables.check_invariants()
    # Dense keys are their own hash again, and further keys find their place.
    assert bool(tables.dirs[row, DENSE]) == (step < 8)
    more = filled.put(row, plain(*range(-n, 0)))
    assert filled.find(row, plain(*range(-n, 0))) == more.tolist()
    tables.check_invariants()


def test_pages_of_a_retired_table_serve_the_next() -> None:
    filled = Filled()
    tables = filled.tables
    sizes = set()
    for day in range(20):
        row = tables.create(day)
        filled.put(row, plain(*range(day * 3_000, (day + 1) * 3_000)))
        tables.retire(row)
        sizes.add(len(tables.words))
    assert len(sizes) == 1
    tables.check_invariants()


def test_a_slot_that_lives_again_does_not_remember() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    slots = filled.put(row, plain(1, 2))
    filled.tables.words[slots] = 99
    filled.tables.retire(row)
    row = filled.tables.create(0)
    assert filled.find(row, plain(1, 99)) == [NO_SLOT, NO_SLOT]
    again = filled.put(row, plain(1))
    assert filled.tables.words[again[0]].tolist() == [1, 0, 42]


def test_a_lost_page_is_noticed() -> None:
    filled = Filled()
    row = filled.tables.create(0)
    filled.put(row, plain(1))
    filled.tables.n_free -= 1
    with pytest.raises(AssertionError, match="lost or owned twice"):
        filled.tables.check_invariants()


KEYS = st.lists(
    st.tuples(
        st.one_of(
            st.integers(0, 300),
            st.integers(-3, 3),
            st.sampled_from([SMALLEST, LARGEST, 2**40, 2**62]),
        ),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=400,
)


class TablesBesideDicts(RuleBasedStateMachine):
    """Tables do what dicts do, whatever order they are made, filled and retired in."""

    live = Bundle("live")

    def __init__(self) -> None:
        super().__init__()
        self.filled = Filled()
        self.model: dict[int, dict[Key, int]] = {}

    @rule(target=live, like=st.none() | st.integers(0, 5))
    def create(self, like: int | None) -> int:
        rows = sorted(self.model)
        row = self.filled.tables.create(
            0, like=rows[like % len(rows)] if rows and like is not None else None
        )
        assert row not in self.model
        self.model[row] = {}
        return row

    @rule(row=live, keys=KEYS)
    def put(self, row: int, keys: list[Key]) -> None:
        slots = self.filled.put(row, keys).tolist() if keys else []
        for key, slot in zip(keys, slots, strict=True):
            assert self.model[row].setdefault(key, slot) == slot

    @rule(row=live, keys=KEYS)
    def find(self, row: int, keys: list[Key]) -> None:
        assert self.filled.find(row, keys) == [self.model[row].get(key, NO_SLOT) for key in keys]

    @rule(row=consumes(live))
    def retire(self, row: int) -> None:
        self.filled.tables.retire(row)
        del self.model[row]

    @rule(target=live, source=live)
    def pair(self, source: int) -> object:
        tables = self.filled.tables
        row = tables.create(0)
        slots, fresh = tables.pair(row, tables.slots(source))
        assert fresh.all()
        self.model[row] = dict(zip(self.model[source], slots.tolist(), strict=True))
        return multiple(row)

    @invariant()
    def counts_agree(self) -> None:
        self.filled.tables.check_invariants()
        owned = [slot for row in self.model for slot in self.filled.tables.slots(row).tolist()]
        assert sorted(owned) == sorted(s for table in self.model.values() for s in table.values())


TestTablesBesideDicts = TablesBesideDicts.TestCase
TestTablesBesideDicts.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
