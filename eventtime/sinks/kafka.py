"""The Kafka sink: a topic that takes each epoch in one transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from eventtime.checks import check_names, check_text, is_one_of, shown
from eventtime.errors import PlanError, SinkError
from eventtime.kafka_client import check_options, check_servers
from eventtime.sinks.epochs import check_delivery, check_job, check_token
from eventtime.sinks.kafka_messages import FORMATS, Messages
from eventtime.sinks.kafka_producer import Marker, Plain, Transactions, Where

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from eventtime.sinks.epochs import Delivery, EpochWriter, Guarantee
    from eventtime.sinks.kafka_messages import Format

__all__ = ("KafkaEpochs", "KafkaRows", "KafkaSink", "KafkaWriter", "to_kafka")

_EPOCH_S: Final = 60.0
_RUN_S: Final = 900.0
"""The most that brokers allow unless they are told otherwise."""


def to_kafka(
    topic: str,
    *,
    servers: str | Sequence[str],
    value: Format = "json",
    key: Sequence[str] | None = None,
    delivery: Delivery = "exactly_once",
    options: Mapping[str, Any] | None = None,
) -> KafkaSink:
    """Write to a topic of Kafka, which is there.

    With checkpoints, the rows of an epoch go in one transaction, with the number of the epoch in
    it: consumers that read what is committed (``isolation.level=read_committed``) see each row
    once. A process that was thought dead is fenced off by the broker. The number is kept as the
    committed offset of a group named ``eventtime-…``: brokers forget those of jobs that stand still
    for ``offsets.retention.minutes`` (a week); then the last epoch may come again.

    Without checkpoints a run over bounded sources is one transaction, which may last 15 minutes;
    a live one commits a transaction each turn.

    With ``delivery="at_least_once"`` there are no transactions: rows are with the broker, as soon
    as they come out, in a few milliseconds instead of some tens.

    Needs the extra ``eventtime[kafka]``.

    Args:
        topic: its name.
        servers: where the brokers are: one or more of 'host:port'.
        value: 'json': a message for each row, an object as `to_json_lines` writes it; 'arrow': an
            Arrow IPC stream of many rows.
        key: columns that are the key of the message, as JSON; of one column, its text or number.
            Messages of one key go to one partition, chosen as Java's client does.
        delivery: with checkpoints: "exactly_once", "at_least_once", "at_most_once".
        options: of librdkafka, such as {'compression.type': 'zstd'}.

    Raises:
        PlanError: an argument is of the wrong kind.

    >>> to_kafka("hourly", servers="localhost:9092", key=["origin"]).describe()
    'Kafka topic hourly'
    """
    place = f"to_kafka({shown(topic)})"
    check_text(topic, what="topic", place=place, remedy="such as 'hourly'")
    if not is_one_of(value, FORMATS):
        msg = f"value={shown(value)} is unknown"
        raise PlanError(msg, place=place, remedy=f"one of {', '.join(FORMATS)}")
    names: Any = [] if key is None else [key] if isinstance(key, str) else key
    check_names(names, place=f"{place}: key=…", remedy="such as key=['origin']", least=0)
    if names and value == "arrow":
        msg = f"key={shown(key)} means nothing for messages of many rows"
        raise PlanError(msg, place=place, remedy="leave it out, or say value='json'")
    check_delivery(delivery)
    return KafkaSink(
        topic,
        check_servers(servers, place=place),
        Messages(value, tuple(names)),
        delivery,
        check_options(options, place=place),
    )


@dataclass(frozen=True)
class KafkaSink:
    """Rows to a topic; made by `to_kafka`."""

    topic: str
    servers: str
    messages: Messages
    delivery: Delivery
    options: tuple[tuple[str, Any], ...] = field(repr=False)  # there may be a password

    @property
    def guarantee(self) -> Guarantee:
        """What a reader may rely on who reads what is committed."""
        return self.delivery

    def open(self, schema: pa.Schema) -> KafkaWriter:
        """Connect, for a run without checkpoints."""
        self._check(schema)
        return KafkaWriter(self, Transactions(self._where, uuid.uuid4().hex, _RUN_S))

    def open_epochs(self, schema: pa.Schema, job: str) -> EpochWriter:
        """Connect, and see whether the topic is there."""
        check_job(job)
        self._check(schema)
        if self.delivery == "at_least_once":
            return KafkaRows(self, Plain(self._where))
        return KafkaEpochs(self, schema, Transactions(self._where, job, _EPOCH_S))

    def describe(self) -> str:
        """One line for `explain()`, without the options."""
        return f"Kafka topic {self.topic}"

    @property
    def _where(self) -> Where:
        return Where(self.servers, self.topic, self.options, self.describe())

    def _check(self, schema: pa.Schema) -> None:
        missing = [name for name in self.messages.key if name not in schema.names]
        if missing:
            msg = f"no column {missing[0]!r} for the key; there are {', '.join(schema.names)}"
            raise SinkError(msg, place=self.describe(), remedy="name columns of the rows")
        self.messages.check(schema)


class KafkaWriter:
    """Writes the rows of one run in one transaction: all of them, or none."""

    def __init__(self, sink: KafkaSink, transactions: Transactions) -> None:
        self._messages, self._transactions = sink.messages, transactions
        transactions.begin_anew()
        transactions.begin()

    def write(self, batch: pa.RecordBatch) -> None:
        """Send the next rows; readers of what is committed do not see them yet."""
        self._transactions.send(self._messages.of(batch))

    def commit(self) -> None:
        """Make all rows visible at once."""
        self._transactions.commit()
        self._transactions.close()

    def abort(self) -> None:
        """Undo everything; never raises."""
        self._transactions.undo()
        self._transactions.close()


class KafkaRows:
    """Writes rows as they come; see `EpochWriter`, at least once."""

    def __init__(self, sink: KafkaSink, plain: Plain) -> None:
        self._messages, self._plain = sink.messages, plain

    def recover(self, token: int) -> int:
        """Nothing is known of earlier epochs."""
        del token
        return 0

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Send rows, and wait until they are with the broker."""
        del epoch, token
        for batch in batches:
            self._plain.send(self._messages.of(batch))
        self._plain.flush()

    def close(self) -> None:
        """Let go; never raises."""
        self._plain.close()


class KafkaEpochs:
    """Writes each epoch in one transaction, with its number and the token; see `EpochWriter`."""

    def __init__(self, sink: KafkaSink, schema: pa.Schema, transactions: Transactions) -> None:
        self._messages, self._transactions = sink.messages, transactions
        self._schema, self._place, self._last = schema, sink.describe(), 0

    def recover(self, token: int) -> int:
        """Claim the job, and tell the last epoch committed."""
        self._claim(token)
        self._write([], Marker(token, self._last))
        return self._last

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        """Send rows and the marker in one transaction."""
        if not self._transactions.is_connected:
            self._claim(token)
        if epoch > self._last:
            self._write(batches, Marker(token, epoch))
            self._last = epoch

    def close(self) -> None:
        """Let go; never raises."""
        self._transactions.close()

    def _claim(self, token: int) -> None:
        """Fence off older processes; asked before that too, or an older one fenced off a newer."""
        held, _ = self._transactions.marker(is_settled=False)
        check_token(held, token, self._place)
        self._transactions.begin_anew()
        held, self._last = self._transactions.marker(is_settled=True)
        check_token(held, token, self._place)

    def _write(self, batches: Iterable[pa.RecordBatch], marker: Marker) -> None:
        self._transactions.begin()
        try:
            for batch in batches:
                if not batch.schema.equals(self._schema):
                    msg = f"rows of schema {batch.schema} for a topic opened with {self._schema}"
                    remedy = "cast them to the schema of the output"
                    raise SinkError(msg, place=self._place, remedy=remedy)
                self._transactions.send(self._messages.of(batch))
            self._transactions.commit(marker)
        except BaseException:
            self._transactions.undo()
            raise
