"""What partitions cost that have nothing: ``python -m benchmarks.many_partitions``.

Ten busy partitions alone, and the same ten among a thousand of which all others are silent, in
turns in one process, after a round that is not counted. Rows come in small batches from memory,
through the mailbox that all live sources have, so no broker or network hides the loop's own work.
The figure is the time among a thousand over the time alone, in the same round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

import eventtime as et
from benchmarks import machine
from eventtime.sources.mail_feed import MailFeed
from eventtime.sources.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.sources.base import Position
    from eventtime.sources.feed import News

RESULTS: Final = Path(__file__).resolve().parent / "results" / "many_partitions.json"
BUSY: Final = 10
MANY: Final = 1_000
GOAL: Final = 1.1
ROWS_A_BATCH: Final = 500
ROWS_A_SECOND: Final = 100_000
KEYS: Final = 1_000
SCHEMA: Final = pa.schema([("t", pa.timestamp("us")), ("key", pa.int64()), ("value", pa.float64())])


@dataclass(frozen=True)
class Few:
    """A source with partitions of which the first ten have rows.

    Args:
        partitions: all of them.
        batches: of each that is busy, in order.
    """

    partitions: int
    batches: tuple[pa.RecordBatch, ...]
    time: str = "t"
    time_unit: str | None = None
    reports_malformed: bool = False

    def schema(self) -> pa.Schema:
        return SCHEMA

    def follow(
        self, columns: Sequence[str] | None, positions: Mapping[str, Position] | None, clock: Clock
    ) -> _FewFeed:
        return _FewFeed(self, list(columns or SCHEMA.names))

    def describe(self) -> str:
        return f"{BUSY} busy partitions of {self.partitions}"


class _FewFeed(MailFeed):
    """Tells a batch of each busy partition a turn; the others are silent from the start."""

    def __init__(self, source: Few, columns: list[str]) -> None:
        super().__init__(Mailbox())
        self._names = [f"p{i:04}" for i in range(source.partitions)]
        for name in self._names:
            self._mail.add(name, is_found=False)
        self._left = [batch.select(columns) for batch in reversed(source.batches)]

    def start(self, wake: Callable[[], None]) -> None:
        self._mail.wake = wake
        for name in self._names[BUSY:]:
            self._mail.quiet(name)

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        if self._left:
            batch = self._left.pop()
            for name in self._names[:BUSY]:
                self._mail.put(name, batch, {"left": len(self._left)})
            if not self._left:
                for name in self._names:
                    self._mail.end(name)
        return super().take(most_rows, held)

    @property
    def is_over(self) -> bool:
        return self._mail.all_ended

    def close(self) -> None:
        """Nothing is held."""


def once(partitions: int, batches: tuple[pa.RecordBatch, ...]) -> float:
    """Run over all rows; returns the seconds it took."""
    stream = et.Stream.read(Few(partitions, batches))
    marked = stream.watermark(et.bounded_disorder("1s"), idle_after="1ms").key_by("key")
    windows = marked.window(et.tumbling("1s")).aggregate(n=et.count(), mean=et.mean("value"))
    begun = time.perf_counter()
    ran = windows.run(live=et.live(latency="0s"))
    took = time.perf_counter() - begun
    assert ran.report.rows == BUSY * sum(batch.num_rows for batch in batches)
    return took


def batches_of(rows: int) -> tuple[pa.RecordBatch, ...]:
    """Make the rows of one partition."""
    draw, found = np.random.default_rng(1), []
    for start in range(0, rows // BUSY, ROWS_A_BATCH):
        numbers = np.arange(start, start + ROWS_A_BATCH)
        times = numbers * (1_000_000 * BUSY // ROWS_A_SECOND)
        values = draw.random(ROWS_A_BATCH)
        columns = [times, draw.integers(0, KEYS, ROWS_A_BATCH), values]
        found.append(pa.record_batch([*map(pa.array, columns)], names=SCHEMA.names).cast(SCHEMA))
    return tuple(found)


def main() -> int:
    """Print the figures, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-write", action="store_true")
    given = parser.parse_args()
    batches = batches_of(given.rows)
    rounds = [(once(BUSY, batches), once(MANY, batches)) for _ in range(given.rounds + 1)][1:]
    ratios = [many / few for few, many in rounds]
    alone, among = (round(given.rows / statistics.median(s)) for s in zip(*rounds, strict=True))
    figures: dict[str, Any] = {
        "rows": given.rows,
        "rows_per_s_of_10": alone,
        "rows_per_s_of_1000": among,
        "time_ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "goal": GOAL,
    }
    print(json.dumps(figures))
    if not given.no_write:
        text = json.dumps({"machine": machine.describe(), **figures}, indent=1)
        RESULTS.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
