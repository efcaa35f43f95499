"""Where the live loop shows how it is, and others look: they never wait for each other.

loop: is_due? ─► show(status) ─► the last status ─► latest() of any thread
                      └─► observers, in the loop's thread
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from threading import Condition
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from eventtime.errors import EventTimeError
from eventtime.status import Life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eventtime.clock import Clock
    from eventtime.report import ProgressReport
    from eventtime.status import RunState, Status

__all__ = ("Board", "Sample")

_LEAST_BETWEEN_US: Final = 200_000
_WATCHED_US: Final = 1_000_000
_ALONE_US: Final = 5_000_000
_SHARE: Final = 200
"""Making a status takes at most one part in so many of the loop's time."""

_SAMPLES: Final = 360
_MOST_PARTITIONS_SAMPLED: Final = 64


class Sample(NamedTuple):
    """What is kept of a status, so that a page that is opened later has a past to draw.

    Args:
        at_us: reading of the clock.
        watermark_us: combined; None: there was none.
        rows, results, late: counted so far.
        own_us: watermark of each partition; empty where there are many.
    """

    at_us: int
    watermark_us: int | None
    rows: int
    results: int
    late: int
    own_us: tuple[int | None, ...]


class Board:
    """Passes on what a live run looks like, and costs it nothing while nobody looks.

    The loop: `is_due`, `show`. The run: `begin`, `failed`, `end`. Others, from any thread:
    `latest`, `fresh`, `life`, `past`; `took_us` is how long the last status took.

    Args:
        clock: of the run.
        observers: are given each status, in the loop's thread; a second passes between two.
        stopwatch_ns: measures how long a status takes to make.
    """

    def __init__(
        self,
        clock: Clock,
        observers: Iterable[Callable[[Status], None]] = (),
        stopwatch_ns: Callable[[], int] = perf_counter_ns,
    ) -> None:
        self._clock, self._observers = clock, tuple(observers)
        self._stopwatch_ns, self._begun_ns = stopwatch_ns, 0
        self._every_us = _WATCHED_US if self._observers else _ALONE_US
        self._between_us = _LEAST_BETWEEN_US
        self._shown_us: int | None = None
        self._is_asked = False
        self._status: Status | None = None
        self._turned_us = self.took_us = 0
        self._samples: deque[Sample] = deque(maxlen=_SAMPLES)
        self._changed = Condition()
        now_us = clock.now_us()
        self._life = Life("starting", now_us, now_us)
        self.complete: Callable[[ProgressReport], ProgressReport] = lambda report: report

    def is_due(self, now_us: int) -> bool:
        """Tell whether a status is wanted now; called after every turn."""
        self._turned_us = now_us
        if self._shown_us is None:
            is_due = True
        else:
            # A clock that was stepped back makes it due.
            passed_us = now_us - self._shown_us
            wait_us = self._between_us if self._is_asked else max(self._every_us, self._between_us)
            is_due = passed_us >= wait_us or passed_us < 0
        if is_due:
            self._begun_ns = self._stopwatch_ns()
        return is_due

    def show(self, status: Status) -> None:
        """Take a status; what the run knows of checkpoints, and how it fares, is added."""
        begun_ns = self._stopwatch_ns()  # of one that was not due, such as the last
        self._shown_us, report = status.at_us, self.complete(status.report)
        with self._changed:
            self._life = replace(self._life, state="running", turned_us=status.at_us)
            status = replace(status, report=report, life=self._life)
            self._status, self._is_asked = status, False
            self._keep(_sample(status))
            self._changed.notify_all()
        for observer in self._observers:
            observer(status)
        self.took_us = (self._stopwatch_ns() - (self._begun_ns or begun_ns)) // 1_000
        self._begun_ns = 0
        self._between_us = max(_LEAST_BETWEEN_US, self.took_us * _SHARE)

    def begin(self) -> None:
        """Note that the run starts, or starts again."""
        with self._changed:
            self._shown_us = None

    def failed(self, error: BaseException, *, is_tried_again: bool) -> None:
        """Note that an attempt at the run failed."""
        what = error.what if isinstance(error, EventTimeError) else f"{error}"
        first_line = what.partition("\n")[0] or type(error).__name__
        state: RunState = "restarting" if is_tried_again else self._life.state
        self._set(replace(self._life, state=state, error=first_line))

    def checkpoint_failed(self) -> None:
        """Note that a checkpoint could not be written or committed."""
        failed = self._life.failed_checkpoints + 1
        self._life = replace(self._life, failed_checkpoints=failed)

    def serves(self, url: str) -> None:
        """Note where it can be looked at."""
        self._life = replace(self._life, url=url)

    def end(self, state: RunState) -> None:
        """Note how the run ended for good."""
        self._set(replace(self._life, state=state))

    @property
    def life(self) -> Life:
        """How the run fares; the loop's last turn included."""
        return replace(self._life, turned_us=max(self._turned_us, self._life.turned_us))

    @property
    def latest(self) -> Status | None:
        """The last status shown, however old; None: there is none yet."""
        return self._status

    def fresh(self, wait_s: float) -> Status | None:
        """Ask for a status and wait for it; the last one where the loop is busy elsewhere.

        Args:
            wait_s: so many seconds at most.
        """
        with self._changed:
            before = self._status
            self._is_asked = True
            self._changed.wait_for(lambda: self._status is not before, wait_s)
            return self._status

    def past(self) -> list[Sample]:
        """Return what is kept of the last half hour, oldest first."""
        with self._changed:
            return list(self._samples)

    def _set(self, life: Life) -> None:
        with self._changed:
            self._life = life
            if self._status is not None:
                self._status = replace(self._status, life=life)
            status = self._status
            self._changed.notify_all()
        if status is not None:
            for observer in self._observers:
                observer(status)

    def _keep(self, sample: Sample) -> None:
        """Keep one sample for each stretch of time, however often somebody asks."""
        samples = self._samples
        while samples and samples[-1].at_us > sample.at_us:
            samples.pop()  # the clock was stepped back: that time comes again
        if len(samples) > 1 and sample.at_us - samples[-2].at_us < _ALONE_US:
            samples[-1] = sample
        else:
            samples.append(sample)


def _sample(status: Status) -> Sample:
    is_few = len(status.partitions) <= _MOST_PARTITIONS_SAMPLED
    own_us = tuple(p.watermark_us for p in status.partitions) if is_few else ()
    at_us, watermark_us, report = status.at_us, status.watermark_us, status.report
    return Sample(at_us, watermark_us, report.rows, report.results, report.late, own_us)
