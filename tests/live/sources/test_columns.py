"""Columns that a source finds by itself are those of the first run, whatever comes later (S29)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest

import eventtime as et
from eventtime.compiled import compile_plan
from eventtime.recalled import columns_of, with_columns
from eventtime.state_tools.savepoints import savepoint_of
from live.sources.growing_files import append

if TYPE_CHECKING:
    from pathlib import Path

    from postgres_server import PostgresServer

SETTLED = {"t": 99, "x": 0}
"""Behind all others: every window but its own fires."""


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def follow(path: Path, **more: Any) -> et.Stream:
    how = {"on_malformed": "quarantine", "follow": True, **more}
    read = et.read_csv if path.suffix == ".csv" else et.read_json_lines
    return read(path, time="t", time_unit="s", **how)


def summed(read: et.Stream) -> et.Stream:
    """All columns of the source are read: late rows have them."""
    windows = read.watermark(et.ascending()).window(et.tumbling("10s"))
    return windows.aggregate(n=et.count(), x=et.sum("x"))


def run_until(rows: int, stream: et.Stream, *, drain: bool = False, **more: Any) -> et.Run:
    """Run until so many rows have come since the beginning, and suspend."""
    seen = [0]

    def watch(report: et.ProgressReport) -> None:
        seen[0] = report.rows

    return stream.run(progress=watch, stop=lambda: seen[0] >= rows, drain=drain, **more)


def sums(ran: et.Run) -> list[tuple[int, int]]:
    return [(row["n"], row["x"]) for row in ran.table().to_pylist()]


def test_a_new_field_is_no_column_of_a_run_that_goes_on(tmp_path: Path) -> None:
    """As while it lasts: the third row has one that the columns do not have."""
    path, state = tmp_path / "a.jsonl", tmp_path / "state"
    path.write_bytes(lines({"t": 1, "x": 1}))
    run_until(1, summed(follow(path)), checkpoint=state)
    append(path, lines({"t": 2, "x": 2, "host": "b"}, SETTLED, {"t": 3, "x": 5, "host": "c"}))
    ran = run_until(4, summed(follow(path)), checkpoint=state, drain=True)
    assert sums(ran) == [(2, 3), (1, 0)]
    assert ran.side("late").select(["t", "x"]).to_pylist() == [{"t": 3, "x": 5}]
    assert "host" not in ran.side("late").column_names


def test_the_header_of_a_file_that_came_while_the_run_was_down_may_have_more(
    tmp_path: Path,
) -> None:
    path, state = tmp_path / "a.csv", tmp_path / "state"
    path.write_bytes(b"t,x\n1,1\n")
    run_until(1, summed(follow(path)), checkpoint=state)
    path.rename(tmp_path / "a.csv.1")
    path.write_bytes(b"host,x,t\nb,2,2\nb,0,99\n")
    ran = run_until(3, summed(follow(path)), checkpoint=state, drain=True)
    assert sums(ran) == [(2, 3), (1, 0)]


@pytest.mark.parametrize("there", [b"", None])
def test_a_file_that_shows_no_column_by_now_is_gone_on_with(
    tmp_path: Path, there: bytes | None
) -> None:
    """It was rotated a moment ago, or is not there yet."""
    path, state = tmp_path / "a.jsonl", tmp_path / "state"
    path.write_bytes(lines({"t": 1, "x": 1}))
    run_until(1, summed(follow(path)), checkpoint=state)
    path.rename(tmp_path / "a.jsonl.1")
    if there is not None:
        path.write_bytes(there)
    ran = run_until(1, summed(follow(path)), checkpoint=state, drain=True)
    assert sums(ran) == [(1, 1)]


def test_a_field_of_another_type_does_not_parse_as_while_the_run_lasts(tmp_path: Path) -> None:
    """S12: seen from the first row on it would be a column of text."""
    path, state = tmp_path / "a.jsonl", tmp_path / "state"
    path.write_bytes(lines({"t": 1, "x": 1}))
    run_until(1, summed(follow(path)), checkpoint=state)
    path.rename(tmp_path / "a.jsonl.1")
    path.write_bytes(lines({"t": 2, "x": "two"}, SETTLED))
    ran = run_until(3, summed(follow(path)), checkpoint=state, drain=True)
    assert sums(ran) == [(1, 1), (1, 0)]
    assert ran.ledger.total.malformed == 1


def test_files_need_not_agree_any_more(tmp_path: Path) -> None:
    """One that came later has another field: a run that begins would refuse to choose."""
    logs, state = tmp_path / "logs", tmp_path / "state"
    logs.mkdir()
    (logs / "a.jsonl").write_bytes(lines({"t": 1, "x": 1}))
    run_until(1, summed(follow(logs)), checkpoint=state)
    (logs / "b.jsonl").write_bytes(lines({"t": 2, "x": 2, "host": "b"}))
    ran = run_until(2, summed(follow(logs)), checkpoint=state, drain=True)
    assert sums(ran) == [(2, 3)]
    with pytest.raises(et.SchemaError, match="'host'"):
        summed(follow(logs)).run()


def test_types_that_are_given_are_put_over_those_that_were_found(tmp_path: Path) -> None:
    """S29: that is another pipeline, and the error says by which column."""
    path, state = tmp_path / "a.jsonl", tmp_path / "state"
    path.write_bytes(lines({"t": 1, "x": 1, "y": 1}))
    run_until(1, summed(follow(path)), checkpoint=state)
    for more, says in (
        ({"host": pa.string()}, r"columns read: now with host: string"),
        ({"y": pa.string()}, r"now without y: int64; now with y: string"),
    ):
        with pytest.raises(et.CheckpointError, match=says):
            summed(follow(path, schema=more)).run(checkpoint=state)


def test_a_savepoint_has_them_too(tmp_path: Path) -> None:
    path, state, point = tmp_path / "a.jsonl", tmp_path / "state", tmp_path / "point"
    path.write_bytes(lines({"t": 1, "x": 1}))
    run_until(1, summed(follow(path)), checkpoint=state)
    savepoint_of(state, point)
    append(path, lines({"t": 2, "x": 2, "host": "b"}))
    more: dict[str, Any] = {"start_from": point, "drain": True}
    assert sums(run_until(2, summed(follow(path)), **more)) == [(2, 3)]
    again = tmp_path / "again"
    assert sums(run_until(2, summed(follow(path)), checkpoint=again, **more)) == [(2, 3)]


def test_a_journal_has_them_too(tmp_path: Path) -> None:
    path, journal = tmp_path / "a.jsonl", tmp_path / "run.journal"
    path.write_bytes(lines({"t": 1, "x": 1}))
    begun = [False]

    def stop() -> bool:
        if not begun[0]:
            append(path, lines({"t": 2, "x": 2, "host": "b"}))
            begun[0] = True
        return ran_rows[0] >= 2

    ran_rows = [0]

    def watch(report: et.ProgressReport) -> None:
        ran_rows[0] = report.rows

    ran = summed(follow(path)).run(progress=watch, stop=stop, drain=True, journal=journal)
    assert sums(ran) == sums(et.replay_journal(summed(follow(path)), journal)) == [(2, 3)]


def test_columns_in_paths_are_kept_with_their_types(tmp_path: Path) -> None:
    """They are numbers while every value is one, and there may be no file by now."""
    logs, state = tmp_path / "logs", tmp_path / "state"
    (logs / "day=7").mkdir(parents=True)
    (logs / "day=7" / "a.jsonl").write_bytes(lines({"t": 1, "x": 1}))
    ran = run_until(1, summed(follow(logs)), checkpoint=state)
    assert ran.side_schemas["late"].field("day").type == pa.int64()
    (logs / "day=7" / "a.jsonl").unlink()
    ran = run_until(1, summed(follow(logs)), checkpoint=state, drain=True)
    assert ran.side_schemas["late"].field("day").type == pa.int64()
    assert sums(ran) == [(1, 1)]


class Deaf(et.ProcessFunction):
    """Has nothing to say."""

    rules = et.broadcast_state(pa.int64(), pa.int64())

    def on_row(self, ctx: Any, row: Any) -> None:
        """Pass over it."""

    def on_broadcast(self, ctx: Any, name: str, row: Any) -> None:
        """Pass over it."""


def test_each_source_of_a_plan_has_its_own(tmp_path: Path) -> None:
    """Of a union, of a hybrid's live part, and of a broadcast stream."""
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jsonl").write_bytes(lines({"t": 1, "x": 1}))

    def stream() -> et.Stream:
        a, b, c = (follow(tmp_path / f"{name}.jsonl") for name in ("a", "b", "c"))
        stored = et.from_arrow(pa.table({"t": [0], "x": [0]}), time="t", time_unit="s")
        both = et.hybrid(stored, a).union(b).watermark(et.ascending())

        output = pa.schema({"x": pa.int64()})
        return both.key_by("x").process(Deaf(), output=output, broadcast={"rules": c})

    first = compile_plan(stream().node)
    for name in ("a", "b", "c"):
        append(tmp_path / f"{name}.jsonl", lines({"t": 2, "x": 2, name: 1}))
    kept = json.loads(json.dumps(columns_of(first)))
    again = compile_plan(with_columns(stream().node, kept))
    assert sorted(kept) == ["0", "1", "broadcast rules"]
    assert columns_of(again) == columns_of(first)


def test_behind_the_switch_columns_in_paths_need_nothing_stored(tmp_path: Path) -> None:
    """S28: what is stored may be gone by then; its order of columns stays that of the run."""
    path, live, state = tmp_path / "stored.arrow", tmp_path / "live" / "day=7", tmp_path / "state"
    live.mkdir(parents=True)
    (live / "a.jsonl").write_bytes(lines({"t": 11, "x": 1}))
    with pa.ipc.new_file(path, pa.schema({"day": "int64", "t": "int64", "x": "int64"})) as writer:
        writer.write(pa.record_batch({"day": [6], "t": [1], "x": [5]}))

    def stream() -> et.Stream:
        stored = et.read_ipc(path, time="t", time_unit="s")
        both = et.hybrid(stored, follow(live.parent, hive=True)).watermark(et.ascending())
        return both.window(et.tumbling("10s")).aggregate(x=et.sum("x"), day=et.max("day"))

    run_until(2, stream(), checkpoint=state)
    path.unlink()
    append(live / "a.jsonl", lines({"t": 12, "x": 2}, {"t": 1, "x": 9}))
    ran = run_until(4, stream(), checkpoint=state, drain=True)
    assert [(row["x"], row["day"]) for row in ran.table().to_pylist()] == [(5, 6), (3, 7)]
    assert ran.side("late").column_names[:3] == ["day", "t", "x"]


def test_a_column_added_to_a_table_is_none_of_a_run_that_goes_on(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """One of another type is an error that says so."""
    state = tmp_path / "state"
    where: dict[str, Any] = {"table": "changing", "by": "t", "time": "t", "time_unit": "s"}

    def stream() -> et.Stream:
        return summed(et.read_sql(postgres.dsn, every="10ms", **where))

    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE changing (t int8, x int8)")
        connection.execute("INSERT INTO changing VALUES (1, 1)")
        run_until(1, stream(), checkpoint=state)
        connection.execute("ALTER TABLE changing ADD COLUMN host text")
        connection.execute("INSERT INTO changing VALUES (2, 2, 'b')")
        run_until(2, stream(), checkpoint=state)
        connection.execute("ALTER TABLE changing ALTER COLUMN x TYPE text")
        says = "column 'x' is int64 in the checkpoint, but string in the database"
        with pytest.raises(et.SchemaError, match=says):
            stream().run(checkpoint=state)
        connection.execute("ALTER TABLE changing ALTER COLUMN x TYPE int8 USING x::int8")
        ran = run_until(2, stream(), checkpoint=state, drain=True)
    assert sums(ran) == [(2, 3)]
