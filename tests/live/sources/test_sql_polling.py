"""New rows of a database: ties, restarts, rows that do not fit, what the database refuses."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventtime as et
from eventtime.sources.base import MalformedRows, Poll

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.sources.sql_polling import SqlReader, SqlSource
    from postgres_server import PostgresServer

TYPES = pa.schema([("id", pa.int64()), ("t", pa.int64()), ("x", pa.string())])


def source(stream: et.Stream) -> SqlSource:
    read: Any = stream.node
    found: SqlSource = read.source
    return found


def reader(made: SqlSource, held: Any = None, clock: Any = None) -> SqlReader:
    from eventtime.sources.sql_polling import SqlReader

    return SqlReader(made, made.schema(), None, held, clock or et.ManualClock())


def sqlite(path: Path, **more: Any) -> SqlSource:
    how = {"table": "events", "by": "id", "schema": TYPES, **more}
    return source(et.read_sql(str(path), time="t", time_unit="s", **how))


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # the machine stays up
        connection.execute("CREATE TABLE IF NOT EXISTS events (id, t, x)")
        yield connection


def drained(one: SqlReader, most: int = 1_000) -> list[Any]:
    rows: list[Any] = []
    for _ in range(most):
        answer = one.read()
        if isinstance(answer, Poll):
            break
        if isinstance(answer, MalformedRows):
            rows += answer.rows.column("raw").to_pylist()
        else:
            rows += [tuple(row.values()) for row in answer.to_pylist()]
    return rows


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", "bad"])), min_size=1, max_size=30
)


@given(rows=ROWS, acts=st.lists(st.sampled_from(["add", "poll", "poll once", "restart"])))
def test_ties_are_neither_lost_nor_doubled_however_often_it_is_restarted(
    rows: list[tuple[int, str]], acts: list[str]
) -> None:
    """S28: equal rows too, and such as do not fit their columns."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "x.db"
    value = 0
    wanted: list[tuple[Any, ...]] = []
    for step, text in rows:
        value += step // 3  # many ties
        wanted.append((value, "soon" if text == "bad" else 7, text))
    left = list(wanted)
    with database(path) as connection:
        one, seen = reader(sqlite(path)), []
        for act in [*acts, "add all", "restart", "poll"]:
            if act.startswith("add"):
                for row in left if act == "add all" else left[:3]:
                    connection.execute("INSERT INTO events VALUES (?, ?, ?)", row)
                left = [] if act == "add all" else left[3:]
            elif act == "restart":
                held = json.loads(json.dumps(one.position))
                one.close()
                one = reader(sqlite(path), held)
            else:
                seen += drained(one, 1 if act == "poll once" else 1_000)
        one.close()
    folder.cleanup()
    expected = [repr((r[1], r[2], r[0])) if r[1] == "soon" else r for r in wanted]
    assert sorted(map(str, seen)) == sorted(map(str, expected))


def test_more_ties_than_a_poll_takes_come_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventtime.sources.sql_polling._MOST_ROWS", 10)
    with database(tmp_path / "x.db") as connection:
        rows = [(1, n, "") for n in range(95)] + [(2, 95, "")]
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
        one = reader(sqlite(tmp_path / "x.db"))
        assert sorted(drained(one)) == rows
        one.close()


def test_rows_without_the_column_are_left_out_and_times_as_text_are_read(tmp_path: Path) -> None:
    schema = {"id": pa.string(), "t": pa.timestamp("us")}
    with database(tmp_path / "x.db") as connection:
        for row in [("2024-01-01 00:00:01", None), (None, None), ("2024-01-01 00:00:02", None)]:
            connection.execute("INSERT INTO events VALUES (?1, ?1, ?2)", row)
        made = source(
            et.read_sql(str(tmp_path / "x.db"), table="events", by="id", time="t", schema=schema)
        )
        one = reader(made)
        assert [row[1].second for row in drained(one)] == [1, 2]
        connection.execute("INSERT INTO events VALUES (?1, ?1, '')", ["2024-01-01 00:00:03"])
        assert [row[1].second for row in drained(one)] == [3]
        one.close()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["2024-01-01 00:00:01", "2024-01-01 00:00:02", "2024-01-01 00:00:02"], pa.timestamp("us")),
        ([1_704_067_201, 1_704_067_202, 1_704_067_202], pa.timestamp("s")),
    ],
    ids=["texts", "integers"],
)
def test_sqlite_is_asked_by_times_as_they_stand_there(
    tmp_path: Path, values: list[Any], kind: pa.DataType
) -> None:
    """S28: poll after poll, ties among them, over a restart."""
    schema = {"id": kind, "t": pa.int64()}
    with database(tmp_path / "x.db") as connection:
        made = sqlite(tmp_path / "x.db", schema=schema)
        one, seen = reader(made), []
        for value in values:
            connection.execute("INSERT INTO events VALUES (?, 0, '')", [value])
            seen += drained(one)
            held = json.loads(json.dumps(one.position))
            one.close()
            one = reader(made, held)
        one.close()
    assert [row[0].second for row in seen] == [1, 2, 2]


@pytest.mark.parametrize("odd", ["soon", b"2", 1.5], ids=["text", "blob", "real"])
@pytest.mark.parametrize("before", ["nothing", "unread", "read"])
def test_values_that_stand_behind_all_others_for_ever_are_refused(
    tmp_path: Path, odd: Any, before: str
) -> None:
    """SQLite puts texts behind all numbers: what comes later would never be read."""
    with database(tmp_path / "x.db") as connection:
        one = reader(sqlite(tmp_path / "x.db"))
        if before != "nothing":
            connection.execute("INSERT INTO events VALUES (1, 1, '')")
        assert len(drained(one) if before == "read" else []) == (before == "read")
        connection.execute("INSERT INTO events VALUES (?, 2, '')", [odd])
        with pytest.raises(et.SourceError, match="rows that come later are not behind it"):
            drained(one)
        one.close()


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """S28: the same results as one run, ledger and all."""

    def windows() -> et.Stream:
        stream = et.Stream.read(sqlite(tmp_path / "x.db", every="10ms"))
        return stream.watermark(et.ascending()).window(et.tumbling("10s")).aggregate(n=et.count())

    seen = [0]

    def watch(report: et.ProgressReport) -> None:
        seen[0] = report.rows

    def run(connection: sqlite3.Connection, first: int, last: int, *, drain: bool) -> et.Run:
        rows = [(n // 5, n, "") for n in range(first, last)]
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
        state = tmp_path / "state"
        stop = lambda: seen[0] >= last  # noqa: E731
        return windows().run(checkpoint=state, progress=watch, stop=stop, drain=drain)

    with database(tmp_path / "x.db") as connection:
        run(connection, 0, 33, drain=False)
        ran = run(connection, 33, 60, drain=True)
    ran.assert_balanced()
    assert ran.table().column("n").to_pylist() == [10] * 6


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"schema": None}, "does not tell the types"),
        ({"by": "no"}, "no column 'no'"),
        ({"table": "none"}, "refuses the query"),
        ({"schema": {"id": pa.float64(), "t": pa.int64()}}, "cannot tell which rows are new"),
        ({"schema": {"t": pa.int64()}}, "no column 'id'"),
        ({"settle": "5s"}, "settle= needs times of PostgreSQL"),
        ({"query": "SELECT 1"}, "one of table= and query="),
        ({"by": ""}, "no column name"),
    ],
)
def test_what_cannot_be_polled_is_refused(tmp_path: Path, more: Any, says: str) -> None:
    with database(tmp_path / "x.db"), pytest.raises(et.EventTimeError, match=says):
        sqlite(tmp_path / "x.db", **more).schema()


@pytest.mark.parametrize("address", ["sqlite:///x.db", "mysql://me:s3cret@db.example/x"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    """It was taken for the path of a file, and shown with its password."""
    with pytest.raises(et.PlanError, match="are not read") as caught:
        et.read_sql(address, table="events", by="id", time="t")
    assert "the path of a file of SQLite" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(et.SourceError, match="there is no file"):
        sqlite(tmp_path / "x.db").schema()
    assert not (tmp_path / "x.db").exists()


def test_a_table_that_is_dropped_is_a_clear_error(tmp_path: Path) -> None:
    with database(tmp_path / "x.db") as connection:
        one = reader(sqlite(tmp_path / "x.db"))
        connection.execute("DROP TABLE events")
        with pytest.raises(et.SourceError, match="cannot be read any more: no such table"):
            one.read()
        one.close()


START = datetime(2024, 1, 1, tzinfo=UTC)


def test_postgres_tells_its_columns_and_waits_for_rows_to_settle(postgres: PostgresServer) -> None:
    """S28: by a time with ties, over a restart; rows of now are left alone."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(
            'CREATE TABLE "new Events" (at timestamptz, x text, v float8, n numeric(10,2))'
        )

        def add(second: int, x: str) -> None:
            row = [START + timedelta(seconds=second), x]
            connection.execute('INSERT INTO "new Events" VALUES (%s, %s, 0.5, 1)', row)

        made = source(
            et.read_sql(
                postgres.dsn,
                query='SELECT at, x, v, n::float8 AS n FROM "new Events"',
                by="at",
                time="at",
                settle="10s",
            )
        )
        assert made.schema().field("at").type == pa.timestamp("us", "UTC")
        assert made.schema().names == ["at", "x", "v", "n"]
        clock = et.ManualClock(int(START.timestamp()) * 1_000_000)
        one = reader(made, clock=clock)
        for second, x in ((0, "a"), (1, "b"), (1, "c"), (5, "d")):
            add(second, x)
        assert drained(one) == []
        clock.advance(12_000_000)
        assert sorted(row[0:2][1] for row in drained(one)) == ["a", "b", "c"]
        add(1, "late tie")
        held = json.loads(json.dumps(one.position))
        one.close()
        one = reader(made, held, clock)
        assert [row[1] for row in drained(one)] == ["late tie"]
        clock.advance(10_000_000)
        assert [row[1] for row in drained(one)] == ["d"]
        one.close()


def test_postgres_times_beyond_those_of_python_are_passed_by_too(postgres: PostgresServer) -> None:
    """S28: the year 11000, tied and over a restart; Python's times end with 9999."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE far (at timestamp, day date, n int)")
        made = source(et.read_sql(postgres.dsn, table="far", by="at", time="at"))
        one, seen = reader(made), []
        for n, year in enumerate((2024, 11000, 11000, 12000)):
            at = f"{year}-01-01"
            connection.execute("INSERT INTO far VALUES (%s, %s, %s)", (at, at, n))
            while not isinstance(rows := one.read(), Poll):
                assert not isinstance(rows, MalformedRows)
                seen += rows.column("n").to_pylist()
            held = json.loads(json.dumps(one.position))
            one.close()
            one = reader(made, held)
        one.close()
    assert seen == [0, 1, 2, 3]


def test_postgres_by_a_sequence_in_a_run(postgres: PostgresServer, tmp_path: Path) -> None:
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE counted (id serial, t int8)")
        connection.execute("INSERT INTO counted (t) SELECT n FROM generate_series(0, 999) AS n")
    stream = et.read_sql(
        postgres.dsn, table="public.counted", by="id", time="t", time_unit="s", every="10ms"
    )
    seen = [0]

    def watch(report: et.ProgressReport) -> None:
        seen[0] = report.rows

    windows = stream.watermark(et.ascending()).window(et.tumbling("100s")).aggregate(n=et.count())
    ran = windows.run(progress=watch, stop=lambda: seen[0] >= 1_000, drain=True)
    ran.assert_balanced()
    assert ran.table().column("n").to_pylist() == [100] * 10


def test_a_postgres_that_does_not_answer_is_a_clear_error_without_the_password() -> None:
    dsn = "postgresql://me:secret@127.0.0.1:1/none"
    made = source(et.read_sql(dsn, table="x", by="id", time="t"))
    with pytest.raises(et.SourceError, match="cannot be reached") as raised:
        made.schema()
    assert "secret" not in str(raised.value) + made.describe() + repr(made)


def test_an_infinite_time_in_postgres_is_named_with_what_to_do(postgres: PostgresServer) -> None:
    """No row is behind it; one at minus infinity is passed by as any other."""
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE ends (at timestamptz, x int)")
        connection.execute("INSERT INTO ends VALUES ('2026-01-01', 1), ('infinity', 2)")
        connection.execute("INSERT INTO ends VALUES ('-infinity', 3)")
    one = reader(source(et.read_sql(postgres.dsn, table="ends", by="at", time="at")))
    with contextlib.closing(one), pytest.raises(et.SourceError) as told:
        one.read()
    assert "column 'at' holds infinity" in str(told.value)
    assert "WHERE \"at\" < 'infinity'" in str(told.value)
    query = "SELECT * FROM ends WHERE \"at\" < 'infinity'"
    made = source(et.read_sql(postgres.dsn, query=query, by="at", time="at"))
    with contextlib.closing(reader(made)) as one:
        rows: Any = one.read()
        assert rows.column("x").to_pylist() == [3, 1]
        assert one.read() is Poll.PAUSE
