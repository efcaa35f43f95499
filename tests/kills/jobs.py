"""Pipelines to be killed, as a process runs them: what they read, compute, write, and where."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import numpy as np
import pyarrow as pa

import eventtime as et
from engine_runs import ipc_bytes
from flight_data import hourly, own
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.sinks.base import Sink
    from eventtime.stream import Stream

__all__ = ("FOLDERS", "SINKS", "Job", "run_job", "table_in")

JANUARY: Final = ROOT / "eventtime" / "data" / "flights"
SINKS: Final[dict[str, Callable[[Path, str], Any]]] = {
    "parquet": lambda folder, _: et.to_parquet(folder / "out.parquet"),
    "csv": lambda folder, _: et.to_csv(folder / "out.csv.gz"),
    "parts": lambda folder, _: et.to_parquet(folder / "out", parts=True),
    "days": lambda folder, _: et.to_csv(folder / "out", partition_by="day"),
    "sqlite": lambda folder, _: et.to_sqlite(folder / "out.db", table="windows"),
    "duckdb": lambda folder, _: et.to_duckdb(folder / "out.duckdb", table="windows"),
    "delta": lambda folder, _: et.to_delta(folder / "out"),
    "postgres": lambda folder, dsn: et.to_postgres(dsn, table=table_in(folder)),
}
FOLDERS: Final = ("parts", "days")


def table_in(folder: str | Path) -> str:
    """A name of its own for the table that a job in this folder writes."""
    return f"windows {zlib.crc32(str(folder).encode()):x}"


@dataclass(frozen=True)
class Job:
    """A run, for JSON.

    Args:
        folder: it works in.
        sink: one of `SINKS`.
        reads: 'flights', or 'generated'.
        every_rows: from one checkpoint to the next; None: none at all.
        every_ms: the same.
        chunk_rows: of a step, and so the least between two checkpoints.
        shards: threads.
        dsn: of a PostgreSQL server.
    """

    folder: str
    sink: str = "parquet"
    reads: str = "flights"
    every_rows: int | None = 4_000
    every_ms: int | None = None
    chunk_rows: int = 2_048
    shards: int = 1
    dsn: str = ""

    def stream(self) -> Stream:
        """The pipeline."""
        return _flights() if self.reads == "flights" else _generated()

    @property
    def out(self) -> Sink:
        """Where results go."""
        made: Sink = SINKS[self.sink](Path(self.folder), self.dsn)
        return made

    @property
    def late(self) -> Path:
        """Where late rows go."""
        return Path(self.folder) / "late.csv"

    @property
    def checkpoints(self) -> et.Checkpoints | None:
        """Where and how often it is saved."""
        if self.every_rows is None and self.every_ms is None:
            return None
        every = None if self.every_ms is None else f"{self.every_ms}ms"
        path = Path(self.folder) / "state"
        return et.checkpoints(path, every=every, every_rows=self.every_rows, keep=2)


def run_job(job: Job) -> dict[str, Any]:
    """Run it from where it is; returns what is neither in its outputs nor in its checkpoints."""
    with patch("eventtime.replay.CHUNK_ROWS", job.chunk_rows):
        run = job.stream().run(
            job.out, sides={"late": job.late}, checkpoint=job.checkpoints, shards=job.shards
        )
    run.assert_balanced()
    aside = hashlib.sha256(ipc_bytes(run.side("quarantine"))).hexdigest()
    return {"ledger": run.ledger.to_dict(), "quarantine": aside}


def _flights() -> Stream:
    return hourly(own(JANUARY), "origin", "carrier")


def _generated() -> Stream:
    """Rows in disorder with corrections, retracted, and windows over windows."""
    marked = et.from_arrow(_partitions(), time="t").watermark(
        et.bounded_disorder("20s"), max_future="1h"
    )
    fine = marked.key_by("key").window(
        et.sliding("1m", slide="20s"), allowed_lateness="10s", mode="discarding", late="late"
    )
    counted = fine.aggregate(n=et.count(), x=et.sum("x"), names=et.collect("name"))
    coarse = counted.key_by("key").window(et.tumbling("5m"), allowed_lateness="1m")
    return coarse.aggregate(n=et.sum("n"), x=et.sum("x"), last=et.last("n"), versions=et.count())


def _partitions() -> dict[str, pa.Table]:
    return {name: _rows(i) for i, name in enumerate(("a", "b", "c"))}


def _rows(seed: int) -> pa.Table:
    draw, n = np.random.default_rng(seed), 8_000
    seconds = np.arange(n) * 0.25 - draw.exponential(10, n)
    times = (seconds * 1e6).astype(np.int64)
    is_null = draw.random(n) < 0.01
    times[draw.integers(0, n, 5)] += 10**13
    return pa.table(
        {
            "t": pa.array(times, mask=is_null).view(pa.timestamp("us")),
            "key": draw.integers(0, 50, n),
            "name": pa.array([f"row {i}" for i in range(n)]),
            "x": draw.normal(size=n),
        }
    )
