"""Batch engines doing the plain group-by: no order, no lateness, nothing refused.

Each gets its fastest form of the query on this data, found by trying the others (README, "Peers"):
the window as an integer division of the time instead of a calendar function. Each hands its whole
result over as an Arrow table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.answer import Answer, summarise

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.dataset import DatasetFiles
    from benchmarks.workloads import Workload

    Round = Callable[[], Callable[[], Answer]]

_AGGREGATES = (
    "count(*) AS count, sum(value) AS sum, min(value) AS min, max(value) AS max, avg(value) AS mean"
)
_MANY_WINDOWS = 16
"""Overlap from which DuckDB is faster with a window function than with copies of slices."""


def _table(workload: Workload, files: DatasetFiles) -> pa.Table:
    """All batches as one table, chunk by chunk as they came."""
    batches = files.batches(workload.batch_rows)
    return pa.Table.from_batches([b for partition in batches.values() for b in partition])


def _answer_of(workload: Workload, result: pa.Table) -> Callable[[], Answer]:
    def reduce() -> Answer:
        start_us = pc.multiply(pc.cast(result["w"], pa.int64()), workload.slide_us)
        return summarise(result.append_column("window_start", start_us))

    return reduce


def duckdb(workload: Workload, files: DatasetFiles, threads: int) -> Round:
    """DuckDB over registered Arrow tables or Parquet files."""
    import duckdb as engine

    connection = engine.connect()
    connection.execute(f"SET threads = {threads}")
    connection.execute("SET preserve_insertion_order = false")
    if workload.source == "parquet":
        rows = f"read_parquet({files.parquet_paths!r})"
    else:
        connection.register("rows", _table(workload, files))
        rows = "rows"
    query = duckdb_query(workload, rows)
    return lambda: _answer_of(workload, connection.sql(query).to_arrow_table())


def duckdb_query(workload: Workload, rows: str) -> str:
    """The fastest of the forms tried; sliding windows are built from a first group-by over slices.

    Tried on 1 h by 1 min (one thread, 2 M rows): window function 1.2 s, join of each slice with its
    60 windows 2.2 s, unnest of 60 starts 2.7 s, each row 60 times 4.1 s. On 60 s by 10 s: join 1.3
    s, each row six times 1.4 s, unnest 1.9 s, window function 4.8 s.
    """
    slide_us = workload.slide_us
    slices = (
        f"SELECT epoch_us(time) // {slide_us} AS w, key, {_AGGREGATES} FROM {rows} GROUP BY ALL"
    )
    if workload.tumbling:
        return slices
    overlap = workload.size_us // slide_us
    if overlap < _MANY_WINDOWS:
        return f"""
            WITH slices AS ({slices})
            SELECT w - back AS w, key, sum(count)::BIGINT AS count, sum(sum) AS sum,
                min(min) AS min, max(max) AS max, sum(sum) / sum(count) AS mean
            FROM slices, range({overlap}) AS r(back) GROUP BY ALL"""
    return f"""
        WITH slices AS ({slices}),
        grid AS (
            SELECT w, key
            FROM range((SELECT min(w) FROM slices),
                    (SELECT max(w) + {overlap} FROM slices)) AS r(w),
                (SELECT DISTINCT key FROM slices)),
        dense AS (SELECT * FROM grid LEFT JOIN slices USING (w, key)),
        merged AS (
            SELECT w - {overlap - 1} AS w, key, sum(count) OVER f AS count,
                sum(sum) OVER f AS sum, min(min) OVER f AS min, max(max) OVER f AS max,
                sum(sum) OVER f / sum(count) OVER f AS mean
            FROM dense
            WINDOW f AS (PARTITION BY key ORDER BY w
                ROWS BETWEEN {overlap - 1} PRECEDING AND CURRENT ROW))
        SELECT w, key, count::BIGINT AS count, sum, min, max, mean FROM merged WHERE count > 0"""


def polars(workload: Workload, files: DatasetFiles, threads: int) -> Round:
    """Polars' streaming engine, on a DataFrame made before the clock starts or on Parquet files."""
    import polars as pl

    if pl.thread_pool_size() != threads:
        msg = f"polars has {pl.thread_pool_size()} threads, not {threads}: set POLARS_MAX_THREADS"
        raise ValueError(msg)
    if workload.source == "parquet":
        rows = pl.scan_parquet(files.parquet_paths)
    else:
        frame: Any = pl.from_arrow(_table(workload, files), rechunk=True)
        rows = frame.lazy()
    value = pl.col("value")
    query = rows.group_by(
        (pl.col("time").to_physical() // workload.slide_us).alias("w"), "key"
    ).agg(
        pl.len().cast(pl.Int64).alias("count"),
        value.sum().alias("sum"),
        value.min().alias("min"),
        value.max().alias("max"),
        value.mean().alias("mean"),
    )
    return lambda: _answer_of(workload, query.collect(engine="streaming").to_arrow())


def pyarrow(workload: Workload, files: DatasetFiles, threads: int) -> Round:
    """Acero, pyarrow's own engine: project and aggregate over a table or a scan of files."""
    from pyarrow import acero, dataset

    pa.set_cpu_count(threads)
    if workload.source == "parquet":
        fragments = dataset.dataset(files.parquet_paths)
        columns = {name: pc.field(name) for name in ("time", "key", "value")}
        source = acero.Declaration("scan", acero.ScanNodeOptions(fragments, columns=columns))
    else:
        source = acero.Declaration(
            "table_source", acero.TableSourceNodeOptions(_table(workload, files))
        )
    window = pc.divide(pc.field("time").cast(pa.int64()), pc.scalar(workload.slide_us))
    names = ("sum", "min", "max", "mean")
    aggregates: list[Any] = [([], "hash_count_all", None, "count")]
    aggregates += [("value", f"hash_{name}", None, name) for name in names]
    plan = acero.Declaration.from_sequence(
        [
            source,
            acero.Declaration(
                "project",
                acero.ProjectNodeOptions(
                    [window, pc.field("key"), pc.field("value")], ["w", "key", "value"]
                ),
            ),
            acero.Declaration("aggregate", acero.AggregateNodeOptions(aggregates, ["w", "key"])),
        ]
    )
    return lambda: _answer_of(workload, plan.to_table(use_threads=threads > 1))
