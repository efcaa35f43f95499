"""How much state is in memory, and where the rest is, does not show: the same bytes (S28)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

import eventtime as et
from engine_runs import all_null_times, ipc_bytes, source_of, stream_of
from eventtime.testing.reference import Aggregate
from strategies import Case, cases, cut

if TYPE_CHECKING:
    from eventtime.memory import MemoryLike
    from eventtime.stream import Stream


@dataclass(frozen=True)
class Outcome:
    """All that a run gives, as bytes."""

    results: bytes
    late: bytes
    quarantine: bytes
    ledger: str


def outcome(
    stream: Stream, *, memory: MemoryLike | None = None, shards: int = 1, chunk_rows: int = 65_536
) -> Outcome:
    """Run a stream whose chunks have this many rows at the most."""
    with patch("eventtime.replay.CHUNK_ROWS", chunk_rows):
        run = stream.run(shards=shards, memory=memory)
    run.ledger.assert_balanced()
    late, quarantine = run.side("late"), run.side("quarantine")
    return Outcome(ipc_bytes(run.table()), ipc_bytes(late), ipc_bytes(quarantine), str(run.ledger))


def budgets() -> st.SearchStrategy[int]:
    """From nothing at all, through a few slices, to more than there is."""
    return st.sampled_from([1, 20_000, 60_000, 150_000, 10**9])


@st.composite
def disordered(draw: st.DrawFn) -> Case:
    """Rows of many slices to and fro, with float sums, which show any other order of addition."""
    case = draw(cases())
    if case.spec.slide is not None:
        # Refused: see test_memory.
        some = tuple(a for a in case.spec.aggregates if a.function != "collect")
        case = Case(replace(case.spec, aggregates=some), case.partitions)
    numbers = st.one_of(st.none(), st.floats(-1e9, 1e9))
    rows = {
        name: [row | {"x": draw(numbers)} for row in rows] for name, rows in case.partitions.items()
    }
    more = Aggregate("sum_x", "sum", "x"), Aggregate("mean_x", "mean", "x")
    return Case(replace(case.spec, aggregates=(*case.spec.aggregates, *more)), rows)


Limited = tuple[Case, int, int, int]
"""A case, a budget, rows of a chunk, shards."""


def limited() -> st.SearchStrategy[Limited]:
    return st.tuples(
        disordered(), budgets(), st.sampled_from([1, 2, 5, 65_536]), st.sampled_from([1, 3])
    )


def check_budgets(drawn: Limited) -> None:
    """In memory, and above a budget."""
    case, budget, chunk_rows, shards = drawn
    if all_null_times(case.partitions):
        return
    cuts = {name: cut(rows, range(len(rows))) for name, rows in case.partitions.items()}
    wanted = outcome(stream_of(source_of(case.partitions), case.spec))
    stream = stream_of(source_of({}, cuts), case.spec)
    got = outcome(stream, memory=budget, shards=shards, chunk_rows=chunk_rows)
    assert got == wanted


@settings(max_examples=60)
@given(limited())
def test_a_budget_does_not_show(drawn: Limited) -> None:
    check_budgets(drawn)


@settings(max_examples=10)
@given(disordered(), st.sampled_from([1, 20_000]))
def test_rocksdb_gives_the_same(case: Case, budget: int) -> None:
    if all_null_times(case.partitions):
        return
    stream = stream_of(source_of(case.partitions), case.spec)
    with tempfile.TemporaryDirectory() as folder:
        limit = et.memory_limit(budget, backend="rocksdb", scratch=folder)
        assert outcome(stream, memory=limit, chunk_rows=3) == outcome(stream)


def test_rows_of_a_cold_slice_are_folded_in_the_order_they_came() -> None:
    """Sums of floats of very different size, out of memory in many blocks; the last not yet."""
    rng, n = np.random.default_rng(3), 60_100
    times = pa.array(rng.integers(0, 48 * 3_600, n) * 1_000_000).view(pa.timestamp("us"))
    x = rng.normal(size=n) * 10.0 ** rng.integers(-9, 10, n)
    rows = pa.record_batch({"t": times, "k": rng.integers(0, 50, n), "x": x})
    stream = et.from_arrow(rows, time="t").watermark(et.bounded_disorder("30d")).key_by("k")
    sums = stream.window(et.tumbling("1h")).aggregate(s=et.sum("x"))
    with patch("eventtime.replay.CHUNK_ROWS", 2_000):
        assert sums.run(memory="100kB").table() == sums.run().table()
