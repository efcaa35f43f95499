"""One line on the terminal that says how far a run is; nothing where nobody watches."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Final

from eventtime.cli.session import now_s
from eventtime.duration import format_us
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from eventtime.report import ProgressReport

__all__ = ("ProgressLine", "describe")

_FIRST_S: Final = 0.5
_BETWEEN_S: Final = 0.1


class ProgressLine:
    """Rewrites one line on stderr, ten times a second at most, from half a second on.

    Args:
        stream: where to; a terminal.
        clock: seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = now_s) -> None:
        self._stream, self._clock = stream or sys.stderr, clock
        self._start = clock()
        self._next = self._start + _FIRST_S
        self._shown = False

    def __call__(self, report: ProgressReport) -> None:
        """Take a report of a run."""
        now = self._clock()
        if now < self._next:
            return
        self._write(describe(report, now - self._start), now)

    def rows(self, rows: int) -> None:
        """Take a number of rows, where nothing else is known."""
        now = self._clock()
        if now >= self._next:
            self._write(_speed(rows, None, now - self._start), now)

    def clear(self) -> None:
        """Remove the line."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False

    def _write(self, text: str, now: float) -> None:
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r{text[:width]}\x1b[K")
        self._stream.flush()
        self._shown = True
        self._next = now + _BETWEEN_S


def describe(report: ProgressReport, seconds: float) -> str:
    """Say in one line where a run is.

    Args:
        report: of the run.
        seconds: since its start.
    """
    parts = [_speed(report.rows, report.total_rows, seconds)]
    if MINUS_INFINITY < report.watermark_us < PLUS_INFINITY:
        parts.append(f"watermark {_minute(report.watermark_us)}")
        behind = report.latest_us - report.watermark_us
        if 0 < behind < 1 << 62:
            # To the minute: the line is read in passing.
            rounded = behind if behind < 60_000_000 else behind // 60_000_000 * 60_000_000
            parts.append(f"{format_us(rounded)} behind the latest")
    parts.append(f"{report.open_windows:,} open windows")
    parts.append(f"{report.late:,} late")
    if report.quarantined:
        parts.append(f"{report.quarantined:,} set aside")
    return " · ".join(parts)


def _speed(rows: int, total_rows: int | None, seconds: float) -> str:
    share = f" ({rows / total_rows:.0%})" if total_rows else ""
    return f"{_short(rows)} rows{share} · {_short(rows / max(seconds, 1e-9))} rows/s"


def _short(number: float) -> str:
    for limit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= limit:
            scale = 1e3 if sign == "k" else limit
            return f"{number / scale:.1f} {sign}"
    return f"{number:.0f}"


def _minute(time_us: int) -> str:
    import numpy as np

    return str(np.datetime64(time_us // 60_000_000, "m")).replace("T", " ")
