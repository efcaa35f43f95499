"""Ids of byte strings and of rows: equal values one id, growth, and ids given out again (S30)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.state import interner
from eventtime.state.interner import BytesInterner, RowInterner


def alive(interner: BytesInterner | RowInterner, ids: np.ndarray) -> np.ndarray:
    flags = np.zeros(interner.capacity, np.bool_)
    flags[ids] = True
    return flags


@given(st.lists(st.lists(st.binary(max_size=20), max_size=50), max_size=8), st.integers(0, 2**32))
def test_equal_values_have_one_id_while_they_live(batches: list[list[bytes]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    interner = BytesInterner()
    known: dict[bytes, int] = {}
    for values in batches:
        ids = interner.intern(pa.array(values, pa.binary())).tolist()
        for value, number in zip(values, ids, strict=True):
            assert known.setdefault(value, number) == number
        assert len(set(known.values())) == len(known) == len(interner)
        kept = {value: n for value, n in known.items() if rng.random() < 0.5}
        interner.keep_only(alive(interner, np.array(list(kept.values()), np.int64)))
        known = kept
        numbers = np.array(list(known.values()), np.int64)
        assert interner.take(numbers, pa.binary()).to_pylist() == list(known)
        assert sorted(interner.numbers().tolist()) == sorted(known.values())


def test_thousands_of_values_of_all_lengths_are_told_apart() -> None:
    values = [bytes([i % 251]) * (i % 600) + str(i).encode() for i in range(20_000)]
    interner = BytesInterner()
    ids = interner.intern(pa.array(values, pa.binary()))
    assert len(interner) == 20_000
    assert interner.take(ids, pa.large_binary()).to_pylist() == values


def test_values_that_differ_only_at_the_end_or_in_length_differ() -> None:
    values = [b"a" * n for n in range(40)] + [b"a" * 39 + b"\x00", b"\x00", b"\x00\x00"]
    assert len(set(BytesInterner().intern(pa.array(values, pa.binary())).tolist())) == len(values)


@given(st.lists(st.one_of(st.none(), st.binary(max_size=20)), max_size=50))
def test_nulls_come_back_as_nulls_now_and_later(values: list[bytes | None]) -> None:
    interner = BytesInterner()
    interner.intern(pa.array([b"-" * 40], pa.binary()))
    column = pa.array(values, pa.binary())
    ids, valid = interner.intern(column), np.array([v is not None for v in values], np.bool_)
    for take in (interner.take, lambda *of: interner.take_later(*of)()):
        for kind in (pa.binary(), pa.large_binary()):
            taken = take(ids, kind, valid)
            taken.validate(full=True)
            assert taken.equals(column.cast(kind))
            assert not values or taken.buffers()[2].size == sum(len(v or b"") for v in values)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()])
def test_the_form_of_a_value_does_not_matter_for_its_id(kind: pa.DataType) -> None:
    interner = BytesInterner()
    plain = interner.intern(pa.array(["x", "yy"], pa.string()))
    ids = interner.intern(pa.array(["yy", "x"]).cast(kind))
    assert ids.tolist() == plain[::-1].tolist()
    assert interner.take(ids, kind).type == kind


def test_where_a_value_lies_does_not_matter_for_its_id() -> None:
    # Words are read from up to 16 bytes before the end of a value: at the start there are none.
    values = [b"z" * n for n in range(20)]
    interner = BytesInterner()
    for first in values:
        for second in values:
            apart = interner.intern(pa.array([b"-" * 50, first, second], pa.binary()))
            at_start = interner.intern(pa.array([first, second], pa.binary()))
            sliced = interner.intern(pa.array([b"!", first, second, b"?"], pa.binary()).slice(1, 2))
            assert apart[1:].tolist() == at_start.tolist() == sliced.tolist()
    assert len(interner) == len(values) + 1


def test_values_with_equal_hashes_are_told_apart_by_their_bytes() -> None:
    # Multiplying by this second word, less itself, gives zero whatever the first word is.
    blind = (0xD6E8FEB86659FD93).to_bytes(8, "little")
    values = [f"{i:08d}".encode() + blind + b"sixteen of a tail" for i in range(1_000)]
    interner = BytesInterner()
    ids = interner.intern(pa.array(values, pa.binary()))
    assert len(set(ids.tolist())) == len(values)
    assert interner.intern(pa.array(values[::-1], pa.binary())).tolist() == ids[::-1].tolist()
    assert interner.take(ids, pa.binary()).to_pylist() == values


@given(st.lists(st.one_of(st.none(), st.text("ab", max_size=20)), max_size=300))
def test_nulls_take_no_id_and_disturb_no_other(values: list[str | None]) -> None:
    interner = BytesInterner()
    known = [value for value in values if value is not None]
    plain = interner.intern(pa.array(known, pa.string())).tolist()
    ids = interner.intern(pa.array(values, pa.string())).tolist()
    assert [n for n, value in zip(ids, values, strict=True) if value is not None] == plain
    assert all(n == 0 for n, value in zip(ids, values, strict=True) if value is None)
    assert len(interner) == len(set(known))


def test_memory_is_that_of_the_living() -> None:
    interner = BytesInterner()
    for day in range(30):
        ids = interner.intern(pa.array([f"{day} {i} {'x' * 100}" for i in range(1_000)]))
        interner.keep_only(alive(interner, ids[:1]))
    assert len(interner) == 1
    assert len(interner.blob) < 300_000
    assert interner.capacity <= 2_048


def test_the_version_changes_with_the_values_only() -> None:
    interner = BytesInterner()
    interner.intern(pa.array(["a"]))
    version = interner.version
    interner.intern(pa.array(["a", "a"]))
    assert interner.version == version
    interner.intern(pa.array(["b"]))
    assert interner.version != version


@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from([0, 2**62, -(2**63)])), max_size=600))
def test_rows_have_one_id_each(rows: list[tuple[int, int]]) -> None:
    interner = RowInterner(2)
    words = np.array(rows, np.int64).reshape(-1, 2)
    ids = interner.intern(words)
    assert len(interner) == len(set(rows))
    assert interner.take(ids).tolist() == words.tolist()
    kept = ids[: len(ids) // 2]
    interner.keep_only(alive(interner, kept))
    assert interner.take(kept).tolist() == words[: len(kept)].tolist()
    again = interner.intern(words)
    assert again[: len(kept)].tolist() == kept.tolist()


def test_thousands_of_rows_are_told_apart() -> None:
    interner = RowInterner(3)
    rows = np.arange(30_000, dtype=np.int64).reshape(-1, 3) % 997 * 2**40
    ids = interner.intern(rows)
    assert len(interner) == len({tuple(r) for r in rows.tolist()})
    assert np.array_equal(interner.take(ids), rows)


def test_ranges_of_ids_say_which_cut_first_saw_them_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interner, "RANGE_IDS", 100)
    ids = BytesInterner()
    names = pa.array([str(i) for i in range(1_000)])
    assert ids.versions(1) == {}
    ids.intern(names[:150])
    assert ids.versions(2) == {0: 2, 1: 2}
    ids.intern(names[100:160])
    assert ids.versions(3) == {0: 2, 1: 3}
    ids.intern(names[:160])
    assert ids.versions(4) == {0: 2, 1: 3}
    # Growing beyond the first 256 ids.
    ids.intern(names)
    assert ids.versions(5) == {0: 2, **dict.fromkeys(range(1, 10), 5)}
    alive = np.ones(ids.capacity, np.bool_)
    alive[[250, *range(300, 400)]] = False
    ids.keep_only(alive)
    assert ids.versions(6) == {0: 2, 1: 5, 2: 6, **dict.fromkeys(range(4, 10), 5)}
    ids.intern(pa.array(["again"]))
    assert ids.versions(7)[2] == 7
    assert np.array_equal(np.concatenate([ids.numbers_of(i) for i in range(11)]), ids.numbers())
