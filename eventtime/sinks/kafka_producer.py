"""A producer whose transactions hold messages, and the epoch that they are of.

The epoch is the committed offset of a group of consumers that nobody is in, named after the job;
the token stands beside it. So a broker that keeps offsets keeps the marker, in the same step.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventtime.errors import FencedError, SinkError
from eventtime.kafka_client import WAIT_S, Troubles, missing, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

    from eventtime.sinks.kafka_messages import Message

__all__ = ("Marker", "Plain", "Transactions", "Where")

_FLUSH_S: Final = 60.0
_TRIES: Final = 50
_BETWEEN_TRIES_S: Final = 0.1
_MOVING: Final = ("NOT_COORDINATOR", "COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS")
_FENCED: Final = (
    "_FENCED",
    "PRODUCER_FENCED",
    "INVALID_PRODUCER_EPOCH",
    "INVALID_PRODUCER_ID_MAPPING",
)


class Marker(NamedTuple):
    """What the broker knows of a job.

    Args:
        token: of the newest process.
        epoch: last that was committed.
    """

    token: int
    epoch: int


class Where(NamedTuple):
    """Where messages go.

    Args:
        servers: brokers.
        topic: its name.
        options: of librdkafka.
        place: for messages.
    """

    servers: str
    topic: str
    options: tuple[tuple[str, Any], ...]
    place: str


class _Base:
    """A producer and its troubles."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.troubles = Troubles(where.servers, where.place)
        self._failed: list[Any] = []

    def _connect(self, **own: Any) -> Producer:
        try:
            import confluent_kafka
        except ImportError as error:
            raise missing(error, SinkError, self.where.place) from error
        common = {"partitioner": "murmur2_random", **dict(self.where.options)}
        config = settings(self.where.servers, common.items(), enable_idempotence=True, **own)
        config |= {"error_cb": self.troubles.hear, "on_delivery": self._delivered}
        try:
            return confluent_kafka.Producer(config)
        except confluent_kafka.KafkaException as error:
            msg = f"the client refuses its options: {error}"
            raise SinkError(msg, place=self.where.place, remedy="see librdkafka's") from error

    def check(self, producer: Producer) -> None:
        """Ask whether the topic is there.

        Raises:
            SinkError: it is not, or no broker answers.
        """
        self.troubles.topic(producer, self.where.topic, SinkError)

    def _send(self, producer: Producer, messages: Iterable[Message]) -> None:
        topic = self.where.topic
        for key, value in messages:
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:  # the queue is full: let some of it go
                    producer.poll(1)

    def _delivered(self, error: Any, message: Any) -> None:
        del message
        if error is not None:
            self._failed.append(error)

    def _refused(self, error: object) -> SinkError:
        msg = f"the broker did not take messages for {self.where.topic!r}: {error}"
        remedy = "see the cause; nothing of this transaction was left"
        return SinkError(msg, place=self.where.place, remedy=remedy)


class Plain(_Base):
    """Messages without a transaction: each arrives, though perhaps twice if the process dies."""

    def __init__(self, where: Where) -> None:
        super().__init__(where)
        self._producer = self._connect()
        self.check(self._producer)

    def send(self, messages: Iterable[Message]) -> None:
        """Hand messages over to the client."""
        self._send(self._producer, messages)

    def flush(self) -> None:
        """Wait until all are with the broker.

        Raises:
            SinkError: one is not.
        """
        left = self._producer.flush(_FLUSH_S)
        failed, self._failed = self._failed, []
        if failed:
            raise self._refused(failed[0].str())
        if left:
            self._producer.purge()
            cause = TimeoutError(f"{left} messages wait")
            raise self.troubles.unreachable(cause, SinkError, _FLUSH_S)

    def close(self) -> None:
        """Let go; never raises."""
        with contextlib.suppress(Exception):
            self._producer.purge()
            self._producer.flush(1)


class Transactions(_Base):
    """Messages in transactions; one process at a time has them, the newest.

    Args:
        where: messages go.
        job: names the marker.
        timeout_s: after which the broker gives up a transaction that a dead process left.
    """

    def __init__(self, where: Where, job: str, timeout_s: float) -> None:
        super().__init__(where)
        name = hashlib.sha256(f"{job}\0{where.topic}".encode()).hexdigest()[:32]
        self._id, self._timeout_s = f"eventtime-{name}", timeout_s
        self._groups: dict[str, Consumer] = {}
        self._producer: Producer | None = None
        self._fenced: FencedError | None = None
        self._fresh: Producer | None = self._connected()
        self.check(self._fresh)

    def begin_anew(self) -> None:
        """Take over: what an earlier process of this job has not committed is undone by that.

        One that was fenced off does not: it would fence off its successor, whose marker may not be
        readable yet.

        Raises:
            FencedError: a newer process had taken over.
            SinkError: no broker answers.
        """
        if self._fenced is not None:
            raise self._fenced
        producer, self._fresh = self._fresh or self._connected(), None
        with self._naming(producer):
            self._again(lambda: producer.init_transactions(WAIT_S))
        self._producer = producer

    @property
    def is_connected(self) -> bool:
        """Whether a transaction can begin."""
        return self._producer is not None

    def marker(self, *, is_settled: bool) -> Marker:
        """Ask for the marker.

        Args:
            is_settled: whether to wait until transactions that hold one have ended, as they have
                after `begin_anew`; otherwise what was committed last.

        Raises:
            SinkError: no broker answers.
        """
        from confluent_kafka import KafkaException, TopicPartition

        asked = [TopicPartition(self.where.topic, 0)]
        group = self._group("read_committed" if is_settled else "read_uncommitted")
        try:
            [known] = self._again(lambda: group.committed(asked, timeout=WAIT_S))
        except KafkaException as error:
            raise self.troubles.unreachable(error, SinkError) from error
        return Marker(int(known.metadata or 0), known.offset) if known.offset >= 0 else Marker(0, 0)

    def begin(self) -> None:
        """Open a transaction, after `begin_anew`."""
        with self._naming(self._known) as producer:
            producer.begin_transaction()

    def send(self, messages: Iterable[Message]) -> None:
        """Put messages into it."""
        with self._naming(self._known) as producer:
            self._send(producer, messages)

    def commit(self, marker: Marker | None = None) -> None:
        """Commit it, with a marker if one is given.

        Raises:
            FencedError: a newer process has taken over.
            SinkError: the broker refused or cannot be reached; it may have happened or not.
        """
        with self._naming(self._known) as producer:
            if marker is not None:
                self._mark(producer, marker)
            self._again(lambda: producer.commit_transaction(_FLUSH_S))

    def undo(self) -> None:
        """Undo it; a producer that cannot is given up, and its successor does. Never raises."""
        if self._producer is not None:
            try:
                self._producer.abort_transaction(WAIT_S)
            except Exception:  # noqa: BLE001 - whatever the client raises
                self._producer = None

    def close(self) -> None:
        """Let go; an open transaction is undone. Never raises."""
        producer, self._producer = self._producer, None
        groups, self._groups = self._groups, {}
        if producer is not None:
            with contextlib.suppress(Exception):
                producer.purge()
        for group in groups.values():
            with contextlib.suppress(Exception):
                group.close()

    def _mark(self, producer: Producer, marker: Marker) -> None:
        from confluent_kafka import TopicPartition

        at: TopicPartition = TopicPartition(
            self.where.topic, 0, marker.epoch, metadata=str(marker.token)
        )
        group = self._group().consumer_group_metadata()
        self._again(lambda: producer.send_offsets_to_transaction([at], group, WAIT_S))

    def _group(self, isolation: str = "read_committed") -> Consumer:
        if isolation not in self._groups:
            import confluent_kafka

            own = {"group_id": self._id, "enable_auto_commit": False, "isolation_level": isolation}
            config = settings(self.where.servers, self.where.options, **own)
            config |= {"error_cb": self.troubles.hear}
            self._groups[isolation] = confluent_kafka.Consumer(config)
        return self._groups[isolation]

    @property
    def _known(self) -> Producer:
        assert self._producer is not None
        return self._producer

    def _connected(self) -> Producer:
        timeout_ms = int(self._timeout_s * 1_000)
        return self._connect(transactional_id=self._id, transaction_timeout_ms=timeout_ms)

    @contextlib.contextmanager
    def _naming(self, producer: Producer) -> Iterator[Producer]:
        from confluent_kafka import KafkaException

        try:
            yield producer
        except KafkaException as error:
            told = _told_last(producer, error)
            if told.name() in _FENCED:
                self._producer = None
                msg = f"a newer process has taken over {self.where.place}: {told.str()}"
                remedy = "let this process end; the newer one goes on"
                self._fenced = FencedError(msg, place=self.where.place, remedy=remedy)
                raise self._fenced from error
            failed, self._failed = self._failed, []
            raise self._refused(failed[0].str() if failed else told.str()) from error

    @staticmethod
    def _again(act: Callable[[], Any]) -> Any:
        """Do what can be tried again, also while a broker takes over the group; a few times."""
        from confluent_kafka import KafkaException

        for tried in range(_TRIES):
            try:
                return act()
            except KafkaException as error:
                told = error.args[0]
                is_over = not (told.retriable() or told.name() in _MOVING)
                if is_over or tried == _TRIES - 1:
                    raise
            threading.Event().wait(_BETWEEN_TRIES_S)
        raise AssertionError


def _told_last(producer: Producer, error: KafkaException) -> Any:
    """Return what an error says, or what ended the producer meanwhile, which is why."""
    import confluent_kafka as kafka

    try:
        producer.poll(0)
    except kafka.KafkaException as fatal:
        return fatal.args[0]
    return error.args[0]
