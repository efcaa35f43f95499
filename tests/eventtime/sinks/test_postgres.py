"""A real PostgreSQL server: killed, gone, fenced, upserted (S28)."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import psutil
import psycopg
import pyarrow as pa
import pytest

import eventtime as et
from eventtime.errors import PlanError, SinkError, SourceError
from eventtime.sinks.postgres import to_postgres
from postgres_server import PostgresServer, binaries
from tcp_door import Door

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.sinks.postgres import PostgresSink

SCHEMA = pa.schema([("origin", pa.string()), ("version", pa.int32()), ("mean", pa.float64())])
ROWS = pa.record_batch([["a", "b"], [1, 1], [0.5, float("nan")]], schema=SCHEMA)


@pytest.fixture
def own(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test may kill."""
    found = binaries()
    assert found is not None
    server = PostgresServer(found)
    yield server
    server.remove()


def select(dsn: str, table: str, what: str = "*") -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(f'SELECT {what} FROM "{table}" ORDER BY 1, 2'.encode()).fetchall()


def test_a_server_killed_during_commits_has_whole_epochs_each_once(own: PostgresServer) -> None:
    n = 50_000
    numbers = np.arange(n)
    schema = pa.schema([("epoch", pa.int64()), ("n", pa.int64())])
    writer = to_postgres(own.dsn, table="rows").open_epochs(schema, "job")
    assert writer.recover(1) == 0
    rng = np.random.default_rng(7)
    failures = 0
    epochs = 12
    for epoch in range(1, epochs + 1):
        batch = pa.record_batch([np.full(n, epoch), numbers], schema=schema)
        killer = threading.Timer(float(rng.uniform(0, 0.15)), own.kill)
        killer.start()
        try:
            writer.commit(epoch, [batch], 1)
        except SinkError:
            failures += 1
        killer.join()
        own.start()
        found = select(own.dsn, "rows", "DISTINCT epoch, count(*) OVER (PARTITION BY epoch)")
        assert {count for _, count in found} <= {n}
        assert set(range(1, epoch)) <= {number for number, _ in found}
        writer.commit(epoch, [batch], 1)
    assert writer.recover(2) == epochs
    writer.close()
    assert failures > 0
    [(total, distinct)] = select(own.dsn, "rows", "count(*), count(DISTINCT (epoch, n))")
    assert total == distinct == epochs * n


def test_a_server_that_is_gone_is_a_clear_error_and_then_forgotten(own: PostgresServer) -> None:
    sink = to_postgres(own.dsn, table="rows")
    writer = sink.open_epochs(SCHEMA, "job")
    writer.recover(1)
    own.kill()
    for _ in range(2):
        with pytest.raises(SinkError, match="PostgreSQL did not take rows for 'rows'"):
            writer.commit(1, [ROWS], 1)
    with pytest.raises(SinkError, match="PostgreSQL"):
        sink.open(SCHEMA)
    own.start()
    writer.commit(1, [ROWS], 1)
    writer.close()
    assert len(select(own.dsn, "rows")) == 2


@pytest.fixture
def door(postgres: PostgresServer) -> Iterator[Door]:
    made = Door(postgres.socket)
    yield made
    made.remove()


def through(door: Door, **options: object) -> str:
    more = "".join(f"&{name}={value}" for name, value in options.items())
    return f"postgresql://eventtime@{door.address}/postgres?sslmode=disable{more}"


@pytest.mark.timeout(60)
def test_a_server_that_says_nothing_is_given_up(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventtime.postgres_client._CONNECT_S", 2)
    door.shut()
    with pytest.raises(SinkError, match=r"did not take rows for 'x': .*timeout expired"):
        to_postgres(through(door), table="x").open_epochs(SCHEMA, "job")
    source = et.read_sql(through(door), table="x", by="origin", time="t")
    with pytest.raises(SourceError, match=r"cannot be reached: .*timeout expired"):
        source.watermark(et.ascending()).window(et.tumbling("1s")).aggregate(n=et.count()).run()


@pytest.mark.timeout(60)
def test_a_server_that_takes_nothing_more_is_given_up_in_the_middle(door: Door) -> None:
    """And the epoch can be written to whoever answers next."""
    dsn = through(door, tcp_user_timeout=500, connect_timeout=2)
    writer = to_postgres(dsn, table="middle").open_epochs(SCHEMA, "job")
    writer.recover(1)

    def rows() -> Iterator[pa.RecordBatch]:
        yield ROWS
        door.shut(after=1_000_000)
        wide = pa.record_batch([["x" * 100_000] * 200, [2] * 200, [0.5] * 200], schema=SCHEMA)
        yield wide

    with pytest.raises(SinkError, match="did not take rows for 'middle'"):
        writer.commit(1, rows(), 1)
    writer.close()


def test_connections_are_probed(door: Door) -> None:
    """The defaults reach the socket."""
    before = set(psutil.Process().net_connections("tcp4"))
    writer = to_postgres(through(door), table="probed").open_epochs(SCHEMA, "job")
    port = int(door.address.rpartition(":")[2])
    new = set(psutil.Process().net_connections("tcp4")) - before
    mine = [connection.fd for connection in new if connection.raddr and connection.raddr[1] == port]
    assert mine
    for fd in mine:
        with socket.socket(fileno=os.dup(fd)) as same:
            known = [
                same.getsockopt(socket.IPPROTO_TCP, option)
                for option in (
                    socket.TCP_KEEPIDLE,
                    socket.TCP_KEEPINTVL,
                    socket.TCP_KEEPCNT,
                    socket.TCP_USER_TIMEOUT,
                )
            ]
            assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert known == [30, 10, 3, 60_000]
    writer.close()


def test_wrong_credentials_are_a_clear_error_without_them(postgres: PostgresServer) -> None:
    make(postgres.dsn, "CREATE ROLE locked LOGIN PASSWORD 'right'")
    dsn = postgres.dsn.replace("eventtime@", "locked:mistaken@")
    with pytest.raises(SinkError, match='password authentication failed for user "locked"') as told:
        to_postgres(dsn, table="x").open_epochs(SCHEMA, "job")
    assert "mistaken" not in str(told.value)
    stream = et.read_sql(dsn, table="x", by="id", time="t").watermark(et.ascending())
    with pytest.raises(SourceError, match=r"cannot be reached: .*password authentication failed"):
        stream.window(et.tumbling("1s")).aggregate(n=et.count()).run()


def test_two_writers_take_turns_at_the_marker(postgres: PostgresServer) -> None:
    """The second waits for the first, which is in the middle of an epoch, and fences it after."""
    sink = to_postgres(postgres.dsn, table="turns")
    old, new = sink.open_epochs(SCHEMA, "job"), sink.open_epochs(SCHEMA, "job")
    old.recover(1)
    in_the_middle, found = threading.Event(), []

    def rows() -> Iterator[pa.RecordBatch]:
        in_the_middle.set()
        time.sleep(0.3)
        yield ROWS

    committing = threading.Thread(target=old.commit, args=(1, rows(), 1))
    committing.start()
    in_the_middle.wait()
    found.append(new.recover(2))
    committing.join()
    assert found == [1]
    old.close()
    new.close()


def test_a_run_is_all_or_nothing(postgres: PostgresServer) -> None:
    sink = to_postgres(postgres.dsn, table="all or nothing")
    writer = sink.open(SCHEMA)
    writer.write(ROWS)
    writer.abort()
    with pytest.raises(psycopg.errors.UndefinedTable):
        select(postgres.dsn, "all or nothing")
    writer = sink.open(SCHEMA)
    writer.write(ROWS)
    writer.commit()
    assert [row[:2] for row in select(postgres.dsn, "all or nothing")] == [("a", 1), ("b", 1)]


def test_an_upsert_keeps_the_last_row_of_each_key(postgres: PostgresServer) -> None:
    sink = to_postgres(postgres.dsn, table="upserted", mode="upsert", key=["origin", "version"])
    writer = sink.open_epochs(SCHEMA, "job")
    writer.recover(1)
    writer.commit(1, [ROWS], 1)
    means = [3.5, 4.5, 5.5]
    writer.commit(2, [pa.record_batch([["a", "c", "a"], [1, 1, 1], means], schema=SCHEMA)], 1)
    without = pa.record_batch([[None], [1], [0.5]], schema=SCHEMA)
    with pytest.raises(SinkError, match="a row without 'origin'"):
        writer.commit(3, [without], 1)
    writer.close()
    found = select(postgres.dsn, "upserted", "origin, mean")
    assert repr(found) == "[('a', 5.5), ('b', nan), ('c', 4.5)]"


def make(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_columns_in_another_order_are_filled_by_name(postgres: PostgresServer) -> None:
    make(postgres.dsn, "CREATE TABLE mixed (mean double precision, version integer, origin text)")
    writer = to_postgres(postgres.dsn, table="mixed").open(SCHEMA)
    writer.write(ROWS)
    writer.commit()
    assert select(postgres.dsn, "mixed")[0] == (0.5, 1, "a")


def test_a_table_with_other_columns_is_refused_with_the_difference(
    postgres: PostgresServer,
) -> None:
    make(postgres.dsn, "CREATE TABLE other (origin bytea, mean double precision, more text)")
    with pytest.raises(SinkError) as caught:
        to_postgres(postgres.dsn, table="other").open_epochs(SCHEMA, "job")
    assert "'version' is missing there; 'more' is only there" in str(caught.value)
    assert "'origin' is bytea there and text here" in str(caught.value)


def test_an_upsert_needs_a_unique_key_there(postgres: PostgresServer) -> None:
    make(postgres.dsn, "CREATE TABLE bare (origin text, version integer, mean double precision)")
    sink = to_postgres(postgres.dsn, table="bare", mode="upsert", key=["origin"])
    with pytest.raises(SinkError, match="no unique or exclusion constraint"):
        sink.open(SCHEMA)


@pytest.mark.parametrize("name", ["é" * 32, "zero\0byte"])
def test_names_that_the_server_would_cut_are_refused(name: str, postgres: PostgresServer) -> None:
    with pytest.raises(SinkError, match="cannot hold the name"):
        to_postgres(postgres.dsn, table=name).open(SCHEMA)
    with pytest.raises(SinkError, match="cannot hold the name"):
        to_postgres(postgres.dsn, table="x").open(pa.schema([(name, pa.int64())]))


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1, pa.timestamp("ns")), (1_500, pa.duration("ns"))],
)
def test_nanoseconds_are_refused_not_rounded(
    value: int, kind: pa.DataType, postgres: PostgresServer
) -> None:
    schema = pa.schema([("x", kind)])
    writer = to_postgres(postgres.dsn, table=f"ns {kind}").open_epochs(schema, "job")
    writer.recover(1)
    with pytest.raises(SinkError, match="cannot hold a value of column 'x'"):
        writer.commit(1, [pa.record_batch([pa.array([value], kind)], schema=schema)], 1)
    writer.close()


def sink_of(**options: object) -> PostgresSink:
    return to_postgres("postgresql://nowhere", **{"table": "x", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": ""}, "'' is no table name"),
        ({"table": "eventtime_epochs"}, "holds the epochs committed"),
        ({"mode": "replace"}, "mode='replace' is unknown"),
        ({"mode": "upsert"}, "not one or more different column names"),
        ({"key": ["a"]}, "means nothing when rows are appended"),
        ({"delivery": "twice"}, "delivery='twice' is unknown"),
        ({"schema": ""}, "'' is no schema name"),
    ],
)
def test_options_are_checked_when_they_are_given(options: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        sink_of(**options)


def test_the_address_is_not_shown() -> None:
    sink = to_postgres("postgresql://me:secret@host/db", table="x")
    assert "secret" not in repr(sink) + sink.describe()


def test_what_is_guaranteed_follows_from_delivery_and_mode() -> None:
    assert sink_of().guarantee == "exactly_once"
    assert sink_of(delivery="at_least_once").guarantee == "at_least_once"
    upsert = sink_of(delivery="at_least_once", mode="upsert", key=["a"])
    assert upsert.guarantee == "idempotent"
    assert sink_of(delivery="at_most_once").guarantee == "at_most_once"
