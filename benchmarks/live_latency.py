"""How long a result takes: ``python -m benchmarks.live_latency``.

Rows come over four partitions, of Kafka or of sockets, at a steady rate, with the time at which
they were made as their event time. A result's latency is the time from the end of its window until
a sink has taken it: by then a row of each partition behind that end was made, sent, with Kafka
stored by the broker and fetched, and processed. Producer, broker and engine share the machine. A
run of each kind of window, one of a second and one of an hour whose end lies within the run, is a
process of its own. ``--seconds 600`` is the run of ten minutes: percentiles are over all its
windows but the first three, and memory is flat if it is, from a tenth of the run on, within a
twentieth of what it was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

import eventtime as et
from benchmarks import machine
from benchmarks.memory import resident_bytes
from benchmarks.steady_rows import PARTITIONS, SCHEMA, TOPIC, send_steadily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RESULTS: Final = Path(__file__).resolve().parent / "results"
SETTLING_US: Final = 3_000_000
GOALS: Final = {"median_ms": 10.0, "p99_ms": 50.0}
FLAT: Final = 1.05


@dataclass
class Probe:
    """A sink that notes when it took the results of each window."""

    delivery: Any = "at_least_once"
    guarantee: Any = "at_least_once"

    def __post_init__(self) -> None:
        self.latencies_us: list[int] = []

    def open_epochs(self, schema: pa.Schema, job: str) -> Probe:
        return self

    def describe(self) -> str:
        return "a probe"

    def recover(self, token: int) -> int:
        return 0

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        now_us = time.time_ns() // 1_000
        for batch in batches:
            ends = batch.column("window_end").cast(pa.int64()).to_numpy()
            self.latencies_us += [now_us - int(end) for end in np.unique(ends)]

    def close(self) -> None:
        """Nothing is held."""


class Stop:
    """Ends a run after a while, and looks at its memory once a second.

    Args:
        seconds: so long.
    """

    def __init__(self, seconds: float) -> None:
        self._end_us = time.time_ns() // 1_000 + round(seconds * 1e6)
        self._look_us = 0
        self.memory: list[int] = []

    def __call__(self) -> bool:
        now_us = time.time_ns() // 1_000
        if now_us >= self._look_us:
            self._look_us = now_us + 1_000_000
            self.memory.append(resident_bytes())
        return now_us >= self._end_us

    def megabytes(self, share: float) -> int:
        """Tell what was held at a share of the run."""
        return round(self.memory[min(int(share * len(self.memory)), len(self.memory) - 1)] / 1e6)

    @property
    def is_flat(self) -> bool:
        """Whether it never held much more than after a tenth of the run."""
        later = self.memory[len(self.memory) // 10 :]
        return max(later) <= FLAT * later[0]


def rows_over(over: str, where: str, value: Any) -> et.Stream:
    """Follow the rows that are sent."""
    known: dict[str, Any] = {"time": "time", "schema": SCHEMA}
    if value == "json":
        known |= {"schema": SCHEMA.set(0, SCHEMA.field(0).with_type(pa.int64())), "time_unit": "us"}
    if over == "socket":
        form: Any = "arrow" if value == "arrow" else "jsonl"
        return et.read_socket(where, format=form, connections=PARTITIONS, **known)
    return et.read_kafka(TOPIC, servers=where, value=value, start="latest", **known)


def measure(over: str, where: str, window: str, seconds: float, value: str) -> dict[str, Any]:
    """Follow the rows for a while."""
    hours = window == "1h"
    offset_us = (time.time_ns() // 1_000 + round(seconds * 5e5)) % 3_600_000_000 if hours else 0
    grid = et.tumbling(window, offset=f"{offset_us}us")
    marked = rows_over(over, where, value).watermark(et.ascending(), idle_after="30s")
    stream = marked.key_by("key").window(grid)
    probe, stop, cpu = Probe(), Stop(seconds), time.process_time()
    ran = stream.aggregate(n=et.count(), total=et.sum("value"), top=et.max("value")).run(
        probe, stop=stop, drain=True
    )
    # Drained windows end behind the end of the run.
    late = [t / 1e3 for t in probe.latencies_us if t > 0]
    late = late if hours else late[SETTLING_US // 1_000_000 :]
    return {
        "over": over,
        "window": window,
        "value": value,
        "seconds": seconds,
        "rows": ran.report.rows,
        "rows_per_s": round(ran.report.rows / seconds),
        "windows": len(late),
        "median_ms": round(float(np.median(late)), 2),
        "p99_ms": round(float(np.percentile(late, 99)), 2),
        "max_ms": round(max(late), 2),
        "late_rows": ran.report.late,
        "cpu_share": round((time.process_time() - cpu) / seconds, 2),
        "memory_mb": {f"{share:.0%}": stop.megabytes(share) for share in (0.1, 0.5, 1.0)},
        "is_memory_flat": stop.is_flat,
    }


def main() -> int:
    """Start a broker and a producer, and measure beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=100_000)
    parser.add_argument("--over", nargs="*", default=["kafka", "socket"])
    parser.add_argument("--values", nargs="*", default=["arrow", "json"])
    parser.add_argument("--windows", nargs="*", default=["1s", "1h"])
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--one", nargs=5, help="produce or measure here")
    given = parser.parse_args()
    if given.one:
        what, over, where, window, value = given.one
        if what == "produce":
            send_steadily(over, where, value, given.rate, given.seconds)
        else:
            print(json.dumps(measure(over, where, window, given.seconds, value)))
        return 0
    measured = [
        _run(given, o, w, v) for o in given.over for v in given.values for w in given.windows
    ]
    if not given.no_write:
        text = json.dumps({"machine": machine.describe(), "measured": measured}, indent=1)
        (RESULTS / "live_latency.json").write_text(text + "\n")
    return 0


def _run(given: argparse.Namespace, over: str, window: str, value: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.live_latency", "--rate", str(given.rate)]
    with _broker() if over == "kafka" else _free_address() as where:
        longer = ["--seconds", str(given.seconds + 15)]
        sending = subprocess.Popen([*command, *longer, "--one", "produce", over, where, "-", value])
        try:
            time.sleep(3)
            measuring = [*command, "--seconds", str(given.seconds)]
            one = ["--one", "measure", over, where, window, value]
            done = subprocess.run([*measuring, *one], stdout=subprocess.PIPE, text=True, check=True)
        finally:
            sending.terminate()
            sending.wait()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    goals = ", ".join(f"{name} {found[name]} (goal {most:g})" for name, most in GOALS.items())
    flat = "flat" if found["is_memory_flat"] else "not flat"
    print(
        f"{over:6} {value:6} {window:3} {found['rows_per_s']:,} rows/s, {found['windows']} windows:"
        f" {goals}, max {found['max_ms']}; memory {found['memory_mb']} MB, {flat}; "
        f"{found['cpu_share']} CPU",
        flush=True,
    )
    return found


@contextlib.contextmanager
def _broker() -> Iterator[str]:
    sys.path.insert(0, str(machine.ROOT / "tests"))
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    from kafka_server import KafkaServer, jars

    folder = jars()
    if isinstance(folder, str):
        raise SystemExit(folder)
    server = KafkaServer(folder)
    try:
        admin = AdminClient({"bootstrap.servers": server.servers})
        for made in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
            made.result()
        yield server.servers
    finally:
        server.remove()


@contextlib.contextmanager
def _free_address() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    yield f"127.0.0.1:{port}"


if __name__ == "__main__":
    raise SystemExit(main())
