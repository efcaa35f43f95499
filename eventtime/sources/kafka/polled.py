"""What a poll brought, sorted out with few calls of Python for each message."""

from __future__ import annotations

from itertools import pairwise
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("SortedOut", "sorted_out")

_ERROR: Final = methodcaller("error")
_NUMBER: Final = methodcaller("partition")
_TOPIC: Final = methodcaller("topic")


class SortedOut(NamedTuple):
    """Messages of a poll.

    Args:
        by_place: those that are some, by topic and number of the partition, in order.
        events: those that say that something happened instead.
    """

    by_place: dict[tuple[str, int], Sequence[Any]]
    events: list[Any]


def sorted_out(messages: Sequence[Any], topics: Sequence[str]) -> SortedOut:
    """Sort messages out.

    Args:
        messages: at least one.
        topics: all that they can be of.
    """
    is_event = [error is not None for error in map(_ERROR, messages)]
    events: list[Any] = []
    if any(is_event):
        events = [each for each, is_one in zip(messages, is_event, strict=True) if is_one]
        messages = [each for each, is_one in zip(messages, is_event, strict=True) if not is_one]
    places = np.fromiter(map(_NUMBER, messages), np.int64, len(messages))
    if len(topics) > 1:
        index = {topic: i for i, topic in enumerate(topics)}
        numbers = map(index.__getitem__, map(_TOPIC, messages))
        places = places * len(topics) + np.fromiter(numbers, np.int64, len(messages))
    changes = np.flatnonzero(np.diff(places)) + 1
    by_place: dict[tuple[str, int], Sequence[Any]] = {}
    for start, end in pairwise([0, *changes.tolist(), len(messages)]):
        if start < end:
            run = messages[start:end]
            place = run[0].topic(), run[0].partition()
            by_place[place] = [*by_place[place], *run] if place in by_place else run
    return SortedOut(by_place, events)
