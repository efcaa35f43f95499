"""How fast rows come out of Kafka: ``python -m benchmarks.kafka``.

Starts a broker, writes topics of the same rows as Arrow and as JSON, one object a message, and
reads each to its end through one-second windows by key; Bytewax reads the JSON too, on the same
broker, and with ``--quix PYTHON`` so does Quix Streams (see `benchmarks.kafka_quix`), from a topic
whose messages have the key as their key: it would write all rows into another topic otherwise. Each
contender is a process of its own, and they take turns. Rows per second count from the call of
`run`, so connecting and finding the partitions is in them, to its return; a run over few rows,
before, has compiled the kernels. The broker works meanwhile, on the same machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pyarrow as pa

import eventtime as et
from benchmarks import machine
from eventtime.sinks.json_text import json_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULTS: Final = Path(__file__).resolve().parent / "results" / "kafka.json"
GOALS: Final = {"arrow": 2_000_000, "json": 300_000}
PARTITIONS: Final = 4
KEYS: Final = 1_000
BATCH: Final = 10_000
SCHEMA: Final = pa.schema(
    [("time", pa.timestamp("us", "UTC")), ("key", pa.int64()), ("value", pa.float64())]
)
START_US: Final = 1_700_000_000_000_000
_FEW: Final = 40_000


def batches(rows: int, partition: int) -> list[pa.RecordBatch]:
    """Rows of a partition in batches: 100,000 a second of event time over all partitions."""
    draw, found = np.random.default_rng(partition), []
    for start in range(0, rows // PARTITIONS, BATCH):
        n = min(BATCH, rows // PARTITIONS - start)
        times = START_US + np.arange(start, start + n) * 40 - draw.integers(0, 500_000, n)
        columns = [times, draw.integers(0, KEYS, n), draw.random(n)]
        found.append(pa.RecordBatch.from_arrays([*map(pa.array, columns)], SCHEMA.names))
    return [batch.cast(SCHEMA) for batch in found]


def fill(servers: str, topic: str, value: str, rows: int) -> None:
    """Make a topic and write the rows."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    producer = Producer({"bootstrap.servers": servers, "queue.buffering.max.messages": 2_000_000})
    for partition in range(PARTITIONS):
        for batch in batches(rows, partition):
            for key, text in _messages(batch, value):
                producer.produce(topic, text, key=key, partition=partition)
            producer.flush()


def _messages(batch: pa.RecordBatch, value: str) -> Iterator[tuple[str | None, Any]]:
    if value == "arrow":
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        yield None, sink.getvalue().to_pybytes()
        return
    keys = batch.column("key").to_pylist()
    texts = json_rows(batch.columns, batch.schema.names).to_pylist()
    for key, text in zip(keys, texts, strict=True):
        yield str(key) if value == "keyed" else None, text


def ours(servers: str, topic: str, value: str) -> int:
    """Run our pipeline; returns the rows that it counted."""
    made: Any = value
    stream = et.read_kafka(
        topic, servers=servers, time="time", value=made, schema=SCHEMA, end="now"
    )
    marked = stream.watermark(et.bounded_disorder("1s")).key_by("key")
    windows = marked.window(et.tumbling("1s")).aggregate(n=et.count(), mean=et.mean("value"))
    ran = windows.run()
    return int(sum(ran.table().column("n").to_pylist())) + int(ran.side("late").num_rows)


def bytewax(servers: str, topic: str, value: str) -> int:
    """Run Bytewax on one worker, as its guide shows it; returns the rows that it counted."""
    import bytewax.operators as op
    import bytewax.operators.windowing as win
    from bytewax.connectors.kafka import KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, run_main

    del value
    counts: list[tuple[str, tuple[int, int]]] = []
    flow, run = Dataflow("bench"), cast("Any", run_main)
    source = KafkaSource([servers], [topic], tail=False, batch_size=10_000)
    messages = op.input("in", flow, source)
    parsed = op.map("parse", messages, lambda message: json.loads(cast("Any", message).value))
    clock: Any = win.EventClock(
        lambda row: datetime.fromisoformat(row["time"]), timedelta(seconds=1)
    )
    windower = win.TumblingWindower(
        timedelta(seconds=1), datetime.fromtimestamp(START_US / 1e6, UTC)
    )
    counted = win.count_window("count", parsed, clock, windower, lambda row: str(row["key"]))
    op.output("out", counted.down, TestingSink(counts))
    op.output("late", op.map("one", counted.late, lambda _: ("", (0, 1))), TestingSink(counts))
    run(flow)
    return sum(count for _, (_, count) in counts)


CONTENDERS: Final[dict[str, tuple[str, Callable[[str, str, str], int]]]] = {
    "ours, arrow": ("arrow", ours),
    "ours, json": ("json", ours),
    "bytewax, json": ("json", bytewax),
}
QUIX: Final = "quix, keyed json"


def run_one(contender: str, servers: str, rows: int) -> None:
    """In a process of its own: few rows, then all; prints what was measured."""
    value, read = CONTENDERS[contender]
    read(servers, f"few-{value}", value)
    began = time.perf_counter()
    counted = read(servers, f"rows-{value}-{rows}", value)
    seconds = time.perf_counter() - began
    assert counted == rows, (counted, rows)
    print(json.dumps({"rows": rows, "seconds": seconds, "rows_per_s": rows / seconds}))


def main() -> None:
    """Measure all contenders."""
    sys.path.insert(0, str(machine.ROOT / "tests"))
    from kafka_server import KafkaServer, jars

    parser = argparse.ArgumentParser()
    parser.add_argument("--arrow-rows", type=int, default=20_000_000)
    parser.add_argument("--json-rows", type=int, default=2_000_000)
    parser.add_argument("--peer-rows", type=int, default=600_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quix", metavar="PYTHON", help="of an environment with Quix Streams")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        run_one(asked.one[0], asked.one[1], int(asked.one[2]))
        return
    found = jars()
    if isinstance(found, str):
        sys.exit(found)
    broker = KafkaServer(found, jvm=("-Xmx1g",))
    rows = {
        "ours, arrow": asked.arrow_rows,
        "ours, json": asked.json_rows,
        "bytewax, json": asked.peer_rows,
    }
    values = {name: CONTENDERS[name][0] for name in rows}
    if asked.quix:
        rows[QUIX], values[QUIX] = asked.peer_rows, "keyed"
    try:
        for value in sorted(set(values.values())):
            fill(broker.servers, f"few-{value}", value, _FEW)
        for contender, n in rows.items():
            fill(broker.servers, f"rows-{values[contender]}-{n}", values[contender], n)
        print("the topics are written", flush=True)
        told: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
        for _ in range(asked.runs):
            for name, n in rows.items():
                told[name].append(_run(name, broker.servers, n, asked.quix))
    finally:
        broker.remove()
    print(json.dumps(told, indent=1))
    RESULTS.write_text(json.dumps({"machine": machine.describe(), **told}, indent=1) + "\n")


def _run(contender: str, servers: str, rows: int, quix: str | None) -> dict[str, float]:
    if contender == QUIX:
        topics = ["few-keyed", str(_FEW), f"rows-keyed-{rows}", str(rows)]
        command = [str(quix), "-m", "benchmarks.kafka_quix", servers, *topics]
    else:
        command = [sys.executable, "-m", "benchmarks.kafka", "--one", contender, servers, str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(contender, told, flush=True)
    return told


if __name__ == "__main__":
    main()
