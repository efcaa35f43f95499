"""Partitions that others read from now on: a run with checkpoints makes one before they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import eventtime as et
from eventtime.sources.feed import Ended, Left
from live.script import Script, rows
from live.test_following import run

if TYPE_CHECKING:
    from pathlib import Path


def gives_away(*more: Any) -> Script:
    """One whose partition b goes in the second second, behind a checkpoint."""
    return Script([(0, "a", rows(1)), (0, "b", rows(2)), (1, Left("b", wants_cut=True)), *more],
                  ("a", "b"))  # fmt: skip


def test_a_partition_that_waits_for_a_checkpoint_to_go_gets_one_at_once(tmp_path: Path) -> None:
    """S28: with all that was taken of it; and only one. A source is told at the start, too."""
    script = gives_away((2, "a", rows(5)))
    where = et.checkpoints(tmp_path, every="1h")
    run(script, checkpoint=where, stop=lambda: script.clock.now_us() >= 3_000_000)
    assert script.told == [
        {},
        {"a": {"rows": 1}, "b": {"rows": 1}},
        {"a": {"rows": 2}, "b": {"rows": 1}},
    ]
    again = Script([], ("a",), script.clock)
    run(again, checkpoint=where, stop=lambda: True)
    assert again.told[0] == script.told[-1]


@pytest.mark.parametrize("more", [{}, {"stop": lambda: False, "drain": True}])
def test_a_run_without_checkpoints_promises_none(more: dict[str, Any]) -> None:
    script = gives_away((2, Ended("a")), (2, Ended("b")))
    run(script, **more)
    assert script.told == []
