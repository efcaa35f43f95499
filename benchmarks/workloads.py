"""The named workloads: which rows, which windows, from where, and who runs them.

A contender is named ``engine@threads`` (without the suffix it has one thread), and ``ours:other``
runs another workload in turn with the rest, so that the two can be compared round by round.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from benchmarks.dataset import BATCH_ROWS, HOUR_US, SECOND_US, Dataset

BATCH_ENGINES = ("duckdb", "polars", "pyarrow")
MINUTE_US = 60 * SECOND_US


@dataclass(frozen=True)
class Workload:
    """Count, sum, min, max and mean of ``value`` by window and ``key``."""

    name: str
    what: str
    dataset: Dataset = field(default_factory=Dataset)
    size_us: int = HOUR_US
    slide_us: int = HOUR_US
    source: Literal["memory", "parquet"] = "memory"
    batch_rows: int = BATCH_ROWS
    contenders: tuple[str, ...] = ("ours", *BATCH_ENGINES, "floor")
    flows: bool = False
    """Batches are made on the way, and results taken as a stream and let go: nothing is kept."""
    repeats: int = 1
    """How often the day is played, one after the other; only if it flows."""

    @property
    def rows(self) -> int:
        """Rows one round goes through."""
        return self.dataset.rows * self.repeats

    @property
    def tumbling(self) -> bool:
        """Whether windows do not overlap."""
        return self.size_us == self.slide_us

    def scaled(self, rows: int) -> Workload:
        """The same workload on another number of rows; keys and time span stay."""
        return replace(self, dataset=replace(self.dataset, rows=rows))

    def warm_up(self) -> Workload:
        """A few rows of the same kind: enough to import, compile and allocate, too few to count."""
        few = replace(self.dataset, rows=2_000, seed=self.dataset.seed + 1)
        return replace(self, dataset=few)


_STRINGS = Dataset(keys=100_000, key_type="string")
_FEW_KEYS = Dataset(keys=1_000)
_MANY_KEYS = Dataset(keys=5_000_000)

WORKLOADS: dict[str, Workload] = {
    w.name: w
    for w in (
        Workload(
            "hourly",
            "hourly, 10 k integer keys, batches in memory",
            contenders=("ours", *BATCH_ENGINES, "floor", "ours@2"),
        ),
        Workload(
            "hourly_parquet",
            "hourly, 10 k integer keys, end to end from Parquet",
            source="parquet",
            contenders=("ours@2", "ours", "duckdb@2", "polars@2", "pyarrow@2", "duckdb"),
        ),
        Workload("strings", "hourly, 100 k string keys, batches in memory", _STRINGS),
        Workload(
            "strings_parquet",
            "hourly, 100 k string keys, end to end from Parquet",
            _STRINGS,
            source="parquet",
            contenders=("ours@2", "ours", "duckdb@2", "polars@2", "duckdb"),
        ),
        Workload(
            "tumbling_1h",
            "1 h tumbling over 1 k keys",
            _FEW_KEYS,
            contenders=("ours", "duckdb", "floor"),
        ),
        Workload(
            "tumbling_1m",
            "1 min tumbling over 1 k keys: the slices, and as many results, as sliding_60",
            _FEW_KEYS,
            MINUTE_US,
            MINUTE_US,
            contenders=("ours", "duckdb", "floor"),
        ),
        Workload(
            "sliding_60",
            "1 h by 1 min over 1 k keys (each row in 60 windows)",
            _FEW_KEYS,
            HOUR_US,
            MINUTE_US,
            contenders=("ours", "duckdb", "floor", "ours:tumbling_1m", "ours:tumbling_1h"),
        ),
        Workload(
            "sliding_6",
            "60 s by 10 s over 1 k keys (each row in 6 windows)",
            _FEW_KEYS,
            MINUTE_US,
            10 * SECOND_US,
            contenders=("ours", "duckdb", "floor"),
        ),
        Workload("keys_5m", "hourly, 5 M integer keys, batches in memory", _MANY_KEYS),
        Workload(
            "small_batches",
            "hourly, 10 k integer keys, batches of 1,000 rows",
            batch_rows=1_000,
            contenders=("ours", "duckdb", "floor"),
        ),
        Workload(
            "streaming",
            "hourly, 10 k integer keys, a size a row-by-row streaming engine can bear",
            Dataset(rows=200_000),
            contenders=("ours", "bytewax", "duckdb", "floor"),
        ),
        Workload(
            "day",
            "hourly, one day as a stream of results",
            contenders=("ours",),
            flows=True,
        ),
        Workload(
            "ten_days",
            "the same day ten times over: memory has to stay flat",
            contenders=("ours", "ours:day"),
            flows=True,
            repeats=10,
        ),
    )
}
