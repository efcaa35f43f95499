"""Rows that are set aside, told while a live run goes on: it may print nothing for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventtime.clock import Interval
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.ledger import PartitionLedger
    from eventtime.status import Status

__all__ = ("TellsAside", "aside_in_words")

_TOLD_AGAIN_US: Final = 60_000_000
_SHOWN_CHARS: Final = 300


def aside_in_words(total: PartitionLedger) -> str:
    """Say how many rows are quarantined, and why; empty if none is.

    >>> from eventtime.ledger import PartitionLedger
    >>> aside_in_words(PartitionLedger(null_time=1, malformed=2))
    '3 rows set aside (1 without a time, 2 malformed)'
    """
    reasons = {
        "without a time": total.null_time,
        "too far ahead": total.future,
        "malformed": total.malformed,
    }
    told = ", ".join(f"{rows:,} {reason}" for reason, rows in reasons.items() if rows)
    return f"{counted(sum(reasons.values()), 'row')} set aside ({told})" if told else ""


class TellsAside:
    """Says how many rows were set aside so far, once a minute at most, and not of none that came.

    Args:
        say: prints a line on stderr.
        are_kept: whether they are written somewhere.
    """

    def __init__(self, say: Callable[[str], None], *, are_kept: bool) -> None:
        self._say, self._are_kept = say, are_kept
        self._told, self._again = 0, Interval(_TOLD_AGAIN_US, None)

    def __call__(self, status: Status) -> None:
        """Take a status."""
        rows = status.report.quarantined
        if not status.first_aside or rows <= self._told:
            return
        if not self._again.has_passed(status.at_us):
            return
        self._told, first = rows, status.first_aside
        first = first if len(first) <= _SHOWN_CHARS else f"{first[:_SHOWN_CHARS]}…"
        keeps = "" if self._are_kept else "; --quarantine PATH keeps them"
        self._say(f"{aside_in_words(status.total)} so far, the first for: {first}{keeps}")
