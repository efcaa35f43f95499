"""What a live run loads before its first row: all kernels, and nothing of the user's is called."""

from __future__ import annotations

import gc
import multiprocessing
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime.compiled import compile_plan
from eventtime.warming import _collect_once, warm_up
from live.script import SCHEMA, Alarm, Script, rows

GRIDS: dict[str, Any] = {
    "1s": et.tumbling("1s"),
    "2s by 500ms": et.sliding("2s", slide="500ms"),
}


def windows(grid: str, key: pa.DataType) -> et.Stream:
    """Rows in disorder, some late, some with nulls."""
    n = 20_000
    times = [i * 400 - i % 7 * 30_000 - (4_000_000 if i % 1_000 == 0 else 0) for i in range(n)]
    table = pa.table(
        {
            "t": pa.array(times, pa.timestamp("us")),
            "k": pa.array([i % 90 for i in range(n)]).cast(key),
            "v": pa.array([i / 3 if i % 9 else None for i in range(n)]),
        }
    )
    source = et.from_batches(
        {"a": lambda _: iter(table.to_batches(1_000)), "b": lambda _: iter(table.to_batches(777))},
        schema=table.schema,
        time="t",
    )
    marked = source.watermark(et.bounded_disorder("1s"), max_future="1h").key_by("k")
    return marked.window(GRIDS[grid]).aggregate(n=et.count(), v=et.mean("v"), top=et.max("v"))


def kernels() -> set[tuple[str, str]]:
    """Kernels that are loaded: name and types."""
    from numba.core.registry import CPUDispatcher

    known = [each for each in gc.get_objects() if isinstance(each, CPUDispatcher)]
    return {(each.py_func.__qualname__, str(types)) for each in known for types in each.signatures}


def loaded_while_running(grid: str, key: pa.DataType) -> tuple[int, set[tuple[str, str]], int]:
    """Kernels that are loaded before a run begins, in it, and how many rows are late."""
    before: list[set[tuple[str, str]]] = []

    def warmed(plan: Any, shards: int) -> None:
        warm_up(plan, shards)
        before.append(kernels())

    with patch("eventtime.following.warm_up", warmed):
        ran = windows(grid, key).run()
    return len(before[0]), kernels() - before[0], ran.report.late


@pytest.mark.parametrize(("grid", "key"), [("1s", pa.int64()), ("2s by 500ms", pa.string())])
def test_all_kernels_are_loaded_before_the_first_row(grid: str, key: pa.DataType) -> None:
    """In a process that has not run anything."""
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        before, later, late = fresh.apply(loaded_while_running, (grid, key))
    assert before > 10
    assert late > 0
    assert not later


class Users:
    """Code of a user's, in all forms; notes that it was called with rows."""

    calls = 0

    def on_batch(self, *given: Any) -> Any:
        Users.calls += 1

    add = merge = result = on_row = on_batch

    def create(self, n: int) -> tuple[np.ndarray]:
        return (np.zeros(n),)

    def result_type(self, *types: pa.DataType) -> pa.DataType:
        return pa.float64()


class Process(Users, et.ProcessFunction):
    """As a process function."""

    on_batch = None  # type: ignore[assignment]  # it takes single rows


def test_code_of_the_users_is_not_called() -> None:
    """Not with rows that nobody sent."""
    users: Any = Users
    source = et.from_batches({"a": lambda _: iter(())}, schema=SCHEMA, time="t")
    marked, second = source.watermark(et.ascending()).key_by("x"), et.tumbling("1s")
    counted, output = marked.window(second).aggregate(n=et.count()), pa.schema([("x", pa.int64())])
    mapped = source.map_batches(Users().on_batch, schema=SCHEMA).watermark(et.ascending())
    for stream in (
        mapped.window(second).aggregate(n=et.count()),
        source.watermark(et.custom(users)).window(second).aggregate(n=et.count()),
        marked.window(second).aggregate(mine=et.user(users(), "x")),
        marked.process(Process(), output=output),
        counted.map_batches(Users().on_batch, schema=counted.schema),
        counted.key_by("x").process(Process(), output=output),
    ):
        warm_up(compile_plan(stream.node), 1)
    assert not Users.calls


def test_garbage_is_collected_before_the_first_run_of_a_process_only() -> None:
    """It takes as long as there are objects, a second where a suite of tests is loaded."""
    source = et.from_batches({"a": lambda _: iter(())}, schema=SCHEMA, time="t")
    stream = source.watermark(et.ascending()).window(et.tumbling("1s")).aggregate(n=et.count())
    code = compile_plan(stream.node)
    with patch("eventtime.warming.gc.collect") as collected:
        _collect_once.cache_clear()
        for _ in range(3):
            warm_up(code, 1)
    assert collected.call_count == 1


def test_steps_that_refuse_the_rows_do_no_harm() -> None:
    source = et.from_batches({"a": lambda _: iter(())}, schema=SCHEMA, time="t")
    zero = pc.divide(pc.field("x"), pc.subtract(pc.field("x"), pc.field("x")))
    marked = source.with_columns(x=zero).watermark(et.ascending())
    stream = marked.window(et.tumbling("1s")).aggregate(n=et.count(), x=et.sum("x"))
    warm_up(compile_plan(stream.node), 1)


@pytest.mark.parametrize(
    ("time", "unit"),
    [(pa.int64(), "ns"), (pa.int32(), "s"), (pa.date32(), None), (pa.timestamp("ns", "UTC"), None)],
)
def test_any_time_and_any_type_will_do(time: pa.DataType, unit: str | None) -> None:
    types = [pa.int8(), pa.bool_(), pa.decimal128(5, 2), pa.list_(pa.int64()), pa.binary()]
    fields = [("t", time), *((f"c{i}", kind) for i, kind in enumerate(types))]
    source = et.from_batches(
        {"a": lambda _: iter(())}, schema=pa.schema(fields), time="t", time_unit=unit
    )
    marked = source.watermark(et.ascending()).key_by("c4")
    stream = marked.window(et.tumbling("1d")).aggregate(c0=et.sum("c0"), c3=et.count("c3"))
    warm_up(compile_plan(stream.node), 2)


def test_a_clock_moved_by_hand_is_in_no_hurry() -> None:
    script = Script([(0, "a", rows(1))], ("a",))
    stream = et.Stream.read(script).watermark(et.ascending()).window(et.tumbling("10s"))
    live = et.live(clock=script.clock, alarm=Alarm(script.clock))
    now_us = script.clock.now_us
    with patch("eventtime.following.warm_up") as warmed:
        stream.aggregate(n=et.count()).run(live=live, stop=lambda: now_us() > 0, drain=True)
    assert not warmed.called
