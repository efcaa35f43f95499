"""Where live streams begin that others send: sockets, standard input, HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.checks import check_flag, check_whole
from eventtime.sources.address import address as read_address
from eventtime.sources.sockets import SocketSource
from eventtime.sources.standard_input import StandardInput
from eventtime.sources.wire import wire
from eventtime.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    import pyarrow as pa

    from eventtime.sources.textblocks import OnMalformed
    from eventtime.sources.wire import WireFormat

    Types: TypeAlias = "pa.Schema | Mapping[str, pa.DataType]"

__all__ = ("read_socket", "read_stdin")


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
