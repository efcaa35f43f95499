"""Seeded streams of rows, kept in a cache folder as Arrow and Parquet files by partition.

A row happens at event time t and arrives at t + U(0, disorder): a partition lists its rows by
arrival. A small share arrives hours late instead. Values are multiples of 2^-12, so that sums are
exact whatever the order of addition and contenders can be compared bit for bit.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILE_VERSION = 1
START_US = 1_709_251_200_000_000  # 2024-03-01T00:00:00Z
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
BATCH_ROWS = 65_536
SITES = ("ams", "nyc", "frankfurt", "singapore")


@dataclass(frozen=True)
class Dataset:
    """What the rows look like; equal datasets have equal rows.

    ``late_share`` of the rows arrive 2 to 6 hours after they happened, all others within
    ``disorder_us``.
    """

    rows: int = 20_000_000
    keys: int = 10_000
    key_type: Literal["int64", "string"] = "int64"
    partitions: int = 4
    disorder_us: int = 60 * SECOND_US
    late_share: float = 0.001
    span_us: int = 24 * HOUR_US
    seed: int = 20_240_301

    @property
    def name(self) -> str:
        """The name of its cache folder, from everything that decides its rows."""
        return (
            f"v{FILE_VERSION}-{self.rows}rows-{self.keys}{self.key_type}-{self.partitions}p"
            f"-{self.disorder_us}us-{self.late_share}late-{self.span_us}us-seed{self.seed}"
        )

    def partition(self, index: int) -> pa.Table:
        """Generate one partition as it arrives: ``time`` timestamp[us], ``key``, ``value`` float64.

        Cost: O(n log n) for its n rows, vectorised.
        """
        rng = np.random.default_rng([self.seed, index])
        n = self.rows // self.partitions + (index < self.rows % self.partitions)
        offset_us = rng.integers(0, self.span_us, n)
        delay_us = rng.integers(0, self.disorder_us, n)
        very_late = rng.random(n) < self.late_share
        # Very late rows happen early enough to arrive within the span, so that each of them has
        # missed all its windows.
        latest_us = max(self.span_us - 6 * HOUR_US, 1)
        offset_us[very_late] = rng.integers(0, latest_us, int(very_late.sum()))
        delay_us[very_late] = rng.integers(2 * HOUR_US, 6 * HOUR_US, int(very_late.sum()))
        arrival = np.argsort(offset_us + delay_us, kind="stable")
        value = np.round(rng.normal(100.0, 15.0, n) * 2**12) / 2**12
        key_index = rng.integers(0, self.keys, n)
        return pa.table(
            {
                "time": pa.array(offset_us[arrival] + START_US, pa.timestamp("us")),
                "key": self._keys(key_index),
                "value": pa.array(value),
            }
        )

    def _keys(self, key_index: np.ndarray) -> pa.Array:
        """Integers as drawn; strings of 5 to 15 bytes, about half of 12 or less."""
        if self.key_type == "int64":
            return pa.array(key_index)
        names = pa.array([f"{SITES[k % len(SITES)]}-{k}" for k in range(self.keys)], pa.string())
        return names.take(pa.array(key_index))


@dataclass(frozen=True)
class DatasetFiles:
    """A dataset on disk: for each partition an Arrow stream and a Parquet file."""

    folder: Path
    partitions: int

    @property
    def parquet_paths(self) -> list[str]:
        """One file for each partition, by pyarrow's defaults: snappy, row groups of 1 Mi rows."""
        return [str(self.folder / f"p{i}.parquet") for i in range(self.partitions)]

    def batches(self, batch_rows: int = BATCH_ROWS) -> dict[str, list[pa.RecordBatch]]:
        """Read the partitions into memory as record batches of ``batch_rows``, not slices."""
        return {f"p{i}": self._partition_batches(i, batch_rows) for i in range(self.partitions)}

    def _partition_batches(self, index: int, batch_rows: int) -> list[pa.RecordBatch]:
        with pa.ipc.open_stream(str(self.folder / f"p{index}.arrows")) as reader:
            table = reader.read_all()
        if batch_rows == BATCH_ROWS:
            return list(table.to_batches())
        return list(pa.ipc.open_stream(_as_stream(table, batch_rows)).read_all().to_batches())


def _as_stream(table: pa.Table, batch_rows: int) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=batch_rows)
    return sink.getvalue()


def cache_folder() -> Path:
    """``EVENTTIME_BENCH_CACHE``, or a folder under the system's temporary one."""
    named = os.environ.get("EVENTTIME_BENCH_CACHE")
    return Path(named) if named else Path(tempfile.gettempdir()) / f"eventtime-bench-{os.getuid()}"


def materialise(dataset: Dataset, folder: Path | None = None) -> DatasetFiles:
    """Write the dataset unless the cache holds it; the folder appears whole or not at all."""
    root = folder or cache_folder()
    home = root / dataset.name
    if not home.exists():
        root.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="writing-", dir=root))
        try:
            for index in range(dataset.partitions):
                _write_partition(dataset.partition(index), scratch / f"p{index}")
            scratch.rename(home)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return DatasetFiles(home, dataset.partitions)


def _write_partition(table: pa.Table, stem: Path) -> None:
    with pa.ipc.new_stream(str(stem.with_suffix(".arrows")), table.schema) as writer:
        writer.write_table(table, max_chunksize=BATCH_ROWS)
    pq.write_table(table, stem.with_suffix(".parquet"))
