"""A slice many times the budget comes back by groups of keys, and that does not show (S24, S28)."""

from __future__ import annotations

import contextlib
import errno
from io import FileIO
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from engine_runs import SCHEMA, assert_ledger, assert_rows, ipc_bytes, source_of, stream_of
from eventtime.testing.reference import Aggregate, Bounded, Spec, replay
from eventtime.windows.cold import ColdSlices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.testing.reference import Row

SECOND = 1_000_000
WORDS = tuple(Aggregate(f"{f}_{c}", f, c) for f in ("sum", "min", "last") for c in "nx")
OBJECTS = Aggregate("collect_n", "collect", "n"), Aggregate("max_name", "max", "name")


@contextlib.contextmanager
def small_groups() -> Iterator[list[int]]:
    """Divide what is small, too; gives how many groups were made of each slice."""
    made: list[int] = []
    divide = ColdSlices.divide

    def counted(cold: ColdSlices, index: int, group_bytes: int) -> int:
        made.append(divide(cold, index, group_bytes))
        return made[-1]

    with (
        patch("eventtime.windows.slices._LEAST_GROUP", 2_000),
        patch("eventtime.windows.key_sample._ONE_IN", 2),
        patch.object(ColdSlices, "divide", counted),
    ):
        yield made


def many_rows(seed: int, n: int, *, keys: int, hours: float, late: float) -> dict[str, list[Row]]:
    """Rows of two partitions whose times go on, some of them back by hours; sums are exact."""
    rng = np.random.default_rng(seed)
    partitions: dict[str, list[Row]] = {"a": [], "b": []}
    for i in range(n):
        back = rng.random() * 3 * 3_600 if rng.random() < late else rng.random() * 60
        number = int(rng.integers(-keys, keys))
        cells: dict[str, Any] = {
            "t": int((i * hours * 3_600 / n - back) * SECOND),
            "key": None if rng.random() < 0.02 else number * 2**50,
            "name": None if rng.random() < 0.02 else f"{number % (keys // 3 + 1)}",
            "n": None if rng.random() < 0.1 else int(rng.integers(-99, 99)),
            "x": None if rng.random() < 0.1 else int(rng.integers(-999, 999)) / 8,
            "b": None, "mark": None, "is_mark": None,
        }  # fmt: skip
        partitions["ab"[int(rng.integers(2))]].append({name: cells[name] for name in SCHEMA.names})
    return partitions


Drawn = tuple[int, tuple[str, ...], bool, str, int, int]


def drawn() -> st.SearchStrategy[Drawn]:
    """A seed, keys, whether there are objects, mode, hours of lateness, shards."""
    keys = st.sampled_from([("key",), ("name",), ("name", "key"), ()])
    modes = st.sampled_from(["accumulating", "discarding", "retracting"])
    lateness, shards = st.sampled_from([0, 2]), st.sampled_from([1, 3])
    return st.tuples(st.integers(0, 999), keys, st.booleans(), modes, lateness, shards)


def check(case: Drawn) -> None:
    """Beside the oracle, and beside memory."""
    seed, keys, has_objects, mode, lateness, shards = case
    rows = many_rows(seed, 700, keys=150, hours=8, late=0.1)
    spec = Spec(
        6 * 3_600 * SECOND, lateness=lateness * 3_600 * SECOND, mode=mode, keys=keys,
        aggregates=WORDS + (OBJECTS if has_objects else ()), generator=Bounded(60 * SECOND),
    )  # fmt: skip
    stream, oracle = stream_of(source_of(rows), spec), replay(rows, spec)
    with small_groups(), patch("eventtime.replay.CHUNK_ROWS", 50):
        run = stream.run(memory=3_000, shards=shards)
    assert_rows(run.table(), oracle.results)
    assert_ledger(run.ledger, oracle)
    assert ipc_bytes(run.table()) == ipc_bytes(stream.run().table())


@settings(max_examples=25)
@given(drawn())
def test_groups_do_not_show(case: Drawn) -> None:
    check(case)


def check_floats(keys: tuple[str, ...], backend: Any = "files") -> None:
    """Sums that show any other order of addition."""
    rows = many_rows(1, 4_000, keys=500, hours=20, late=0.3)
    rng = np.random.default_rng(5)
    for row in rows["a"] + rows["b"]:
        row["x"] = float(rng.normal() * 10.0 ** rng.integers(-9, 10))
    spec = Spec(
        24 * 3_600 * SECOND, keys=keys, aggregates=WORDS, generator=Bounded(4 * 3_600 * SECOND)
    )
    stream = stream_of(source_of(rows), spec)
    with small_groups() as groups, patch("eventtime.replay.CHUNK_ROWS", 100):
        run = stream.run(memory=et.memory_limit(8_000, backend=backend))
    assert ipc_bytes(run.table()) == ipc_bytes(stream.run().table())
    assert max(groups) > 20
    run.ledger.assert_balanced()


def test_float_sums_of_a_divided_slice_are_those_of_memory() -> None:
    check_floats(("key",))
    check_floats(("name", "key"))


def test_rocksdb_gives_the_same() -> None:
    check_floats(("key",), "rocksdb")


@pytest.mark.parametrize("room", [30_000, 100_000, 200_000, 300_000])
def test_a_disk_that_is_full_on_the_way_does_not_show(room: int) -> None:
    """Whatever cannot be written: rows that came since, groups, or results that wait."""
    rows = many_rows(2, 2_000, keys=400, hours=20, late=0.3)
    spec = Spec(24 * 3_600 * SECOND, aggregates=WORDS, generator=Bounded(4 * 3_600 * SECOND))
    stream, left = stream_of(source_of(rows), spec), [room]
    refused: list[int] = []

    class Full(FileIO):
        def write(self, data: Any, /) -> int:
            if left[0] < len(data):
                refused.append(len(data))
                raise OSError(errno.ENOSPC, "No space left on device")
            left[0] -= len(data)
            return super().write(data)

    full = patch("eventtime.state.file_blocks.FileIO", Full)
    with small_groups(), full, patch("eventtime.replay.CHUNK_ROWS", 100):
        run = stream.run(memory=8_000)
    assert ipc_bytes(run.table()) == ipc_bytes(stream.run().table())
    run.ledger.assert_balanced()
    assert refused
