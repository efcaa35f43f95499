"""What a check raises: which rule, what differs, and what happened, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventtime.errors import EventTimeError
from eventtime.testing.example import as_test
from eventtime.testing.steps import Push
from eventtime.testing.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventtime.stream import Stream
    from eventtime.testing.steps import Streams

__all__ = ("BrokenRuleError",)

_MOST_LINES: Final = 8
_WHY: Final = (
    "why so: Harness.of(pipeline, STREAMS) has .explain_row('a', 0) for the first row of partition"
    " a, .explain_row(late=0) for the first late one, and .explain_window(start, key)"
)
_BY_ROW: Final = "here each row is pushed by itself, as functions of yours may see:\n"


class BrokenRuleError(AssertionError):
    """Raised by a check that does not hold; its text is made when somebody reads it.

    Args:
        check: name of the check; rules: that it holds, by number.
        what: one sentence.
        found: what differs, line by line; the first few are shown.
        pipeline, streams: what was checked.
    """

    def __init__(
        self,
        check: str,
        rules: str,
        what: str,
        found: Sequence[str],
        pipeline: Stream,
        streams: Streams,
    ) -> None:
        super().__init__(check, rules, what)
        self.check, self.rules, self.what, self.found = check, rules, what, list(found)
        self.pipeline, self.streams = pipeline, streams

    def __str__(self) -> str:
        lines = [f"{self.check} ({self.rules}): {self.what}"]
        lines += [f"  {line}" for line in self.found[:_MOST_LINES]]
        if len(self.found) > _MOST_LINES:
            lines.append(f"  … and {len(self.found) - _MOST_LINES} more")
        lines += ["", *self.pipeline.explain().splitlines(), "", _picture(self), _WHY]
        lines += ["", "As a test:", "", as_test(self.streams, self.pipeline, check=self.check)]
        return "\n".join(lines)


def _picture(error: BrokenRuleError) -> str:
    many = any(isinstance(step, Push) and len(step.rows) > 1 for step in error.streams.steps)
    try:
        return f"{_BY_ROW * many}{timeline(error.pipeline, error.streams)}"
    except EventTimeError as why:
        # What is broken may not stand in the way of saying so.
        return f"{error.streams}\n(no time line: {why})"
