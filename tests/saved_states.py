"""Runs that were suspended, for the tests of what looks into their state."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import eventtime as et
from engine_runs import CutSource
from windowing import rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ("batches", "changed", "stream", "suspended")

AGGREGATES = {
    "n": et.count(), "c": et.count("x"), "x": et.sum("x"), "i": et.mean("i"), "top": et.max("u"),
    "lo": et.min("x"), "hi": et.max("i"), "sd": et.stddev("x"), "f": et.first("i"),
    "d": et.sum("d"), "dl": et.min("d"), "word": et.last("s"), "all": et.collect("i"),
    "kinds": et.count_distinct("s"),
}  # fmt: skip


def batches(name: str) -> list[pa.RecordBatch]:
    seed = np.random.default_rng(ord(name))
    n = 240
    seconds: list[float | None] = (np.arange(n) - seed.integers(0, 40, n)).tolist()

    def holed(values: Any, kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind, mask=seed.random(n) < 0.1)

    whole = rows(
        seconds,
        i=holed(seed.integers(-(2**62), 2**62, n), pa.int64()),
        u=holed(seed.integers(2**62, 2**64, n, dtype=np.uint64), pa.uint64()),
        k=holed(seed.integers(0, 5, n), pa.int16()),
        x=holed(seed.normal(size=n), pa.float64()),
        s=holed([f"key {k}" for k in seed.integers(0, 7, n)], pa.string()),
        day=holed(seed.integers(0, 3, n), pa.int32()).cast(pa.date32()),
        d=holed([Decimal(int(v)) / 100 for v in seed.integers(-999, 999, n)], pa.decimal128(9, 2)),
    )
    return [whole.slice(at, 37) for at in range(0, n, 37)]


def stream(
    keys: tuple[str, ...] = ("s",), mode: Any = "retracting", size: str = "20s"
) -> et.Stream:
    source = CutSource({name: batches(name) for name in "ab"})
    marked = et.Stream.read(source).watermark(et.bounded_disorder("15s"))
    keyed: Any = marked.key_by(*keys) if keys else marked
    windows = et.global_window() if size == "all" else et.sliding(size, slide="10s")
    windowed: et.Stream = keyed.window(windows, allowed_lateness="30s", mode=mode).aggregate(
        **AGGREGATES
    )
    return windowed


def suspended(path: Path, job: et.Stream, steps: int = 4) -> et.Run:
    """Run some steps, a checkpoint after each."""
    left = [steps]

    def stop() -> bool:
        left[0] -= 1
        return not left[0]

    where = et.checkpoints(path, every=None, every_rows=1)
    run = job.run(checkpoint=where, stop=stop)
    assert not run.is_finished
    return run


def changed(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)
