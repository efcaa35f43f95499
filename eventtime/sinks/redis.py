"""The Redis sink: entries of a stream, or fields of a hash, each epoch in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from eventtime.checks import check_names, check_text, shown
from eventtime.errors import PlanError, SinkError
from eventtime.redis_client import check_url, connected
from eventtime.sinks.epochs import check_delivery, check_job, check_token
from eventtime.sinks.kafka_messages import Messages
from eventtime.sinks.one_epoch import OneEpoch
from eventtime.sinks.text import check_text_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from eventtime.sinks.epochs import Delivery, Guarantee

__all__ = ("RedisEpochs", "RedisSink", "to_redis")

_FIELD: Final = "row"
_MARKERS: Final = "eventtime:"


def to_redis(
    url: str,
    *,
    stream: str | None = None,
    hash: str | None = None,  # noqa: A002 - what Redis calls it
    key: Sequence[str] | None = None,
    delivery: Delivery = "exactly_once",
) -> RedisSink:
    """Write rows to a stream of Redis, or to a hash where each replaces the one of its key.

    A row is a JSON object, as `to_json_lines` writes it: the field ``row`` of an entry of the
    stream, or the value of a field of the hash. The name of the field is the text or number of the
    key; of several columns, a JSON object.

    With checkpoints the rows of an epoch, its number and the token of the process are one
    transaction (WATCH, MULTI, EXEC): exactly once, as far as the server keeps what it answered, as
    with ``appendfsync always``. One that lost its last second may get an epoch again, or lack it.

    Needs the extra ``eventtime[redis]``. Cost: about 10 µs a row.

    Args:
        url: such as 'redis://localhost:6379/0', 'rediss://…', or 'unix:///run/redis.sock'.
        stream: name of the stream; or
        hash: name of the hash.
        key: columns that make a row of the hash unique.
        delivery: with checkpoints: "exactly_once", "at_least_once", "at_most_once".

    Raises:
        PlanError: an argument is of the wrong kind.

    >>> to_redis("redis://localhost", hash="hourly", key=["origin"]).describe()
    'Redis hash hourly'
    """
    place = "to_redis(…)"
    address = check_url(url, place=place)
    check_delivery(delivery)
    if (stream is None) == (hash is None):
        msg = "one of stream= and hash= is needed"
        raise PlanError(msg, place=place, remedy="such as stream='hourly'")
    name = stream if hash is None else hash
    check_text(name, what="name", place=place, remedy="such as stream='hourly'")
    if (hash is None) != (key is None):
        msg = f"key={shown(key)}: a hash needs a key, and a stream has none"
        raise PlanError(msg, place=place, remedy="such as hash='hourly', key=['origin']")
    names: Any = () if key is None else [key] if isinstance(key, str) else key
    check_names(names, place=f"{place}: key=…", remedy="such as key=['origin']", least=0)
    return RedisSink(address, str(name), tuple(names), delivery)


@dataclass(frozen=True)
class RedisSink:
    """Rows to Redis; made by `to_redis`."""

    url: str = field(repr=False)  # it may hold a password
    name: str
    key: tuple[str, ...]
    delivery: Delivery

    @property
    def guarantee(self) -> Guarantee:
        """What a reader may rely on."""
        is_again = self.key and self.delivery == "at_least_once"
        return "idempotent" if is_again else self.delivery

    @property
    def occupies(self) -> tuple[object, ...]:
        """The stream or hash."""
        return self.url, self.name

    def open(self, schema: pa.Schema) -> OneEpoch:
        """Connect, for a run without checkpoints: all of its rows are one transaction."""
        return OneEpoch(self, schema)

    def open_epochs(self, schema: pa.Schema, job: str) -> RedisEpochs:
        """Connect."""
        check_job(job)
        check_text_types(schema, "Redis")
        for name in self.key:
            if name not in schema.names:
                msg = f"no column {name!r} to be part of the key; there are {schema.names}"
                raise SinkError(msg, place=self.describe(), remedy="name columns in key=[…]")
        return RedisEpochs(self, schema, job)

    def describe(self) -> str:
        """One line for `explain()`, without the address."""
        return f"Redis {'hash' if self.key else 'stream'} {self.name}"


class RedisEpochs:
    """Writes epochs, each with its marker in one transaction; see `EpochWriter`."""

    def __init__(self, sink: RedisSink, schema: pa.Schema, job: str) -> None:
        self._sink, self._schema = sink, schema
        self._client, self._failure = connected(sink.url, SinkError)
        self._marker = f"{_MARKERS}{sink.name}:{job}"

    def recover(self, token: int) -> int:
        if self._sink.delivery == "at_least_once":
            return 0
        return self._transact(lambda pipe: pipe.hset(self._marker, "token", token), token, None)

    def commit(self, epoch: int, batches: Iterable[pa.RecordBatch], token: int) -> None:
        kept = list(batches)

        def write(pipe: Any) -> None:
            for batch in kept:
                self._write(pipe, batch)
            pipe.hset(self._marker, "epoch", epoch)

        if self._sink.delivery != "at_least_once":
            self._transact(write, token, epoch)
            return
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for batch in kept:
                    self._write(pipe, batch)
                pipe.execute()
        except self._failure as error:
            raise self._refused(error) from error

    def close(self) -> None:
        self._client.close()

    def _transact(self, act: Any, token: int, epoch: int | None) -> int:
        """Act if the token is the newest and the epoch is new; returns the last epoch before."""
        import redis

        place = self._sink.describe()
        try:
            with self._client.pipeline(transaction=True) as pipe:
                while True:
                    pipe.watch(self._marker)
                    held = pipe.hgetall(self._marker)
                    last = int(held.get(b"epoch", 0))
                    check_token(int(held.get(b"token", 0)), token, place)
                    if epoch is not None and epoch <= last:
                        return last
                    pipe.multi()
                    act(pipe)
                    try:
                        pipe.execute()
                    except redis.WatchError:
                        continue  # somebody wrote the marker: a newer process, perhaps
                    return last
        except self._failure as error:
            raise self._refused(error) from error

    def _write(self, pipe: Any, batch: pa.RecordBatch) -> None:
        sink = self._sink
        if not batch.schema.equals(self._schema):
            msg = f"rows of schema {batch.schema} for an output opened with {self._schema}"
            raise SinkError(msg, place=sink.describe(), remedy="cast them to that schema")
        if not batch.num_rows:
            return
        messages = Messages("json", sink.key).of(batch)
        if sink.key:
            pipe.hset(sink.name, mapping={key or "null": row for key, row in messages})
            return
        for _, row in messages:
            pipe.xadd(sink.name, {_FIELD: row})

    def _refused(self, error: Exception) -> SinkError:
        msg = f"Redis did not take rows: {' '.join(str(error).split())}"
        remedy = "see the cause; nothing of this transaction was left"
        return SinkError(msg, place=self._sink.describe(), remedy=remedy)
