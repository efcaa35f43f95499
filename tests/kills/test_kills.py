"""Processes killed at random and at system calls, started again until done: no trace (S27, S28).

The usual form kills some thirty times; `EVENTTIME_KILLS=nightly` goes through every system call of
each kind, and kills many hundred times.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from kills.jobs import SINKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kills.jobs import Job
    from kills.lives import Lives

NIGHTLY: Final = os.environ.get("EVENTTIME_KILLS") == "nightly"
ROWS: Final = {"every_rows": 8_000}
TIME: Final = {"every_rows": None, "every_ms": 30}
READ: Final = [("flights", ROWS), ("flights", TIME), ("generated", ROWS), ("generated", TIME)]
CALLS: Final = (
    "openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "mkdir", "close",
)  # fmt: skip
FAULTS: Final = ("EIO", "ENOSPC")
ERRORS: Final = {"CheckpointError", "SinkError", "SourceError"}
MOST_LIVES: Final = 200


def some(*choices: Iterable[str], one_in: int) -> list[tuple[str, ...]]:
    """All combinations at night, otherwise one in so many, in which each choice comes up."""
    return list(itertools.product(*choices))[:: 1 if NIGHTLY else one_in]


def numbers(sink: str, call: str) -> list[int]:
    """Which calls of a thread: every one at night, else one that is among the first."""
    if not NIGHTLY:
        draw = np.random.default_rng(list(f"{sink} {call}".encode()))
        return [int(draw.integers(1, 10))]
    return list(range(1, 400, 23 if call == "pwrite64" else 1))


def goes_on(lives: Lives, job: Job) -> None:
    """Run it to its end, undisturbed from now on, and look at what it leaves."""
    ended = lives.run(job)
    assert ended.is_done, ended.said
    lives.assert_equal_to_undisturbed(job, ended.said)


@pytest.mark.parametrize(("reads", "how"), READ if NIGHTLY else READ[::3])
@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_killed_at_any_moment(
    lives: Lives, sink: str, reads: str, how: dict[str, int | None]
) -> None:
    job = lives.job(sink=sink, reads=reads, **how)
    _, _, seconds = lives.undisturbed(job)
    moments = np.random.default_rng(list(f"{sink} {reads} {how}".encode()))
    wanted = 16 if NIGHTLY else 1
    for life in range(MOST_LIVES):
        ended = lives.run(job, kill_after=float(moments.random()) * seconds)
        wanted -= ended.is_killed
        if ended.is_done:
            lives.assert_equal_to_undisturbed(job, ended.said)
            job = lives.job(sink=sink, reads=reads, shards=life % 3 + 1, **how)
        if wanted <= 0:
            break
        assert ended.is_killed or ended.is_done, ended.said
    assert wanted <= 0
    goes_on(lives, job)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("sink", "call"), some(SINKS, CALLS, one_in=7))
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_killed_at_a_system_call(lives: Lives, sink: str, call: str) -> None:
    """Killed at each; and, going on, killed once more at the same number."""
    for when in numbers(sink, call):
        job = lives.job(sink=sink, reads="generated", every_rows=8_000)
        ended = lives.inject(job, call, "signal=SIGKILL", str(when))
        if ended.is_done:
            lives.assert_equal_to_undisturbed(job, ended.said)
            break
        assert ended.is_killed, ended.said
        again = lives.inject(job, call, "signal=SIGKILL", str(when))
        assert again.is_killed or again.is_done, again.said
        goes_on(lives, job)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("sink", "call", "fault"), some(SINKS, CALLS, FAULTS, one_in=13))
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_a_system_call_fails(lives: Lives, sink: str, call: str, fault: str) -> None:
    """The error is clear, or the run goes on; and what comes of it is whole either way."""
    for when in numbers(sink, call):
        job = lives.job(sink=sink, reads="generated", every_rows=8_000)
        ended = lives.inject(job, call, f"error={fault}", str(when))
        if not ended.is_done:
            assert ended.said[0] in ERRORS, (when, ended.said)
        elif when > 40:
            break
        # Also after a run that came through: what it could not sweep is swept by the next.
        goes_on(lives, job)
