"""What checkpoints cost: the pause of the work, bytes of those of what changed, writing, restoring.

``python -m benchmarks.checkpoints``. Windows of a minute hold count, sum, min, max and mean of one
column by key, 48 bytes for each key and window. Checkpoints go to a folder on the local disk,
durable each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

import eventtime as et
from benchmarks import machine
from eventtime.engine import Engine
from eventtime.state.checkpoints import CheckpointStore
from eventtime.state.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventtime.state.checkpoints import CheckpointWriter
    from eventtime.stream import Stream

RESULTS = Path(__file__).resolve().parent / "results"
MINUTE_US = 60_000_000
BATCH_ROWS = 1 << 18
SCHEMA = pa.schema({"time": pa.timestamp("us"), "key": pa.int64(), "value": pa.float64()})

GOALS = {
    "pause_p99_ms": ("at most", 50.0),
    "incremental_share": ("at most", 0.02),
    "write_mb_s": ("at least", 150.0),
    "restore_s": ("at most", 5.0),
}
"""By the first words of a measurement; the bound."""


@dataclass(frozen=True)
class Shape:
    """Accumulators by key and window."""

    keys: int
    windows: int

    def __str__(self) -> str:
        return f"{self.keys:,} keys x {self.windows} windows"


def stream() -> Stream:
    """The pipeline; nothing fires, however much time passes."""
    source = et.from_arrow(SCHEMA.empty_table(), time="time")
    windows = source.watermark(et.bounded_disorder("365d")).key_by("key").window(et.tumbling("1m"))
    value = "value"
    return windows.aggregate(
        n=et.count(), sum=et.sum(value), lo=et.min(value), hi=et.max(value), mean=et.mean(value)
    )


def push(engine: Engine, window: int, keys: np.ndarray) -> None:
    """Push a row for each key into a window."""
    values = np.random.default_rng(window).normal(size=len(keys))
    for first in range(0, len(keys), BATCH_ROWS):
        part = keys[first : first + BATCH_ROWS]
        times = pa.array(np.full(len(part), window * MINUTE_US)).view(pa.timestamp("us"))
        columns = [times, pa.array(part), pa.array(values[first : first + len(part)])]
        engine.push("a", pa.RecordBatch.from_arrays(columns, schema=SCHEMA))


def filled(shape: Shape) -> Engine:
    """Make an engine that holds an accumulator for each key and window."""
    engine, rng = Engine(stream(), ["a"]), np.random.default_rng(0)
    for window in range(shape.windows):
        push(engine, window, rng.permutation(shape.keys))
    return engine


@dataclass
class Reader:
    """Takes the parts of a cut, to make their rows in another thread, as a store does."""

    is_alone: ClassVar[bool] = False
    parts: list[Callable[[], pa.RecordBatch]] = field(default_factory=list)

    def keep(self, version: int, **about: str | int) -> bool:
        return False

    def add(
        self,
        rows: pa.RecordBatch | Callable[[], pa.RecordBatch],
        version: int | None = None,
        **about: str | int,
    ) -> None:
        if callable(rows):
            self.parts.append(rows)

    def read(self) -> None:
        """Make the rows of all parts, one part after another."""
        for rows in self.parts:
            rows()


def cut(engine: Engine, writer: CheckpointWriter | Reader) -> dict[str, Any]:
    """Hand the state over; what the work waits for."""
    return engine._core.save(writer)


def pauses_ms(shape: Shape, cuts: int) -> list[float]:
    """Cut when every slice has changed, again and again."""
    engine, taken, some = filled(shape), [], np.arange(1)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(cuts):
            for window in range(shape.windows):
                push(engine, window, some)
            reader = Reader()
            start = time.perf_counter()
            cut(engine, reader)
            taken.append((time.perf_counter() - start) * 1e3)
            reading = pool.submit(reader.read)
            push(engine, 0, some)
            reading.result()
    engine.suspend()
    return taken


def written(store: CheckpointStore, engine: Engine) -> tuple[float, int]:
    """Write a checkpoint; returns seconds, and bytes that were not there before."""
    before = store.newest()
    old = set() if before is None else {pack.name for pack in before.manifest.packs}
    start = time.perf_counter()
    parts = store.parts()
    made = store.write(cut(engine, parts), parts.blocks)
    seconds = time.perf_counter() - start
    return seconds, sum(pack.length for pack in made.manifest.packs if pack.name not in old)


def restored_s(store: CheckpointStore, shards: int) -> float:
    """Read the newest checkpoint into an engine, up to the first row that it takes."""
    start = time.perf_counter()
    engine = Engine(stream(), [], shards=shards)
    newest = store.newest()
    assert newest is not None
    engine._core.restore(newest)
    push(engine, 0, np.arange(1))
    seconds = time.perf_counter() - start
    engine.suspend()
    return seconds


def stored(shape: Shape, rounds: int) -> dict[str, list[float]]:
    """Write all, write what one slice in a hundred changed, restore."""
    engine, found = filled(shape), dict[str, list[float]]()
    state_bytes = 48 * shape.keys * shape.windows

    def note(name: str, value: float) -> None:
        found.setdefault(f"{name}, {shape}", []).append(value)

    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            store = CheckpointStore.open(LocalStorage(folder))
            seconds, full = written(store, engine)
            note("write_mb_s", state_bytes / seconds / 1e6)
            note("file_mb_s", full / seconds / 1e6)
            for window in range(shape.windows // 100):
                push(engine, window, np.arange(shape.keys))
            if shape.windows >= 100:
                note("incremental_share", written(store, engine)[1] / full)
            for shards in (1, 3):
                note(f"restore_s with {shards} shards", restored_s(store, shards))
    engine.suspend()
    return found


def measure(scale: float, cuts: int, rounds: int) -> dict[str, list[float]]:
    """Take all measurements; `scale` 1 is 5 M and 10 M accumulators."""
    found: dict[str, list[float]] = {}
    for keys, windows in ((5_000_000, 1), (50_000, 100)):
        shape = Shape(int(keys * scale), windows)
        found[f"pause_ms, {shape}"] = pauses_ms(shape, cuts)
    for keys, windows in ((5_000_000, 2), (100_000, 100)):
        found |= stored(Shape(int(keys * scale), windows), rounds)
    return found


def summary(found: dict[str, list[float]]) -> dict[str, float]:
    """Say each measurement in a number: the median, of pauses also the 99th percentile."""
    told = {}
    for name, values in found.items():
        if name.startswith("pause_ms"):
            rest = name.removeprefix("pause_ms")
            told[f"pause_p50_ms{rest}"] = median(values)
            told[f"pause_p99_ms{rest}"] = float(np.percentile(values, 99))
            told[f"pause_first_ms{rest}"] = values[0]
        else:
            told[name] = median(values)
    return told


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each measurement with its goal; write them unless told not to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoints", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of 5 M and 10 M accumulators")
    parser.add_argument("--cuts", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "checkpoints.json")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    measure(0.001, 2, 1)  # kernels are compiled
    found = measure(options.scale, options.cuts, options.rounds)
    told = summary(found)
    for name, value in told.items():
        kind, bound = GOALS.get(name.partition(",")[0].partition(" ")[0], ("", 0.0))
        goal = f"  goal: {kind} {bound:g}" if kind else ""
        print(f"{name:<52}{value:9.3f}{goal}")
    if not options.no_write:
        document = {"machine": machine.describe(), "summary": told, "measured": found}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
