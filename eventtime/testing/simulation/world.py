"""What is around a simulated run: partitions with rows to come, a clock, a disk, and faults."""

from __future__ import annotations

import errno
import os
from collections import Counter
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from eventtime.clock import ManualClock
from eventtime.testing.simulation.chance import Chance, Trace
from eventtime.testing.simulation.disk import WRITES, SimulatedDisk

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.testing.steps import Row

__all__ = ("BASE_US", "Crash", "Deferred", "Lane", "Waits", "World")

SECOND: Final = 1_000_000
BASE_US: Final = 1_000 * SECOND
_MOST_WAITS: Final = 5_000
_MOST_ROWS: Final = 60


class Crash(BaseException):
    """The process is killed, or the machine fails: nothing more happens in this life."""


@dataclass
class Lane:
    """What is to come of one partition.

    Args:
        name: of the partition.
        rows: in order.
        at_us: when each of them is there, ascending.
        found_us: when the partition appears; None: it is known from the start.
        is_historical: see `Found`.
        left_us: when somebody else reads it for a while, and until when; None: never.
        ends_us: when it has ended.
    """

    name: str
    rows: list[Row]
    at_us: list[int]
    found_us: int | None
    is_historical: bool
    left_us: tuple[int, int] | None
    ends_us: int

    def is_there(self, now_us: int) -> bool:
        """Whether we may read it now."""
        if self.found_us is not None and now_us < self.found_us:
            return False
        return self.left_us is None or not self.left_us[0] <= now_us < self.left_us[1]


@dataclass
class World:
    """The surroundings of one seed, over all processes of the run.

    Args:
        chance: what is left to it.
    """

    chance: Chance
    trace: Trace = field(default_factory=Trace)
    clock: ManualClock = field(default_factory=lambda: ManualClock(BASE_US))
    disk: SimulatedDisk = field(default_factory=SimulatedDisk)
    counts: Counter[str] = field(default_factory=Counter)
    now_us: int = BASE_US
    is_dead: bool = False
    is_calm: bool = False

    def __post_init__(self) -> None:
        self.lanes = _lanes(self.chance)
        # How often a call of the disk fails, or is the last one: most seeds have some of each.
        self._fault_share = self.chance.one_of([0, 0, 0.001, 0.004, 0.015])
        self._crash_share = self.chance.one_of([0, 0.0005, 0.002, 0.006])
        self._full_calls = 0
        self._nonces = 0
        self._hang_on_disk()

    def begin_life(self) -> None:
        """Start the machine again after a crash, or another process on it."""
        if self.is_dead and self.chance.happens(0.5):
            self.trace.note("the machine failed")
            self.counts["machines"] += 1
            self.disk = self.disk.after_crash(self.chance.below)
        else:
            self.disk = self.disk.copy()
        self.is_dead, self._full_calls = False, 0
        if self.counts["lives"]:
            self.pass_time(self.chance.one_of([0, SECOND, 30 * SECOND]))
        self._hang_on_disk()
        self.counts["lives"] += 1
        self.trace.note("life", self.counts["lives"], self.clock.now_us())

    def nonce(self) -> str:
        """Return hexadecimal digits that nobody else has."""
        self._nonces += 1
        return f"{self._nonces:032x}"

    def pass_time(self, us: int, stepped_us: int = 0) -> None:
        """Let time pass; the clock may be stepped, too."""
        self.now_us += us
        self.clock.advance(us + stepped_us)

    def check_alive(self) -> None:
        """Let nothing happen any more after a crash."""
        if self.is_dead:
            raise Crash

    def may_crash(self, where: str) -> None:
        """Be killed here, by chance."""
        self.check_alive()
        if not self.is_calm and self.chance.happens(self._crash_share):
            self.trace.note("crash", where)
            self.counts["crashes"] += 1
            self.is_dead = True
            raise Crash

    def fails(self, where: str) -> bool:
        """Tell whether what is outside fails here, by chance."""
        if self.is_calm or not self.chance.happens(self._fault_share):
            return False
        self.trace.note("fault", where)
        self.counts["faults"] += 1
        return True

    def _hang_on_disk(self) -> None:
        self.disk.before, self.disk.after = self._before, self._after

    def _before(self, call: str, *arguments: Any) -> None:
        path = next((a for a in arguments if isinstance(a, str)), "")
        # A claim's name ends in digits that say nothing.
        size = next((len(a) for a in arguments if isinstance(a, memoryview)), 0)
        self.check_alive()
        self.trace.note(call, path, size)
        self.may_crash(call)
        if call not in {*WRITES, "append"}:
            return
        if self._full_calls:
            self._full_calls -= 1
            self._fail(call, arguments, is_full=True)
        if self.fails(call):
            if self.chance.happens(0.3):
                self._full_calls = self.chance.between(1, 8)
            self._fail(call, arguments, is_full=self._full_calls > 0)

    def _fail(self, call: str, arguments: Any, *, is_full: bool) -> None:
        if is_full and call not in {"write", "create", "mkdir", "append"}:
            return
        if call == "write" and self.chance.happens(0.5):
            self.disk.tear(*arguments)
        elif call == "sync":
            self.disk.lose(*arguments)
        number = errno.ENOSPC if is_full else errno.EIO
        raise OSError(number, os.strerror(number))

    def _after(self, call: str, *arguments: Any) -> None:
        self.may_crash(f"after {call}")
        if call in {"rename", "sync_folder"} and self.fails(f"after {call}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class Waits:
    """An alarm: each wait takes as long as chance has it, and now and then the clock is stepped.

    Args:
        world: whose time passes.
    """

    def __init__(self, world: World) -> None:
        self._world, self._waits = world, 0

    def ring(self) -> None:
        """Nobody else works."""

    def wait(self, most_us: int) -> None:
        world, chance = self._world, self._world.chance
        world.may_crash("wait")
        self._waits += 1
        if self._waits > _MOST_WAITS:
            msg = "the run does not end"
            raise AssertionError(msg)
        us = chance.one_of([most_us, most_us, most_us, 30_000, SECOND, 5 * SECOND])
        stepped_us = -chance.below(10 * SECOND) if chance.happens(0.03) else 0
        world.pass_time(us, stepped_us)

    def sleep(self, duration_us: int) -> None:
        """Turns follow each other at once."""


class Deferred(Executor):
    """Runs what it is given at some later time, in the thread that asks for it.

    Args:
        world: decides when.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._last: _Later | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._world.counts["checkpoints"] += 1
        self._last = _Later(self._world, lambda: fn(*args, **kwargs))
        return self._last

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the base has it
        if self._last is not None:
            self._last.run()


class _Later(Future[Any]):
    def __init__(self, world: World, work: Callable[[], Any]) -> None:
        super().__init__()
        self._world = world
        self._work: Callable[[], Any] | None = work

    def run(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            try:
                self.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
                self.set_exception(error)

    def done(self) -> bool:
        if self._world.chance.happens(0.5):
            self.run()
        return super().done()

    def result(self, timeout: float | None = None) -> Any:
        self.run()
        return super().result(timeout)


def _lanes(chance: Chance) -> list[Lane]:
    lanes: list[Lane] = []
    numbers = iter(range(10_000))
    for name in "abcde"[: chance.between(1, 5)]:
        is_known = not lanes or chance.happens(0.7)
        begin_us = 0 if is_known else chance.below(30 * SECOND)
        times, at_us = _times(chance, begin_us)
        rows = [_row(chance, time, next(numbers)) for time in times]
        last_us = at_us[-1] if at_us else BASE_US + begin_us
        left = None
        if chance.happens(0.15):
            from_us = BASE_US + chance.below(40 * SECOND)
            left = (from_us, from_us + chance.below(20 * SECOND))
            last_us = max(last_us, left[1])
        found_us = None if is_known else BASE_US + begin_us
        is_historical = chance.happens(0.3)
        ends_us = last_us + chance.below(20 * SECOND)
        lanes.append(Lane(name, rows, at_us, found_us, is_historical, left, ends_us))
    return lanes


def _times(chance: Chance, begin_us: int) -> tuple[list[int], list[int]]:
    """Draw event times and when each row is there: in bursts and spells, in some disorder."""
    disorder = chance.one_of(["none", "bounded", "tail", "early"])
    times, at_us, at = [], [], begin_us
    for _ in range(chance.below(_MOST_ROWS)):
        at += chance.one_of([0, 0, 100_000, 400_000, SECOND, SECOND, 8 * SECOND])
        time = at
        if disorder == "bounded":
            time -= chance.below(3 * SECOND)
        elif disorder == "tail":
            time -= chance.tail_us(SECOND)
        elif disorder == "early" and chance.happens(0.1):
            time += chance.below(60 * SECOND)
        times.append(BASE_US + time)
        at_us.append(BASE_US + at)
    return times, at_us


def _row(chance: Chance, time_us: int, n: int) -> Row:
    return {
        "t": None if chance.happens(0.02) else time_us,
        "key": chance.one_of(["x", "y", None]),
        "n": n,
        "x": chance.below(1_000) / 7,
    }
