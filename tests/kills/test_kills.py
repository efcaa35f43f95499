"""Processes killed at random and at system calls, started again until done: no trace (S27, S28).

The usual form kills some thirty times; `EVENTTIME_KILLS=nightly` goes through every system call of
each kind, and kills many hundred times.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from kills.jobs import SINKS
from kills.lives import strace

if TYPE_CHECKING:
    from kills.jobs import Job
    from kills.lives import Lives

NIGHTLY: Final = os.environ.get("EVENTTIME_KILLS") == "nightly"
EACH: Final = [{"every_rows": 8_000}, {"every_rows": None, "every_ms": 30}]
CALLS: Final = (
    "openat", "write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "mkdir", "close",
)  # fmt: skip
FAULTS: Final = ("EIO", "ENOSPC")
ERRORS: Final = {"CheckpointError", "SinkError", "SourceError"}
MOST_LIVES: Final = 200


@pytest.fixture
def traced() -> None:
    """Needs strace, which CI has."""
    if strace() is None:
        if os.environ.get("CI"):
            pytest.fail("CI is set, and strace is not installed")
        pytest.skip("strace is not installed")


def goes_on(lives: Lives, job: Job) -> None:
    """Run it to its end, undisturbed from now on, and look at what it leaves."""
    ended = lives.run(job)
    assert ended.is_done, ended.said
    lives.assert_equal_to_undisturbed(job, ended.said)


@pytest.mark.parametrize("how", EACH, ids=["rows", "time"])
@pytest.mark.parametrize("reads", ["flights", "generated"])
@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_killed_at_any_moment(
    lives: Lives, sink: str, reads: str, how: dict[str, int | None]
) -> None:
    job = lives.job(sink=sink, reads=reads, **how)
    _, _, seconds = lives.undisturbed(job)
    moments = np.random.default_rng([len(sink), len(reads), how["every_rows"] or 0])
    wanted = 12 if NIGHTLY else 1
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
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_killed_at_a_system_call(lives: Lives, sink: str, call: str) -> None:
    """Killed at each; and, going on, killed once more at the same number."""
    for when in _numbers(sink, call):
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
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", [call for call in CALLS if call != "close"])
@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_a_system_call_fails(lives: Lives, sink: str, call: str, fault: str) -> None:
    """The error is clear, or the run goes on; and what comes of it is whole either way."""
    for when in _numbers(sink, call + fault):
        job = lives.job(sink=sink, reads="generated", every_rows=8_000)
        ended = lives.inject(job, call, f"error={fault}", str(when))
        if not ended.is_done:
            assert ended.said[0] in ERRORS, (when, ended.said)
        elif when > 40:
            break
        # Also after a run that came through: what it could not sweep is swept by the next.
        goes_on(lives, job)


def _numbers(sink: str, call: str) -> list[int]:
    """Which calls of a thread: every one at night, otherwise one in a few of these tests."""
    if not NIGHTLY:
        draw = np.random.default_rng(list(f"{sink} {call}".encode()))
        return [int(draw.geometric(0.15))] if draw.random() < 0.3 else []
    step = 17 if call.startswith("pwrite64") else 1
    return list(range(1, 400, step))
