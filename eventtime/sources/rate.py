"""Rows made up at a rate, for trials and benchmarks: the same ones for the same seed and number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from eventtime.sources.base import Poll
from eventtime.sources.positions import check_known, checked
from eventtime.sources.reader_feed import ReaderFeed
from eventtime.sources.schemas import check_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from eventtime.clock import Clock
    from eventtime.sources.base import Position

__all__ = ("RATE_SCHEMA", "RateReader", "RateSource")

RATE_SCHEMA: Final = pa.schema(
    [
        ("time", pa.timestamp("us", "UTC")),
        ("key", pa.string()),
        ("value", pa.float64()),
        ("number", pa.int64()),
    ]
)
_POSITION: Final = {"rows": int, "start_us": int, "ended": bool}
_MOST_ROWS: Final = 65_536
"""Of a batch."""


@dataclass(frozen=True)
class RateSource:
    """Rows at a rate; made by `eventtime.generate`."""

    rate: float
    partitions: int
    seed: int
    keys: int
    disorder_us: int
    late_share: float
    late_by_us: int
    rows: int | None
    start_us: int | None
    tick_us: int
    time: str = "time"
    time_unit: str | None = None
    reports_malformed: bool = False

    def schema(self) -> pa.Schema:
        """Return time, key, value, and the number of the row in its partition."""
        return RATE_SCHEMA

    def follow(
        self,
        columns: Sequence[str] | None,
        positions: Mapping[str, Position] | None,
        clock: Clock,
    ) -> ReaderFeed:
        """Begin now, or where a run before has stopped: what fell due since comes at once."""
        names = [f"generated-{p}" for p in range(self.partitions)]
        held = {
            name: checked(position, _POSITION, partition=name)
            for name, position in (positions or {}).items()
        }
        check_known(held, names)
        begun = [position["start_us"] for position in held.values()]
        given = clock.now_us() if self.start_us is None else self.start_us
        start_us = min([*begun, given]) if begun else given
        schema = check_columns(RATE_SCHEMA, columns)
        readers = [
            RateReader(self, name, p, schema, start_us, held.get(name), clock)
            for p, name in enumerate(names)
        ]
        return ReaderFeed(readers, clock, every_us=self.tick_us, most_us=self.tick_us)

    def describe(self) -> str:
        """Return one line."""
        parts = f"{self.partitions} partition(s), seed {self.seed}"
        return f"made up: {self.rate:,.6g} rows/s in {parts}"

    def batch(self, p: int, first: int, last: int, start_us: int) -> pa.RecordBatch:
        """Make rows of a partition; the same ones however they are cut.

        Args:
            p: number of the partition.
            first, last: numbers of the first row, and behind the last one.
            start_us: event time of row 0, but for its disorder.
        """
        numbers = np.arange(first, last, dtype=np.int64)
        lane = np.uint64(self.seed) * np.uint64(1_000_003) + np.uint64(p)
        by = [_mixed(numbers, lane, salt) for salt in range(4)]
        due_us = start_us + (numbers * (1e6 * self.partitions / self.rate)).astype(np.int64)
        times = due_us - (_unit(by[0]) * self.disorder_us).astype(np.int64)
        is_late = _unit(by[1]) < self.late_share
        times -= np.where(is_late, self.late_by_us, 0)
        keys = (by[2] % np.uint64(self.keys)).astype(np.int64)
        names = _key_names(self.keys).take(pa.array(keys))
        columns = [pa.array(times, RATE_SCHEMA.field("time").type), names, pa.array(_unit(by[3]))]
        return pa.RecordBatch.from_arrays([*columns, pa.array(numbers)], schema=RATE_SCHEMA)


class RateReader:
    """One partition: hands over the rows that fell due."""

    def __init__(
        self,
        source: RateSource,
        name: str,
        p: int,
        schema: pa.Schema,
        start_us: int,
        held: Position | None,
        clock: Clock,
    ) -> None:
        self.name, self._p = name, p
        self._source, self._names, self._clock = source, schema.names, clock
        self._start_us = start_us
        self._rows = 0 if held is None else int(held["rows"])
        self._most = None if source.rows is None else _share(source.rows, source.partitions, p)

    @property
    def position(self) -> Position:
        return {"rows": self._rows, "start_us": self._start_us, "ended": self._rows == self._most}

    def read(self) -> pa.RecordBatch | Poll:
        if self._rows == self._most:
            return Poll.END
        passed_us = self._clock.now_us() - self._start_us
        due = int(passed_us * self._source.rate / (1e6 * self._source.partitions)) + 1
        last = min(due, self._rows + _MOST_ROWS)
        last = last if self._most is None else min(last, self._most)
        if passed_us < 0 or last <= self._rows:
            return Poll.PAUSE
        batch = self._source.batch(self._p, self._rows, last, self._start_us)
        self._rows = last
        return batch.select(self._names)

    def close(self) -> None:
        """Nothing is held."""


@cache
def _key_names(n: int) -> pa.Array:
    """Name the keys, once and not for each batch."""
    return pa.array([f"k{k}" for k in range(n)])


def _share(rows: int, partitions: int, p: int) -> int:
    return rows // partitions + (p < rows % partitions)


def _mixed(numbers: NDArray[np.int64], lane: np.uint64, salt: int) -> NDArray[np.uint64]:
    """Hash row numbers by splitmix64: no row depends on those before it."""
    with np.errstate(over="ignore"):
        x: NDArray[np.uint64] = numbers.astype(np.uint64) * np.uint64(4) + np.uint64(salt)
        x = x * np.uint64(0x9E3779B97F4A7C15) + lane * np.uint64(0xD1B54A32D192ED03)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x


def _unit(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Make floats in [0, 1) of 53 bits."""
    return (bits >> np.uint64(11)).astype(np.float64) / float(1 << 53)
