"""How a live run runs: a description that `run(live=…)` takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventtime.checks import shown
from eventtime.clock import Clock, SystemClock
from eventtime.duration import parse_us
from eventtime.errors import PlanError

if TYPE_CHECKING:
    from eventtime.alarm import Alarm
    from eventtime.duration import DurationLike

__all__ = ("Live", "live")


@dataclass(frozen=True)
class Live:
    """How a live run runs; made by `live`."""

    clock: Clock = field(default_factory=SystemClock)
    alarm: Alarm | None = None
    commit_every_us: int = 1_000_000
    latency_us: int = 1_000


def live(
    *,
    clock: Clock | None = None,
    alarm: Alarm | None = None,
    commit_every: DurationLike = "1s",
    latency: DurationLike = "1ms",
) -> Live:
    """Say how a live run runs; sources that go on are followed without it too.

    With it a pipeline of bounded sources, such as files, is run as a live one: partitions as they
    come, not in replay order.

    Args:
        clock: of processing time, by which partitions fall idle, timers fire and the future guard
            judges; None: the machine's.
        alarm: how the loop sleeps while nothing comes, for tests; None: on the machine's time.
        commit_every: without checkpoints, how often sinks that write a file for each commit do so.
            All others commit what has come out after every turn.
        latency: from one turn to the next at least: so long rows may wait for others, so that
            small batches are processed together. '0s' is the soonest, and costs the most.

    Raises:
        PlanError: what is given is no clock.
        DurationError: malformed or not above zero.

    >>> live(commit_every="1m").commit_every_us
    60000000
    """
    if clock is not None and not callable(getattr(clock, "now_us", None)):
        msg = f"{shown(clock)} is no clock"
        remedy = "an object with now_us(), such as et.ManualClock()"
        raise PlanError(msg, place="live(clock=…)", remedy=remedy)
    every_us = parse_us(commit_every, name="commit_every", zero=False)
    latency_us = parse_us(latency, name="latency")
    return Live(SystemClock() if clock is None else clock, alarm, every_us, latency_us)
