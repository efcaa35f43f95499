"""Processes killed between a topic and a topic: who reads what is committed sees each result once.

The usual form kills five times; `EVENTTIME_KILLS=nightly` a hundred times.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from live.kafka.jobs import Job, run_job
from live.kafka.topics import committed, message

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from kafka_server import KafkaServer
    from live.kafka.topics import Topic

NIGHTLY: Final = os.environ.get("EVENTTIME_KILLS") == "nightly"
KILLS: Final = 100 if NIGHTLY else 5
MOST_LIVES: Final = 1_000
ROWS: Final = 10_000


def started(job: Job) -> tuple[BaseProcess, Connection]:
    """Start a process, and wait until it begins."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["live.kafka.jobs", "confluent_kafka"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run_job, args=(job, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "begins"
    return process, ours


def is_done(tell: Connection) -> bool:
    """Whether the process came through, rather than being killed."""
    try:
        return bool(tell.recv() == "done")
    except EOFError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_each_result_is_seen_once_however_often_it_is_killed(
    broker: KafkaServer, topic: Callable[..., Topic], tmp_path: Path
) -> None:
    """S27, S28, over Kafka at both ends."""
    source, draw = topic(4), np.random.default_rng(5)
    for partition in range(4):
        seconds = np.arange(ROWS) * 0.1 - draw.random(ROWS) * 15
        keys = draw.integers(0, 20, ROWS)
        rows = zip(seconds + 100, keys, strict=True)
        source.send(partition, *(message(float(s), int(key)) for s, key in rows))

    whole = Job(broker.servers, source.name, topic(2).name, str(tmp_path / "whole"))
    process, tell = started(whole)
    began = time.perf_counter()
    assert is_done(tell)
    process.join()
    seconds_whole = time.perf_counter() - began
    wanted = Counter(value for _, value in committed(broker.servers, whole.target))
    assert sum(wanted.values()) == len(wanted) > 1_000

    kills, jobs = 0, 0
    job = whole
    for life in range(MOST_LIVES):
        if job is whole:
            job = replace(whole, target=topic(2).name, folder=str(tmp_path / f"job-{jobs}"))
            jobs += 1
        process, tell = started(job)
        began = time.perf_counter()
        if kills < KILLS or life == 0:
            process.join(float(draw.random()) * seconds_whole)
            process.kill()
        done = is_done(tell)
        process.join()
        kills += not done
        if done:
            seconds_whole = min(seconds_whole, time.perf_counter() - began)
            found = Counter(value for _, value in committed(broker.servers, job.target))
            assert found == wanted
            if kills >= KILLS:
                return
            job = whole
    pytest.fail("it was never killed so often")
