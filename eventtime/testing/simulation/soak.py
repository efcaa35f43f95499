"""Seed after seed for a given time, and what all of them went through."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from eventtime.checks import check_whole, shown
from eventtime.errors import PlanError
from eventtime.testing.simulation.life import Survived, simulate
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Soaked", "soak")


@dataclass(frozen=True)
class Soaked:
    """What seeds went through, together.

    Args:
        first: the first seed; seeds: how many.
        seconds: it took.
        total: sums over the seeds; its trace is that of the last one.
    """

    first: int
    seeds: int
    seconds: float
    total: Survived

    def __str__(self) -> str:
        seeds = counted(self.seeds, "seed")
        return f"{seeds} from {self.first} in {self.seconds:.0f} s: {self.total}"


def soak(
    seconds: float,
    *,
    seed_from: int = 0,
    progress: Callable[[Soaked], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Soaked:
    """Run seeds until the time is over; the one that is under way then comes to its end.

    Args:
        seconds: how long.
        seed_from: the first seed; each next is one more.
        progress: called after each seed.
        clock: seconds.

    Raises:
        AssertionError: a seed failed; names the command that shows it again.
        PlanError: there is no such time, or no such seed.

    >>> soak(0, seed_from=3).seeds
    1
    """
    given: object = seconds
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0 <= seconds < math.inf:
        msg = f"{shown(seconds)} is no number of seconds"
        raise PlanError(msg, place="soak(seconds)", remedy="such as 600 for ten minutes")
    what, remedy = "a whole number from 0", "leave it out for 0"
    check_whole(seed_from, least=0, what=what, place="soak(seed_from=…)", remedy=remedy)
    begun, seed = clock(), seed_from
    total = Survived(seed_from, "")
    while True:
        total = _added(total, simulate(seed))
        seed += 1
        soaked = Soaked(seed_from, seed - seed_from, clock() - begun, total)
        if progress is not None:
            progress(soaked)
        if soaked.seconds >= seconds:
            return soaked


def _added(total: Survived, one: Survived) -> Survived:
    names = [field.name for field in fields(Survived)][2:]
    counts = {name: getattr(total, name) + getattr(one, name) for name in names}
    return Survived(one.seed, one.trace, **counts)
