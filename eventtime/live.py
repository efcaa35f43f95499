"""How a live run runs: a description that `run(live=…)` takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventtime.checks import check_callable, check_text, shown
from eventtime.clock import Clock, SystemClock
from eventtime.duration import parse_us
from eventtime.errors import PlanError

if TYPE_CHECKING:
    from eventtime.alarm import Alarm
    from eventtime.duration import DurationLike
    from eventtime.status import Status

__all__ = ("Live", "live")


@dataclass(frozen=True)
class Live:
    """How a live run runs; made by `live`."""

    clock: Clock = field(default_factory=SystemClock)
    alarm: Alarm | None = None
    commit_every_us: int | None = None
    latency_us: int = 3_000
    ui: tuple[str, int] | None = None
    ui_token: str | None = field(default=None, repr=False)
    observe: tuple[Callable[[Status], None], ...] = ()


def live(
    *,
    clock: Clock | None = None,
    alarm: Alarm | None = None,
    commit_every: DurationLike | None = None,
    latency: DurationLike = "3ms",
    ui: str | None = None,
    ui_token: str | None = None,
    observe: Callable[[Status], None] | Sequence[Callable[[Status], None]] = (),
) -> Live:
    """Say how a live run runs; sources that go on are followed without it too.

    With it a pipeline of bounded sources, such as files, is run as a live one: partitions as they
    come, not in replay order.

    Args:
        clock: of processing time, by which partitions fall idle, timers fire and the future guard
            judges; None: the machine's.
        alarm: how the loop sleeps while nothing comes, for tests; None: on the machine's time.
        commit_every: how often results are handed to sinks: what has come out meanwhile, at once.
            None: after every turn, to sinks that write a file for each commit once a second. With
            checkpoints it is for sinks with ``delivery="at_least_once"``; the others commit at
            each checkpoint. Which rows are late does not depend on it (S4).
        latency: from one turn to the next at least: so long rows may wait for others, so that
            small batches are processed together. '0s' is the soonest, and costs the most.
        ui: address of a status page, such as ':8080' (loopback only), '0.0.0.0:8080', or ':0' for
            any port that is free; beside it are ``/metrics`` for Prometheus, ``/status.json``,
            ``/health`` and ``/ready``. None: there is none.
        ui_token: what who asks must know, as ``?token=`` or ``Authorization: Bearer``; None: there
            is no token.
        observe: a function, or several, that are given a `Status` once a second, in the thread of
            the loop.

    Raises:
        PlanError: what is given is no clock, no address, no token or no function.
        DurationError: malformed or not above zero.

    >>> live(commit_every="1m").commit_every_us
    60000000
    """
    if clock is not None and not callable(getattr(clock, "now_us", None)):
        msg = f"{shown(clock)} is no clock"
        remedy = "an object with now_us(), such as et.ManualClock()"
        raise PlanError(msg, place="live(clock=…)", remedy=remedy)
    every_us = None
    if commit_every is not None:
        every_us = parse_us(commit_every, name="commit_every", zero=False)
    latency_us = parse_us(latency, name="latency")
    observers = tuple(observe) if isinstance(observe, Sequence) else (observe,)
    for observer in observers:
        remedy = "give a function that takes an et.Status"
        check_callable(observer, place="live(observe=…)", remedy=remedy)
    if ui_token is not None:
        remedy = "give a text that is hard to guess, or leave it out"
        check_text(ui_token, what="token", place="live(ui_token=…)", remedy=remedy)
    address = None if ui is None else _address(ui)
    used = SystemClock() if clock is None else clock
    return Live(used, alarm, every_us, latency_us, address, ui_token, observers)


def _address(text: object) -> tuple[str, int]:
    """Read host and port; without a host it is loopback.

    >>> _address(":8080"), _address("[::1]:80")
    (('127.0.0.1', 8080), ('::1', 80))
    """
    host, colon, port = str(text).rpartition(":")
    is_number = port.isascii() and port.isdigit() and int(port) < 65_536
    if not isinstance(text, str) or not colon or not is_number:
        msg = f"{shown(text)} is no address of a status page"
        remedy = "give host and port, such as ':8080' or '0.0.0.0:8080'"
        raise PlanError(msg, place="live(ui=…)", remedy=remedy)
    return host.strip("[]") or "127.0.0.1", int(port)
