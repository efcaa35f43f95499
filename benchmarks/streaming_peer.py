"""Bytewax: a streaming engine with a Python object for each row and a watermark for each key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.answer import Answer, summarise
from benchmarks.dataset import START_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.dataset import DatasetFiles
    from benchmarks.workloads import Workload

_START = datetime.fromtimestamp(START_US / 1e6, UTC)


class _Row(NamedTuple):
    key: str
    time: datetime
    value: float


def _fold(group: list[float], row: _Row) -> list[float]:
    value = row.value
    if not group:
        return [1, value, value, value]
    group[0] += 1
    group[1] += value
    group[2] = min(group[2], value)
    group[3] = max(group[3], value)
    return group


def _merge(into: list[float], other: list[float]) -> list[float]:
    return [into[0] + other[0], into[1] + other[1], min(into[2], other[2]), max(into[3], other[3])]


def bytewax(
    workload: Workload, files: DatasetFiles, threads: int
) -> Callable[[], Callable[[], Answer]]:
    """One worker; rows are Python objects made before the clock starts, folded unordered.

    A key has its own watermark there: a row is late when its own key has moved on, so fewer rows
    are late than by the watermark of the partitions. The answer therefore counts them with the
    rest.
    """
    if threads != 1 or workload.source != "memory":
        msg = f"bytewax runs here from memory with one thread, not {workload.source} with {threads}"
        raise ValueError(msg)
    rows = _objects(files, workload.batch_rows)
    build = _dataflow(workload)

    def one_round() -> Callable[[], Answer]:
        from bytewax.testing import run_main

        results: list[Any] = []
        late: list[Any] = []
        run: Any = run_main
        run(build(rows, results, late))
        return lambda: _answer(workload, results, late)

    return one_round


def _objects(files: DatasetFiles, batch_rows: int) -> list[_Row]:
    """All partitions as one stream of Python objects, the partition furthest behind first."""
    partitions = [pa.Table.from_batches(b) for b in files.batches(batch_rows).values()]
    table = pa.concat_tables(partitions).combine_chunks()
    progress = [np.maximum.accumulate(p["time"].cast(pa.int64()).to_numpy()) for p in partitions]
    table = table.take(pa.array(np.argsort(np.concatenate(progress), kind="stable")))
    times = [
        datetime.fromtimestamp(us / 1e6, UTC) for us in table["time"].cast(pa.int64()).to_pylist()
    ]
    keys = [str(k) for k in table["key"].to_pylist()]
    return [_Row(*row) for row in zip(keys, times, table["value"].to_pylist(), strict=True)]


def _dataflow(workload: Workload) -> Callable[[list[_Row], list[Any], list[Any]], Any]:
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.operators import windowing as win
    from bytewax.testing import TestingSink, TestingSource

    size = timedelta(microseconds=workload.size_us)
    slide = timedelta(microseconds=workload.slide_us)
    windower: Any = (
        win.TumblingWindower(length=size, align_to=_START)
        if workload.tumbling
        else win.SlidingWindower(length=size, offset=slide, align_to=_START)
    )

    def build(rows: list[_Row], results: list[Any], late: list[Any]) -> Any:
        flow = Dataflow("hourly")
        clock: Any = win.EventClock(
            ts_getter=lambda row: row.time,
            wait_for_system_duration=timedelta(microseconds=workload.dataset.disorder_us),
            # The default reads the wall clock, which is years ahead of these rows.
            now_getter=lambda: _START,
            # The default wakes every key after every batch, as these rows' times are long past:
            # five times slower.
            to_system_utc=lambda _: None,
        )
        keyed = op.key_on(
            "key",
            op.input("rows", flow, TestingSource(rows, batch_size=1_000)),
            lambda row: row.key,
        )
        windowed = win.fold_window(
            "fold", keyed, clock, windower, list, _fold, _merge, ordered=False
        )
        op.output("results", windowed.down, TestingSink(results))
        op.output("late", windowed.late, TestingSink(late))
        return flow

    return build


def _answer(workload: Workload, results: list[Any], late: list[Any]) -> Answer:
    groups = [group for _, (_, group) in results]
    table = pa.table(
        {
            "window_start": [START_US + window * workload.slide_us for _, (window, _) in results],
            "count": pa.array([int(g[0]) for g in groups], pa.int64()),
            "sum": [g[1] for g in groups],
            "min": [g[2] for g in groups],
            "max": [g[3] for g in groups],
            "mean": [g[1] / g[0] for g in groups],
        }
    )
    answer = summarise(
        table, np.array([START_US + w * workload.slide_us for _, (w, _) in late], np.int64)
    )
    return Answer(**{**vars(answer), "on_time": answer.seen, "missed": {}})
