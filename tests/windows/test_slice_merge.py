"""Sliding windows are merges of slices, bit for bit those of D7, late rows and all."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sortedcontainers import SortedDict

import eventtime as et
from eventtime.windows.accumulators import Accumulators
from eventtime.windows.slice_merge import SliceMerge
from eventtime.windows.words import Output, Words
from windowing import pipeline, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[int, float, int]
"""Event time in seconds, value, key."""


def bits(value: float | None) -> bytes:
    return struct.pack("<d", math.nan if value is None else value)


def folded(values: Sequence[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def added(a: float | None, b: float | None) -> float | None:
    """Add where there is something to add."""
    return b if a is None else a if b is None else a + b


def by_d7(slices: dict[int, list[float]], first: int, n: int) -> float | None:
    """Sum the window of slices [first, first + n) as D7 says."""
    sums = {i: folded(values) for i, values in slices.items()}
    cut = first if first % n == 0 else (first // n + 1) * n
    suffix: float | None = None
    for i in range(cut - 1, first - 1, -1):
        suffix = added(sums.get(i), suffix)
    prefix: float | None = None
    for i in range(cut, first + n):
        prefix = added(prefix, sums.get(i))
    return added(suffix, prefix)


def sums_by_d7(data: Sequence[Row], size: int, slide: int) -> dict[tuple[int, int], float]:
    """Sum every window of every key, by (start, key)."""
    g = math.gcd(size, slide)
    found = {}
    for key in {k for _, _, k in data}:
        slices: dict[int, list[float]] = {}
        for t, value, k in data:
            if k == key:
                slices.setdefault(t // g, []).append(value)
        low, high = min(slices) * g, max(slices) * g + g
        for start in range((low - size) // slide * slide, high + slide, slide):
            total = by_d7(slices, start // g, size // g)
            if total is not None:
                found[start, key] = total
    return found


VALUES = st.floats(-1e18, 1e18, allow_nan=False) | st.sampled_from([0.1, 1e16, -1e16, 1.0, -0.0])
ROWS = st.lists(st.tuples(st.integers(-40, 40), VALUES, st.integers(0, 2)), min_size=1, max_size=60)
SIZES = st.sampled_from([(6, 1), (6, 2), (6, 4), (7, 3), (12, 1), (10, 10), (30, 7)])


@given(ROWS, SIZES)
@example([(-1, 1e16, 0), (0, 1.0, 0), (1, -1e16, 0)], (6, 1))
def test_sums_of_sliding_windows_are_those_of_d7_bit_for_bit(
    data: list[Row], sizes: tuple[int, int]
) -> None:
    size, slide = sizes
    times, values, keys = zip(*data, strict=True)
    stream = pipeline(
        rows(times, x=pa.array(values, pa.float64()), k=pa.array(keys)),
        et.sliding(f"{size}s", slide=f"{slide}s"),
        generator=et.bounded_disorder("100s"),
        keys=["k"],
        total=et.sum("x"),
    )
    found = {(start(r), r["k"]): bits(r["total"]) for r in stream.to_table().to_pylist()}
    assert found == {at: bits(total) for at, total in sums_by_d7(data, size, slide).items()}


def start(row: dict[str, object]) -> int:
    return int(row["window_start"].timestamp())  # type: ignore[attr-defined]  # a datetime


@given(
    st.lists(st.tuples(st.integers(0, 40), VALUES, st.integers(0, 1)), min_size=1, max_size=50),
    st.sampled_from([(6, 1), (6, 4), (8, 2)]),
    st.sampled_from(["accumulating", "retracting"]),
)
@example(
    [(5, 1e16, 0), (12, 1.0, 0), (4, -1e16, 0), (20, 0.1, 0), (9, 0.1, 0), (30, 1.0, 0)],
    (6, 1),
    "accumulating",
)
def test_the_last_version_of_a_window_is_the_sum_of_all_that_was_not_late(
    data: list[Row], sizes: tuple[int, int], mode: str
) -> None:
    size, slide = sizes
    times, values, keys = zip(*data, strict=True)
    stream = pipeline(
        rows(times, x=pa.array(values, pa.float64()), k=pa.array(keys)),
        et.sliding(f"{size}s", slide=f"{slide}s"),
        keys=["k"],
        window={"allowed_lateness": "100s", "mode": mode},
        total=et.sum("x"),
    )
    run = stream.run()
    assert run.side("late").num_rows == 0
    found = {}
    for r in run.table().to_pylist():
        if r.get("diff", 1) == 1:
            found[start(r), r["k"]] = bits(r["total"])
    assert found == {at: bits(total) for at, total in sums_by_d7(data, size, slide).items()}


def test_a_late_row_before_the_cached_prefix_is_in_every_later_window() -> None:
    # slices of 1 s, windows of 4 s; the row at 4.5 comes when [4, 8) is cached up to 7.
    data = rows([4, 5, 6, 7, 4.5, 8, 9, 10, 11, 12], x=[1, 1, 1, 1, 100, 1, 1, 1, 1, 1])
    stream = pipeline(
        data,
        et.sliding("4s", slide="1s"),
        window={"allowed_lateness": "1m"},
        total=et.sum("x"),
        n=et.count(),
    )
    last = {start(r): r["total"] for r in stream.to_table().to_pylist()}
    assert {s: last[s] for s in range(1, 9)} == {
        1: 101,
        2: 102,
        3: 103,
        4: 104,
        5: 4,
        6: 4,
        7: 4,
        8: 4,
    }


@pytest.mark.parametrize("n_keys", [1, 3_000])
def test_gaps_between_slices_leave_no_trace(n_keys: int) -> None:
    times = [0.0] * n_keys + [1_000.0] * n_keys
    data = rows(times, k=list(range(n_keys)) * 2, x=[1] * n_keys + [5] * n_keys)
    table = pipeline(data, et.sliding("60s", slide="1s"), keys=["k"], total=et.sum("x")).to_table()
    assert table.num_rows == 2 * 60 * n_keys
    assert set(table.column("total").to_pylist()) == {1, 5}


def test_state_is_empty_when_all_windows_have_fired() -> None:
    from eventtime.engine import Engine

    data = rows([0, 5, 3, 12, 7], k=[1, 2, 1, 3, None])
    stream = pipeline(
        data, et.sliding("10s", slide="3s"), keys=["k"], window={"allowed_lateness": "5s"}
    )
    engine = Engine(stream, ["a"])
    engine.push("a", data)
    engine.finish_all()
    assert engine.is_empty


def test_a_window_far_in_the_past_has_negative_slices() -> None:
    table = pipeline(rows([-61, -1, 0]), et.sliding("60s", slide="20s")).to_table()
    found = [(start(r), r["n"]) for r in table.to_pylist()]
    assert found == [(-120, 1), (-100, 1), (-80, 1), (-60, 1), (-40, 2), (-20, 2), (0, 1)]


def test_a_key_first_seen_late_is_in_every_later_window() -> None:
    # Key 1 comes to the slice of second 5, which is in a suffix and in a prefix by then.
    for late_at in (5, 6):
        times = [4, 5, 6, 7, 8, 9, late_at, 10, 11, 12]
        data = rows(times, k=[0] * 6 + [1] + [0] * 3)
        stream = pipeline(
            data,
            et.sliding("4s", slide="1s"),
            keys=["k"],
            window={"allowed_lateness": "1m"},
        )
        found = {start(r) for r in stream.to_table().to_pylist() if r["k"] == 1}
        assert found == set(range(late_at - 3, late_at + 1))


class Slices:
    """Slices of keys that are counted, merged without an operator around them."""

    def __init__(self, n: int) -> None:
        self.acc = Accumulators(Words.of([Output("n", et.count(), ())], []))
        self.rows: SortedDict[int, int] = SortedDict()
        self.merge = SliceMerge(self.acc, self.rows, n)

    def add(self, index: int, keys: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        tables = self.acc.tables
        if tables.n_free < 8:
            tables.add_pages(8)
        # Keys are read from slots of a page that is taken last.
        source = tables.free_pages[0] * 256 + np.arange(len(keys))
        tables.words[source] = np.stack([keys, np.ones_like(keys)], axis=1)
        self.rows[index] = tables.create(index)
        slots, _ = tables.pair(self.rows[index], source)
        tables.words[slots, 1] += 1

    def window(self, first: int) -> dict[int, int]:
        slots, table = self.merge.window(first)
        found = dict(self.acc.tables.words[slots].tolist())
        self.acc.release(table)
        return found

    def retire(self, index: int) -> None:
        self.merge.forget(index)
        self.acc.release(self.rows.pop(index))

    @property
    def held(self) -> int:
        """Accumulators in all tables."""
        return sum(self.acc.tables.count(row) for row in self.acc.tables.live)


def test_state_is_that_of_live_slices_when_keys_come_and_go() -> None:
    n, keys = 20, 50
    slices = Slices(n)
    for index in range(20 * n):
        slices.add(index, np.arange(index * keys, index * keys + keys))
        if index + 1 < n:
            continue
        first = index - n + 1
        assert slices.window(first) == dict.fromkeys(range(first * keys, (index + 1) * keys), 1)
        slices.retire(first)
        # Slices, and no more for prefix and suffix than for slices.
        assert slices.held <= 4 * n * keys
        assert len(slices.merge._keys._tables.words) <= 8 * n * keys
    slices.merge.clear()
    assert slices.held == (n - 1) * keys
