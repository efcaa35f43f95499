"""Runs that die about each third checkpoint: what each delivery leaves in each table (S28)."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

import eventtime as et
from eventtime.state.checkpoints import CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from postgres_server import PostgresServer

Rows = Counter[tuple[Any, ...]]
DELIVERIES: Final = ("exactly_once", "at_least_once", "at_most_once")
KEY: Final = ["k", "start", "version"]


class DiedError(BaseException):
    """What a process that is killed sees last."""


class Store:
    """A table somewhere: how it is made and read."""

    def __init__(self, name: str, folder: Path, dsn: str) -> None:
        self.name, self.folder, self.dsn = name, folder, dsn
        self.table = f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"

    def sink(self, **options: Any) -> Any:
        if self.name == "delta":
            return et.to_delta(self.folder / "lake", **options)
        if self.name == "postgres":
            return et.to_postgres(self.dsn, table=self.table, **options)
        to = {"sqlite": et.to_sqlite, "duckdb": et.to_duckdb}[self.name]
        return to(self.folder / "db", table=self.table, **options)

    def rows(self) -> Rows:
        statement = f"SELECT k, start, version, n FROM {self.table}"
        if self.name == "delta":
            table = DeltaTable(self.folder / "lake").to_pyarrow_table()
            return counted(pa.table(table).select(["k", "start", "version", "n"]))
        if self.name == "postgres":
            with psycopg.connect(self.dsn) as connection:
                return Counter(connection.execute(statement.encode()).fetchall())
        connect: Any = {"sqlite": sqlite3.connect, "duckdb": duckdb.connect}[self.name]
        with contextlib.closing(connect(self.folder / "db")) as connection:
            return Counter(connection.execute(statement).fetchall())


@pytest.fixture(params=["sqlite", "duckdb", "delta", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer) -> Store:
    return Store(request.param, tmp_path, postgres.dsn)


def stream() -> et.Stream:
    """Windows with corrections: a key and a window come out more than once."""
    seconds = [i - 15 * (i % 7 == 3) for i in range(300)]
    times = pa.array([s * 1_000_000 for s in seconds], pa.timestamp("us"))
    rows = et.from_arrow(pa.table({"t": times, "k": [s % 2 for s in seconds]}), time="t")
    windows = rows.watermark(et.bounded_disorder("1s")).key_by("k")
    found = windows.window(et.tumbling("10s"), allowed_lateness="1m").aggregate(n=et.count())
    return found.with_columns(start=pc.field("window_start").cast(pa.int64())).select(*KEY, "n")


def counted(table: pa.Table) -> Rows:
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


def dies_and_goes_on(sink: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a checkpoint, or behind it and before what is committed then."""
    calls = [0]
    write: Callable[..., Any] = CheckpointStore.write

    def dies(store: CheckpointStore, head: Any, blocks: Any) -> Any:
        calls[0] += 1
        if calls[0] % 5 == 0:
            raise DiedError
        written = write(store, head, blocks)
        if calls[0] % 5 == 3:
            raise DiedError
        return written

    where = et.checkpoints(folder / "state", every=None, every_rows=1)
    with monkeypatch.context() as patch:
        patch.setattr("eventtime.replay.CHUNK_ROWS", 32)
        patch.setattr(CheckpointStore, "write", dies)
        for _ in range(100):
            with contextlib.suppress(DiedError):
                assert stream().run(sink, checkpoint=where).is_finished
                return
    pytest.fail("it never came through")


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_each_delivery_means_what_it_says(
    delivery: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = counted(stream().run().table())
    sink = store.sink(delivery=delivery)
    assert sink.guarantee == delivery
    dies_and_goes_on(sink, tmp_path, monkeypatch)
    found = store.rows()
    if delivery == "exactly_once":
        assert found == wanted
    elif delivery == "at_least_once":
        assert found > wanted
        assert found.keys() == wanted.keys()
    else:
        assert found < wanted


@pytest.mark.parametrize("key", [KEY, KEY[:2]], ids=["each version", "the newest version"])
def test_upserts_by_key_window_and_version_end_up_as_if_nothing_had_been(
    key: list[str], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.name == "delta":
        with pytest.raises(TypeError, match="mode"):
            store.sink(mode="upsert", key=key)
        return
    results = stream().run().table().to_pylist()
    newest = {tuple(row[name] for name in key): tuple(row.values()) for row in results}
    assert (len(newest) < len(results)) == (key != KEY)
    sink = store.sink(delivery="at_least_once", mode="upsert", key=key)
    assert sink.guarantee == "idempotent"
    dies_and_goes_on(sink, tmp_path, monkeypatch)
    assert store.rows() == Counter(newest.values())
