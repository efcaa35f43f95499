"""A copy of a table is what it was, read late in another thread, in memory that is used again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from eventtime.state import copies
from eventtime.state.copies import Copies
from eventtime.state.kernels import PAGE_SLOTS
from eventtime.state.tables import Tables

NEUTRAL = np.array([0, 0, 7], np.int64)
PIECE = 4 * PAGE_SLOTS


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_PIECE_BYTES", PIECE * 8 * len(NEUTRAL))


def filled(tables: Tables, n: int, key: int) -> int:
    """Make a table of `n` keys, whose words are told by the number given."""
    row = tables.create(key)
    columns = [np.arange(n) * 3, np.arange(n) + key, np.full(n, key)]
    tables.enter(row, columns)
    return row


SIZES = [1, PAGE_SLOTS - 1, PAGE_SLOTS, PAGE_SLOTS + 1, PIECE, 3 * PIECE + 5]


def test_tables_of_any_size_are_as_they_were_while_the_work_goes_on() -> None:
    tables = Tables(NEUTRAL)
    made = Copies(tables)
    rows = [filled(tables, n, i) for i, n in enumerate(SIZES)]
    wanted = [tables.words[tables.slots(row)].T.copy() for row in rows]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            made.begin()
            held = [made.of(row) for row in rows]
            was, tables.words[:] = tables.words.copy(), -1
            got = list(pool.map(lambda copy: copy.columns(3), held))
            tables.words[:] = was
            assert all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


def test_pages_that_do_not_lie_side_by_side_are_in_order_of_insertion() -> None:
    tables = Tables(NEUTRAL)
    first, second = tables.create(0), tables.create(1)
    source = filled(tables, 6 * PAGE_SLOTS, 2)
    slots = tables.slots(source)
    for part in np.split(slots, 12):
        tables.pair(first, part)
        tables.pair(second, part[::-1])
    for row in (first, second):
        columns = Copies(tables).of(row).columns(3)
        assert np.array_equal(columns[0], tables.words[tables.slots(row), 0])


def test_memory_serves_the_next_cut_and_stays_bounded() -> None:
    tables = Tables(NEUTRAL)
    made, row = Copies(tables), filled(tables, 5 * PIECE, 1)
    most = 0
    for i in range(10):
        made.begin()
        held = made.of(row)
        if i % 2:
            held.columns(3)
        # One that is never read gives its memory back too.
        del held
        most = max(most, made.nbytes)
    arena = tables.words.nbytes
    assert 5 * PIECE * 24 <= most <= arena + PIECE * 24


def test_a_copy_is_read_once() -> None:
    tables = Tables(NEUTRAL)
    copy = Copies(tables).of(filled(tables, 3, 1))
    copy.columns(3)
    with pytest.raises(RuntimeError, match="was read before"):
        copy.columns(3)
