"""The board of a live run, by itself."""

from __future__ import annotations

from dataclasses import replace

import eventtime as et
from eventtime.board import Board
from eventtime.sources.feed import Ended
from live.script import SECOND, Alarm, Script, rows
from live.test_following import counted


def a_status() -> et.Status:
    seen: list[et.Status] = []
    script = Script([(0, "a", rows(1)), (1, Ended("a"))], ("a",))
    live = et.live(clock=script.clock, alarm=Alarm(script.clock), observe=seen.append)
    counted(script).run(live=live)
    return seen[0]


def test_the_past_goes_on_when_the_clock_was_stepped_back() -> None:
    """What was seen of the time that comes again is left out."""
    board, status = Board(et.ManualClock()), a_status()
    for second in (0, 10, 20, 30, 15, 16, 20, 25, 31):
        board.show(replace(status, at_us=second * SECOND))
    assert [sample.at_us // SECOND for sample in board.past()] == [0, 10, 15, 16, 20, 25, 31]
