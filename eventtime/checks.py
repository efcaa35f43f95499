"""Arguments looked at where they are given: what is refused shows itself, place and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventtime.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = (
    "check_callable",
    "check_flag",
    "check_names",
    "check_text",
    "check_whole",
    "is_one_of",
    "is_share",
    "shown",
)

_LETTERS_SHOWN: Final = 80


def shown(value: object) -> str:
    """Show a value in one line: as it is written, or by its type where that is long.

    >>> shown("4h"), shown([1] * 1_000)
    ("'4h'", 'an object of type list')
    """
    text = repr(value)
    is_short = len(text) <= _LETTERS_SHOWN and "\n" not in text
    return text if is_short else f"an object of type {type(value).__name__}"


def is_one_of(value: object, words: Sequence[str]) -> bool:
    """Tell whether a value is one of some words; whatever it is, it may be asked."""
    return isinstance(value, str) and value in words


def is_share(value: object) -> bool:
    """Tell whether a value is a number in (0, 1]."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def check_names(names: object, *, place: str, remedy: str, least: int = 1) -> None:
    """Refuse what is no list of column names, or names one twice.

    Raises:
        PlanError: shows the value.
    """
    known = names if isinstance(names, list | tuple) else [names]
    is_names = known is names and all(isinstance(name, str) for name in known)
    if not is_names or len(set(known)) != len(known) or len(known) < least:
        some = "one or more " if least else ""
        msg = f"{shown(names)} are not {some}different column names"
        raise PlanError(msg, place=place, remedy=remedy)


def check_text(value: object, *, what: str, place: str, remedy: str) -> None:
    """Refuse what is no text, or is empty.

    Args:
        value: as given.
        what: it should have been, such as 'column name'.
        place: the argument.
        remedy: what to give.

    Raises:
        PlanError: shows the value.
    """
    if not isinstance(value, str) or not value:
        msg = f"{shown(value)} is no {what}"
        raise PlanError(msg, place=place, remedy=remedy)


def check_callable(value: object, *, place: str, remedy: str) -> None:
    """Refuse what cannot be called; None may be left out.

    Raises:
        PlanError: shows the value.
    """
    if value is not None and not callable(value):
        msg = f"{shown(value)} is not a function"
        raise PlanError(msg, place=place, remedy=remedy)


def check_flag(value: object, *, place: str) -> None:
    """Refuse what is neither True nor False: a path or a text would silently count as True.

    Raises:
        PlanError: shows the value.
    """
    if not isinstance(value, bool):
        msg = f"{shown(value)} is neither True nor False"
        raise PlanError(msg, place=place, remedy="give one of them")


def check_whole(value: object, *, least: int, what: str, place: str, remedy: str) -> None:
    """Refuse what is no whole number, or is below `least`.

    Raises:
        PlanError: shows the value.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        msg = f"{shown(value)} is not {what}"
        raise PlanError(msg, place=place, remedy=remedy)
