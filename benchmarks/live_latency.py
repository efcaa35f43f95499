"""How long a result takes: ``python -m benchmarks.live_latency``.

Rows come over four partitions, of Kafka or of sockets, at a steady rate, with the time at which
they were made as their event time. A result's latency is the time from the end of its window until
a sink has taken it: by then a row of each partition behind that end was made, sent, with Kafka
stored by the broker and fetched, and processed. Producer, broker and engine share the machine. A
run of each kind of window, one of a second and one of an hour whose end lies within the time that
is measured, is a process of its own.

What only a beginning shows is not measured. The kernels, which a fresh clone compiles, are called
before the first row is sent: by the same pipeline, over rows made up. Then rows are sent for
``--warm`` seconds before those that count: while its machine compiles, for a minute or two, the
broker acknowledges nothing for 100 to 400 ms at a time, whoever reads.

``--seconds 600`` is the run of ten minutes: percentiles are over all windows that end in them, and
memory is flat if it is, from a tenth of them on, within a twentieth of what it was. After each run
a client that does nothing but look at times receives the same rows for a while, from the broker
that is warm by then: the floor. ``--over``, ``--values`` and ``--windows`` choose what is run;
results of the others stay in the file. Twice a minute a line on stderr says how it goes.
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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

import eventtime as et
from benchmarks import machine
from benchmarks.latencies import Latencies, now_us
from benchmarks.latency_floor import floor
from benchmarks.memory import resident_bytes
from benchmarks.steady_rows import PARTITIONS, SCHEMA, TOPIC, send_steadily

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RESULTS: Final = Path(__file__).resolve().parent / "results"
GOALS: Final = {"median_ms": 10.0, "p99_ms": 50.0}
FLAT: Final = 1.05
FLOOR_S: Final = 30.0
"""Unless it is said; no longer than the run."""
FLOOR_WARM_S: Final = 10.0
"""At most: the broker is warm, who sends and who receives are new."""
JVM: Final = ("-XX:+UseSerialGC", "-Xmx512m")
"""The broker as it is run for long; that of the tests starts faster, and stays slower."""


@dataclass
class Probe:
    """A sink that notes when it took the results of each window.

    Args:
        latencies: of those that count.
    """

    latencies: Latencies
    delivery: Any = "at_least_once"
    guarantee: Any = "at_least_once"

    def open_epochs(self, schema: pa.Schema, job: str) -> Probe:
        return self

    def describe(self) -> str:
        return "a probe"

    def recover(self, token: int) -> int:
        return 0

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        at_us = now_us()
        for batch in batches:
            ends = batch.column("window_end").cast(pa.int64()).to_numpy()
            for end in np.unique(ends):
                self.latencies.add(int(end), at_us)

    def close(self) -> None:
        """Nothing is held."""


class Seen(NamedTuple):
    """Where a run was at a time."""

    at_us: int
    rows: int
    cpu_s: float


class Spell:
    """The time that is measured, behind the warm-up; looks at memory once a second.

    Args:
        warm: seconds before it.
        seconds: so long.
    """

    def __init__(self, warm: float, seconds: float) -> None:
        self.begin_us = self._look_us = now_us() + round(warm * 1e6)
        self._end_us = self.begin_us + round(seconds * 1e6)
        self._seen: list[Seen] = []
        self._memory: list[int] = []

    def is_over(self) -> bool:
        """Tell whether the run is to end."""
        return now_us() >= self._end_us

    def watch(self, report: et.ProgressReport) -> None:
        """Look at the run."""
        at_us = now_us()
        if self.begin_us <= at_us <= self._end_us:
            self._seen[1:] = [Seen(at_us, report.rows, time.process_time())]
        if self._look_us <= at_us:
            self._look_us = at_us + 1_000_000
            self._memory.append(resident_bytes())

    def told(self) -> dict[str, Any]:
        """Return what was seen."""
        first, last = self._seen
        rows, passed_s = last.rows - first.rows, (last.at_us - first.at_us) / 1e6
        later = self._memory[len(self._memory) // 10 :]
        return {
            "rows": rows,
            "rows_per_s": round(rows / passed_s),
            "cpu_share": round((last.cpu_s - first.cpu_s) / passed_s, 2),
            "memory_mb": {f"{share:.0%}": self._megabytes(share) for share in (0.1, 0.5, 1.0)},
            "is_memory_flat": max(later) <= FLAT * later[0],
        }

    def _megabytes(self, share: float) -> int:
        at = min(int(share * len(self._memory)), len(self._memory) - 1)
        return round(self._memory[at] / 1e6)


def known_of(value: str) -> dict[str, Any]:
    """Say what the rows are."""
    if value == "arrow":
        return {"time": "time", "schema": SCHEMA}
    schema = SCHEMA.set(0, SCHEMA.field(0).with_type(pa.int64()))
    return {"time": "time", "schema": schema, "time_unit": "us"}


def rows_over(over: str, where: str, value: str) -> et.Stream:
    """Follow the rows that are sent."""
    known = known_of(value)
    if over == "socket":
        form: Any = "arrow" if value == "arrow" else "jsonl"
        return et.read_socket(where, format=form, connections=PARTITIONS, **known)
    how: Any = {"value": value, "start": "latest", **known}
    return et.read_kafka(TOPIC, servers=where, **how)


def counted(rows: et.Stream, grid: Any) -> et.Stream:
    """Declare what is computed."""
    windows = rows.watermark(et.ascending(), idle_after="30s").key_by("key").window(grid)
    return windows.aggregate(n=et.count(), total=et.sum("value"), top=et.max("value"))


def call_kernels(window: str, value: str) -> None:
    """Run the same over a few rows that are made up."""
    known = known_of(value)
    columns = (np.arange(10) * 3_600_000_000, np.arange(10), np.arange(10.0))
    rows = pa.record_batch(
        [pa.array(c, f.type) for c, f in zip(columns, known["schema"], strict=True)],
        schema=known["schema"],
    )
    made_up = et.from_batches({str(p): [rows] for p in range(PARTITIONS)}, **known)
    counted(made_up, et.tumbling(window)).run(Probe(Latencies(now_us())))


def measure(
    over: str, where: str, window: str, value: str, warm: float, seconds: float
) -> dict[str, Any]:
    """Follow the rows for a while."""
    spell = Spell(warm, seconds)
    offset_us = (spell.begin_us + round(seconds * 5e5)) % 3_600_000_000 if window == "1h" else 0
    grid = et.tumbling(window, offset=f"{offset_us}us")
    probe = Probe(Latencies(spell.begin_us))
    ran = counted(rows_over(over, where, value), grid).run(
        probe, progress=spell.watch, stop=spell.is_over, drain=True
    )
    kind = {"over": over, "window": window, "value": value, "warm": warm, "seconds": seconds}
    return {**kind, **probe.latencies.told(), **spell.told(), "late_rows": ran.report.late}


def main() -> int:
    """Start a broker and a producer, and measure beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=float, default=60, help="seconds before those that count")
    parser.add_argument("--floor-seconds", type=float)
    parser.add_argument("--rate", type=int, default=100_000)
    kinds = {"over": ["kafka", "socket"], "values": ["arrow", "json"], "windows": ["1s", "1h"]}
    for what, all_of_them in kinds.items():
        parser.add_argument(f"--{what}", nargs="+", choices=all_of_them, default=all_of_them)
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--one", nargs=5, help="produce or measure here")
    given = parser.parse_args()
    if given.one:
        _work(given, *given.one)
        return 0
    for over in given.over:
        for value in given.values:
            for window in given.windows:
                found = _run(given, over, window, value)
                if not given.no_write:
                    _keep(found)
    return 0


def _work(
    given: argparse.Namespace, what: str, over: str, where: str, window: str, value: str
) -> None:
    """Do one of the things that are processes of their own."""
    if what == "measure":
        call_kernels(window, value)
    print("ready", flush=True)
    sys.stdin.readline()
    if what == "produce":
        send_steadily(over, where, value, given.rate, given.seconds)
        return
    if what == "measure":
        found = measure(over, where, window, value, given.warm, given.seconds)
    else:
        found = floor(over, where, value, given.warm, given.seconds).told()
    print(json.dumps(found))


def _keep(found: dict[str, Any]) -> None:
    """Write a result in the place of the one before it of the same kind."""
    path = RESULTS / "live_latency.json"
    kind = ("over", "value", "window")
    before = json.loads(path.read_text())["measured"] if path.exists() else []
    others = [one for one in before if [one.get(k) for k in kind] != [found[k] for k in kind]]
    text = json.dumps({"machine": machine.describe(), "measured": [*others, found]}, indent=1)
    path.write_text(text + "\n")


def _run(given: argparse.Namespace, over: str, window: str, value: str) -> dict[str, Any]:
    kind = (over, window, value)
    floor_s = given.floor_seconds or min(FLOOR_S, given.seconds)
    with _broker() if over == "kafka" else _free_address() as where:
        found = _beside_sender(given, "measure", where, kind, given.warm, given.seconds)
        floor_warm_s = min(given.warm, FLOOR_WARM_S)
        found["floor"] = _beside_sender(given, "floor", where, kind, floor_warm_s, floor_s)
    goals = ", ".join(f"{name} {found[name]} (goal {most:g})" for name, most in GOALS.items())
    flat = "flat" if found["is_memory_flat"] else "not flat"
    print(
        f"{over:6} {value:6} {window:3} {found['rows_per_s']:,} rows/s, {found['windows']} windows:"
        f" {goals}, max {found['max_ms']}, floor {found['floor']}; "
        f"memory {found['memory_mb']} MB, {flat}; {found['cpu_share']} CPU",
        flush=True,
    )
    return found


def _beside_sender(
    given: argparse.Namespace,
    what: str,
    where: str,
    kind: tuple[str, str, str],
    warm: float,
    seconds: float,
) -> dict[str, Any]:
    """Measure in one process and send rows in another, from when both are ready."""
    over, window, value = kind
    print(f"{over} {value} {window}, {what}: {warm:g} s, then {seconds:g} s", file=sys.stderr)

    def started(what: str, seconds: float) -> subprocess.Popen[str]:
        times = ["--warm", str(warm), "--seconds", str(seconds), "--rate", str(given.rate)]
        one = [*times, "--one", what, over, where, window, value]
        command = [sys.executable, "-m", "benchmarks.live_latency", *one]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=machine.ROOT
        )

    with started(what, seconds) as measuring, started("produce", warm + seconds + 60) as sending:
        try:
            for process in (measuring, sending):
                assert process.stdout is not None
                process.stdout.readline()
            for process in (measuring, sending):
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            told, _ = measuring.communicate()
            is_sent = not sending.poll()
        finally:
            sending.terminate()
    if measuring.returncode or not is_sent:
        raise SystemExit(f"{what}: see above" if is_sent else "who sends has failed: see above")
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


@contextlib.contextmanager
def _broker() -> Iterator[str]:
    sys.path.insert(0, str(machine.ROOT / "tests"))
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    from kafka_server import KafkaServer, jars

    folder = jars()
    if isinstance(folder, str):
        raise SystemExit(folder)
    server = KafkaServer(folder, JVM)
    try:
        admin = AdminClient({"bootstrap.servers": server.servers, "log_level": 0})
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
