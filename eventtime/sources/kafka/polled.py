"""What a poll brought, as columns for each partition.

Objects of messages live for a moment only: were thousands of them kept, the collector of garbage
would look at them again and again, which takes longer than all else that is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from eventtime.sources.kafka.lane import Lane

__all__ = ("END", "Message", "Messages", "Polled", "Wanted")

END: Final = -191
"""What librdkafka's "end of partition" has as its code, on every version of it."""

_ERROR: Final = methodcaller("error")
_NUMBER: Final = methodcaller("partition")
_TOPIC: Final = methodcaller("topic")
_OFFSET: Final = methodcaller("offset")
_VALUE: Final = methodcaller("value")


class Message(Protocol):
    """What is used of a message of the client."""

    def value(self) -> Any: ...
    def key(self) -> Any: ...
    def offset(self) -> Any: ...
    def timestamp(self) -> tuple[int, int]: ...
    def headers(self) -> Any: ...


Wanted: TypeAlias = Mapping[str, Callable[[Any], Any]]
"""What is taken of a message beside offset and value, by name of the column."""


@dataclass
class Messages:
    """Messages of a partition, in order.

    Args:
        offsets: of each; a range where none is left out.
        values: of each.
        beside: what else was wanted, by column.
    """

    offsets: Sequence[int]
    values: list[Any]
    beside: dict[str, list[Any]]

    @classmethod
    def of(cls, messages: Sequence[Message], wanted: Wanted) -> Messages:
        """Take what is wanted of each; one at least."""
        beside = {name: list(map(take, messages)) for name, take in wanted.items()}
        first, last = messages[0].offset(), messages[-1].offset()
        is_whole = last - first == len(messages) - 1
        offsets = range(first, last + 1) if is_whole else list(map(_OFFSET, messages))
        return cls(offsets, list(map(_VALUE, messages)), beside)

    def add(self, more: Messages) -> None:
        """Add those that follow."""
        if self._is_followed_by(more):
            self.offsets = range(self.offsets[0], more.offsets[-1] + 1)
        else:
            self.offsets = [*self.offsets, *more.offsets]
        self.values.extend(more.values)
        for name, column in self.beside.items():
            column.extend(more.beside[name])

    def _is_followed_by(self, more: Messages) -> bool:
        are_whole = isinstance(self.offsets, range) and isinstance(more.offsets, range)
        return are_whole and more.offsets[0] == self.offsets[-1] + 1

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, part: slice) -> Messages:
        beside = {name: column[part] for name, column in self.beside.items()}
        return Messages(self.offsets[part], self.values[part], beside)


class Polled:
    """What came, until it is decoded.

    A partition may go and come back while it is polled: what came of its lane before is of that
    lane, and of no use to the one that it has now, which begins where the group says.

    Args:
        topics: all that messages can be of.
        wanted: of them.
        lanes: of the partitions that are ours as they come, by place; of others nothing is kept.
    """

    def __init__(
        self, topics: Sequence[str], wanted: Wanted, lanes: Mapping[tuple[str, int], Lane]
    ) -> None:
        self._index = {topic: i for i, topic in enumerate(topics)}
        self._wanted, self._lanes = wanted, lanes
        self._by_place: dict[tuple[str, int], tuple[Lane, Messages]] = {}
        self._ends: dict[tuple[str, int], tuple[Lane, int]] = {}
        self.troubles: list[Any] = []

    @property
    def ends(self) -> Iterable[tuple[Lane, int]]:
        """Offsets at which lanes had nothing more, each the last time that it was said."""
        return self._ends.values()

    @property
    def by_lane(self) -> list[tuple[Lane, Messages]]:
        """Messages of the lanes that are there still."""
        lanes = self._lanes
        return [held for at, held in self._by_place.items() if lanes.get(at) is held[0]]

    def add(self, messages: Sequence[Any]) -> int:
        """Sort out some messages; those that say that something happened are none of a partition.

        Returns:
            How many they were.
        """
        n = len(messages)
        if True in [error is not None for error in map(_ERROR, messages)]:
            messages = self._without_events(messages)
        for start, end in pairwise(self._runs(messages)):
            run = messages[start:end]
            self._keep((run[0].topic(), run[0].partition()), Messages.of(run, self._wanted))
        return n

    def __len__(self) -> int:
        return sum(len(messages) for _, messages in self._by_place.values())

    def _keep(self, place: tuple[str, int], messages: Messages) -> None:
        lane, known = self._lanes.get(place), self._by_place.get(place)
        if known is not None and known[0] is lane:
            known[1].add(messages)
        elif lane is not None:
            self._by_place[place] = lane, messages

    def _without_events(self, messages: Sequence[Any]) -> list[Any]:
        """Keep ends, of which there are as many as messages where little comes, and troubles."""
        others = []
        for each in messages:
            error = each.error()
            if error is None:
                others.append(each)
            elif error.code() != END:
                self.troubles.append(each)
            else:
                place = each.topic(), each.partition()
                lane = self._lanes.get(place)
                if lane is not None:
                    self._ends[place] = lane, each.offset()
        return others

    def _runs(self, messages: Sequence[Any]) -> list[int]:
        """Return where runs of one partition begin, and the end of the last."""
        n = len(messages)
        places = np.fromiter(map(_NUMBER, messages), np.int64, n)
        if len(self._index) > 1:
            topics = map(self._index.__getitem__, map(_TOPIC, messages))
            places = places * len(self._index) + np.fromiter(topics, np.int64, n)
        (begins,) = (places[1:] != places[:-1]).nonzero()
        return [0, *(begins + 1).tolist(), n] if n else []
