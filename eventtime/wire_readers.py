"""Where live streams begin that others send: sockets, standard input, HTTP, Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.checks import check_flag, check_names, check_text, check_whole, shown
from eventtime.errors import PlanError
from eventtime.redis_client import check_url
from eventtime.sources.address import address as read_address
from eventtime.sources.redis_streams import RedisSource
from eventtime.sources.standard_input import StandardInput
from eventtime.sources.wire import wire
from eventtime.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

    import pyarrow as pa

    from eventtime.sources.textblocks import OnMalformed
    from eventtime.sources.wire import WireFormat

    Types: TypeAlias = "pa.Schema | Mapping[str, pa.DataType]"

__all__ = ("read_http", "read_redis", "read_socket", "read_stdin")


def read_socket(
    address: str,
    *,
    schema: Types,
    time: str,
    time_unit: str | None = None,
    format: WireFormat = "jsonl",  # noqa: A002 - what else
    on_malformed: OnMalformed = "quarantine",
    connect: bool = False,
    connections: int = 64,
) -> Stream:
    """Listen at a socket, where each connection is a partition; or connect to one.

    A connection takes the lowest number that is free: ``connection-1`` and so on; when it ends its
    partition leaves, and holds nobody back. A line without its end, when it ends, is taken if it is
    a JSON object, and set aside if it is CSV.

    At most once: what came before the last checkpoint is in it; what came behind it is gone when
    the process dies. There is nobody to ask again.

    Args:
        address: such as '127.0.0.1:9000', ':9000' (of this machine), '[::1]:9000', or
            'unix:/run/app.sock', which only the user may connect to.
        schema: columns and their types; of JSON, fields it does not name are not read.
        time: event-time column.
        time_unit: 's', 'ms', 'us' or 'ns' if that column holds integers.
        format: 'jsonl', 'csv' (each connection begins with a header) or 'arrow', a stream of
            Arrow IPC.
        on_malformed: a row that does not parse goes to the side output 'quarantine', with its
            connection and line, or is an 'error'. What cannot be read on, such as a line above
            8 MiB or bytes that are no Arrow, ends its connection too.
        connect: connect to the address, and again when the connection ends, after 0.1 to 10 s.
        connections: at once; others are closed.

    Raises:
        PlanError, TimeColumnError: an argument is wrong.
        SourceError: when run: somebody else listens there.

    >>> import pyarrow as pa
    >>> read_socket(":9000", schema={"t": pa.timestamp("us")}, time="t").node.source.describe()
    'jsonl from socket at 127.0.0.1:9000, time=t'
    """
    from eventtime.sources.sockets import SocketSource

    place = "read_socket(…)"
    check_flag(connect, place="read_socket(connect=…)")
    what, remedy = "a number of connections", "give one of 1 or more"
    check_whole(connections, least=1, what=what, place=place, remedy=remedy)
    coming = wire(format, schema, time, time_unit, on_malformed, place=place)
    where = read_address(address, place="read_socket(address)")
    return Stream.read(SocketSource(coming, where, connect, connections))


def read_stdin(
    *,
    schema: Types,
    time: str,
    time_unit: str | None = None,
    format: WireFormat = "jsonl",  # noqa: A002 - what else
    on_malformed: OnMalformed = "quarantine",
) -> Stream:
    """Read standard input until it ends: one partition, ``stdin``.

    Arguments, errors and the guarantee are those of `read_socket`.

    >>> import pyarrow as pa
    >>> read_stdin(schema={"t": pa.int64()}, time="t", time_unit="s").node.source.describe()
    'jsonl from standard input, time=t'
    """
    coming = wire(format, schema, time, time_unit, on_malformed, place="read_stdin(…)")
    return Stream.read(StandardInput(coming))


def read_http(
    address: str,
    *,
    schema: Types,
    time: str,
    time_unit: str | None = None,
    format: WireFormat = "jsonl",  # noqa: A002 - what else
    path: str = "/events",
    token: str | None = None,
    body_bytes: int = 16 << 20,
    connections: int = 256,
    partitions: int = 1_024,
) -> Stream:
    """Take rows that are posted over HTTP: answered 202 once they are in a bounded queue.

    A request is accepted as a whole or refused as a whole, so a client may send a refused one
    again: 400 (names the line that does not parse), 401, 404, 405, 408 (a head that takes longer
    than 10 s or a body longer than 30 s), 411, 413, 415, 429 with Retry-After (the queue is full).
    Connections stay open for more requests, 60 s at most without one.

    All rows are of the partition ``http``, or of that of the query ``?partition=NAME``.

    At most once from the answer on: what was accepted before the last checkpoint is in it; what was
    accepted behind it is gone when the process dies.

    Args:
        address: such as '127.0.0.1:8080', ':8080' (of this machine), or 'unix:/run/app.sock'.
        schema, time, time_unit: as `read_socket`.
        format: 'jsonl', 'csv' (with a header) or 'arrow', where the Content-Type does not say:
            application/x-ndjson, text/csv, application/vnd.apache.arrow.stream.
        path: that is posted to.
        token: if given, requests need the header ``Authorization: Bearer TOKEN``. What is sent is
            not encrypted: put a proxy with TLS in front of anything but loopback.
        body_bytes: of a request, at most.
        connections: at once; others get 503.
        partitions: different names, at most.

    Raises:
        PlanError, TimeColumnError: an argument is wrong.
        SourceError: when run: somebody else listens there.

    >>> import pyarrow as pa
    >>> read_http(":8080", schema={"t": pa.timestamp("us")}, time="t").node.source.describe()
    'HTTP posts to 127.0.0.1:8080/events, time=t'
    """
    from eventtime.sources.http_ingest import HttpSource

    place = "read_http(…)"
    check_text(path, what="path", place=place, remedy="such as '/events'")
    if not path.startswith("/") or not path.isprintable() or " " in path or "?" in path:
        msg = f"path={shown(path)} is no path"
        raise PlanError(msg, place=place, remedy="such as '/events'")
    if token is not None:
        check_text(token, what="token", place=place, remedy="a long random text, or None")
    for what, value in (
        ("body_bytes", body_bytes),
        ("connections", connections),
        ("partitions", partitions),
    ):
        check_whole(value, least=1, what=f"a number for {what}", place=place, remedy="1 or more")
    coming = wire(format, schema, time, time_unit, "error", place=place)
    where = read_address(address, place="read_http(address)")
    source = HttpSource(coming, where, path, token, body_bytes, connections, partitions)
    return Stream.read(source)


def read_redis(
    url: str,
    streams: str | Sequence[str],
    *,
    schema: Types,
    time: str,
    time_unit: str | None = None,
    field: str | None = None,
) -> Stream:
    """Follow streams of Redis, each a partition; the position is the id of an entry.

    With checkpoints every entry counts exactly once. A run without one begins with the first
    entries that are there. Nothing is acknowledged or deleted: trim what is older than the oldest
    checkpoint. Entries that were trimmed before they were read are an error when a run goes on.

    Needs the extra ``eventtime[redis]``.

    Args:
        url: such as 'redis://localhost:6379/0', 'rediss://…', or 'unix:///run/redis.sock'.
        streams: one name or more; those that are not there yet are waited for.
        schema: columns and their types.
        time: event-time column.
        time_unit: 's', 'ms', 'us' or 'ns' if that column holds integers.
        field: of an entry that holds a JSON object, such as 'row' of `to_redis`; None: each field
            is a column of its text. An entry that does not fit goes to the side output
            'quarantine', with stream and id.

    Raises:
        PlanError, TimeColumnError: an argument is wrong.
        SourceError: when run: nobody answers, or a name is that of something else.

    >>> import pyarrow as pa
    >>> stream = read_redis(
    ...     "redis://localhost", "clicks", schema={"t": pa.timestamp("ms")}, time="t"
    ... )
    >>> stream.node.source.describe()
    'Redis streams clicks, time=t'
    """
    place = "read_redis(…)"
    names: Any = [streams] if isinstance(streams, str) else streams
    check_names(names, place=f"{place}: streams", remedy="such as 'clicks' or ['a', 'b']")
    if field is not None:
        check_text(field, what="field", place=place, remedy="such as field='row'")
    coming = wire("jsonl", schema, time, time_unit, "quarantine", place=place)
    address = check_url(url, place=place)
    source = RedisSource(address, tuple(names), coming.columns, time, time_unit, field)
    return Stream.read(source)
