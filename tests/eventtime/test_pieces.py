"""Columns of several partitions in one order: every lane, nulls in some only, dictionaries."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import eventtime as et
from eventtime.pieces import positions_of
from windowing import pipeline, rows

COLUMNS: list[tuple[pa.DataType, list[Any], list[Any]]] = [
    (pa.int64(), [1, None, 3], [4, 5, 6]),
    (pa.float32(), [1.5, 2.5, 3.5], [None, 5.5, None]),
    (pa.bool_(), [True, False, True], [None, None, True]),
    (pa.decimal128(20, 2), [Decimal("1.00"), None, Decimal("-3.00")], [Decimal("4.00")] * 3),
    (pa.string(), ["a", None, "c"], ["d", "e", "f"]),
    (pa.list_(pa.int8()), [[1], None, []], [[2], [3, 4], None]),
    (pa.date32(), [None, None, None], [None, None, None]),
]


@pytest.mark.parametrize(
    ("kind", "first", "second"), COLUMNS, ids=lambda v: str(v) if isinstance(v, pa.DataType) else ""
)
def test_values_keep_their_rows(kind: pa.DataType, first: list[Any], second: list[Any]) -> None:
    # a: 0 2 4   b: 1 3 5   in turn: a b a b a b
    data = {
        "a": rows([0, 2, 4], x=pa.array(first, kind)),
        "b": rows([1, 3, 5], x=pa.array(second, kind)),
    }
    table = pipeline(
        data, n=et.count("x"), all=et.collect("x"), a=et.first("x"), z=et.last("x")
    ).to_table()
    wanted = [v for pair in zip(first, second, strict=True) for v in pair if v is not None]
    (row,) = table.to_pylist()
    assert row["n"] == len(wanted)
    assert row["all"] == (wanted or None)
    assert (row["a"], row["z"]) == ((wanted[0], wanted[-1]) if wanted else (None, None))


def test_dictionaries_of_partitions_need_not_agree() -> None:
    data = {
        "a": rows([0, 2], x=pa.array(["p", "q"]).dictionary_encode()),
        "b": rows([1, 3], x=pa.array(["q", None]).dictionary_encode()),
    }
    table = pipeline(data, keys=["x"], all=et.collect("x")).to_table()
    assert table["x"].to_pylist() == ["p", "q", None]
    assert table["all"].to_pylist() == [["p"], ["q", "q"], None]


def test_null_keys_of_one_partition_are_null_in_the_whole() -> None:
    data = {"a": rows([0, 2], k=[1, 2]), "b": rows([1, 3], k=[None, 1])}
    table = pipeline(data, keys=["k"]).to_table()
    assert list(zip(table["k"].to_pylist(), table["n"].to_pylist(), strict=True)) == [
        (1, 2),
        (2, 1),
        (None, 1),
    ]


def test_positions_of_a_piece_are_those_of_its_segments() -> None:
    segments = np.array([[0, 5, 7], [1, 0, 3], [0, 7, 8]], np.int64)
    assert positions_of(segments, 0).tolist() == [0, 1, 5]
    assert positions_of(segments, 1).tolist() == [2, 3, 4]
    assert positions_of(segments, 2).tolist() == []
