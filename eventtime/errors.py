"""Every exception of the library; each message shows the value, the place and the remedy."""

from __future__ import annotations

__all__ = (
    "AggregateOverflowError",
    "AggregateTypeError",
    "CheckpointError",
    "ColumnError",
    "DurationError",
    "EventTimeError",
    "FencedError",
    "JournalError",
    "LedgerError",
    "MalformedRowError",
    "OutputExistsError",
    "PlanError",
    "SchemaError",
    "ScratchError",
    "SinkError",
    "SourceError",
    "TimeColumnError",
    "UserCodeError",
)


class EventTimeError(Exception):
    """Base of all errors of the library.

    Args:
        what: one sentence that shows the offending value.
        place: where it was found (file, column, argument, window and key); empty when `what` says
            it.
        remedy: what the user can do about it.

    >>> print(EventTimeError("size '0s' is zero", place="tumbling(size=…)", remedy="use '1h'"))
    size '0s' is zero
      at:  tumbling(size=…)
      fix: use '1h'
    """

    def __init__(self, what: str, *, place: str = "", remedy: str = "") -> None:
        self.what = what
        self.place = place
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        place = f"\n  at:  {self.place}" if self.place else ""
        remedy = f"\n  fix: {self.remedy}" if self.remedy else ""
        return f"{self.what}{place}{remedy}"


class PlanError(EventTimeError, ValueError):
    """Raised when a pipeline is declared with arguments that cannot work; correct the call."""


class DurationError(PlanError):
    """Raised when a duration is malformed, or negative or zero where it must not be."""


class ColumnError(PlanError):
    """Raised when a named column does not exist; the message lists those that do."""


class AggregateTypeError(PlanError):
    """Raised when an aggregate has no meaning for its column's type; cast or choose another."""


class TimeColumnError(PlanError):
    """Raised when the time column is missing, holds no time, or is null in every row."""


class SourceError(EventTimeError):
    """Raised when input cannot be found, opened or read to its end; mend the files or the path."""


class SchemaError(SourceError):
    """Raised when files of one source differ in schema; the message shows the difference."""


class MalformedRowError(SourceError):
    """Raised when a text row does not parse and malformed rows are not quarantined."""


class SinkError(EventTimeError):
    """Raised when output cannot be written: folder missing, no permission, disk full.

    Nothing half-written stays.
    """


class OutputExistsError(SinkError):
    """Raised when the output is there already; remove it or ask to overwrite."""


class CheckpointError(EventTimeError):
    """Raised when a checkpoint or savepoint is damaged, or of another pipeline."""


class FencedError(CheckpointError):
    """Raised when a newer process has taken the checkpoints over; let this one end."""


class JournalError(EventTimeError):
    """Raised when a journal cannot be written or read, or is not of this pipeline or its input."""


class ScratchError(EventTimeError):
    """Raised when state that left memory cannot be written, or does not come back as it was."""


class UserCodeError(EventTimeError):
    """Raised when a user's function, generator or aggregate raises or returns the wrong shape."""


class AggregateOverflowError(EventTimeError, ArithmeticError):
    """Raised when a sum leaves its type; the message names window and key.

    Cast the column to a wider type; the message says to which.
    """


class LedgerError(EventTimeError, AssertionError):
    """Raised by `assert_balanced()` when rows are not all accounted for.

    This is a bug of the library: report it.
    """
