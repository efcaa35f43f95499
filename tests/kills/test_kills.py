"""Processes killed at random and at system calls, started again until done: no trace (S27, S28).

The usual form kills some forty times; `EVENTTIME_KILLS=nightly` goes through every system call, and
kills some thousand times.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from kills.jobs import SINKS
from kills.tracer import LOOKS, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kills.jobs import Job
    from kills.lives import Lives
    from kills.tracer import Call

NIGHTLY: Final = os.environ.get("EVENTTIME_KILLS") == "nightly"
STATES: Final = [
    ("flights", ""), ("flights", "files"), ("flights", "rocksdb"),
    ("keyed", ""), ("keyed", "files"), ("keyed", "rocksdb"),
    ("generated", ""),
]  # fmt: skip
"""What is read, and where its state is beside memory."""
PERIODS: Final[dict[str, Any]] = {
    "rows": {"every_rows": 8_000},
    "time": {"every_rows": None, "every_ms": 30},
}
CALLED: Final[list[tuple[str, Any]]] = [("generated", ""), ("keyed", "files"), ("keyed", "rocksdb")]
FAULTS: Final = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}
ERRORS: Final = {"CheckpointError", "SinkError", "SourceError", "ScratchError"}
MOST_LIVES: Final = 200
WRITES: Final = {"write", "pwrite64", "writev", "pwritev"}


def some(*choices: Any, one_in: int) -> list[Any]:
    """All combinations at night, otherwise one in so many, in which each choice comes up."""
    return list(itertools.product(*choices))[:: 1 if NIGHTLY else one_in]


def goes_on(lives: Lives, job: Job) -> None:
    """Run it to its end, undisturbed from now on, and look at what it leaves."""
    ended = lives.run(job)
    assert ended.is_done, ended.said
    lives.assert_equal_to_undisturbed(job, ended.said)


@pytest.mark.parametrize(("sink", "state", "period"), some(SINKS, STATES, PERIODS, one_in=5))
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_killed_at_any_moment(
    lives: Lives, sink: str, state: tuple[str, Any], period: str, tally: Counter[str]
) -> None:
    reads, backend = state
    how: dict[str, Any] = {"reads": reads, "backend": backend, **PERIODS[period]}
    job = lives.job(sink=sink, **how)
    _, _, seconds = lives.undisturbed(job)
    moments = np.random.default_rng(list(f"{sink} {state} {period}".encode()))
    wanted = 5 if NIGHTLY else 1
    for life in range(MOST_LIVES):
        ended = lives.run(job, kill_after=float(moments.random()) * seconds)
        wanted -= ended.is_killed
        tally[f"at random, {sink}, {backend or 'memory'}"] += ended.is_killed
        if ended.is_done:
            lives.assert_equal_to_undisturbed(job, ended.said)
            job = lives.job(sink=sink, shards=life % 3 + 1, **how)
        if wanted <= 0:
            break
        assert ended.is_killed or ended.is_done, ended.said
    assert wanted <= 0
    goes_on(lives, job)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("sink", "state"), some(SINKS, CALLED, one_in=2))
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_killed_at_a_system_call(
    lives: Lives, sink: str, state: tuple[str, Any], tally: Counter[str]
) -> None:
    """Killed before each that changes something; and, going on in another backend, once more."""
    reads, backend = state
    how: dict[str, Any] = {"sink": sink, "reads": reads, "every_rows": 8_000}
    calls = chosen(lives.calls(lives.job(backend=backend, **how)), one_in=8 if backend else 1)
    for number, call in enumerate(calls):
        job = lives.job(backend=backend, **how)
        ended = lives.meet(job, Fault(call.__eq__))
        assert ended.is_killed or ended.is_done, (call, ended.said)
        other = replace(job, backend=CALLED[number % 3][1] if backend else "")
        again = lives.meet(other, Fault(change_number(number * 7 % 60)))
        assert again.is_killed or again.is_done, (call, again.said)
        tally[f"at calls, {sink}, {backend or 'memory'}"] += ended.is_killed + again.is_killed
        goes_on(lives, job)


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_killed_while_a_database_is_made(lives: Lives, tally: Counter[str]) -> None:
    """What DuckDB began itself was no database, and stayed so."""
    how: dict[str, Any] = {"sink": "duckdb", "reads": "generated", "every_rows": 8_000}
    calls = [
        call
        for call in lives.calls(lives.job(**how))
        if call.name not in LOOKS and re.fullmatch(r"out\.duckdb|\..*\.partial", call.path)
    ]
    for call in calls[: None if NIGHTLY else 6]:
        job = lives.job(**how)
        ended = lives.meet(job, Fault(call.__eq__))
        assert ended.is_killed, (call, ended.said)
        tally["at calls, duckdb, memory"] += 1
        goes_on(lives, job)


def chosen(calls: list[Call], *, one_in: int) -> list[Call]:
    """Calls before which to kill: at night so many, else one.

    Of many writes to one file the first two, one in the middle and the last.
    """
    totals = Counter((call.name, call.path) for call in calls)
    fine = [
        call
        for call in calls
        if call.name not in LOOKS
        and (
            call.name not in WRITES
            or call.n in {1, 2, (last := totals[call.name, call.path]) // 2, last}
        )
    ]
    return fine[::one_in] if NIGHTLY else drawn(fine)


def drawn(calls: Sequence[Call]) -> list[Call]:
    """One of them."""
    draw = np.random.default_rng(list(repr(calls[-1]).encode()))
    return [calls[int(draw.integers(len(calls)))]]


def change_number(number: int) -> Callable[[Call], bool]:
    """Whether so many calls that changed something came before."""
    changes = itertools.count()
    return lambda call: call.name not in LOOKS and next(changes) == number


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("sink", "fault"), some(SINKS, FAULTS, one_in=3))
@pytest.mark.slow
@pytest.mark.timeout(20_000 if NIGHTLY else 300)
def test_a_system_call_fails(lives: Lives, sink: str, fault: str, tally: Counter[str]) -> None:
    """The error is clear, or the run goes on; and what comes of it is whole either way.

    Of the calls that give an error every other one gives this one.
    """
    how: dict[str, Any] = {"sink": sink, "reads": "generated", "every_rows": 8_000}
    calls = [call for call in lives.calls(lives.job(**how)) if call.n <= 2]
    mine = calls[[*FAULTS].index(fault) :: len(FAULTS)]
    for call in mine if NIGHTLY else drawn(mine):
        job = lives.job(**how)
        ended = lives.meet(job, Fault(call.__eq__, FAULTS[fault]))
        assert ended.is_done or ended.said[0] in ERRORS, (call, ended.said)
        tally[f"{fault}, {sink}, {'went on' if ended.is_done else 'refused'}"] += 1
        # Also after a run that came through: what it could not sweep is swept by the next.
        goes_on(lives, job)
