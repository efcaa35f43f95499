"""What can happen, one thing at a time, as it was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from eventtime.testing.steps import Row, Survived
    from eventtime.testing.strategies.arrival import Place

__all__ = (
    "Again",
    "Appears",
    "Beat",
    "Brink",
    "Ends",
    "Event",
    "Exactly",
    "NewRow",
    "Nothing",
    "Quiet",
    "Stops",
    "Tells",
    "Ticks",
)


@dataclass(frozen=True)
class Exactly:
    """A row whose time is null, or a value that is no admitted time."""

    raw: int | None


@dataclass(frozen=True)
class Again:
    """In place of a row, one of the last comes once more.

    Args:
        back: which of them.
        bound_us: how far behind the latest of the partition it may be; None: as far as it is.
    """

    back: int
    bound_us: int | None


@dataclass(frozen=True)
class NewRow:
    """A row comes.

    Args:
        partition: counted among those that have not ended.
        pace_us: how far time goes on before it.
        place: where its own time is.
        cells: its other columns.
        marks_us: watermarks that it carries, from the time it comes; by column.
        is_cut: whether a batch ends before it.
    """

    partition: int
    pace_us: int
    place: Place | Exactly | Again
    cells: Row
    marks_us: dict[str, int | None]
    is_cut: bool


@dataclass(frozen=True)
class Ticks:
    """The clock goes on, or is stepped back."""

    by_us: int


@dataclass(frozen=True)
class Quiet:
    """A partition is polled in vain while the clock goes on.

    Args:
        partition: counted among those that have not ended.
        by_us: how far the clock goes on.
        heard: a row that comes behind it, and for how long the partition is polled in vain again:
            silence before the row is none of that behind it (S6).
    """

    partition: int
    by_us: int
    heard: tuple[NewRow, int] | None


@dataclass(frozen=True)
class Beat:
    """A partition's watermark moves without a row."""

    partition: int
    place: Place
    ahead_us: int


@dataclass(frozen=True)
class Brink:
    """A window is about to close or to expire, or just has, and a row comes that is in it.

    Rows are drawn whole, though not all of them is looked at: so examples of rows shrink to rows.

    Args:
        window: which operator's.
        expires: whether it is the lateness that ends, too.
        off: ticks that the watermark is beside that point.
        row: that comes; its time is the last of the window.
        before: one that came before, as late in it, with which the window closed first.
    """

    window: int
    expires: bool
    off: int
    row: NewRow
    before: NewRow | None


@dataclass(frozen=True)
class Tells:
    """A row of a broadcast stream comes.

    Args:
        stream: its name.
        ahead_us: how far its time is ahead of the rows.
        cells: its other columns.
        is_cut: whether a batch ends before it.
    """

    stream: str
    ahead_us: int
    cells: Row
    is_cut: bool


@dataclass(frozen=True)
class Appears:
    """A partition is found."""

    historical: bool


@dataclass(frozen=True)
class Ends:
    """A partition ends, unless it is the last."""

    partition: int


@dataclass(frozen=True)
class Stops:
    """The state is saved, or another engine goes on."""

    how: Survived


@dataclass(frozen=True)
class Nothing:
    """What was drawn here is left out."""


Event: TypeAlias = Nothing | NewRow | Ticks | Quiet | Beat | Brink | Tells | Appears | Ends | Stops
