"""The progress line: late, seldom, short, and gone at the end."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

from eventtime.cli.progress import ProgressLine, describe
from eventtime.report import ProgressReport
from eventtime.timestamp import MINUS_INFINITY

if TYPE_CHECKING:
    import pytest

HOUR = 3_600_000_000
REPORT = ProgressReport(
    rows=2_500_000, total_rows=10_000_000, watermark_us=12 * HOUR, latest_us=16 * HOUR + 1,
    held_by="p", open_windows=7, late=1_234, quarantined=0, results=5,
)  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_appears_after_half_a_second_and_ten_times_a_second_at_most() -> None:
    # seconds  0.0 0.4 | 0.5 0.55 | 0.6 0.69 | 0.7
    # line      no  no | yes   no | yes   no | yes
    clock, stream = Clock(), io.StringIO()
    line = ProgressLine(stream, clock)
    for now in (0.0, 0.4, 0.5, 0.55, 0.601, 0.69, 0.702):
        clock.now = now
        line(REPORT)
    assert stream.getvalue().count("\r") == 3
    line.clear()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_short_run_shows_nothing() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream, Clock())
    line(REPORT)
    line.rows(5)
    line.clear()
    assert stream.getvalue() == ""


def test_it_is_no_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    clock, stream = Clock(), io.StringIO()
    line = ProgressLine(stream, clock)
    clock.now = 1
    line.rows(1_500)
    line(replace(REPORT, rows=1))
    shown = stream.getvalue().split("\r")[1].removesuffix("\x1b[K")
    assert shown == "1500 rows · 1500 rows/s"
    clock.now = 2
    line(REPORT)
    assert all(len(part.removesuffix("\x1b[K")) < 30 for part in stream.getvalue().split("\r"))


def test_it_says_where_the_run_is() -> None:
    assert describe(REPORT, 0.5) == (
        "2.5 M rows (25%) · 5.0 M rows/s · watermark 1970-01-01 12:00 · 4h behind the latest · "
        "7 open windows · 1,234 late"
    )
    early = replace(REPORT, watermark_us=MINUS_INFINITY, total_rows=None, quarantined=3)
    assert describe(early, 250) == (
        "2.5 M rows · 10.0 k rows/s · 7 open windows · 1,234 late · 3 set aside"
    )
