"""eventtime itself, through its public face only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.answer import Answer, summarise
from benchmarks.dataset import HOUR_US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.dataset import DatasetFiles
    from benchmarks.workloads import Workload

_DAY_US = 24 * HOUR_US


def ours(
    workload: Workload, files: DatasetFiles, threads: int
) -> Callable[[], Callable[[], Answer]]:
    """One shard for each thread; late rows are kept as a side output, as is the default."""
    batches = files.batches(workload.batch_rows) if workload.source == "memory" else {}
    if workload.flows:
        return lambda: _flow_through(workload, batches)

    def one_round() -> Callable[[], Answer]:
        source = batches or files.parquet_paths
        run = pipeline(workload, source).run(shards=threads)
        table, late = run.table(), run.side("late")
        return lambda: _answer(workload, table, late)

    return one_round


def pipeline(workload: Workload, source: Any, *, late: Any = "late") -> Any:
    """The workload as a declared stream."""
    import eventtime as et

    if workload.source == "parquet":
        stream = et.read_parquet(source, time="time")
    else:
        stream = et.from_arrow(source, time="time")
    return windowed(workload, stream, late=late)


def windowed(workload: Workload, stream: Any, *, late: Any = "late") -> Any:
    """The windows of the workload over a stream of its rows."""
    import eventtime as et

    size, slide = f"{workload.size_us}us", f"{workload.slide_us}us"
    windows = et.tumbling(size) if workload.tumbling else et.sliding(size, slide=slide)
    return (
        stream.watermark(et.bounded_disorder(f"{workload.dataset.disorder_us}us"))
        .key_by("key")
        .window(windows, late=late)
        .aggregate(
            count=et.count(),
            sum=et.sum("value"),
            min=et.min("value"),
            max=et.max("value"),
            mean=et.mean("value"),
        )
    )


def _flow_through(
    workload: Workload, batches: dict[str, list[pa.RecordBatch]]
) -> Callable[[], Answer]:
    """Play the day ``repeats`` times, batches made on the way; let results go as they come."""
    import eventtime as et

    readers = {
        name: pa.RecordBatchReader.from_batches(rows[0].schema, _days(rows, workload.repeats))
        for name, rows in batches.items()
    }
    results, rows = 0, 0
    for batch in pipeline(workload, readers, late=et.DROP):
        results += batch.num_rows
        rows += pc.sum(batch["count"]).as_py() or 0
    totals = dict.fromkeys(("sum_of_sums", "sum_of_mins", "sum_of_maxs", "sum_of_means"), 0.0)
    return lambda: Answer(results=results, on_time={0: rows}, missed={}, **totals)


def _days(batches: list[pa.RecordBatch], repeats: int) -> Iterator[pa.RecordBatch]:
    for day in range(repeats):
        shift = pa.scalar(day * _DAY_US, pa.duration("us"))
        for batch in batches:
            moved = pc.add(batch["time"], shift)
            yield pa.record_batch([moved, batch["key"], batch["value"]], schema=batch.schema)


def _answer(workload: Workload, table: pa.Table, late: pa.Table) -> Answer:
    """Missed windows of a late row are those up to its ``window_start``, one slide apart."""
    last = late["window_start"].cast(pa.int64()).to_numpy()
    missed = late["windows_missed"].to_numpy()
    first_of_row = np.repeat(np.cumsum(missed) - missed, missed)
    steps = np.arange(int(missed.sum())) - first_of_row
    return summarise(table, np.repeat(last, missed) - steps * workload.slide_us)
