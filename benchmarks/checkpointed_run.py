"""What checkpoints every few seconds cost a run: ``python -m benchmarks.checkpointed_run``.

The hourly workload (`benchmarks.dataset`), its day played again and again, so that a run takes
long enough for several checkpoints. Runs without and with them take turns in one process; each
writes its results into a folder of Parquet files, and all must give the same ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import eventtime as et
from benchmarks import machine
from benchmarks.dataset import HOUR_US, Dataset, materialise
from benchmarks.ours import windowed
from benchmarks.workloads import WORKLOADS
from eventtime.sources import Poll

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.sources import PartitionReader, Position

RESULTS = Path(__file__).resolve().parent / "results"
DAY_US = 24 * HOUR_US
GOAL = 0.95
"""Of the throughput without, at least."""
SHARDS = (1, 2)


@dataclass
class Day:
    """A partition: the batches of a day, moved by a day each time they are played again."""

    name: str
    batches: list[pa.RecordBatch]
    days: int
    taken: int

    @property
    def position(self) -> Position:
        """How many batches were handed over."""
        return {"batches": self.taken}

    def read(self) -> pa.RecordBatch | Poll:
        """Hand over the next batch."""
        day, place = divmod(self.taken, len(self.batches))
        if day == self.days:
            return Poll.END
        self.taken += 1
        batch = self.batches[place]
        moved = pc.add(batch["time"], pa.scalar(day * DAY_US, pa.duration("us")))
        return pa.record_batch([moved, *batch.columns[1:]], schema=batch.schema)

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class Days:
    """A source of partitions in memory that are played ``days`` times."""

    partitions: dict[str, list[pa.RecordBatch]]
    days: int
    time = "time"
    time_unit = None

    def schema(self) -> pa.Schema:
        """Time, key, value."""
        return next(iter(self.partitions.values()))[0].schema

    def open(
        self,
        columns: Sequence[str] | None,
        batch_rows: int,
        positions: Mapping[str, Position] | None = None,
    ) -> list[PartitionReader]:
        """Open each partition at its first batch, or where it was left."""
        held = positions or {}
        return [
            Day(name, batches, self.days, held.get(name, {"batches": 0})["batches"])
            for name, batches in sorted(self.partitions.items())
        ]

    def describe(self) -> str:
        """A line for people."""
        return f"{self.days} times the same day"

    def total_rows(self) -> int:
        """Of all days."""
        day = sum(int(b.num_rows) for p in self.partitions.values() for b in p)
        return self.days * day


def measured(source: Days, every: str | None, shards: int) -> dict[str, Any]:
    """Run once; returns figures."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None if every is None else et.checkpoints(f"{folder}/taken", every=every)
        stream = windowed(WORKLOADS["hourly"], et.Stream.read(source), late=et.DROP)
        start, cpu = time.perf_counter(), time.process_time()
        run = stream.run(
            et.to_parquet(f"{folder}/out", parts=True), checkpoint=checkpoint, shards=shards
        )
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        run.assert_balanced()
        results = pq.read_table(f"{folder}/out", columns=["count", "sum"])
        return {
            "every": every,
            "shards": shards,
            "rows_per_s": round(source.total_rows() / seconds),
            "wall_s": round(seconds, 2),
            "cpu_s": round(cpu_seconds, 2),
            "checkpoints": run.checkpoint or 0,
            "answer": [results.num_rows, pc.sum(results["count"]).as_py()],
            "sum": pc.sum(results["sum"]).as_py(),
        }


def turns(source: Days, every: str, shards: int, rounds: int) -> list[dict[str, Any]]:
    """Run without and with checkpoints in turn."""
    runs = []
    for _ in range(rounds):
        for wanted in (None, every):
            runs.append(measured(source, wanted, shards))
            print(json.dumps(runs[-1]), flush=True)
    return runs


def ratio(runs: Sequence[dict[str, Any]]) -> float:
    """Of the throughput with over that without, the median of the rounds."""
    without, with_ = ([run["rows_per_s"] for run in runs[i::2]] for i in (0, 1))
    return float(median(b / a for a, b in zip(without, with_, strict=True)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each run and the ratios; write them unless told not to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpointed_run")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--rows", type=int, default=20_000_000, help="of a day")
    parser.add_argument("--every", default="10s")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "checkpointed_run.json")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    partitions = materialise(Dataset(rows=options.rows)).batches()
    runs, told = [], {}
    for shards in SHARDS:
        for every in (None, "1ms"):
            measured(Days(partitions, 1), every, shards)  # kernels are compiled
        these = turns(Days(partitions, options.days), options.every, shards, options.rounds)
        runs += these
        told[f"throughput_share with {shards} shards"] = ratio(these)
    if len({str(run["answer"]) for run in runs}) != 1:
        print("the answers differ")
        return 1
    for name, value in told.items():
        print(f"{name:<52}{value:9.3f}  goal: at least {GOAL:g}")
    if not options.no_write:
        document = {"machine": machine.describe(), "summary": told, "measured": runs}
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
