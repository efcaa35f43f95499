"""One partition of a topic, as its feed knows it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from eventtime.sources.base import Position

__all__ = ("Lane", "TopicPartitionName")


class TopicPartitionName(NamedTuple):
    """A partition of a topic.

    Args:
        topic: its name.
        number: from 0 on.
    """

    topic: str
    number: int

    @property
    def name(self) -> str:
        """Topic and number, as a name of the partition of the stream."""
        return f"{self.topic}-{self.number}"


@dataclass
class Lane:
    """One partition.

    Args:
        topic, number: of the partition.
        offset: of the message to be read next.
        end: offset where it ends; None: never.
        is_at_end: whether there was nothing behind, when it was asked the last time.
        is_let_go: whether it has ended, and the client knows.
    """

    topic: str
    number: int
    offset: int
    end: int | None = None
    is_at_end: bool = False
    is_let_go: bool = False

    @cached_property
    def place(self) -> TopicPartitionName:
        """Topic and number."""
        return TopicPartitionName(self.topic, self.number)

    @cached_property
    def name(self) -> str:
        """That of the place."""
        return self.place.name

    @property
    def where(self) -> str:
        """The same for messages."""
        return f"topic {self.topic!r}, partition {self.number}"

    @property
    def position(self) -> Position:
        """As checkpoints keep it."""
        return {"offset": self.offset}

    @property
    def has_ended(self) -> bool:
        """Whether nothing will come any more."""
        return self.end is not None and self.offset >= self.end
