"""Rows a second that each sink commits, in epochs of 200,000 rows as windows emit them.

``python -m benchmarks.sinks --postgres postgresql://user@host/database``. Each epoch is one commit;
the first of each sink, which makes the table, is thrown away.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

import eventtime as et
from benchmarks import machine
from eventtime.sinks.epochs import takes_epochs

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).resolve().parent / "results"
ROWS = 200_000
_HOUR_US = 3_600_000_000


def rows() -> pa.RecordBatch:
    """Results of hourly windows of 500 keys over two weeks, in the order they are emitted."""
    rng = np.random.default_rng(1)
    starts = np.arange(ROWS) // 500 * _HOUR_US
    instants = pa.timestamp("us", "UTC")
    return pa.record_batch(
        {
            "origin": pa.array([f"K{i % 500:03}" for i in range(ROWS)]),
            "window_start": pa.array(starts, instants),
            "window_end": pa.array(starts + _HOUR_US, instants),
            "flights": pa.array(rng.integers(1, 1_000, ROWS)),
            "mean_delay": pa.array(rng.normal(5, 20, ROWS)),
            "version": pa.array(np.ones(ROWS, np.int32)),
            "is_final": pa.array(np.ones(ROWS, np.bool_)),
        }
    )


def sinks(folder: Path, postgres: str | None) -> dict[str, et.EpochSink]:
    """Name what is measured."""
    key = ["origin", "window_start"]
    named: dict[str, object] = {
        "to_parquet(…, parts=True)": et.to_parquet(folder / "parquet", parts=True),
        "to_parquet(…, partition_by='day')": et.to_parquet(folder / "days", partition_by="day"),
        "to_csv(…, parts=True)": et.to_csv(folder / "csv", parts=True),
        "to_sqlite": et.to_sqlite(folder / "x.db", table="rows"),
        "to_sqlite, upsert": et.to_sqlite(folder / "x.db", table="keyed", mode="upsert", key=key),
        "to_duckdb": et.to_duckdb(folder / "x.duckdb", table="rows"),
        "to_duckdb, upsert": et.to_duckdb(
            folder / "x.duckdb", table="keyed", mode="upsert", key=key
        ),
        "to_delta": et.to_delta(folder / "delta"),
    }
    if postgres is not None:
        named["to_postgres"] = et.to_postgres(postgres, table="bench_rows")
        named["to_postgres, upsert"] = et.to_postgres(
            postgres, table="bench_keyed", mode="upsert", key=key
        )
    return {name: sink for name, sink in named.items() if takes_epochs(sink)}


def seconds_of(sink: et.EpochSink, epochs: int) -> list[float]:
    """Commit epochs; return how long each took, without the first."""
    batch = rows()
    writer = sink.open_epochs(batch.schema, "benchmark")
    first = writer.recover(1) + 1
    taken = []
    for epoch in range(first, first + epochs + 1):
        start = time.perf_counter()
        writer.commit(epoch, [batch], 1)
        taken.append(time.perf_counter() - start)
    writer.close()
    return taken[1:]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print medians with their spread; write them unless told not to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sinks", description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--postgres", help="address of a database that may be written to")
    parser.add_argument("--out", type=Path, default=RESULTS / "sinks.json")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, sink in sinks(Path(folder), options.postgres).items():
            seconds[name] = times = seconds_of(sink, options.epochs)
            low, high = ROWS / max(times) / 1e6, ROWS / min(times) / 1e6
            print(f"{name:<36}{ROWS / median(times) / 1e6:6.2f} M rows/s  {low:.2f}-{high:.2f}")
    if not options.no_write:
        rates = {name: round(ROWS / median(times)) for name, times in seconds.items()}
        document = {"machine": machine.describe(), "rows_per_s": rates, "seconds": seconds}
        options.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
