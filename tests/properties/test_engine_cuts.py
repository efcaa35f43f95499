"""What a checkpoint names again is still so, and what it copies is as it was (S27, S28)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from engine_runs import drive_engine
from eventtime.engine import Engine
from eventtime.state import interner
from eventtime.windows import operator
from memory_checkpoints import MemoryCheckpoint
from properties.test_engine_savepoints import Disturbed, Outputs, disturbed, run
from windowing import pipeline, rows

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Cuts:
    """A live run with checkpoints, each of them of what changed since the one before.

    Args:
        case: the run; a cut is made where it would be saved.
        restored: after which cuts it is destroyed, and goes on from there.
        is_late: whether parts are read after the next cut, or by a thread as soon as it can.
    """

    case: Disturbed
    restored: list[bool]
    is_late: bool


@st.composite
def cuts(draw: st.DrawFn) -> Cuts:
    """Cuts after about every second step, of which every fourth is restored."""
    case = draw(disturbed())
    n = len(case.schedule.steps) + 1
    restored = st.lists(st.sampled_from([False, False, False, True]), min_size=n, max_size=n)
    return Cuts(case, draw(restored), draw(st.booleans()))


def saved(engine: Engine, into: MemoryCheckpoint) -> dict[str, Any]:
    engine._core.stages.flush()
    return engine._core.save(into)


def check_cut(made: MemoryCheckpoint, full: MemoryCheckpoint) -> None:
    """A checkpoint of what changed holds, to the byte, what one of everything holds."""
    now, wanted = made.content(), full.content()
    assert now.keys() == wanted.keys()
    for part, data in wanted.items():
        assert now[part].equals(data), f"{dict(part)} is not as it was at the cut"


def check_run(cuts: Cuts, pool: ThreadPoolExecutor) -> tuple[Outputs, int]:
    """Run through cuts; returns what came out, and how many parts were named again."""
    case, clock = cuts.case, et.ManualClock()
    out = Outputs(Engine(case.stream(), list(case.schedule.names), clock=clock))
    last, pending, kept = None, None, 0
    for i, step in enumerate([None, *case.schedule.steps]):
        if step is not None:
            drive_engine(out.engine, clock, step)
        if case.is_taken:
            out.take(chained=case.second is not None)
        shards = case.shards[i]
        if shards is None:
            continue
        made, full = MemoryCheckpoint(last, None if cuts.is_late else pool), MemoryCheckpoint()
        head = saved(out.engine, made)
        kept += len(made.kept)
        saved(out.engine, full)
        full.content()
        if pending is not None:
            check_cut(*pending)
        last, pending = made, (made, full)
        if cuts.restored[i]:
            check_cut(*pending)
            out.engine.suspend()
            clock = et.ManualClock(clock.now_us())
            out.engine = Engine(case.stream(), [], clock=clock, shards=shards)
            out.engine._core.restore(made.pack(head))
    if pending is not None:
        check_cut(*pending)
    out.take(chained=case.second is not None)
    return out, kept


def check_cuts(cuts: Cuts) -> None:
    """Parts are right, and so is what comes out in the end."""
    small = patch.object(interner, "RANGE_IDS", 2), patch.object(operator, "_SMALL_DICTIONARY", 0)
    with small[0], small[1], ThreadPoolExecutor(1) as pool:
        got, _ = check_run(cuts, pool)
    assert got.state() == run(cuts.case, None).state()
    got.engine.suspend()


def cut_between(batches: list[pa.RecordBatch], **window: Any) -> None:
    """Cut between batches, and check each cut when the next batch has come."""
    stream = pipeline(batches[0], keys=["k"], window=window, all=et.collect("x"), n=et.count())
    engine, last = Engine(stream, ["a"]), None
    engine.push("a", batches[0])
    for following in batches[1:]:
        made, full = MemoryCheckpoint(last), MemoryCheckpoint()
        saved(engine, made)
        saved(engine, full)
        full.content()
        engine.push("a", following)
        check_cut(made, full)
        last = made


def test_a_closed_window_is_as_it_was_at_the_cut() -> None:
    first = rows([0, 0], k=["a", "b"], x=[1.0, 2.0])
    late = [rows([0, 70.0 * i], k=["a", "b"], x=[1.0, 2.0]) for i in range(2, 8)]
    cut_between([first, *late], allowed_lateness="1d")


def test_keys_are_as_they_were_at_the_cut_and_those_forgotten_are_gone() -> None:
    def minute(i: int) -> pa.RecordBatch:
        # Some keys stay, in the midst of others that go.
        k = [*(f"{i} {k}" for k in range(30)), "stays", f"both {i}", f"both {i + 1}"]
        return rows([60.0 * i] * len(k), k=k, x=[0.0] * len(k))

    small = patch.object(interner, "RANGE_IDS", 8), patch.object(operator, "_SMALL_DICTIONARY", 0)
    with small[0], small[1]:
        cut_between([minute(i) for i in range(10)])


def test_lists_numbered_anew_are_written_again() -> None:
    def values(minute: int, n: int) -> pa.RecordBatch:
        return rows([60.0 * minute] * n, k=["a"] * n, x=np.arange(float(n)))

    # Most values are of the window that goes first; nobody touches the next one any more.
    batches = [values(0, 3_000), values(1, 10), values(2, 1), values(3, 1)]
    cut_between(batches, allowed_lateness="1m")


@given(cuts())
def test_checkpoints_of_what_changed_are_those_of_everything(cuts: Cuts) -> None:
    check_cuts(cuts)
