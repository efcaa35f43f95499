"""How long a result takes: ``python -m benchmarks.live_latency``.

Rows come over four partitions, of Kafka or of sockets, at a steady rate, with the time at which
they were made as their event time. A result's latency is the time from the end of its window until
a sink has taken it: by then a row of each partition behind that end was made, sent, with Kafka
stored by the broker and fetched, and processed. Producer, broker and engine share the machine. A
run of each kind of window, one of a second and one of an hour whose end lies within the run, is a
process of its own. ``--seconds 600`` is the run of ten minutes: percentiles are over all its
windows but the first three, and memory is flat if it is, from a tenth of the run on, within a
twentieth of what it was. After each run a client that does nothing but look at times receives the
same rows for a while: the floor. ``--over``, ``--values`` and ``--windows`` choose what is run;
results of the others stay in the file.
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
from benchmarks.latency_floor import floor
from benchmarks.memory import resident_bytes
from benchmarks.steady_rows import PARTITIONS, SCHEMA, TOPIC, send_steadily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RESULTS: Final = Path(__file__).resolve().parent / "results"
SETTLING_US: Final = 3_000_000
GOALS: Final = {"median_ms": 10.0, "p99_ms": 50.0}
FLAT: Final = 1.05
FLOOR_S: Final = 30.0
"""At most; no longer than the run."""


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
        **_told(late),
        "late_rows": ran.report.late,
        "cpu_share": round((time.process_time() - cpu) / seconds, 2),
        "memory_mb": {f"{share:.0%}": stop.megabytes(share) for share in (0.1, 0.5, 1.0)},
        "is_memory_flat": stop.is_flat,
    }


def _told(latencies_ms: list[float]) -> dict[str, float]:
    if not latencies_ms:
        msg = "no window was measured: it takes longer --seconds"
        raise SystemExit(msg)
    return {
        "median_ms": round(float(np.median(latencies_ms)), 2),
        "p99_ms": round(float(np.percentile(latencies_ms, 99)), 2),
        "max_ms": round(max(latencies_ms), 2),
    }


def main() -> int:
    """Start a broker and a producer, and measure beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=100_000)
    kinds = {"over": ["kafka", "socket"], "values": ["arrow", "json"], "windows": ["1s", "1h"]}
    for what, all_of_them in kinds.items():
        parser.add_argument(f"--{what}", nargs="+", choices=all_of_them, default=all_of_them)
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--one", nargs=5, help="produce or measure here")
    given = parser.parse_args()
    if given.one:
        what, over, where, window, value = given.one
        if what == "produce":
            send_steadily(over, where, value, given.rate, given.seconds)
        elif what == "floor":
            late = floor(over, where, value, given.seconds)
            print(json.dumps(_told([us / 1e3 for us in late])))
        else:
            print(json.dumps(measure(over, where, window, given.seconds, value)))
        return 0
    for over in given.over:
        for value in given.values:
            for window in given.windows:
                found = _run(given, over, window, value)
                if not given.no_write:
                    _keep(found)
    return 0


def _keep(found: dict[str, Any]) -> None:
    """Write a result in the place of the one before it of the same kind."""
    path = RESULTS / "live_latency.json"
    kind = ("over", "value", "window")
    before = json.loads(path.read_text())["measured"] if path.exists() else []
    others = [one for one in before if [one.get(k) for k in kind] != [found[k] for k in kind]]
    text = json.dumps({"machine": machine.describe(), "measured": [*others, found]}, indent=1)
    path.write_text(text + "\n")


def _run(given: argparse.Namespace, over: str, window: str, value: str) -> dict[str, Any]:
    with _broker() if over == "kafka" else _free_address() as where:
        found = _beside_sender(given, "measure", over, where, window, value)
        found["floor"] = _beside_sender(given, "floor", over, where, window, value)
    goals = ", ".join(f"{name} {found[name]} (goal {most:g})" for name, most in GOALS.items())
    flat = "flat" if found["is_memory_flat"] else "not flat"
    print(
        f"{over:6} {value:6} {window:3} {found['rows_per_s']:,} rows/s, {found['windows']} windows:"
        f" {goals}, max {found['max_ms']}, floor {found['floor']}; "
        f"memory {found['memory_mb']} MB, {flat}; {found['cpu_share']} CPU",
        flush=True,
    )
    return found


def _beside_sender(given: argparse.Namespace, what: str, *kind: str) -> dict[str, Any]:
    """Send rows in one process, and measure in another."""
    command = [sys.executable, "-m", "benchmarks.live_latency", "--rate", str(given.rate)]
    over, where, window, value = kind
    seconds = given.seconds if what == "measure" else min(FLOOR_S, given.seconds)
    longer = ["--seconds", str(seconds + 15), "--one", "produce", over, where, window, value]
    sending = subprocess.Popen([*command, *longer])
    try:
        time.sleep(3)
        measuring = [*command, "--seconds", str(seconds), "--one", what, *kind]
        done = subprocess.run(measuring, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        sending.terminate()
        sending.wait()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
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
