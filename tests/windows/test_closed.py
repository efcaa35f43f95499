"""What is remembered of a closed window: versions by key, and rows to take back (S21)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from eventtime.windows.closed import ClosedWindow

Key = int | None


def next_versions(closed: ClosedWindow, keys: list[Key]) -> tuple[list[int], list[int]]:
    words = np.array([0 if k is None else k for k in keys], np.int64)
    nulls = np.array([k is None for k in keys], np.bool_)
    versions, old = closed.next_versions(words, nulls)
    return versions.tolist(), old.tolist()


def test_versions_count_from_1_for_each_key() -> None:
    closed = ClosedWindow()
    assert next_versions(closed, [5, 7]) == ([1, 1], [-1, -1])
    assert next_versions(closed, [7, 9]) == ([2, 1], [1, -1])
    assert next_versions(closed, [5, 7, 9]) == ([2, 3, 2], [0, 2, 3])


def test_the_null_key_is_not_the_key_zero() -> None:
    closed = ClosedWindow()
    next_versions(closed, [0])
    assert next_versions(closed, [0, None]) == ([2, 1], [0, -1])
    assert next_versions(closed, [None]) == ([2], [2])


def test_rows_are_taken_back_as_they_were_emitted() -> None:
    closed = ClosedWindow()
    next_versions(closed, [1, 2])
    closed.emitted.append(pa.record_batch({"s": [10, 20]}))
    next_versions(closed, [2])
    closed.emitted.append(pa.record_batch({"s": [21]}))
    _, old = next_versions(closed, [1, 2])
    assert closed.retracted(np.array(old)).column("s").to_pylist() == [10, 21]


KEYS = st.lists(
    st.none() | st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1]), unique=True
)


@given(st.lists(KEYS, max_size=10))
def test_versions_are_those_of_a_dict(firings: list[list[Key]]) -> None:
    closed = ClosedWindow()
    versions: dict[Key, int] = {}
    rows: dict[Key, int] = {}
    at = 0
    for keys in firings:
        wanted = [versions.get(k, 0) + 1 for k in keys], [rows.get(k, -1) for k in keys]
        assert next_versions(closed, keys) == wanted
        for key in keys:
            versions[key] = versions.get(key, 0) + 1
            rows[key], at = at, at + 1
