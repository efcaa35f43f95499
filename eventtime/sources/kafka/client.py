"""The client library: its options, its errors in our words, and what is asked before the first row.

Everything that waits for the broker waits for a bounded time.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from eventtime.errors import PlanError, SourceError
from eventtime.sources.kafka.lane import Lane, TopicPartitionName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from confluent_kafka import Consumer, KafkaError

    from eventtime.errors import EventTimeError

__all__ = (
    "WAIT_S",
    "Client",
    "Span",
    "check_options",
    "client_missing",
    "settings",
)

WAIT_S: Final = 10.0
"""How long the broker may take to answer what is asked before the first row."""

_TRIES: Final = 100
_BETWEEN_TRIES_S: Final = 0.1
_LOG: Final = logging.getLogger("eventtime.kafka")
_LOG.addHandler(logging.NullHandler())  # silent, unless somebody listens
_OWN: Final = frozenset(
    {
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "error_cb",
        "group.id",
        "logger",
    }
)
_NO_LEADER: Final = ("NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "_LEADER_NOT_AVAILABLE")
_FINAL: Final = (
    "UNKNOWN_TOPIC_OR_PART",
    "_UNKNOWN_TOPIC",
    "_UNKNOWN_PARTITION",
    "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
)
_CLOSED_TO_US: Final = ("_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL")


_Answer = TypeVar("_Answer")


class Span(NamedTuple):
    """Which messages of a partition there are.

    Args:
        first: offset of the oldest that is kept.
        end: offset that the next one will have.
    """

    first: int
    end: int


def check_options(options: Mapping[str, Any] | None, *, place: str) -> tuple[tuple[str, Any], ...]:
    """Refuse options of librdkafka that are ours to set.

    Raises:
        PlanError: shows the option.
    """
    known = dict(options or {})
    for name in sorted(known):
        if name in _OWN:
            msg = f"the option {name!r} is set by the source itself"
            remedy = "leave it out; servers=, group= and start= say what can be chosen"
            raise PlanError(msg, place=place, remedy=remedy)
    return tuple(sorted(known.items()))


def client_missing(error: ImportError, place: str) -> SourceError:
    """Build the error for a client library that is not installed."""
    msg = f"the client of Kafka is not installed: {error}"
    return SourceError(msg, place=place, remedy="pip install 'eventtime[kafka]'")


def settings(servers: str, options: Iterable[tuple[str, Any]], **own: Any) -> dict[str, Any]:
    """Return the configuration of a client; underscores in ``own`` are dots."""
    ours = {name.replace("_", "."): value for name, value in own.items()}
    return {"bootstrap.servers": servers, **dict(options), **ours, "logger": _LOG}


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
            raise client_missing(error, place) from error
        self.place, self._servers = place, servers
        self._told: KafkaError | None = None
        self.is_cut_off = False
        own = {
            "enable_auto_commit": False,
            "enable_auto_offset_store": False,
            "enable_partition_eof": True,
            "auto_offset_reset": "error",
            "group_id": group or "eventtime-without-a-group",
        }
        config = settings(servers, options, **own) | {"error_cb": self._hear}
        try:
            self.consumer: Consumer = confluent_kafka.Consumer(config)
        except confluent_kafka.KafkaException as error:
            raise self._refused(error, "options={…}: see the names of librdkafka") from error

    def partitions(self, topics: Sequence[str], wait_s: float = WAIT_S) -> list[TopicPartitionName]:
        """Ask which partitions there are, in order.

        Raises:
            SourceError: no broker answers, or there is no such topic.
        """
        from confluent_kafka import KafkaException

        found: list[TopicPartitionName] = []
        for topic in topics:
            try:
                known = self.consumer.list_topics(topic, timeout=wait_s).topics[topic]
            except KafkaException as error:
                raise self.unreachable(error, wait_s) from error
            if known.error is not None:
                msg = f"the topic {topic!r} cannot be read: {known.error.str()}"
                remedy = "create it, name one that is there, or ask for the right to read it"
                raise SourceError(msg, place=self.place, remedy=remedy)
            found += [TopicPartitionName(topic, number) for number in sorted(known.partitions)]
        return found

    def spans(self, partitions: Sequence[TopicPartitionName]) -> dict[TopicPartitionName, Span]:
        """Ask for the first offsets that are kept and for those behind the last.

        Raises:
            SourceError: no broker answers.
        """
        consumer = self.consumer
        return {
            each: Span(*self._asked(lambda: consumer.get_watermark_offsets(_of(each), WAIT_S)))  # noqa: B023
            for each in partitions
        }

    def offsets_at(
        self, partitions: Sequence[TopicPartitionName], time_ms: int
    ) -> dict[TopicPartitionName, int | None]:
        """Ask for the first offset whose timestamp is not before a time; None: there is none.

        Raises:
            SourceError: no broker answers.
        """
        from confluent_kafka import TopicPartition

        asked = [TopicPartition(each.topic, each.number, time_ms) for each in partitions]
        found = self._asked(lambda: self.consumer.offsets_for_times(asked, timeout=WAIT_S))
        return {
            TopicPartitionName(at.topic, at.partition): at.offset if at.offset >= 0 else None
            for at in found
        }

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

    def poll(self, most: int, wait_s: float) -> list[Any]:
        """Wait for a message, and take with it what is there; ends of partitions look like some."""
        first = self.consumer.poll(wait_s)
        return [] if first is None else [first, *self.consumer.consume(most - 1, 0)]

    def is_end(self, message: Any) -> bool:
        """Tell whether a message that is none says that there are no more for now.

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
        if name != "_PARTITION_EOF":
            _LOG.info("%s: %s", where, error.str())
        return bool(name == "_PARTITION_EOF")

    def close(self) -> None:
        """Leave; also more than once."""
        self.consumer.close()

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
                    raise self.unreachable(error, WAIT_S) from error
            threading.Event().wait(_BETWEEN_TRIES_S)
        raise AssertionError

    def unreachable(self, error: Exception, wait_s: float) -> SourceError:
        """Build the error for brokers that do not answer, or refuse us."""
        self.consumer.poll(0)  # lets it say why
        told = self._told
        why = f": {told.str()}" if told is not None else f": {error}"
        if told is not None and told.name() in _CLOSED_TO_US:
            msg = f"the broker refuses the login{why}"
            return SourceError(msg, place=self.place, remedy="options={'sasl.username': …, …}")
        msg = f"no broker answers at {self._servers} within {wait_s:g} s{why}"
        remedy = "check servers= and that the broker runs; options={'security.protocol': …}"
        return SourceError(msg, place=self.place, remedy=remedy)

    def _refused(self, error: Exception, remedy: str) -> EventTimeError:
        return SourceError(f"the client refuses: {error}", place=self.place, remedy=remedy)

    def _hear(self, error: KafkaError) -> None:
        """Keep what the client says in passing; it goes on trying by itself."""
        _LOG.info("%s: %s", self.place, error.str())
        is_worth = self._told is None or error.name() != "_ALL_BROKERS_DOWN"
        self._told = error if is_worth else self._told
        if error.name() == "_ALL_BROKERS_DOWN":
            self.is_cut_off = True


def _of(each: TopicPartitionName | Lane) -> Any:
    from confluent_kafka import TopicPartition

    return TopicPartition(each.topic, each.number)
