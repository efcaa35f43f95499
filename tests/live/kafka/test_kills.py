"""Processes killed between a topic and its sinks: each result is seen once by who reads them.

The usual form kills five times a process that writes to a topic and a table at once;
`EVENTTIME_KILLS=nightly` a hundred times each way: to both, to a topic, to a table.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psycopg
import pytest

from live.kafka.jobs import Job, run_job, started
from live.kafka.topics import committed, message

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

    from kafka_server import KafkaServer
    from live.kafka.topics import Topic
    from postgres_server import PostgresServer

NIGHTLY: Final = os.environ.get("EVENTTIME_KILLS") == "nightly"
KILLS: Final = 100 if NIGHTLY else 5
WAYS: Final = ("both", "topic", "table") if NIGHTLY else ("both",)
MOST_LIVES: Final = 1_000
PARTITIONS: Final = 4
ROWS: Final = 10_000
WINDOW_S: Final = 10


def balance(tell: Connection) -> dict[str, Any] | None:
    """The ledger of a process that came through; None: it was killed."""
    try:
        told: dict[str, Any] = tell.recv()
    except EOFError:
        return None
    return told


def sent(source: Topic) -> Counter[tuple[int, float, int]]:
    """Fill a topic with rows in some disorder; returns the results: key, window and count."""
    draw, counts = np.random.default_rng(5), Counter[tuple[int, float]]()
    for partition in range(PARTITIONS):
        seconds = (np.arange(ROWS) * 0.1 - draw.random(ROWS) * 15 + 100).round(6).tolist()
        keys = draw.integers(0, 20, ROWS).tolist()
        source.send(partition, *(message(s, key) for s, key in zip(seconds, keys, strict=True)))
        counts.update((key, s // WINDOW_S * WINDOW_S) for s, key in zip(seconds, keys, strict=True))
    return Counter((key, start, n) for (key, start), n in counts.items())


def written(job: Job) -> list[Counter[tuple[int, float, int]]]:
    """What readers of each output of a job see."""
    found = []
    if job.target:
        rows = [json.loads(value) for _, value in committed(job.servers, job.target)]
        times = [datetime.fromisoformat(row["window_start"]).timestamp() for row in rows]
        found.append(Counter((r["x"], t, r["n"]) for r, t in zip(rows, times, strict=True)))
    if job.table:
        with psycopg.connect(job.dsn) as database:
            query = f"SELECT x, extract(epoch FROM window_start)::float8, n FROM {job.table}"
            found.append(Counter(database.execute(query.encode()).fetchall()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_each_result_is_seen_once_however_often_it_is_killed(
    way: str,
    broker: KafkaServer,
    topic: Callable[..., Topic],
    postgres: PostgresServer,
    tmp_path: Path,
) -> None:
    """S26, S27, S28, from a topic into a topic and a table."""
    source, draw, numbers = topic(PARTITIONS), np.random.default_rng(5), itertools.count()
    wanted = sent(source)
    assert len(wanted) > 1_000

    def fresh() -> Job:
        target = "" if way == "table" else topic(2).name
        table = "" if way == "topic" else f"killed_{way}_{next(numbers)}"
        folder = str(tmp_path / f"job-{next(numbers)}")
        return Job(broker.servers, source.name, target, postgres.dsn, table, folder)

    kills, job, seconds_whole = 0, fresh(), 0.0
    for life in range(MOST_LIVES):
        process, tell = started(run_job, job)
        began = time.perf_counter()
        if seconds_whole and kills < KILLS:
            process.join(float(draw.random()) * seconds_whole)
            process.kill()
        told = balance(tell)
        process.join()
        assert told is not None or process.exitcode == -signal.SIGKILL
        kills += told is None
        if told is not None:
            took = time.perf_counter() - began
            seconds_whole = min(seconds_whole or took, took)
            assert written(job) == [wanted] * len(written(job)), life
            assert told["total"]["rows_in"] == told["total"]["windowed"] == PARTITIONS * ROWS
            assert told["operators"][0]["emitted"] == PARTITIONS * ROWS
            if kills >= KILLS:
                return
            job = fresh()
    pytest.fail("it was never killed so often")
