"""A place in a group of consumers: partitions come and go, and their offsets are with the broker.

assigned ──► Found, from the latest of checkpoint, committed offset and what was polled here before
revoked  ──► Left, behind the rows that were polled; the offset behind them is committed
settled  ──► the offsets of the checkpoint are committed
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from eventtime.errors import SourceError
from eventtime.kafka_client import WAIT_S
from eventtime.sources.feed import Arrived, Stands
from eventtime.sources.kafka.lane import Lane, TopicPartitionName
from eventtime.sources.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.sources.base import Position
    from eventtime.sources.feed import News
    from eventtime.sources.kafka.client import Client

__all__ = ("Membership",)

_TRIES: Final = 3


class Membership:
    """Keeps the lanes of a feed to the partitions that the group gives it.

    Args:
        client: of the group.
        topics: of the group.
        place: finds the offsets of partitions, given those that the group or this member got to, by
            name, and whether they are the first that it gets.
    """

    def __init__(
        self,
        client: Client,
        topics: Sequence[str],
        place: Callable[[Sequence[TopicPartitionName], Mapping[str, int], bool], list[Lane]],
    ) -> None:
        self._client, self._topics, self._place = client, list(topics), place
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._mail = Mailbox()
        self._taken: dict[str, int] = {}
        self._polled: dict[str, int] = {}
        self._due: deque[dict[str, int]] = deque(maxlen=1)
        self._is_first = True
        self._is_closing = self._has_settled = False

    def begin(self, lanes: dict[tuple[str, int], Lane], mail: Mailbox) -> None:
        """Join; from now on `lanes` are those of this member."""
        self._lanes, self._mail = lanes, mail
        self._client.consumer.subscribe(
            self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def note(self, news: Sequence[News]) -> None:
        """Note how far rows have been taken."""
        for each in news:
            if isinstance(each, Arrived | Stands):
                self._taken[each.partition] = each.position["offset"]

    def settled(self, positions: Mapping[str, Position]) -> None:
        """Keep offsets until the thread that polls commits them: the client hangs in another."""
        self._due.append({name: int(at["offset"]) for name, at in positions.items()})
        self._has_settled = True

    def commit_settled(self) -> None:
        """Commit what was settled since, of partitions that are ours; from one thread."""
        while self._due:
            due = self._due.popleft()
            lanes = [lane for lane in self._lanes.values() if lane.name in due]
            self._commit([(lane, due[lane.name]) for lane in lanes])

    def leave(self) -> None:
        """Say, before the client is closed, how far a run got that has no checkpoints."""
        self._is_closing = True
        self.commit_settled()
        if not self._has_settled:
            lanes = [lane for lane in self._lanes.values() if lane.name in self._taken]
            self._commit([(lane, self._taken[lane.name]) for lane in lanes])

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        names = [TopicPartitionName(each.topic, each.partition) for each in partitions]
        known = _committed(consumer, partitions) if partitions else []
        told = [(TopicPartitionName(at.topic, at.partition), at.offset) for at in known]
        committed = {each.name: offset for each, offset in told if offset >= 0}
        # What was polled here is in windows here, also if a commit of it never got through.
        ours = {
            name: self._polled[name] for name in self._polled.keys() & {each.name for each in names}
        }
        later = {name: max(at, ours.get(name, 0)) for name, at in (ours | committed).items()}
        lanes = self._place(names, later, self._is_first)
        for lane in lanes:
            self._lanes[lane.place] = lane
            self._mail.add(lane.name, is_found=True, historical=self._is_first)
            self._mail.stand(lane.name, lane.position)
        self._is_first = self._is_first and not lanes
        self._client.assign(lanes)
        self._commit([(lane, lane.offset) for lane in lanes if lane.name not in committed])

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        lanes = self._let_go(partitions)
        if not self._is_closing:
            self._commit([(lane, lane.offset) for lane in lanes])
        consumer.incremental_unassign(partitions)

    def _lost(self, consumer: Any, partitions: list[Any]) -> None:
        """Somebody else may have them already: nothing is committed."""
        self._let_go(partitions)
        consumer.incremental_unassign(partitions)

    def _let_go(self, partitions: list[Any]) -> list[Lane]:
        places = [(each.topic, each.partition) for each in partitions]
        lanes = [self._lanes.pop(place) for place in places if place in self._lanes]
        for lane in lanes:
            self._polled[lane.name] = lane.offset
            self._mail.leave(lane.name)
        return lanes

    def _commit(self, offsets: Sequence[tuple[Lane, int]]) -> None:
        """Commit; what the broker does not take, it will be told of again."""
        if offsets:
            with contextlib.suppress(Exception):
                self._client.commit(offsets)


def _committed(consumer: Any, partitions: list[Any]) -> Any:
    """Ask how far the group got; a coordinator that is about to move is asked again."""
    from confluent_kafka import KafkaException

    told = ""
    for _ in range(_TRIES):
        try:
            return consumer.committed(partitions, timeout=WAIT_S)
        except KafkaException as error:
            told = str(error)
    msg = f"the group does not say how far it got: {told}"
    raise SourceError(
        msg, place="read_kafka(group=…)", remedy="look at the brokers, and start again"
    )
