"""Keys as words and back (D11): every type, null as a group, order, forgotten keys (S30)."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventtime.errors import PlanError
from eventtime.state.keys import KeyCodec, check_key_type

SMALLEST, LARGEST = -(2**63), 2**63 - 1

TYPES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int8(), [-128, 0, 127]),
    (pa.int64(), [SMALLEST, -1, 0, LARGEST]),
    (pa.uint8(), [0, 128, 255]),
    (pa.uint64(), [0, 1, 2**63 - 1, 2**63, 2**64 - 1]),
    (pa.bool_(), [False, True]),
    (pa.date32(), [dt.date(1969, 12, 31), dt.date(1970, 1, 1)]),
    (pa.date64(), [dt.date(1969, 12, 31), dt.date(1970, 1, 1)]),
    (
        pa.timestamp("s", "UTC"),
        [dt.datetime(1950, 1, 1, tzinfo=dt.UTC), dt.datetime(2050, 1, 1, tzinfo=dt.UTC)],
    ),
    (pa.time32("ms"), [dt.time(0), dt.time(23)]),
    (pa.time64("us"), [dt.time(0), dt.time(23)]),
    (pa.duration("s"), [dt.timedelta(-1), dt.timedelta(1)]),
    (pa.string(), ["", "a", "aa", "b", "ž"]),
    (pa.large_string(), ["", "a", "b" * 300]),
    (pa.string_view(), ["", "a", "a long one that is not inlined"]),
    (pa.binary(), [b"", b"\x00", b"\x00\x00", b"\xff"]),
    (pa.large_binary(), [b"", b"x"]),
    (pa.binary_view(), [b"", b"x"]),
    (pa.binary(2), [b"\x00\x01", b"ab"]),
]


def back(codec: KeyCodec, columns: list[pa.Array]) -> list[pa.Array]:
    words, nulls = codec.encode(columns)
    return codec.decode(words, nulls.astype(bool) if nulls.size else np.zeros(len(words), bool))


def in_order(codec: KeyCodec, columns: list[pa.Array]) -> list[pa.Array]:
    words, nulls = codec.encode(columns)
    flags = nulls.astype(bool) if nulls.size else np.zeros(len(words), bool)
    order = codec.order(words, flags)
    return codec.decode(words[order], flags[order])


@pytest.mark.parametrize(("kind", "values"), TYPES, ids=str)
def test_keys_come_back_as_they_went_in(kind: pa.DataType, values: list[Any]) -> None:
    column = pa.array([*values, None, *reversed(values)], kind)
    (found,) = back(KeyCodec([kind]), [column])
    assert found.type == kind
    assert found.to_pylist() == column.to_pylist()


@pytest.mark.parametrize(("kind", "values"), TYPES, ids=str)
def test_keys_are_listed_ascending_and_nulls_last(kind: pa.DataType, values: list[Any]) -> None:
    column = pa.array([None, *reversed(values)], kind)
    assert in_order(KeyCodec([kind]), [column])[0].to_pylist() == [*values, None]


@pytest.mark.parametrize(("kind", "values"), TYPES, ids=str)
def test_each_of_several_columns_is_ordered_with_its_nulls_last(
    kind: pa.DataType, values: list[Any]
) -> None:
    wanted = [(i, v) for i in (1, 2, None) for v in (*values, None)]
    first, second = zip(*reversed(wanted), strict=True)
    found = in_order(
        KeyCodec([pa.int32(), kind]), [pa.array(first, pa.int32()), pa.array(second, kind)]
    )
    assert list(zip(found[0].to_pylist(), found[1].to_pylist(), strict=True)) == wanted


def test_null_is_not_the_value_whose_word_it_shares() -> None:
    for value in (0, SMALLEST, LARGEST):
        words, nulls = KeyCodec([pa.int64()]).encode([pa.array([value, None])])
        assert nulls.tolist() == [0, 1]
        assert words[0] == value


def test_text_and_its_empty_string_differ_from_null() -> None:
    words, nulls = KeyCodec([pa.string()]).encode([pa.array(["", None, "", "a"])])
    assert words[0] == words[2] != words[3]
    assert nulls.tolist() == [0, 1, 0, 0]


def test_rows_that_differ_only_in_a_null_differ() -> None:
    codec = KeyCodec([pa.int64(), pa.int64()])
    words, nulls = codec.encode([pa.array([0, None, 0, None, 0]), pa.array([0, 0, None, None, 0])])
    assert nulls.size == 0
    assert len(set(words.tolist())) == 4
    assert words[0] == words[4]


def test_a_dictionary_is_its_values_whatever_their_codes() -> None:
    codec = KeyCodec([pa.dictionary(pa.int8(), pa.string())])
    one = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), ["a", "b"])
    other = pa.DictionaryArray.from_arrays(pa.array([1, 0, 2], pa.uint16()), ["b", "a", None])
    (words, nulls), (others, other_nulls) = codec.encode([one]), codec.encode([other])
    assert words[:2].tolist() == others[:2].tolist()
    assert nulls.tolist() == other_nulls.tolist() == [0, 0, 1]
    assert codec.decode(words[:2], np.zeros(2, bool))[0].to_pylist() == ["a", "b"]


def test_a_dictionary_without_values_is_all_null() -> None:
    column = pa.DictionaryArray.from_arrays(
        pa.array([None, None], pa.int8()), pa.array([], pa.string())
    )
    words, nulls = KeyCodec([column.type]).encode([column])
    assert (len(words), nulls.tolist()) == (2, [1, 1])


def test_a_slice_of_a_column_encodes_its_own_rows() -> None:
    for kind, values in TYPES:
        column = pa.array([values[0], None, values[-1], values[0]], kind).slice(1, 2)
        assert back(KeyCodec([kind]), [column])[0].to_pylist() == [None, values[-1]]


def test_no_rows_are_no_words() -> None:
    for kind, _ in TYPES:
        codec = KeyCodec([kind])
        words, nulls = codec.encode([pa.array([], kind)])
        assert len(words) == len(nulls) == 0
        assert codec.decode(words, nulls.astype(bool))[0].type == kind


def test_without_key_columns_all_rows_are_one_group() -> None:
    codec = KeyCodec([])
    assert codec.no_key(3).tolist() == [0, 0, 0]
    assert codec.decode(codec.no_key(1), np.zeros(1, bool)) == []
    assert not codec.interned


@given(st.integers(0, 2**32), st.integers(0, 63), st.integers(SMALLEST, LARGEST))
def test_many_keys_of_any_range_are_ordered(seed: int, bits: int, low: int) -> None:
    spread = np.random.default_rng(seed).integers(0, 2**bits, 700).tolist()
    values = [min(LARGEST, low + v) for v in spread]
    codec = KeyCodec([pa.int64()])
    words, _ = codec.encode([pa.array(values)])
    assert words[codec.order(words, np.zeros(len(words), bool))].tolist() == sorted(values)


def test_many_unsigned_keys_around_the_sign_are_ordered() -> None:
    values = [(i * 0x9E3779B97F4A7C15) % 2**64 for i in range(2_000)]
    assert in_order(KeyCodec([pa.uint64()]), [pa.array(values, pa.uint64())])[
        0
    ].to_pylist() == sorted(values)


# Memory


def test_memory_of_keys_that_are_gone_is_given_back() -> None:
    codec = KeyCodec([pa.string()])
    words = np.empty(0, np.int64)
    for day in range(50):
        words, _ = codec.encode([pa.array([f"day {day} key {i}" for i in range(1_000)])])
        codec.keep_only([words[:10]])
        assert len(codec) == 10
    kept = codec.decode(words[:10], np.zeros(10, bool))[0]
    assert kept.to_pylist() == [f"day 49 key {i}" for i in range(10)]
    # The ids of those forgotten were given out again: no more than one day's ever existed.
    assert int(words.max()) < 4_096


def test_keys_that_are_kept_keep_their_words() -> None:
    codec = KeyCodec([pa.string(), pa.int64()])
    columns = [pa.array(["a", "b", None, "c"]), pa.array([1, None, 3, 4])]
    words, _ = codec.encode(columns)
    codec.keep_only([words[1:3]])
    assert len(codec) == 2
    assert [c.to_pylist() for c in codec.decode(words[1:3], np.zeros(2, bool))] == [
        ["b", None],
        [None, 3],
    ]
    again, _ = codec.encode(columns)
    assert again[1:3].tolist() == words[1:3].tolist()
    assert len(codec) == 4


def test_keys_are_ordered_after_some_were_forgotten_and_others_came() -> None:
    codec = KeyCodec([pa.string()])
    old, _ = codec.encode([pa.array(["m", "z", "q"])])
    assert codec.order(old, np.zeros(3, bool)).tolist() == [0, 2, 1]
    codec.keep_only([old[2:]])
    new, _ = codec.encode([pa.array(["x", "q", "a"])])
    assert codec.order(new, np.zeros(3, bool)).tolist() == [2, 1, 0]


@pytest.mark.parametrize(("kind", "values"), TYPES, ids=str)
@pytest.mark.parametrize("more", [[], [pa.string()]], ids=["alone", "with another"])
def test_keys_that_were_saved_get_words_in_another_codec(
    kind: pa.DataType, values: list[Any], more: list[pa.DataType]
) -> None:
    codec, other = KeyCodec([kind, *more]), KeyCodec([kind, *more])
    if not codec.interned:
        return

    def columns(values: list[Any]) -> list[pa.Array]:
        return [pa.array(values, kind), *(pa.array(["x", None, "x"])[: len(values)] for _ in more)]

    # Other keys came first, in both.
    other.encode(columns(values[-1:]))
    codec.encode(columns(values[-1:]))
    words, _ = codec.encode(columns(values[:3]))
    saved = [part.copy()() for part in codec.save(1)]
    assert set(words.tolist()) <= set(saved[0].column(0).to_pylist())
    ids, flags = other.restore(saved), np.zeros(len(words), bool)
    for there, here in zip(
        codec.decode(words, flags), other.decode(ids[words], flags), strict=True
    ):
        assert there.equals(here)


def test_no_keys_are_saved_and_restored_too() -> None:
    assert KeyCodec([pa.string()]).save(1) == []


def test_forgetting_nothing_held_forgets_all() -> None:
    codec = KeyCodec([pa.binary()])
    codec.encode([pa.array([b"x", b"y"])])
    codec.keep_only([])
    assert len(codec) == 0
    assert back(codec, [pa.array([b"y"])])[0].to_pylist() == [b"y"]


# Types


@pytest.mark.parametrize(
    "kind",
    [
        pa.float32(),
        pa.float64(),
        pa.decimal128(9, 2),
        pa.list_(pa.int8()),
        pa.struct({"a": pa.int8()}),
        pa.null(),
    ],
    ids=str,
)
def test_a_type_that_makes_no_key_is_refused_by_name(kind: pa.DataType) -> None:
    with pytest.raises(PlanError, match=r"column 'k' of type .* cannot be a key") as error:
        check_key_type("k", kind)
    assert "cast it" in str(error.value)


@pytest.mark.parametrize(
    "kind", [k for k, _ in TYPES] + [pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_types_with_an_identity_make_keys(kind: pa.DataType) -> None:
    check_key_type("k", kind)


def test_a_dictionary_of_floats_is_refused_like_its_values() -> None:
    with pytest.raises(PlanError, match="cannot be a key"):
        check_key_type("k", pa.dictionary(pa.int8(), pa.float64()))


@pytest.mark.parametrize("columns", [1, 2])
def test_a_few_keys_of_many_are_in_the_order_of_all(columns: int) -> None:
    names = [f"{i * 7919 % 1000:03}" for i in range(1000)]
    codec = KeyCodec([pa.string()] * columns)
    words, nulls = codec.encode([pa.array([None, *names])] * columns)
    absent = nulls != 0 if nulls.size else np.zeros(len(words), np.bool_)
    few = np.array([3, 0, 700, 20, 3, 999])
    by_few = codec.order(words[few], absent[few]).tolist()
    whole = codec.order(words, absent)
    places = np.empty(len(words), np.int64)
    places[whole] = np.arange(len(words))
    assert by_few == np.argsort(places[few], kind="stable").tolist()
    assert by_few[-1] == 1, "the null key is the last"
