"""A consumer, its errors in our words, and what is asked before the first row.

Everything that waits for the broker waits for a bounded time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from eventtime.errors import SourceError
from eventtime.kafka_client import LOG, WAIT_S, Troubles, missing, settings
from eventtime.sources.kafka.lane import Lane, TopicPartitionName
from eventtime.sources.kafka.outage import Outage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from confluent_kafka import Consumer

__all__ = ("Client", "Span")

_FEW: Final = 500
"""Messages at a time: so few are gone before the collector of garbage comes to look at them."""

_TRIES: Final = 100
_BETWEEN_TRIES_S: Final = 0.1
_NO_LEADER: Final = ("NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "_LEADER_NOT_AVAILABLE")
_FINAL: Final = (
    "UNKNOWN_TOPIC_OR_PART",
    "_UNKNOWN_TOPIC",
    "_UNKNOWN_PARTITION",
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
)

_Answer = TypeVar("_Answer")


class Span(NamedTuple):
    """Which messages of a partition there are.

    Args:
        first: offset of the oldest that is kept.
        end: offset that the next one will have.
    """

    first: int
    end: int


class Client:
    """A consumer, and what it heard of troubles.

    Args:
        servers: where the brokers are.
        group: of consumers; None: it belongs to none.
        options: of librdkafka.
        place: for messages.

    Raises:
        SourceError: the library is not installed, or knows no such option.
    """

    def __init__(
        self, servers: str, group: str | None, options: Iterable[tuple[str, Any]], place: str
    ) -> None:
        try:
            import confluent_kafka
        except ImportError as error:
            raise missing(error, SourceError, place) from error
        self.place = place
        self.troubles, self.outage = Troubles(servers, place), Outage(servers, place)
        own = {
            "enable_auto_commit": False,
            "enable_auto_offset_store": False,
            "enable_partition_eof": True,
            "auto_offset_reset": "error",
            "group_id": group or "eventtime-without-a-group",
        }
        # Instead of a second, for which a partition that is read fast would stand still.
        chosen = {"fetch.queue.backoff.ms": 10, **dict(options)}
        if group is not None:
            chosen = {"topic.metadata.refresh.interval.ms": 10_000, **chosen}
            own["partition_assignment_strategy"] = "cooperative-sticky"
        config = settings(servers, chosen.items(), **own) | {"error_cb": self.troubles.hear}
        try:
            self.consumer: Consumer = confluent_kafka.Consumer(config)
        except confluent_kafka.KafkaException as error:
            msg = f"the client refuses its options: {error}"
            raise SourceError(msg, place=place, remedy="see those of librdkafka") from error

    def partitions(self, topics: Sequence[str], wait_s: float = WAIT_S) -> list[TopicPartitionName]:
        """Ask which partitions there are, in order.

        Raises:
            SourceError: no broker answers, or there is no such topic.
        """
        found: list[TopicPartitionName] = []
        for topic in topics:
            known = self.troubles.topic(self.consumer, topic, SourceError, wait_s)
            found += [TopicPartitionName(topic, number) for number in sorted(known.partitions)]
        return found

    def spans(self, partitions: Sequence[TopicPartitionName]) -> dict[TopicPartitionName, Span]:
        """Ask for the first offsets that are kept and for those behind the last.

        Raises:
            SourceError: no broker answers.
        """
        from confluent_kafka import OFFSET_BEGINNING, OFFSET_END

        first, end = (self._offsets(partitions, of) for of in (OFFSET_BEGINNING, OFFSET_END))
        return {each: Span(first[each], end[each]) for each in partitions}

    def offsets_at(
        self, partitions: Sequence[TopicPartitionName], time_ms: int
    ) -> dict[TopicPartitionName, int | None]:
        """Ask for the first offset whose timestamp is not before a time; None: there is none.

        Raises:
            SourceError: no broker answers.
        """
        found = self._offsets(partitions, time_ms)
        return {each: offset if offset >= 0 else None for each, offset in found.items()}

    def answers(self, topic: str, wait_s: float) -> bool:
        """Tell whether a broker answers."""
        from confluent_kafka import KafkaException

        try:
            return self.consumer.list_topics(topic, timeout=wait_s) is not None
        except KafkaException:
            return False

    def assign(self, lanes: Sequence[Lane]) -> None:
        """Read these partitions too, from their offsets on."""
        from confluent_kafka import TopicPartition

        at = [TopicPartition(lane.topic, lane.number, lane.offset) for lane in lanes]
        self.consumer.incremental_assign(at)

    def commit(self, offsets: Sequence[tuple[Lane, int]]) -> None:
        """Commit offsets of partitions for the group, and wait until it has them."""
        from confluent_kafka import TopicPartition

        at = [TopicPartition(lane.topic, lane.number, offset) for lane, offset in offsets]
        self.consumer.commit(offsets=at, asynchronous=False)

    def unassign(self, lane: Lane) -> None:
        """Read a partition no more."""
        self.consumer.incremental_unassign([_of(lane)])

    def pause(self, lanes: Sequence[Lane]) -> None:
        """Fetch nothing for these partitions."""
        if lanes:
            self.consumer.pause([_of(lane) for lane in lanes])

    def resume(self, lanes: Sequence[Lane]) -> None:
        """Go on where they were."""
        if lanes:
            self.consumer.resume([_of(lane) for lane in lanes])

    def poll(self, take: Callable[[list[Any]], int], most: int, wait_s: float) -> None:
        """Wait for a message, and take with it what is there; ends of partitions look like some.

        Args:
            take: takes a few at a time, and says how many they were; it keeps none of them.
            most: about so many.
            wait_s: for the first.
        """
        first = self.consumer.poll(wait_s)
        if first is None:
            return
        taken = take([first])
        while taken < most:
            some = take(self.consumer.consume(_FEW, 0))
            taken += some
            if some < _FEW:
                return

    def heed(self, message: Any) -> None:
        """Act on a message that is none, and not the end of a partition: it is noted, or raised.

        Raises:
            SourceError: it says that the partition cannot be read on.
        """
        error = message.error()
        name = error.name()
        where = f"topic {message.topic()!r}, partition {message.partition()}"
        if name == "_AUTO_OFFSET_RESET":
            msg = f"messages that were to be read are not there any more: {error.str()}"
            remedy = "keep them longer (retention.ms), or start over without the checkpoint"
            raise SourceError(msg, place=where, remedy=remedy)
        if error.fatal() or name in _FINAL:
            msg = f"the topic cannot be read any more: {error.str()}"
            raise SourceError(msg, place=where, remedy="see the broker; then start again")
        LOG.info("%s: %s", where, error.str())

    def close(self) -> None:
        """Leave; also more than once."""
        self.consumer.close()

    def _offsets(
        self, partitions: Sequence[TopicPartitionName], time_ms: int
    ) -> dict[TopicPartitionName, int]:
        """Ask for one offset of each partition, all at once: by a time, or a word for one.

        Raises:
            SourceError: no broker answers.
        """
        from confluent_kafka import KafkaException, TopicPartition

        asked = [TopicPartition(each.topic, each.number, time_ms) for each in partitions]

        def ask() -> dict[TopicPartitionName, int]:
            found = self.consumer.offsets_for_times(asked, timeout=WAIT_S) if asked else []
            for at in found:
                if at.error is not None:
                    raise KafkaException(at.error)
            return {TopicPartitionName(at.topic, at.partition): at.offset for at in found}

        return self._asked(ask)

    def _asked(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask, again and again while a partition has no leader: of a topic just made, it has none.

        Raises:
            SourceError: no broker answers.
        """
        from confluent_kafka import KafkaException

        for tried in range(_TRIES):
            try:
                return ask()
            except KafkaException as error:
                if error.args[0].name() not in _NO_LEADER or tried == _TRIES - 1:
                    raise self._unreachable(error, WAIT_S) from error
            threading.Event().wait(_BETWEEN_TRIES_S)
        raise AssertionError

    def _unreachable(self, error: Exception, wait_s: float) -> SourceError:
        self.consumer.poll(0)  # lets it say why
        return self.troubles.unreachable(error, SourceError, wait_s)


def _of(each: TopicPartitionName | Lane) -> Any:
    from confluent_kafka import TopicPartition

    return TopicPartition(each.topic, each.number)
