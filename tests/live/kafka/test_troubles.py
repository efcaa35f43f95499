"""What goes wrong around a live run over a real broker; see `live/test_troubles.py`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import eventtime as et
from eventtime.clock import SystemClock
from live.kafka.topics import SCHEMA, Running
from live.probe import Once, Probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from live.kafka.topics import Topic

    MakeTopic = Callable[..., Topic]

HOUR_US = 3_600_000_000
ROOM_S = 60


class Stepped(SystemClock):
    """The machine's clock, set wrong by so much."""

    by_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.by_us


def counted(topic: Topic, **watermark: Any) -> et.Stream:
    rows = et.read_kafka(topic.name, servers=topic.servers, time="t", schema=SCHEMA)
    marked = rows.watermark(et.ascending(), **watermark)
    return marked.window(et.tumbling("10s")).aggregate(n=et.count())


def starts(found: list[dict[str, Any]]) -> dict[float, int]:
    return {row["window_start"].timestamp(): row["n"] for row in found}


def test_a_clock_that_is_stepped_loses_nothing_and_silence_goes_on(topic: MakeTopic) -> None:
    """S6: an hour back, and two forward; a partition still falls idle, and returns."""
    made, clock = topic(2), Stepped()
    live = et.live(clock=clock)
    made.rows(0, 1)
    made.rows(1, 1, 25)
    # Both may fall idle at once.
    with Running(counted(made, idle_after="500ms", all_idle="flush_max"), live=live) as running:
        running.until(lambda: running.rows == 3)
        clock.by_us -= HOUR_US
        running.until(lambda: running.results == 1)
        made.rows(0, 26)
        running.until(lambda: running.rows == 4)
        clock.by_us += 2 * HOUR_US
        made.rows(1, 31)
        running.until(lambda: running.rows == 5)
    assert starts(running.ran.table().to_pylist()) == {0.0: 2, 20.0: 2, 30.0: 1}
    running.ran.assert_balanced()


def test_a_slow_sink_loses_nothing(topic: MakeTopic) -> None:
    """What is sent while a commit lasts waits, in bounded queues and at the broker."""
    made, entered, released = topic(2), threading.Event(), threading.Event()

    def blocks() -> None:
        entered.set()
        released.wait(ROOM_S)

    probe = Probe(blocks)
    with Running(counted(made), sink=probe) as running:
        for partition in range(2):
            made.rows(partition, 1, 11)
        assert entered.wait(ROOM_S)
        for partition in range(2):
            made.rows(partition, *(12 + i / 100 for i in range(5_000)))
        released.set()
        running.until(lambda: running.rows == 10_004)
    assert sum(starts(probe.rows).values()) == 10_004
    assert running.ran.side("late").num_rows == 0
    running.ran.assert_balanced()


def test_when_all_are_idle_what_is_held_comes_out(topic: MakeTopic) -> None:
    """S7: with flush_max, though no row comes any more."""
    made, probe = topic(2), Probe()
    stream = counted(made, idle_after="200ms", all_idle="flush_max")
    made.rows(0, 1, 15)
    made.rows(1, 8)
    with Running(stream, sink=probe) as running:
        running.until(lambda: running.results == 1)
    assert starts(probe.rows) == {0.0: 2, 10.0: 1}


def test_what_a_producer_sends_twice_counts_once_by_its_id(
    topic: MakeTopic, tmp_path: Path
) -> None:
    """S28: also when a restart comes in between."""
    made = topic(2)
    rows = et.read_kafka(made.name, servers=made.servers, time="t", schema=SCHEMA)
    by_id = rows.watermark(et.bounded_disorder("1h")).key_by("x")
    once = by_id.process(Once(), output=SCHEMA, time="t")
    windows = once.window(et.tumbling("10s")).aggregate(n=et.count())

    def send() -> None:
        for partition in range(2):
            for number in range(20):
                made.rows(partition, number / 2, x=2 * number + partition)

    send()
    with Running(windows, checkpoint=tmp_path) as running:
        running.until(lambda: running.rows == 40)
        send()
    with Running(windows, checkpoint=tmp_path) as running:
        send()
        running.until(lambda: running.rows == 120)
    again = windows.run(checkpoint=tmp_path, stop=lambda: True, drain=True)
    assert starts(again.table().to_pylist()) == {0.0: 40}
    again.assert_balanced()
