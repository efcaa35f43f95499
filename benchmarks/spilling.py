"""What state larger than memory costs: ``python -m benchmarks.spilling``.

Hourly windows of count, sum, min, max and mean by key, all open for 34 hours, so that their
state is several times the budget. Rows come in order (`bounded`), or 2 % of them anywhere in the
open windows (`random`). `day` is one window of a day, which alone takes five times its budget. Each
run is a process of its own, which gives its results away as they come; beside the budgets the same
rows run in memory, and all must give the same sums.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import eventtime as et
from benchmarks import machine
from benchmarks.memory import peak_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = Path(__file__).resolve().parent / "results"
HOUR_US = 3_600_000_000
BATCH_ROWS = 1 << 17
SCHEMA = pa.schema({"time": pa.timestamp("us"), "key": pa.int64(), "value": pa.float64()})
GOALS = {"bounded": 5e6, "random": 1e6}
"""Rows a second at least, by workload."""
WORKLOADS = (*GOALS, "day")
BACKENDS = ("memory", "files", "rocksdb")


@dataclass(frozen=True)
class Shape:
    """What comes in, and what may be in memory of it."""

    workload: str
    backend: str
    budget_mb: int
    keys: int
    rows_of_hour: int
    hours: int
    open_hours: int


DAY = (128, 10_000_000, 1_000_000, 24, 1)
"""Budget, keys, rows of an hour, hours and those open of `day`."""


def batches(shape: Shape) -> Iterator[pa.RecordBatch]:
    """Make rows on the way, from a few arrays that are used again and again."""
    rng = np.random.default_rng(11)
    keys = [pa.array(rng.integers(0, shape.keys, BATCH_ROWS)) for _ in range(16)]
    values = [pa.array(np.round(rng.normal(size=BATCH_ROWS) * 4096) / 4096) for _ in range(16)]
    jitter = rng.integers(0, 60_000_000, BATCH_ROWS)
    back = np.zeros(BATCH_ROWS, np.int64)
    if shape.workload == "random":
        some = rng.random(BATCH_ROWS) < 0.02
        back[some] = rng.integers(0, (shape.open_hours - 1) * HOUR_US, int(some.sum()))
    total, step = shape.rows_of_hour * shape.hours, HOUR_US / shape.rows_of_hour
    for i, first in enumerate(range(0, total, BATCH_ROWS)):
        n = min(BATCH_ROWS, total - first)
        times = ((first + np.arange(n)) * step).astype(np.int64) + jitter[:n] - back[:n]
        if shape.workload == "day":
            keys[i % 16] = pa.array(rng.integers(0, shape.keys, BATCH_ROWS))
        columns = [pa.array(times).view(pa.timestamp("us")), keys[i % 16][:n], values[i % 13][:n]]
        yield pa.record_batch(columns, schema=SCHEMA)


def measured(shape: Shape) -> dict[str, Any]:
    """Run here; returns figures."""
    rows = pa.RecordBatchReader.from_batches(SCHEMA, batches(shape))
    bound = et.bounded_disorder(f"{max(shape.open_hours, 1)}h")
    marked = et.from_arrow(rows, time="time").watermark(bound)
    window = et.tumbling("1d" if shape.workload == "day" else "1h")
    aggregates = {"count": et.count()} | {
        f.__name__.rstrip("_"): f("value") for f in (et.sum, et.min, et.max, et.mean)
    }
    stream = marked.key_by("key").window(window).aggregate(**aggregates)
    taken = Taken()
    with tempfile.TemporaryDirectory() as scratch:
        backend: Any = shape.backend
        budget = f"{shape.budget_mb}MB"
        memory = (
            None
            if backend == "memory"
            else et.memory_limit(budget, backend=backend, scratch=scratch)
        )
        start, cpu = time.perf_counter(), time.process_time()
        run = stream.run(taken, memory=memory)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    run.assert_balanced()
    n = shape.rows_of_hour * shape.hours
    return {
        **asdict(shape),
        "rows": n,
        "results": taken.rows,
        "total": taken.total,
        "wall_s": round(seconds, 2),
        "cpu_s": round(cpu_seconds, 2),
        "rows_per_s": round(n / seconds),
        "peak_mb": round(peak_bytes() / 1e6),
    }


class Taken:
    """A sink that adds up what it takes and keeps none of it."""

    def __init__(self) -> None:
        self.rows, self.total = 0, 0.0

    def open(self, schema: pa.Schema) -> Taken:
        return self

    def describe(self) -> str:
        return "nowhere"

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self.total += float(np.add.reduce(batch.column("sum").to_numpy()))

    def prepare(self) -> None:
        pass

    def commit(self) -> None:
        pass

    def abort(self) -> None:
        pass


def in_a_process(shape: Shape) -> dict[str, Any]:
    """Run in a process of its own: peak memory is that of one run."""
    command = [sys.executable, "-m", "benchmarks.spilling", "--one", json.dumps(asdict(shape))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help="a shape, as JSON: run it here")
    parser.add_argument("--budget-mb", type=int, default=512)
    parser.add_argument("--keys", type=int, default=700_000)
    parser.add_argument("--rows-of-hour", type=int, default=1_000_000)
    parser.add_argument("--hours", type=int, default=60)
    parser.add_argument("--open-hours", type=int, default=34)
    parser.add_argument("--backends", default=",".join(BACKENDS))
    parser.add_argument("--workloads", default=",".join(WORKLOADS))
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args()
    if options.one:
        shape = Shape(**json.loads(options.one))
        # Few rows of the same kind, so that what is compiled is.
        few = {**asdict(shape), "rows_of_hour": 2_000, "keys": 100}
        measured(Shape(**few))
        print(json.dumps(measured(shape)))
        return 0
    hourly = (
        options.budget_mb, options.keys, options.rows_of_hour, options.hours, options.open_hours
    )  # fmt: skip
    found = [
        in_a_process(Shape(workload, backend, *(DAY if workload == "day" else hourly)))
        for workload in options.workloads.split(",")
        for backend in options.backends.split(",")
    ]
    for f in found:
        rate, goal = f["rows_per_s"] / 1e6, GOALS.get(f["workload"])
        wanted = "no goal" if goal is None else f"goal {goal / 1e6:g}"
        most = 1.3 * f["budget_mb"] + 300
        print(
            f"{f['workload']:8} {f['backend']:8} {rate:6.2f} M rows/s ({wanted}) "
            f"{f['cpu_s']:6.1f} CPU s, peak {f['peak_mb']} MB (budget {f['budget_mb']}, "
            f"at most {most:.0f})"
        )
    agree = all(
        f["total"] == g["total"] and f["results"] == g["results"]
        for f in found
        for g in found
        if f["workload"] == g["workload"]
    )
    print("all agree" if agree else "THEY DISAGREE")
    if not options.no_write:
        text = json.dumps({"machine": machine.describe(), "measured": found}, indent=1)
        (RESULTS / "spilling.json").write_text(text + "\n")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
