"""The progress line: late, seldom, short, and gone at the end."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from eventtime.cli.progress import ProgressLine, describe
from eventtime.report import ProgressReport
from eventtime.timestamp import MINUS_INFINITY

if TYPE_CHECKING:
    import pytest

HOUR = 3_600_000_000
REPORT = ProgressReport(
    rows=2_600_000, waiting=100_000, total_rows=10_000_000,
    watermark_us=12 * HOUR, latest_us=16 * HOUR + 1,
    held_by="p", open_windows=7, late=1_234, quarantined=0, results=5,
)  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def terminal(width: int = 200) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def on_screen(console: Console) -> list[str]:
    """Lines as a terminal shows them: up, to the start and erase, as rich says it."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[\??[0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written(console)):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\x1b[1A":
            row -= 1
        elif part[0] not in "\x1b\r":
            lines[row] += part
    return [line.rstrip() for line in lines if line.rstrip()]


def test_it_appears_after_half_a_second_and_ten_times_a_second_at_most() -> None:
    # seconds  0.0 0.4 | 0.5 0.55 | 0.6 0.69 | 0.7
    # line      no  no | yes   no | yes   no | yes
    clock, console = Clock(), terminal()
    line = ProgressLine(console, clock)
    for now in (0.0, 0.4, 0.5, 0.55, 0.601, 0.69, 0.702):
        clock.now = now
        line(REPORT)
    assert written(console).count("rows/s") == 3
    assert len(on_screen(console)) == 1
    line.clear()
    assert on_screen(console) == []


def test_a_short_run_shows_nothing() -> None:
    console = terminal()
    line = ProgressLine(console, Clock())
    line(REPORT)
    line.rows(5)
    line.clear()
    assert written(console) == ""


def test_what_does_not_fit_on_a_line_goes_on_in_the_next() -> None:
    clock, console = Clock(), terminal(40)
    line = ProgressLine(console, clock)
    for now in (1.0, 2.0):
        clock.now = now
        line(REPORT)
    shown = on_screen(console)
    assert " ".join(shown) == describe(REPORT, 2)
    assert len(shown) > 2
    assert all(len(part) <= 40 for part in shown)
    line.clear()
    assert on_screen(console) == []


def test_a_message_comes_to_stand_above_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    clock, console = Clock(), terminal()
    line = ProgressLine(console, clock)
    line.say("compiling [1]")
    assert capsys.readouterr().err == "compiling [1]\n"
    clock.now = 1.0
    line(REPORT)
    line.say("compiling [2]")
    assert on_screen(console) == ["compiling [2]", describe(REPORT, 1)]
    line.clear()
    assert on_screen(console) == ["compiling [2]"]


def test_all_of_the_rows_are_those_that_were_processed() -> None:
    nearly = replace(REPORT, rows=10_000_000, waiting=1)
    assert "(99%)" in describe(nearly, 1)
    assert "(100%)" in describe(replace(nearly, waiting=0), 1)


def test_it_says_where_the_run_is() -> None:
    assert describe(REPORT, 0.5) == (
        "2.5 M rows (25%) · 5.0 M rows/s · watermark 1970-01-01 12:00 · 4h behind the latest · "
        "7 open windows · 1,234 late"
    )
    early = replace(REPORT, watermark_us=MINUS_INFINITY, total_rows=None, quarantined=3)
    assert describe(early, 250) == (
        "2.5 M rows · 10.0 k rows/s · 7 open windows · 1,234 late · 3 set aside"
    )
