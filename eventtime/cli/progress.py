"""A line on the terminal that says how far a run is; nothing where nobody watches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from eventtime.cli.session import now_s
from eventtime.cli.surviving import bytes_in_words, resumed_in_words
from eventtime.duration import format_us
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.live import Live

    from eventtime.report import ProgressReport

__all__ = ("ProgressLine", "describe")

_FIRST_S: Final = 0.5
_BETWEEN_S: Final = 0.1


class ProgressLine:
    """Says on stderr where a run is, ten times a second at most, from half a second on.

    What does not fit on one line of the terminal goes on in the next. What is printed meanwhile,
    by `say` or by code of the user's, comes to stand above it.

    Args:
        console: a terminal; None: stderr.
        clock: seconds.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = now_s) -> None:
        self._console, self._clock = console, clock
        self._start = clock()
        self._next = self._start + _FIRST_S
        self._live: Live | None = None

    def __call__(self, report: ProgressReport) -> None:
        """Take a report of a run."""
        now = self._clock()
        if now >= self._next:
            self._show(describe(report, now - self._start), now)

    def rows(self, rows: int) -> None:
        """Take a number of rows, where nothing else is known."""
        now = self._clock()
        if now >= self._next:
            self._show(_speed(rows, None, now - self._start), now)

    def say(self, text: str) -> None:
        """Print a message that stays."""
        if self._live is None:
            click.echo(text, err=True)
        else:
            self._live.console.print(text, markup=False, highlight=False)

    def clear(self) -> None:
        """Remove the line."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, text: str, now: float) -> None:
        # Loaded only for runs that take long enough to be watched.
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(
                console=self._console or Console(stderr=True),
                auto_refresh=False,
                transient=True,
                # Through the terminal of stderr, what goes to a pipe would not get there.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._live.start()
        self._live.update(Text(text), refresh=True)
        self._next = now + _BETWEEN_S


def describe(report: ProgressReport, seconds: float) -> str:
    """Say in one line where a run is.

    Args:
        report: of the run.
        seconds: since its start.
    """
    before = 0 if report.resumed is None else report.resumed.rows
    parts = [_speed(report.rows - report.waiting, report.total_rows, seconds, before)]
    if MINUS_INFINITY < report.watermark_us < PLUS_INFINITY:
        parts.append(f"watermark {_minute(report.watermark_us)}")
        behind = report.latest_us - report.watermark_us
        if 0 < behind < 1 << 62:
            # To the minute: the line is read in passing.
            rounded = behind if behind < 60_000_000 else behind // 60_000_000 * 60_000_000
            parts.append(f"{format_us(rounded)} behind the latest")
    parts.append(counted(report.open_windows, "open window"))
    parts.append(f"{report.late:,} late")
    if report.quarantined:
        parts.append(f"{report.quarantined:,} set aside")
    if report.checkpoint is not None:
        age, took = report.checkpoint.age_us, report.checkpoint.duration_us
        size = bytes_in_words(report.checkpoint.new_bytes)
        parts.append(
            f"checkpoint {report.checkpoint.number} {age / 1e6:.0f} s ago"
            f" ({size} in {took / 1e6:.1f} s)"
        )
    if report.resumed is not None:
        parts.append(f"resumed from {resumed_in_words(report.resumed)}")
    if report.restarts:
        parts.append(counted(report.restarts, "restart"))
    return " · ".join(parts)


def _speed(rows: int, total_rows: int | None, seconds: float, before: int = 0) -> str:
    # Rounded down: a run is at 100 % when all of its rows are processed, and not before.
    share = f" ({100 * rows // total_rows}%)" if total_rows else ""
    noun = "row" if rows == 1 else "rows"
    return f"{_short(rows)} {noun}{share} · {_short((rows - before) / max(seconds, 1e-9))} rows/s"


def _short(number: float) -> str:
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= limit:
            scale = 1e3 if sign == "k" else limit
            return f"{number / scale:.1f} {sign}"
    return f"{number:.0f}"


def _minute(time_us: int) -> str:
    import numpy as np

    return str(np.datetime64(time_us // 60_000_000, "m")).replace("T", " ")
