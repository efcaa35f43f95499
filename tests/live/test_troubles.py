"""What goes wrong around a live run, on a clock moved by hand; `kafka/test_troubles.py` over Kafka.

| trouble | by hand | on a broker |
|---|---|---|
| idle spells, partitions that return | `test_following`, properties | `test_source` |
| partitions added, taken away | `test_following`, properties | `test_source`, `test_groups` |
| the broker gone and back | here | `test_source` |
| slow sink, clock steps, duplicates, all idle | here | `kafka/test_troubles` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from eventtime.sources.feed import Ended, Silent, Unpolled
from live.probe import Once, Probe
from live.script import SCHEMA, SECOND, Alarm, Script, rows

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.clock import ManualClock

TEN = et.tumbling("10s")


def counted(script: Script, **watermark: Any) -> et.Stream:
    marked = et.Stream.read(script).watermark(et.ascending(), **watermark)
    return marked.window(TEN).aggregate(n=et.count())


def starts(found: list[dict[str, Any]]) -> dict[float, int]:
    return {row["window_start"].timestamp(): row["n"] for row in found}


class Stepping(Alarm):
    """A clock that goes on 100 ms a wait, and at some waits is stepped."""

    def __init__(self, clock: ManualClock, steps_s: dict[int, int]) -> None:
        super().__init__(clock)
        self._steps_s, self._moved, self.waits = steps_s, clock, 0

    def wait(self, most_us: int) -> None:
        self.waits += 1
        self._moved.advance(self._steps_s.get(self.waits, 0) * SECOND)
        super().wait(most_us)


def test_steps_of_the_clock_make_nobody_idle() -> None:
    """S6: an hour back adds no silence, two hours forward add two seconds."""
    script = Script([(0, "a", rows(25)), (0, Silent(["b"]))], ("a", "b"))
    script.clock.advance(10_000 * SECOND)
    alarm = Stepping(script.clock, {20: -3_600, 40: 7_200})
    reached: dict[int, int] = {}

    def stop() -> bool:
        return alarm.waits >= 70

    def watch(report: et.ProgressReport) -> None:
        reached[alarm.waits] = report.watermark_us

    live = et.live(clock=script.clock, alarm=alarm, latency="0s")
    stream = counted(script, idle_after="7s")
    ran = stream.run(live=live, stop=stop, drain=True, progress=watch)
    # 19 waits of 0.1 s, nothing, 19 waits, 2 s; 13 more are over seven seconds.
    first = min(waits for waits, watermark_us in reached.items() if watermark_us == 25 * SECOND)
    assert first == 53
    assert starts(ran.table().to_pylist()) == {20.0: 1}


def test_a_slow_sink_makes_nobody_idle_and_nothing_late() -> None:
    """S6: half a minute in a commit is our own time, not silence of a partition."""
    script = Script(
        [
            (0, "a", rows(1, 12)),
            (0, "b", rows(1, 12)),
            (1, Silent(["b"])),
            (2, "a", rows(31)),
            (31, "b", rows(14, 32)),
            (40, Ended("a")),
            (40, Ended("b")),
        ],
        ("a", "b"),
    )
    probe = Probe(lambda: script.clock.advance(30 * SECOND))
    live = et.live(clock=script.clock, alarm=Alarm(script.clock))
    ran = counted(script, idle_after="5s").run(probe, live=live)
    assert starts(probe.rows) == {0.0: 2, 10.0: 3, 30.0: 2}
    assert ran.side("late").num_rows == 0
    ran.assert_balanced()


def test_while_the_broker_is_gone_nobody_is_silent() -> None:
    """S6, S7: neither one partition nor all of them, however long it lasts."""
    script = Script(
        [
            (0, "a", rows(5)),
            (0, "b", rows(3)),
            (0, Silent(["a", "b"])),
            (1, Unpolled(["a", "b"])),
            (600, "b", rows(4)),
            (601, "a", rows(12)),
            (601, "b", rows(13)),
            (602, Ended("a")),
            (602, Ended("b")),
        ],
        ("a", "b"),
    )
    live = et.live(clock=script.clock, alarm=Alarm(script.clock))
    ran = counted(script, idle_after="5s", all_idle="flush_max").run(live=live)
    assert starts(ran.table().to_pylist()) == {0.0: 3, 10.0: 2}
    assert ran.side("late").num_rows == 0


@pytest.mark.parametrize(("all_idle", "second"), [("hold", 60), ("flush_max", 5)])
def test_when_all_are_idle_the_policy_decides(all_idle: Any, second: int) -> None:
    """S7: nothing fires for want of rows, or all up to the furthest does, once."""
    script = Script(
        [
            (0, "a", rows(1, 15)),
            (0, "b", rows(8)),
            (0, Silent(["a", "b"])),
            (60, "b", rows(21)),
            (60, "a", rows(22)),
            (61, Ended("a")),
            (61, Ended("b")),
        ],
        ("a", "b"),
    )
    probe, fired = Probe(), list[int]()
    probe.then = lambda: fired.append(script.clock.now_us() // SECOND)
    live = et.live(clock=script.clock, alarm=Alarm(script.clock))
    ran = counted(script, idle_after="5s", all_idle=all_idle).run(probe, live=live)
    assert fired[0] == second
    assert starts(probe.rows) == {0.0: 2, 10.0: 1, 20.0: 2}
    ran.assert_balanced()


def test_what_a_producer_sends_twice_counts_once_by_its_id(tmp_path: Path) -> None:
    """S28: also when a restart comes in between."""
    events: list[Any] = [
        (0, "a", rows(1, x=1)),
        (0, "a", rows(1, x=1)),
        (1, "a", rows(2, x=2)),
        (3, "a", rows(2, x=2)),
        (4, "a", rows(3, x=3)),
        (5, Ended("a")),
    ]

    def run(**more: Any) -> et.Run:
        script = Script(events, ("a",))
        by_id = et.Stream.read(script).watermark(et.bounded_disorder("10s")).key_by("x")
        once = by_id.process(Once(), output=SCHEMA, time="t")
        live = et.live(clock=script.clock, alarm=Alarm(script.clock))
        stop = more.pop("stop", None)
        if stop is not None:
            more["stop"] = lambda: script.clock.now_us() >= stop * SECOND
        windows = once.window(TEN).aggregate(n=et.count())
        return windows.run(live=live, checkpoint=tmp_path, **more)

    assert not run(stop=2).is_finished
    assert starts(run().table().to_pylist()) == {0.0: 3}
