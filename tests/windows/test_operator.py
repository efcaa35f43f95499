"""One total order of results, whatever the keys, shards and cuts (S24); keys given back (S30)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.engine import Engine
from windowing import TIME, pipeline, rows


def test_results_come_by_firing_point_then_key_with_nulls_last() -> None:
    data = rows([0, 1, 2, 61, 62, 3], k=["b", None, "a", "b", "a", None])
    table = pipeline(data, generator=et.bounded_disorder("1h"), keys=["k"]).to_table()
    found = [(r["window_start"].timestamp(), r["k"]) for r in table.to_pylist()]
    assert found == [(0, "a"), (0, "b"), (0, None), (60, "a"), (60, "b")]


def test_keys_are_ordered_column_by_column() -> None:
    data = rows([0] * 5, a=[2, 1, None, 1, 2], b=["x", None, "x", "y", "a"])
    table = pipeline(data, keys=["a", "b"]).to_table()
    found = list(zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True))
    assert found == [(1, "y"), (1, None), (2, "a"), (2, "x"), (None, "x")]


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_the_null_key_and_the_least_integer_are_two_groups(shards: int) -> None:
    data = rows([0] * 4, k=[-(2**63), None, 0, None])
    table = pipeline(data, keys=["k"]).run(shards=shards).table()
    assert list(zip(table["k"].to_pylist(), table["n"].to_pylist(), strict=True)) == [
        (-(2**63), 1), (0, 1), (None, 2),
    ]  # fmt: skip


def test_dense_keys_and_far_outliers_are_all_counted() -> None:
    keys = [*range(2_000), 2**62, -(2**63), *range(2_000), 2**63 - 1]
    table = pipeline(rows([0] * len(keys), k=keys), keys=["k"]).to_table()
    assert table.num_rows == 2_003
    assert table["k"].to_pylist() == sorted(set(keys))
    assert set(table["n"].to_pylist()[1:2_001]) == {2}


def test_a_row_alone_is_a_result() -> None:
    assert pipeline(rows([-0.000001])).to_table()["n"].to_pylist() == [1]


def test_rows_of_equal_times_are_in_one_window() -> None:
    assert pipeline(rows([60.0] * 1_000)).to_table()["n"].to_pylist() == [1_000]


def test_when_all_rows_but_one_are_late_the_ledger_says_so() -> None:
    run = pipeline(rows([10**6, *range(100)])).run()
    assert (run.ledger.total.late, run.ledger.total.windowed) == (100, 1)
    run.assert_balanced()


def test_the_global_window_fires_at_the_end_and_has_no_bounds() -> None:
    row = pipeline(rows([-5, 10**9, 3]), et.global_window()).to_table().to_pylist()[0]
    assert (row["n"], row["window_start"], row["window_end"], row["is_final"]) == (
        3,
        None,
        None,
        True,
    )


def test_windows_at_the_ends_of_the_admitted_range_are_windows() -> None:
    times = pa.array([-(2**62), 2**62], pa.int64()).view(TIME)
    run = pipeline(pa.record_batch({"t": times}), et.tumbling("1d", offset="5h")).run()
    starts = run.table()["window_start"].cast(pa.int64()).to_pylist()
    day, offset = 86_400_000_000, 5 * 3_600_000_000
    assert starts == [(t - offset) // day * day + offset for t in (-(2**62), 2**62)]


def test_memory_of_keys_of_closed_windows_is_given_back() -> None:
    stream = pipeline(rows([], k=pa.array([], pa.string())), keys=["k"], window={"late": et.DROP})
    engine = Engine(stream, ["a"])
    for minute in range(40):
        keys = [f"minute {minute} key {i}" for i in range(1_000)]
        engine.push("a", rows([60.0 * minute] * 1_000, k=keys))
    codec = engine._core.stages.codec
    assert len(codec) < 8_000
    table = engine.results()
    assert table.num_rows == 39_000
    assert table["k"].to_pylist()[-1].startswith("minute 38")


KEYS: list[tuple[pa.DataType, Any]] = [
    (pa.int64(), st.none() | st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1])),
    (pa.uint64(), st.none() | st.sampled_from([0, 1, 2**63, 2**64 - 1])),
    (pa.string(), st.none() | st.sampled_from(["", "a", "aa", "é"])),
    (pa.bool_(), st.none() | st.booleans()),
]


@given(st.data(), st.sampled_from(KEYS), st.integers(1, 7), st.integers(1, 3))
def test_neither_cuts_nor_shards_show(
    data: st.DataObject, key: tuple[pa.DataType, Any], width: int, shards: int
) -> None:
    kind, values = key
    seconds = data.draw(st.lists(st.integers(-90, 200), min_size=1, max_size=40))
    keys = data.draw(st.lists(values, min_size=len(seconds), max_size=len(seconds)))
    whole = rows(seconds, k=pa.array(keys, kind), x=np.arange(len(seconds)) * 0.1)
    runs = []
    for batches, n in (
        ([whole], 1),
        ([whole.slice(i, width) for i in range(0, len(whole), width)], shards),
    ):
        stream = pipeline(
            batches, et.sliding("60s", slide="25s"), keys=["k"], window={"allowed_lateness": "30s"},
            s=et.sum("x"), v=et.var("x"), f=et.first("x"), all=et.collect("x"),
        )  # fmt: skip
        run = stream.run(shards=n)
        run.assert_balanced()
        runs.append((run.table(), run.side("late"), run.ledger))
    assert runs[0] == runs[1]
