"""What all tables have in common: all or nothing, upserts, names, differences, delivery."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

import eventtime as et
from eventtime.errors import FencedError, PlanError, SinkError
from eventtime.sinks.delta import to_delta
from eventtime.sinks.duckdb import to_duckdb
from eventtime.sinks.postgres import to_postgres
from eventtime.sinks.sqlite import to_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = pa.schema([("origin", pa.string()), ("version", pa.int32()), ("mean", pa.float64())])
ROWS = pa.record_batch([["a", "b"], [1, 1], [0.5, None]], schema=SCHEMA)


class Store:
    """One of the databases in a file."""

    def __init__(self, name: str, folder: Path) -> None:
        self.path = folder / f"x.{name}"
        to: dict[str, Any] = {"sqlite": to_sqlite, "duckdb": to_duckdb}
        connect: dict[str, Any] = {"sqlite": sqlite3.connect, "duckdb": duckdb.connect}
        self.to, self.connect = to[name], connect[name]

    def sink(self, **options: object) -> Any:
        return self.to(self.path, **{"table": "rows", **options})

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        connection = self.connect(self.path)
        found: list[tuple[Any, ...]] = connection.execute(statement).fetchall()
        connection.close()
        return found


@pytest.fixture(params=["sqlite", "duckdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(request.param, tmp_path)


def batch(*rows: tuple[str | None, int, float | None]) -> pa.RecordBatch:
    return pa.record_batch([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


def test_a_pipeline_writes_to_a_table(store: Store) -> None:
    rows = pa.table({"time": pa.array([0, 1, 3_600], pa.timestamp("s", "UTC")), "k": ["a"] * 3})
    stream = et.from_arrow(rows, time="time").watermark(et.ascending()).key_by("k")
    stream.window(et.tumbling("1h")).aggregate(n=et.count()).run(sink=store.sink())
    assert store.run("SELECT k, n FROM rows ORDER BY window_start") == [("a", 2), ("a", 1)]


def test_a_run_is_all_or_nothing(store: Store) -> None:
    writer = store.sink().open(SCHEMA)
    writer.write(ROWS)
    writer.abort()
    writer.abort()
    with pytest.raises((sqlite3.Error, duckdb.Error), match="rows"):
        store.run("SELECT * FROM rows")
    writer = store.sink().open(SCHEMA)
    writer.write(ROWS)
    writer.commit()
    writer.abort()
    assert store.run("SELECT * FROM rows") == [("a", 1, 0.5), ("b", 1, None)]


def test_rows_of_many_batches_come_in_their_order(store: Store) -> None:
    n = 300_000
    numbers = pa.record_batch([pa.array(range(n))], names=["n"])
    writer = store.sink().open(numbers.schema)
    for start in range(0, n, 70_000):
        writer.write(numbers.slice(start, 70_000))
    writer.commit()
    assert [n for (n,) in store.run("SELECT n FROM rows")] == list(range(n))


def test_an_upsert_keeps_the_last_row_of_each_key(store: Store) -> None:
    sink = store.sink(mode="upsert", key=["origin", "version"])
    writer = sink.open_epochs(SCHEMA, "job")
    writer.recover(1)
    writer.commit(1, [ROWS], 1)
    writer.commit(2, [batch(("a", 1, 3.5), ("c", 1, 4.5)), batch(("a", 1, 5.5))], 1)
    with pytest.raises(SinkError, match="a row without 'origin'"):
        writer.commit(3, [batch((None, 1, 0.5))], 1)
    writer.close()
    found = store.run("SELECT * FROM rows ORDER BY origin")
    assert found == [("a", 1, 5.5), ("b", 1, None), ("c", 1, 4.5)]


def test_an_upsert_may_change_a_row_twice_in_one_epoch(store: Store) -> None:
    """Of more rows than are loaded at once."""
    n = 140_000
    schema = pa.schema([("k", pa.int64()), ("v", pa.int64())])
    rows = pa.record_batch([[i % 1_000 for i in range(n)], list(range(n))], schema=schema)
    writer = store.sink(mode="upsert", key="k").open_epochs(schema, "job")
    writer.recover(1)
    writer.commit(1, [rows], 1)
    writer.close()
    assert store.run("SELECT count(*), min(v), max(v) FROM rows") == [(1_000, n - 1_000, n - 1)]


def test_a_key_alone_is_inserted_once(store: Store) -> None:
    schema = pa.schema([("k", pa.int64())])
    writer = store.sink(mode="upsert", key="k").open(schema)
    writer.write(pa.record_batch([[1, 2, 1]], schema=schema))
    writer.commit()
    assert store.run("SELECT k FROM rows ORDER BY k") == [(1,), (2,)]


def test_a_key_that_is_no_column_is_refused(store: Store) -> None:
    with pytest.raises(SinkError, match="no column 'carrier' to be part of the key"):
        store.sink(mode="upsert", key="carrier").open(SCHEMA)


def test_an_upsert_needs_a_unique_key_there(store: Store) -> None:
    store.sink().open(SCHEMA).commit()
    with pytest.raises(SinkError, match=r"(?i)on conflict clause|conflict target"):
        store.sink(mode="upsert", key="origin").open(SCHEMA)


def test_a_table_with_other_columns_is_refused_with_the_difference(store: Store) -> None:
    store.run("CREATE TABLE rows (origin BLOB, mean REAL, more INTEGER)")
    with pytest.raises(SinkError) as caught:
        store.sink().open_epochs(SCHEMA, "job")
    assert "'version' is missing there; 'more' is only there" in str(caught.value)
    assert "'origin' is BLOB there and" in str(caught.value)


@pytest.mark.parametrize("name", ['"; DROP TABLE rows; --', "select", "é ?", "a.b", "'", "$1"])
def test_names_are_quoted(name: str, store: Store) -> None:
    schema = pa.schema([(name, pa.int64()), ("v", pa.int64())])
    writer = store.sink(table=name, mode="upsert", key=name).open_epochs(schema, name)
    writer.recover(1)
    writer.commit(1, [pa.record_batch([[1], [2]], schema=schema)], 1)
    writer.close()
    quoted = '"' + name.replace('"', '""') + '"'
    assert store.run(f"SELECT {quoted}, v FROM {quoted}") == [(1, 2)]


def test_names_that_differ_in_case_only_are_refused(store: Store) -> None:
    with pytest.raises(SinkError, match=r"(?i)duplicate|already exists"):
        store.sink().open(pa.schema([("a", pa.int64()), ("A", pa.int64())]))


def test_at_least_once_writes_what_it_is_given(store: Store) -> None:
    sink = store.sink(delivery="at_least_once")
    old = sink.open_epochs(SCHEMA, "job")
    assert old.recover(1) == 0
    old.commit(1, [ROWS], 1)
    old.commit(1, [ROWS], 1)
    new = sink.open_epochs(SCHEMA, "job")
    assert new.recover(2) == 0
    with pytest.raises(FencedError):
        old.commit(2, [ROWS], 1)
    old.close()
    new.close()
    assert store.run("SELECT count(*) FROM rows") == [(4,)]


def test_at_least_once_with_a_key_writes_over_it(store: Store) -> None:
    sink = store.sink(delivery="at_least_once", mode="upsert", key=["origin"])
    assert sink.guarantee == "idempotent"
    writer = sink.open_epochs(SCHEMA, "job")
    writer.recover(1)
    writer.commit(1, [ROWS], 1)
    writer.commit(1, [ROWS], 1)
    writer.close()
    assert store.run("SELECT count(*) FROM rows") == [(2,)]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    for to in (to_sqlite, to_duckdb):
        with pytest.raises(SinkError, match=r"(?s)nowhere.*does not exist.*mkdir"):
            to(tmp_path / "nowhere" / "x", table="rows").open(SCHEMA)


def test_a_file_that_is_no_database_is_refused(store: Store) -> None:
    store.path.write_bytes(b"of another kind" * 1_000)
    with pytest.raises(SinkError, match=r"(?i)not a (valid )?\w*\s?database"):
        store.sink().open(SCHEMA)


def test_a_number_above_those_of_sqlite_is_refused(tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.uint64())])
    writer = to_sqlite(tmp_path / "x.db", table="rows").open_epochs(schema, "job")
    writer.recover(1)
    with pytest.raises(SinkError, match=r"'n' is above 2\*\*63 - 1"):
        writer.commit(1, [pa.record_batch([pa.array([2**63], pa.uint64())], schema=schema)], 1)
    writer.close()


@pytest.mark.parametrize(
    ("sink", "module", "extra"),
    [
        (to_duckdb("x.duckdb", table="x"), "duckdb", "duckdb"),
        (to_delta("x"), "deltalake", "delta"),
        (to_postgres("postgresql://x", table="x"), "adbc_driver_postgresql", "postgres"),
    ],
)
def test_a_driver_that_is_missing_is_named_with_its_extra(
    sink: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SinkError, match=rf"(?s){module}.*pip install 'eventtime\[{extra}\]'"):
        sink.open(SCHEMA)


def test_a_job_is_a_text(store: Store) -> None:
    for job in ("", "zero\0byte", 7):
        with pytest.raises(PlanError, match="job"):
            store.sink().open_epochs(SCHEMA, job)


def test_delta_takes_a_run_in_one_commit(tmp_path: Path) -> None:
    sink = to_delta(tmp_path / "lake")
    for end in ("abort", "commit"):
        writer = sink.open(SCHEMA)
        writer.write(ROWS)
        writer.write(ROWS)
        getattr(writer, end)()
    sink.open(SCHEMA).commit()
    table = DeltaTable(tmp_path / "lake")
    assert table.version() == 1
    assert pa.table(table.to_pyarrow_table()).num_rows == 4


def test_delta_refuses_the_slower_of_two_that_commit_at_once(tmp_path: Path) -> None:
    sink = to_delta(tmp_path / "lake")
    one, two = sink.open_epochs(SCHEMA, "job"), sink.open_epochs(SCHEMA, "job")
    one.recover(1)

    def rows(what: Callable[[], object]) -> Any:
        what()
        yield ROWS

    # The other is faster, after this one has looked at the marker.
    with pytest.raises(SinkError, match="another process wrote epochs of this job"):
        one.commit(1, rows(lambda: two.commit(1, [ROWS], 1)), 1)
    one.commit(1, [ROWS], 1)
    with pytest.raises(FencedError):
        one.commit(2, rows(lambda: two.recover(2)), 1)
    assert pa.table(DeltaTable(tmp_path / "lake").to_pyarrow_table()).num_rows == 2


def test_delta_refuses_another_table_with_the_difference(tmp_path: Path) -> None:
    to_delta(tmp_path / "lake").open(SCHEMA).abort()
    other = pa.schema([("origin", pa.binary()), ("more", pa.int64())])
    with pytest.raises(SinkError, match="'more' is missing there; 'version' is only there"):
        to_delta(tmp_path / "lake").open_epochs(other, "job")


def test_delta_at_least_once_writes_what_it_is_given(tmp_path: Path) -> None:
    writer = to_delta(tmp_path / "lake", delivery="at_least_once").open_epochs(SCHEMA, "job")
    assert writer.recover(1) == 0
    writer.commit(1, [ROWS], 1)
    writer.commit(1, [ROWS], 1)
    assert writer.recover(2) == 0
    assert pa.table(DeltaTable(tmp_path / "lake").to_pyarrow_table()).num_rows == 4


def test_the_secrets_of_a_lake_are_not_shown() -> None:
    sink = to_delta("s3://bucket/x", storage_options={"aws_secret_access_key": "secret"})
    assert "secret" not in repr(sink) + sink.describe()
