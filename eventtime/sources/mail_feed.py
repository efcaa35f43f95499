"""What feeds over a mailbox share: the loop takes from it, and nobody else is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from eventtime.sources.base import Position
    from eventtime.sources.feed import News
    from eventtime.sources.mailbox import Mailbox

__all__ = ("MailFeed",)


class MailFeed:
    """A feed but for its threads: `start`, `is_over` and `close` are those of who has it as base.

    Args:
        mail: holds the partitions known at the start.
    """

    def __init__(self, mail: Mailbox) -> None:
        self._mail = mail

    @property
    def known(self) -> Sequence[str]:
        return self._mail.names

    def take(self, most_rows: int, held: Collection[str]) -> list[News]:
        return self._mail.take(most_rows, held)

    def settled(self, positions: Mapping[str, Position]) -> None:
        """What was kept in case the run is tried again can go; nobody else is told."""
        self._mail.settled(positions)
