"""Errors of the user's code say which partitions the rows came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.errors import UserCodeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ("NamingPartitions",)


class NamingPartitions:
    """Adds to errors of the user's code which partitions the rows came from that it was given.

    Args:
        names: of the partitions.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __enter__(self) -> None:
        """Begin a call of the user's code."""

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Add them."""
        if isinstance(error, UserCodeError):
            names, more = self._names[:3], len(self._names) - 3
            error.place += f", among rows of partition {', '.join(map(repr, names))}"
            error.place += f" and {more} more" if more > 0 else ""
