"""Where live streams begin: sources that go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from eventtime.checks import check_text, check_whole, shown
from eventtime.duration import parse_us
from eventtime.errors import PlanError
from eventtime.plan import Read
from eventtime.sources.feed import is_live
from eventtime.sources.hybrid import HybridSource
from eventtime.sources.inference import as_schema
from eventtime.sources.iterated import IteratedSource
from eventtime.sources.kafka.source import Beside, KafkaSource
from eventtime.sources.kafka.values import Coding, payload
from eventtime.sources.rate import RateSource
from eventtime.sources.sql_polling import POSTGRES, SqlSource
from eventtime.sources.sql_tables import named_table
from eventtime.stream import Stream
from eventtime.timestamp import check_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from eventtime.duration import DurationLike
    from eventtime.sources.base import Source
    from eventtime.sources.feed import AnySource
    from eventtime.sources.iterated import Batches
    from eventtime.sources.kafka.source import Start
    from eventtime.sources.kafka.values import Format
    from eventtime.sources.textblocks import OnMalformed

__all__ = ("from_batches", "generate", "hybrid", "read_kafka", "read_sql")


def from_batches(
    data: Batches | Mapping[str, Batches],
    *,
    schema: pa.Schema,
    time: str,
    time_unit: str | None = None,
) -> Stream:
    """Follow Python iterators of record batches, plain or async.

    A plain iterator has a thread of its own and may wait for rows as long as it likes; while it
    waits its partition is silent. What it made waits in a bounded queue.

    With checkpoints, a position is the number of rows handed over. Give a function of that number:
    it is asked for what comes behind them, first with 0. Iterators themselves cannot be asked
    again, so that a run of them cannot go on from a checkpoint.

    Args:
        data: an iterable or async iterable of record batches or tables, or a function of a number
            of rows that makes one; or a dict of those, each a partition of that name.
        schema: columns of every batch.
        time: event-time column.
        time_unit: 's', 'ms', 'us' or 'ns' if that column holds integers.

    Raises:
        PlanError: it is none of these.
        SourceError: when run: an iterator raised, gave something else, or cannot be asked again.

    >>> import pyarrow as pa
    >>> batch = pa.record_batch({"t": pa.array([1, 12]), "x": pa.array([5, 7])})
    >>> stream = from_batches(lambda n: iter([batch]), schema=batch.schema, time="t", time_unit="s")
    >>> stream.node.source.describe()
    'iterators of batches: 1 partition(s) (batches), time=t'
    """
    return Stream.read(IteratedSource.of(data, schema, time, time_unit))


def generate(
    rate: float,
    *,
    partitions: int = 1,
    seed: int = 0,
    keys: int = 100,
    disorder: DurationLike = "0s",
    late_share: float = 0.0,
    late_by: DurationLike = "1h",
    rows: int | None = None,
    start_us: int | None = None,
    tick: DurationLike = "10ms",
) -> Stream:
    """Make rows up at a rate, for trials and benchmarks: the same ones for the same arguments.

    Columns: ``time`` (timestamp[us, UTC]), ``key`` (string), ``value`` (float64 in [0, 1)) and
    ``number`` (int64, of the row in its partition, from 0), which is the position. A run that
    goes on from a checkpoint hands over what fell due since, too.

    Args:
        rate: rows for each second of the clock, over all partitions.
        partitions: how many.
        seed: of everything but the times at which rows fall due.
        keys: how many different ones.
        disorder: each row's time lies up to so much before it fell due.
        late_share: share of the rows, in [0, 1], whose times lie `late_by` further back.
        late_by: how much.
        rows: in all, then the partitions end; None: no end.
        start_us: event time of the first row; None: the clock when the run begins.
        tick: how often rows are handed over.

    Raises:
        PlanError, DurationError: an argument is out of range.

    >>> generate(1_000, partitions=4).node.source.describe()
    'made up: 1,000 rows/s in 4 partition(s), seed 0'
    """
    whole, least_one = "a whole number", "give one of 1 or more"
    for name, value, least in (("partitions", partitions, 1), ("keys", keys, 1), ("seed", seed, 0)):
        check_whole(value, least=least, what=whole, place=f"generate({name}=…)", remedy=least_one)
    if rows is not None:
        check_whole(rows, least=1, what=whole, place="generate(rows=…)", remedy=least_one)
    if not _is_between(rate, 0, 1e9) or not rate:
        msg = f"rate={shown(rate)} is no number of rows a second"
        raise PlanError(msg, place="generate(rate)", remedy="one above 0, up to 1e9")
    if not _is_between(late_share, 0, 1):
        msg = f"late_share={shown(late_share)} is no share"
        raise PlanError(msg, place="generate(late_share=…)", remedy="give one from 0 to 1")
    source = RateSource(
        float(rate),
        partitions,
        seed,
        keys,
        parse_us(disorder, name="disorder"),
        float(late_share),
        parse_us(late_by, name="late_by"),
        rows,
        start_us,
        parse_us(tick, name="tick", zero=False),
    )
    return Stream.read(source)


def hybrid(first: Stream, then: Stream, *, at: datetime | None = None) -> Stream:
    """Read what is stored to its end, then follow what goes on, as one stream.

    Rows before `at` come from the first, rows from `at` on from the second, whichever of them has
    them: no row is missing and none comes twice, if each has all rows of its side. The live source
    is opened when the first has been read. Partitions of the first are named ``first/…``; they end
    when those of the second are known, so that the watermark goes on from where they stood.

    With checkpoints the run goes on in whichever it was. Let the live source begin at a fixed
    place, such as ``read_kafka(…, start=at)``: 'latest' would leave a gap.

    Args:
        first: a bounded source, such as files, without steps.
        then: a live source with the same columns, without steps.
        at: event time of the switch, with a zone; None: all rows of both, for sources that adjoin.

    Raises:
        PlanError: one of them is of the other kind, has steps or another time column.
        SchemaError: when run: their columns differ.

    >>> import eventtime as et, pyarrow as pa
    >>> batch = pa.record_batch({"t": pa.array([1, 12])})
    >>> stored = et.from_arrow(batch, time="t", time_unit="s")
    >>> live = from_batches(lambda n: [batch], schema=batch.schema, time="t", time_unit="s")
    >>> print(hybrid(stored, live).node.source.describe().partition(";")[2])
     then iterators of batches: 1 partition(s) (batches), time=t
    """
    place = "hybrid(first, then)"
    bounded, live = (_source_of(stream, place) for stream in (first, then))
    if is_live(bounded) or not is_live(live):
        msg = "the first is to be bounded, and the second to go on"
        raise PlanError(msg, place=place, remedy="such as hybrid(read_parquet(…), read_kafka(…))")
    if (bounded.time, bounded.time_unit) != (live.time, live.time_unit):
        msg = f"their times are {bounded.time!r} and {live.time!r}, or in other units"
        raise PlanError(msg, place=place, remedy="give both the same time= and time_unit=")
    if at is None:
        return Stream.read(HybridSource(cast("Source", bounded), live, None))
    given: object = at
    if not isinstance(given, datetime) or given.tzinfo is None:
        msg = f"at={shown(at)} is no time with a zone"
        raise PlanError(msg, place=place, remedy="such as datetime(2024, 5, 1, tzinfo=UTC)")
    at_us = (given - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return Stream.read(HybridSource(cast("Source", bounded), live, at_us))


def read_kafka(
    topics: str | Sequence[str],
    *,
    servers: str | Sequence[str],
    time: str | None = None,
    time_unit: str | None = None,
    value: Format = "json",
    schema: pa.Schema | Mapping[str, pa.DataType] | None = None,
    avro_schema: dict[str, Any] | str | Path | None = None,
    message: Any = None,
    registry: str | None = None,
    framed: bool = False,
    key: str | None = None,
    headers: str | None = None,
    group: str | None = None,
    partitions: Sequence[int] | None = None,
    start: Start | datetime = "earliest",
    end: Literal["now"] | None = None,
    on_malformed: OnMalformed = "quarantine",
    options: Mapping[str, Any] | None = None,
) -> Stream:
    """Follow topics of Kafka; each of their partitions is one of the stream, such as ``clicks-3``.

    All partitions are read, also those added later; with ``group`` those that it gives this member,
    with ``partitions`` those you chose. With checkpoints every message counts exactly once: offsets
    are in the checkpoint, and committed to the broker for a group only. Messages of transactions
    are read once these are committed. Needs the extra ``eventtime[kafka]``.

    Args:
        topics: one or more.
        servers: where the brokers are: one or more of 'host:port'.
        time: event-time column; None: the message's own, a column 'timestamp' (in ms, UTC).
        time_unit: 's', 'ms', 'us' or 'ns' if that column holds integers.
        value: what a message holds: 'json' (an object, or several, one a line), 'arrow' (an Arrow
            IPC stream of any number of rows), 'raw' (the bytes, as a column 'value'), 'avro' (a
            record; needs the extra ``eventtime[avro]``), 'protobuf' (a message;
            ``eventtime[protobuf]``).
        schema: columns of the value; fields it does not name are not read. Avro and Protobuf can do
            without: all fields, in the types of Arrow that are theirs.
        avro_schema: of a record: a dict, its JSON text, or the path of a file of it. With
            `registry` it is the reader's: what was written with another is resolved to it.
        message: type of the messages of Protobuf: a generated class, its descriptor, or a pair of
            the path of a FileDescriptorSet and the name, such as 'shop.Click'.
        registry: address of a schema registry (HTTP, that of Confluent): values of Avro begin with
            its header, and it is asked for the schema that each was written with.
        framed: values have the header of a registry, which is passed over, as nobody is asked.
        key: name of a column for the key of the message (binary).
        headers: the same for its headers (a list of structs of key and value).
        group: of consumers that share the partitions (cooperative rebalancing). A partition that
            goes to another member goes on there; what this one has taken from it stays here.
        partitions: numbers of those to read, of each topic, whoever else reads; None: all.
        start: of a run without a checkpoint: 'earliest', 'latest', or the time of the first
            message. Partitions that are added later are read from their beginning.
        end: 'now': the partitions end where they end when the run begins.
        on_malformed: a message that does not parse goes to the side output 'quarantine', with
            topic, partition and offset, or is an 'error'. A tombstone parses as 'raw' only.
        options: of librdkafka, such as {'security.protocol': 'SSL'}.

    Raises:
        PlanError: an argument is wrong, or the schema is missing.
        SourceError: when run: no broker or registry answers, no such topic or partition, login
            refused, or messages behind the checkpoint are gone.
    """
    coding = Coding(avro_schema, message, registry, framed)
    values = payload(value, schema, coding, place="read_kafka(…)")
    beside = Beside(time, time_unit, key, headers)
    source = KafkaSource.of(
        topics, servers, values, beside, group, partitions, start, end, on_malformed, options
    )
    return Stream.read(source)


def read_sql(
    address: str,
    *,
    by: str,
    time: str,
    time_unit: str | None = None,
    table: str | None = None,
    query: str | None = None,
    schema: pa.Schema | Mapping[str, pa.DataType] | None = None,
    every: DurationLike = "1s",
    settle: DurationLike = "0s",
) -> Stream:
    """Follow a table of PostgreSQL or SQLite: new rows, polled by a column that ascends.

    One partition. The position is the last value of `by` and a checksum of the rows seen with it,
    so rows with the same value that come later are neither lost nor read twice. Rows are taken as
    they are when they are first seen: they must not be changed.

    A row that becomes visible when rows of greater values were read is passed over: transactions
    that take a number of a sequence and commit later than others do so. With times as `by`, give
    `settle` longer than any transaction lasts.

    PostgreSQL needs the extra ``eventtime[postgres]``.

    Args:
        address: 'postgresql://user@host/database', or the path of a file of SQLite.
        by: column of integers, times or texts that ascends; rows without it are not read.
        time: event-time column.
        time_unit: 's', 'ms', 'us' or 'ns' if that column holds integers.
        table: its name, such as 'events' or 'public.events'; or
        query: a SELECT that has the columns.
        schema: columns and types; needed for SQLite, which does not tell them. A row that does not
            fit goes to the side output 'quarantine'.
        every: from one poll to the next.
        settle: leave rows alone until they are so old, by the clock; PostgreSQL, times as `by`.

    Raises:
        PlanError: an argument is wrong.
        SourceError: when run: the database cannot be reached, or refuses the query.

    >>> read_sql("x.db", table="events", by="id", time="t").node.source.describe()
    'new rows of events in x.db by id, time=t'
    """
    place = "read_sql(…)"
    for what, text in (("address", address), ("column name", by)):
        check_text(text, what=what, place=place, remedy="see its arguments")
    scheme, separator, _ = address.partition("://")
    if separator and scheme not in POSTGRES:
        msg = f"addresses of {shown(scheme)} are not read"
        remedy = "give postgresql://… or the path of a file of SQLite"
        raise PlanError(msg, place=place, remedy=remedy)
    check_time(time, time_unit)
    if (table is None) == (query is None):
        msg = "one of table= and query= is needed"
        raise PlanError(msg, place=place, remedy="such as table='events'")
    check_text(query or table, what="table or query", place=place, remedy="such as table='events'")
    select = query if query is not None else f"SELECT * FROM {named_table(str(table))}"
    source = SqlSource(
        address,
        select,
        "query" if table is None else table,
        by,
        time,
        time_unit,
        as_schema(schema),
        parse_us(every, name="every", zero=False),
        parse_us(settle, name="settle"),
    )
    return Stream.read(source)


def _is_between(value: object, least: float, most: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most


def _source_of(stream: object, place: str) -> AnySource:
    node = getattr(stream, "node", None)
    if not isinstance(node, Read):
        msg = f"{shown(stream)} is no source as it is read"
        raise PlanError(msg, place=place, remedy="give steps such as filter behind hybrid(…)")
    return node.source
