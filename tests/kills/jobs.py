"""Pipelines to be killed, as a process runs them: what they read, compute, write, and where."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from unittest.mock import patch

import numpy as np
import pyarrow as pa

import eventtime as et
from engine_runs import ipc_bytes
from eventtime.state.scratch import ScratchBlocks
from flight_data import hourly, own
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.sinks.base import Sink
    from eventtime.state.blocks import Bytes
    from eventtime.state.scratch import Backend
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
BUDGETS: Final = {"flights": 2_100_000, "keyed": 700_000}
"""Bytes above which state leaves memory; what is generated collects over slides, and may not."""


def table_in(folder: str | Path) -> str:
    """A name of its own for the table that a job in this folder writes."""
    return f"windows {zlib.crc32(str(folder).encode()):x}"


@dataclass(frozen=True)
class Job:
    """A run, for JSON.

    Args:
        folder: it works in.
        sink: one of `SINKS`.
        reads: 'flights', 'generated', or 'keyed'.
        every_rows: from one checkpoint to the next; None: none at all.
        every_ms: the same.
        chunk_rows: of a step, and so the least between two checkpoints.
        shards: threads.
        dsn: of a PostgreSQL server.
        backend: 'files' or 'rocksdb', beside less memory than it takes; '': all is in memory.
    """

    folder: str
    sink: str = "parquet"
    reads: str = "flights"
    every_rows: int | None = 4_000
    every_ms: int | None = None
    chunk_rows: int = 2_048
    shards: int = 1
    dsn: str = ""
    backend: Backend | Literal[""] = ""

    def stream(self) -> Stream:
        """The pipeline."""
        return _PIPELINES[self.reads]()

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

    @property
    def memory(self) -> et.MemoryLimit | None:
        """The limit on its state."""
        if not self.backend:
            return None
        scratch = Path(self.folder) / "scratch"
        return et.memory_limit(BUDGETS[self.reads], backend=self.backend, scratch=scratch)


def run_job(job: Job) -> dict[str, Any]:
    """Run it from where it is; returns what is neither in its outputs nor in its checkpoints."""
    blocks = 0

    def put(self: ScratchBlocks, buffers: Sequence[Bytes]) -> int:
        nonlocal blocks
        blocks += len(buffers)
        return _put(self, buffers)

    _put = ScratchBlocks.put
    with (
        patch("eventtime.replay.CHUNK_ROWS", job.chunk_rows),
        patch.object(ScratchBlocks, "put", put),
    ):
        run = job.stream().run(
            job.out,
            sides={"late": job.late},
            checkpoint=job.checkpoints,
            shards=job.shards,
            memory=job.memory,
        )
    run.assert_balanced()
    aside = hashlib.sha256(ipc_bytes(run.side("quarantine"))).hexdigest()
    return {"ledger": run.ledger.to_dict(), "quarantine": aside, "blocks": blocks}


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


class _Totals(et.ProcessFunction):
    """Keeps of each key a total, which begins anew a minute or two after some rows."""

    timers_at_least = "1m"

    total: Any = et.reducing_state(pa.float64(), "sum")
    last: Any = et.value_state(pa.float64())

    def on_batch(self, ctx: Any, batch: pa.RecordBatch) -> None:
        before = self.last.swap_rows(batch["x"])
        some = np.flatnonzero(ctx.times_us % 7 == 0)
        minutes = np.maximum(ctx.times_us, ctx.watermarks_us) // 60_000_000 + 2
        ctx.set_timers(minutes[some] * 60_000_000, some)
        total = self.total.add_rows(batch["x"])
        ctx.emit_rows({"at": ctx.times_us, "key": ctx.keys()[0], "total": total, "x": before})

    def on_timers(self, ctx: Any) -> None:
        for rows in ctx.rounds():
            total = self.total.get_rows(rows)
            self.total.clear_rows(rows)
            what = {"at": ctx.times_us[rows], "key": ctx.keys(rows)[0], "total": total, "x": total}
            ctx.emit_rows(what, rows)


def _keyed() -> Stream:
    """State of many keys, with timers, then windows whose results are taken back."""
    marked = et.from_arrow(_partitions(4_000), time="t").watermark(
        et.bounded_disorder("20s"), max_future="1h"
    )
    totals = marked.key_by("key").process(
        _Totals(),
        output=pa.schema(
            {"at": pa.timestamp("us"), "key": pa.int64(), "total": pa.float64(), "x": pa.float64()}
        ),
        time="at",
        behind="10s",
        columns=["key", "x"],
    )
    windows = totals.key_by("key").window(
        et.tumbling("5m"), allowed_lateness="1m", mode="retracting", late="late"
    )
    return windows.aggregate(n=et.count(), total=et.sum("total"), x=et.first("x"))


_PIPELINES: Final = {"flights": _flights, "generated": _generated, "keyed": _keyed}


def _partitions(keys: int = 50) -> dict[str, pa.Table]:
    return {name: _rows(i, keys) for i, name in enumerate(("a", "b", "c"))}


def _rows(seed: int, keys: int) -> pa.Table:
    draw, n = np.random.default_rng(seed), 8_000
    seconds = np.arange(n) * 0.25 - draw.exponential(10, n)
    times = (seconds * 1e6).astype(np.int64)
    is_null = draw.random(n) < 0.01
    times[draw.integers(0, n, 5)] += 10**13
    return pa.table(
        {
            "t": pa.array(times, mask=is_null).view(pa.timestamp("us")),
            "key": draw.integers(0, keys, n),
            "name": pa.array([f"row {i}" for i in range(n)]),
            "x": draw.normal(size=n),
        }
    )
