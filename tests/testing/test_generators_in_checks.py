"""Watermark generators of the user's in checks: none remembers a run, what is wrong shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from engine_runs import SCHEMA
from eventtime.testing import Harness, Push, Restart, Streams, check, check_restores
from zoo import NOTHING

if TYPE_CHECKING:
    from eventtime.stream import Stream
    from eventtime.testing import Row

SECOND = 1_000_000


def rows(*seconds: int) -> list[Row]:
    return [dict.fromkeys(SCHEMA.names) | {"t": t * SECOND} for t in seconds]


def marked_by(generator: Any) -> Stream:
    windows = NOTHING.watermark(et.custom(generator)).window(et.tumbling("10s"))
    return windows.aggregate(rows=et.count())


class OnceABatch:
    """Answers once for a batch, so cuts show."""

    def on_batch(self, timestamps_us: Any) -> int:
        return int(timestamps_us.max())

    def get_state(self) -> None:
        return None

    def set_state(self, state: None) -> None:
        pass


class Forgetful(OnceABatch):
    """Counts rows, and says nothing of it in a savepoint."""

    def __init__(self) -> None:
        self.rows = 0

    def on_batch(self, timestamps_us: Any) -> Any:
        self.rows += len(timestamps_us)
        return [t - 10 * SECOND * (self.rows < 3) for t in timestamps_us.tolist()]


def test_a_generator_that_answers_once_a_batch_lets_cuts_show() -> None:
    streams = Streams(("a",), (Push("a", rows(12, 1)),))
    with pytest.raises(AssertionError, match="S4") as error:
        check(marked_by(OnceABatch), streams)
    text = str(error.value)
    assert text.startswith("check_batches (S4): rows pushed one by one give something else\n")
    assert "results: 1 row, not 2" in text
    assert "-> window tumbling('10s')" in text
    assert "1 push a  12s" in text
    assert "    check_batches(pipeline, STREAMS)\n" in text


def test_a_generator_that_forgets_does_not_survive_a_restart() -> None:
    streams = Streams(("a",), (Push("a", rows(1, 2)), Push("a", rows(12)), Push("a", rows(1))))
    with pytest.raises(AssertionError, match=r"check_restores \(S27, S28\)"):
        check_restores(marked_by(Forgetful), streams)


class Lagging:
    """Remembers the latest time, and says so in a savepoint."""

    def __init__(self) -> None:
        self.latest = -(2**62)

    def on_batch(self, timestamps_us: Any) -> list[int]:
        found = []
        for time_us in timestamps_us.tolist():
            self.latest = max(self.latest, time_us)
            found.append(self.latest)
        return found

    def get_state(self) -> Any:
        return self.latest

    def set_state(self, state: Any) -> None:
        self.latest = state


def test_one_generator_object_begins_each_run_as_it_was_given() -> None:
    """S3, S28: else the second run of a check begins with the latest time of the first."""
    given = Lagging()
    pipeline, several = marked_by(given), Push("a", rows(1, 12, 8, 25))
    check(pipeline, Streams(("a",), (several, Restart(), Push("a", rows(3)))), without=["oracle"])
    for _ in range(2):
        with Harness(pipeline) as harness:
            harness.do(several)
            harness.checkpoint()
            assert harness.watermark == "1970-01-01T00:00:25Z"
            assert harness.explain_row(late=0).row == 2
            harness.push("a", rows(40))
            harness.crash()
            assert harness.watermark == "1970-01-01T00:00:40Z"
            assert harness.ledger.total.late == 1
    assert given.latest == -(2**62)


def test_what_forgets_is_noticed_though_it_is_one_object() -> None:
    """S28: what goes on is no object that remembers, as it would not behind a real restart."""
    streams = Streams(("a",), (Push("a", rows(1, 2)), Push("a", rows(12)), Push("a", rows(1))))
    with pytest.raises(AssertionError, match=r"check_restores \(S27, S28\)"):
        check_restores(marked_by(Forgetful()), streams)
