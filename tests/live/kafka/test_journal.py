"""Runs over a real broker that are done again from their journals, over the same topic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

import eventtime as et
from live.kafka.topics import SCHEMA, Running, message
from live.test_live_properties import assert_same_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from live.kafka.topics import Topic

    MakeTopic = Callable[..., Topic]


def counted(topic: Topic, **how: Any) -> et.Stream:
    read = et.read_kafka(topic.name, servers=topic.servers, time="t", schema=SCHEMA, **how)
    marked = read.watermark(et.bounded_disorder("1s"), idle_after="200ms")
    return marked.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.sum("x"))


def some(topic: Topic, seed: int) -> int:
    """Send rows in disorder, and a message that is none; returns how many."""
    draw = np.random.default_rng(seed)
    for partition in range(2):
        seconds = 100 * seed + np.arange(0, 100, 0.25) - draw.exponential(2, 400)
        topic.rows(partition, *map(float, seconds + 100))
        topic.send(partition, b"{")
    return 802


def test_a_run_over_a_topic_is_done_again(topic: MakeTopic, tmp_path: Path) -> None:
    """S4, S6: late rows, those that do not parse, and partitions that fell idle, among them."""
    made, path = topic(2), tmp_path / "run.journal"
    made.rows(0, *range(50))
    with Running(counted(made, start="latest"), journal=path) as running:
        sent = some(made, 1)
        running.until(lambda: running.rows == sent)
        sent += some(made, 2)
        running.until(lambda: running.rows == sent)
    ran = running.ran
    assert ran.side("late").num_rows > 0
    some(made, 3)
    again = et.replay_journal(counted(made, start="latest"), path)
    assert_same_run(again, ran)


def test_a_run_that_began_at_a_time_and_was_suspended(topic: MakeTopic, tmp_path: Path) -> None:
    """S28: two processes are done again as one run."""
    made, path = topic(2), tmp_path / "run.journal"
    made.send(0, *map(message, range(10)), timestamp=1_000)
    sent = some(made, 1)
    stream = counted(made, start=datetime.fromtimestamp(5, UTC))
    how: dict[str, Any] = {"checkpoint": tmp_path / "state", "journal": path}
    with Running(stream, **how) as running:
        running.until(lambda: running.rows == sent)
    sent += some(made, 2)
    with Running(stream, drain=True, **how) as running:
        running.until(lambda: running.rows == sent)
    assert_same_run(et.replay_journal(stream, path), running.ran)


def test_a_member_of_a_group_is_done_again(topic: MakeTopic, tmp_path: Path) -> None:
    """S8: what it had of partitions while it had them; another one read what was in between."""
    made, path = topic(2), tmp_path / "run.journal"
    how: dict[str, Any] = {"group": made.name, "options": {"heartbeat.interval.ms": 300}}
    sent = some(made, 1)
    with Running(counted(made, **how), journal=path) as one:
        one.until(lambda: one.rows == sent)
        with Running(counted(made, **how)) as two:

            def both_have_some() -> bool:
                nonlocal sent
                sent += some(made, 2)
                return two.rows > 0

            two.until(both_have_some)
            two.until(lambda: one.rows + two.rows == sent)
        sent += some(made, 3)
        one.until(lambda: one.rows + two.rows == sent)
    before = made.committed(made.name)
    again = et.replay_journal(counted(made, **how), path)
    assert_same_run(again, one.ran)
    assert made.committed(made.name) == before
