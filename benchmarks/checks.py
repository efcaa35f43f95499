"""How long 1,000 examples of the testing kit's `check` take on a pipeline of two keys."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, seed, settings

import eventtime as et
from benchmarks.machine import describe
from eventtime.testing import Push, check
from eventtime.testing.strategies import streams

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = pa.schema(
    {
        "at": pa.timestamp("us", "UTC"),
        "shop": pa.string(),
        "till": pa.int64(),
        "cents": pa.int64(),
    }
)
PIPELINE = (
    et.from_arrow(SCHEMA.empty_table(), time="at")
    .watermark(et.bounded_disorder("10s"), idle_after="30s")
    .key_by("shop", "till")
    .window(et.tumbling("1m"), allowed_lateness="1m")
    .aggregate(sales=et.count(), cents=et.sum("cents"))
)


def main(examples: int, without: Sequence[str] = ()) -> dict[str, Any]:
    """Check the pipeline; what is drawn is the same each time, and takes its time too.

    Args:
        examples: how many.
        without: checks to leave out, to see what they cost.
    """
    counts = {"examples": 0, "rows": 0, "steps": 0}

    def one(happening: Any) -> None:
        counts["examples"] += 1
        counts["steps"] += len(happening.steps)
        counts["rows"] += sum(len(s.rows) for s in happening.steps if isinstance(s, Push))
        check(PIPELINE, happening, without=without)

    quiet = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run = quiet(seed(1)(given(streams(PIPELINE))(one)))
    started, cpu = time.perf_counter(), time.process_time()
    run()
    seconds = {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }
    return {**counts, **seconds, "machine": describe()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--without", action="append", default=[], metavar="CHECK")
    print(main(**vars(parser.parse_args())))
