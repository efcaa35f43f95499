"""Starting a run again after sources or sinks have failed for a while: attempts and delays."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from eventtime.checks import check_callable, check_whole, shown
from eventtime.duration import format_us, parse_us
from eventtime.errors import (
    CheckpointError,
    EventTimeError,
    MalformedRowError,
    OutputExistsError,
    PlanError,
    SchemaError,
    SinkError,
    SourceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.duration import DurationLike

__all__ = ("Attempts", "Restart", "restart")

T = TypeVar("T")


@dataclass(frozen=True)
class Restart:
    """How often a run is started again, and after what delay; made by `restart`."""

    attempts: int
    delay_us: int
    backoff: float
    max_delay_us: int
    sleep: Callable[[float], None]
    told: Callable[[str], None] | None

    def describe(self) -> str:
        """Say it in one line.

        >>> restart(5, delay="2s").describe()
        'restarts up to 5 times, after 2s at first'
        """
        return f"restarts up to {self.attempts} times, after {format_us(self.delay_us)} at first"

    def wait_us(self, failures: int) -> int:
        """Return the delay behind so many failures in a row.

        >>> [restart(9, max_delay="5s").wait_us(n) // 1_000_000 for n in (1, 2, 3, 4)]
        [1, 2, 4, 5]
        """
        # By steps: a power of a large number of failures would leave what a float can hold.
        wait_us = float(self.delay_us)
        for _ in range(failures - 1):
            wait_us = min(wait_us * self.backoff, float(self.max_delay_us))
        return min(int(wait_us), self.max_delay_us)


def restart(
    attempts: int = 3,
    *,
    delay: DurationLike = "1s",
    backoff: float = 2.0,
    max_delay: DurationLike = "1m",
    sleep: Callable[[float], None] = time.sleep,
    told: Callable[[str], None] | None = None,
) -> Restart:
    """Describe how a run with checkpoints goes on after its sources or sinks have failed (S28).

    Tried again, from the last checkpoint: a source, a sink or the storage of the checkpoints that
    cannot be reached, read or written. Never: code of yours that raises, a plan or input that is
    wrong, a damaged checkpoint or one of another pipeline, a process that was fenced off.

    Args:
        attempts: so many failures in a row are put up with; a new checkpoint starts the count anew.
        delay: before the first restart.
        backoff: each further delay is so many times longer, at least 1.
        max_delay: but no longer than this.
        sleep: waits for so many seconds.
        told: takes a line of text before each delay; None: `warnings.warn`.

    Raises:
        PlanError: an argument is of the wrong kind.

    >>> restart(delay="500ms").describe()
    'restarts up to 3 times, after 500ms at first'
    """
    what, place = "a whole number above zero", "restart({}=…)"
    remedy = "such as 3"
    check_whole(attempts, least=1, what=what, place=place.format("attempts"), remedy=remedy)
    factor: object = backoff
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not factor >= 1:
        msg = f"{shown(backoff)} is not a number from 1 on"
        raise PlanError(msg, place=place.format("backoff"), remedy="such as 2.0")
    for name, function in (("sleep", sleep), ("told", told)):
        remedy = "give a function of one argument, or leave it out"
        check_callable(function, place=place.format(name), remedy=remedy)
    delay_us, most_us = parse_us(delay, name="delay"), parse_us(max_delay, name="max_delay")
    return Restart(attempts, delay_us, float(backoff), most_us, sleep, told)


class Attempts:
    """The attempts of one run: `run` calls it again and again, as the policy allows.

    Args:
        policy: how often; None: once.
    """

    def __init__(self, policy: Restart | None) -> None:
        self._policy = policy
        self._failures = self.restarts = 0

    def made_progress(self) -> None:
        """Note that a checkpoint is durable: what fails from now on is another failure."""
        self._failures = 0

    def are_left(self, error: Exception) -> bool:
        """Tell whether `run` would try again after an error."""
        policy = self._policy
        return policy is not None and _may_pass(error) and self._failures < policy.attempts

    def run(self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it returns.

        Raises:
            EventTimeError, OSError: one that does not pass by itself, or the last one allowed,
                which says how many there were.
        """
        while True:
            try:
                return attempt()
            except (EventTimeError, OSError) as error:
                if not self.are_left(error):
                    if self._failures and _may_pass(error):
                        _add_number(error, self._failures + 1)
                    raise
                self._failures += 1
                self._wait(error)
                self.restarts += 1

    def _wait(self, error: Exception) -> None:
        policy = self._policy
        assert policy is not None
        wait_us = policy.wait_us(self._failures)
        first_line = str(error).partition("\n")[0]
        text = (
            f"{first_line}: trying again in {format_us(wait_us)}"
            f" (restart {self._failures} of {policy.attempts})"
        )
        if policy.told is not None:
            policy.told(text)
        else:
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        policy.sleep(wait_us / 1e6)


def _may_pass(error: Exception) -> bool:
    """Tell whether waiting may help."""
    if isinstance(error, SchemaError | MalformedRowError | OutputExistsError):
        return False
    if isinstance(error, CheckpointError):
        # The storage failed; a file that is missing or damaged stays so.
        cause = error.__cause__
        return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
    return isinstance(error, SourceError | SinkError | OSError)


def _add_number(error: Exception, failures: int) -> None:
    text = f"given up after {failures} failures in a row"
    if isinstance(error, EventTimeError):
        error.what += f" ({text})"
    else:
        error.add_note(text)
