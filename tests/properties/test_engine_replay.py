"""Replay equals the oracle, row for row: results, side outputs and ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given

import eventtime as et
from engine_runs import (
    all_null_times,
    assert_ledger,
    assert_rows,
    source_of,
    stream_of,
    without_detail,
)
from eventtime.testing.reference import replay
from strategies import Case, cases

if TYPE_CHECKING:
    from eventtime.run import Run


def check_replay(case: Case) -> Run | None:
    """Run a case by both and compare everything that comes out."""
    stream = stream_of(source_of(case.partitions), case.spec)
    if all_null_times(case.partitions):
        with pytest.raises(et.TimeColumnError):
            stream.run()
        return None
    run, oracle = stream.run(), replay(case.partitions, case.spec)
    assert_rows(run.table(), oracle.results)
    if oracle.late:
        assert_rows(run.side("late"), oracle.late)
    else:
        assert run.side("late").num_rows == 0
    assert_rows(without_detail(run.side("quarantine")), oracle.quarantine)
    assert_ledger(run.ledger, oracle)
    return run


@given(cases())
def test_replay_equals_the_oracle(case: Case) -> None:
    check_replay(case)
