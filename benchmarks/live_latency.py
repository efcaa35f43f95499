"""How long a result takes: ``python -m benchmarks.live_latency``.

Rows come over four partitions of Kafka, at a steady rate, with the time at which they were made as
their event time. A result's latency is the time from the end of its window until a sink has taken
it: by then a row of each partition behind that end was made, sent, stored by the broker, fetched
and processed. Producer, broker and engine share the machine. A run of each kind of window, one of a
second and one of an hour whose end lies within the run, is a process of its own.
"""

from __future__ import annotations

import argparse
import json
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

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULTS: Final = Path(__file__).resolve().parent / "results"
PARTITIONS: Final = 4
KEYS: Final = 1_000
TICK_US: Final = 2_000
"""A message of each partition so often."""
SETTLING_US: Final = 3_000_000
GOALS: Final = {"median_ms": 10.0, "p99_ms": 50.0}
SCHEMA: Final = pa.schema(
    [("time", pa.timestamp("us", "UTC")), ("key", pa.int64()), ("value", pa.float64())]
)


@dataclass
class Probe:
    """A sink that notes when it took the results of each window."""

    delivery: Any = "at_least_once"
    guarantee: Any = "at_least_once"

    def __post_init__(self) -> None:
        self.latencies_us: list[int] = []
        self.memory: list[int] = []

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
        self.memory.append(resident_bytes())

    def close(self) -> None:
        """Nothing is held."""


def produce(servers: str, topic: str, rate: int, seconds: float, value: str) -> None:
    """Send messages of each partition at a steady rate, each with the rows that fell due."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0, "acks": 1})
    rng = np.random.default_rng(1)
    begun_us = due_us = time.time_ns() // 1_000
    share = rate // PARTITIONS
    while due_us - begun_us < seconds * 1e6:
        before_us, due_us = due_us, time.time_ns() // 1_000
        n = max(1, round(share * (due_us - before_us) / 1e6))
        times = np.linspace(before_us, due_us, n, endpoint=False).astype(np.int64) + 1
        for partition in range(PARTITIONS):
            keys, values = rng.integers(0, KEYS, n), rng.random(n)
            rows = pa.record_batch([times, keys, values], schema=SCHEMA)
            producer.produce(topic, payload(rows, value), partition=partition)
        producer.poll(0)
        time.sleep(max(0.0, (due_us + TICK_US - time.time_ns() // 1_000) / 1e6))
    producer.flush()


def payload(rows: pa.RecordBatch, value: str) -> bytes:
    """Encode rows as one message."""
    if value == "arrow":
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_batch(rows)
        return bytes(sink.getvalue())
    columns = rows.set_column(0, "time", rows.column(0).cast(pa.int64())).to_pydict()
    lines = zip(*columns.values(), strict=True)
    return "\n".join(f'{{"time":{t},"key":{k},"value":{v}}}' for t, k, v in lines).encode()


def measure(servers: str, topic: str, window: str, seconds: float, value: Any) -> dict[str, Any]:
    """Follow the topic for a while."""
    schema = SCHEMA if value == "arrow" else SCHEMA.set(0, pa.field("time", pa.int64()))
    unit = None if value == "arrow" else "us"
    source = et.read_kafka(
        topic, servers=servers, time="time", time_unit=unit, value=value, schema=schema,
        start="latest",
    )  # fmt: skip
    hours = window == "1h"
    offset_us = (time.time_ns() // 1_000 + round(seconds * 5e5)) % 3_600_000_000 if hours else 0
    grid = et.tumbling(window, offset=f"{offset_us}us")
    stream = source.watermark(et.ascending(), idle_after="30s").key_by("key").window(grid)
    probe, end_us = Probe(), time.time_ns() // 1_000 + round(seconds * 1e6)
    cpu = time.process_time()
    ran = stream.aggregate(n=et.count(), total=et.sum("value"), top=et.max("value")).run(
        probe, stop=lambda: time.time_ns() // 1_000 >= end_us, drain=True
    )
    # Drained windows end behind the end of the run.
    late = [t / 1e3 for t in probe.latencies_us if t > 0]
    late = late if hours else late[SETTLING_US // 1_000_000 :]
    return {
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
        "first_mb": round(probe.memory[min(5, len(probe.memory) - 1)] / 1e6),
        "last_mb": round(probe.memory[-1] / 1e6),
    }


def main() -> int:
    """Start a broker and a producer, and measure beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=100_000)
    parser.add_argument("--values", nargs="*", default=["arrow", "json"])
    parser.add_argument("--windows", nargs="*", default=["1s", "1h"])
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--one", nargs=5, help="produce or measure here")
    given = parser.parse_args()
    if given.one:
        what, servers, topic, first, value = given.one
        if what == "produce":
            produce(servers, topic, given.rate, given.seconds, value)
        else:
            print(json.dumps(measure(servers, topic, first, given.seconds, value)))
        return 0
    measured = [_run(given, w, v) for v in given.values for w in given.windows]
    if not given.no_write:
        text = json.dumps({"machine": machine.describe(), "measured": measured}, indent=1)
        (RESULTS / "live_latency.json").write_text(text + "\n")
    return 0


def _run(given: argparse.Namespace, window: str, value: str) -> dict[str, Any]:
    sys.path.insert(0, str(machine.ROOT / "tests"))
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    from kafka_server import KafkaServer, jars

    folder = jars()
    if isinstance(folder, str):
        raise SystemExit(folder)
    server = KafkaServer(folder)
    try:
        admin = AdminClient({"bootstrap.servers": server.servers})
        for made in admin.create_topics([NewTopic("rows", PARTITIONS, 1)]).values():
            made.result()
        command = [sys.executable, "-m", "benchmarks.live_latency", "--rate", str(given.rate)]
        longer = ["--seconds", str(given.seconds + 15)]
        sending = subprocess.Popen(
            [*command, *longer, "--one", "produce", server.servers, "rows", "-", value]
        )
        try:
            time.sleep(3)
            measuring = [*command, "--seconds", str(given.seconds)]
            one = ["--one", "measure", server.servers, "rows", window, value]
            done = subprocess.run([*measuring, *one], stdout=subprocess.PIPE, text=True, check=True)
        finally:
            sending.terminate()
            sending.wait()
    finally:
        server.remove()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    goals = ", ".join(f"{name} {found[name]} (goal {most:g})" for name, most in GOALS.items())
    print(
        f"{value:6} {window:3} {found['rows_per_s']:,} rows/s, {found['windows']} windows: "
        f"{goals}, max {found['max_ms']}; memory {found['first_mb']} to {found['last_mb']} MB, "
        f"{found['cpu_share']} CPU",
        flush=True,
    )
    return found


if __name__ == "__main__":
    raise SystemExit(main())
