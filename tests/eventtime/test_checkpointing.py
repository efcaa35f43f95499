"""Runs with checkpoints: killed, suspended, gone on with, their outputs are whole (S28)."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import eventtime as et
from engine_runs import CutSource
from eventtime.places import storage_at
from eventtime.state.checkpoints import CheckpointStore
from windowing import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class KilledError(BaseException):
    """What a process that is killed sees last."""


def batches(name: str) -> list[pa.RecordBatch]:
    """Rows in disorder, some late, some without a time."""
    seed = np.random.default_rng(ord(name))
    seconds: list[float | None] = (np.arange(300) - seed.integers(0, 40, 300)).tolist()
    for i in seed.integers(0, 300, 6):
        seconds[i] = None
    whole = rows(seconds, i=np.arange(300) + 1_000 * ord(name), x=seed.normal(size=300))
    return [whole.slice(at, 37) for at in range(0, 300, 37)]


def stream(names: str = "abc") -> et.Stream:
    source = CutSource({name: batches(name) for name in names})
    marked = et.Stream.read(source).watermark(et.bounded_disorder("20s"))
    return marked.window(et.tumbling("10s")).aggregate(
        n=et.count(), x=et.sum("x"), i=et.collect("i")
    )


@pytest.fixture(autouse=True)
def small_chunks() -> Iterator[None]:
    with patch("eventtime.replay.CHUNK_ROWS", 64):
        yield


def every_step(path: Path, **arguments: Any) -> et.Checkpoints:
    """Checkpoints after each chunk."""
    return et.checkpoints(path, every=None, every_rows=1, **arguments)


def dies_at(step: int) -> Callable[[et.ProgressReport], None]:
    """A progress function that kills the run in a step."""
    left = [step]

    def watch(report: et.ProgressReport) -> None:
        left[0] -= 1
        if not left[0]:
            raise KilledError

    return watch


def undisturbed() -> et.Run:
    return stream().run()


def goes_on(path: Path, **arguments: Any) -> tuple[et.Run, int]:
    """Run until it comes through, killed a few steps later each time."""
    lives = 0
    while True:
        lives += 1
        try:
            run = stream().run(
                checkpoint=every_step(path),
                progress=dies_at(lives % 5 + 2) if lives < 40 else None,
                **arguments,
            )
        except KilledError:
            continue
        return run, lives


def test_results_in_memory_are_those_of_a_run_never_killed(tmp_path: Path) -> None:
    run, lives = goes_on(tmp_path / "state")
    wanted = undisturbed()
    assert lives > 3
    assert run.table() == wanted.table()
    assert run.side("late") == wanted.side("late")
    assert run.side("quarantine") == wanted.side("quarantine")
    assert run.ledger == wanted.ledger
    assert run.is_finished


def test_a_file_is_published_once_and_to_the_byte(tmp_path: Path) -> None:
    stream().run(tmp_path / "wanted.parquet", sides={"late": tmp_path / "wanted.csv"})
    goes_on(
        tmp_path / "state",
        sink=tmp_path / "got.parquet",
        sides={"late": tmp_path / "got.csv"},
    )
    for suffix in ("parquet", "csv"):
        wanted, got = (tmp_path / f"{name}.{suffix}" for name in ("wanted", "got"))
        assert got.read_bytes() == wanted.read_bytes()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_folder_has_each_row_once(tmp_path: Path) -> None:
    goes_on(tmp_path / "state", sink=et.to_parquet(tmp_path / "parts", parts=True))
    files = sorted((tmp_path / "parts").glob("*.parquet"))
    assert len(files) > 3
    table = pa.concat_tables([pq.read_table(f, partitioning=None) for f in files])
    assert table.equals(undisturbed().table())


def test_a_database_has_each_row_once(tmp_path: Path) -> None:
    sink = et.to_sqlite(tmp_path / "db", table="windows")
    plain = stream()
    flat = plain.select("window_start", "n", "x")
    wanted = flat.run().table()
    for life in range(60):
        try:
            flat.run(
                sink,
                checkpoint=every_step(tmp_path / "state"),
                progress=dies_at(life % 4 + 2) if life < 40 else None,
            )
        except KilledError:
            continue
        break
    with sqlite3.connect(tmp_path / "db") as db:
        found = db.execute("select n, x from windows order by rowid").fetchall()
    assert found == list(zip(wanted["n"].to_pylist(), wanted["x"].to_pylist(), strict=True))


def test_a_finished_run_that_is_started_again_changes_nothing(tmp_path: Path) -> None:
    out, where = tmp_path / "out.parquet", every_step(tmp_path / "state")
    first = stream().run(out, checkpoint=where)
    before = out.read_bytes(), out.stat().st_mtime_ns
    second = stream().run(out, checkpoint=where)
    assert (out.read_bytes(), out.stat().st_mtime_ns) == before
    assert second.ledger == first.ledger
    out.unlink()
    stream().run(out, checkpoint=where)
    assert out.read_bytes() == before[0]


class TakenOver(NamedTuple):
    """A sink whose rows are all written out when another process claims the checkpoints."""

    sink: Any
    state: Path

    def open(self, schema: pa.Schema) -> Any:
        writer = self.sink.open(schema)
        prepare = writer.prepare

        def prepare_slowly() -> None:
            prepare()
            CheckpointStore.open(storage_at(self.state))

        writer.prepare = prepare_slowly
        return writer

    def describe(self) -> str:
        return "taken over"


def test_a_process_that_is_fenced_off_just_before_it_publishes_does_not(tmp_path: Path) -> None:
    out, state = tmp_path / "out.parquet", tmp_path / "state"
    with pytest.raises(et.FencedError, match="has taken over the checkpoints"):
        stream().run(TakenOver(et.to_parquet(out), state), checkpoint=every_step(state))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    stream().run(out, checkpoint=every_step(state))
    assert out.exists()


def test_runs_started_again_when_finished_leave_no_claims(tmp_path: Path) -> None:
    for _ in range(3):
        stream().run(tmp_path / "out.parquet", checkpoint=every_step(tmp_path / "state"))
        assert len(list((tmp_path / "state" / "claims").iterdir())) == 1


def test_a_finished_run_that_is_stopped_at_once_stays_finished(tmp_path: Path) -> None:
    out, where = tmp_path / "out.parquet", et.checkpoints(tmp_path / "state", every="1us")
    stream().run(out, checkpoint=where)
    for _ in range(2):
        assert stream().run(out, checkpoint=where, stop=lambda: True).is_finished
    with pytest.raises(KilledError):
        stream().run(out, checkpoint=where, progress=dies_at(2))
    stream().run(out, checkpoint=where)


def test_a_run_is_suspended_and_goes_on(tmp_path: Path) -> None:
    where, asked, parts = et.checkpoints(tmp_path / "state", every="1h"), [0], 0
    wanted = undisturbed()

    def stop() -> bool:
        asked[0] += 1
        return asked[0] % 3 == 0

    run = stream().run(checkpoint=where, stop=stop)
    while not run.is_finished:
        assert wanted.table().slice(0, run.table().num_rows) == run.table()
        run.ledger.assert_balanced()
        parts += 1
        run = stream().run(checkpoint=where, stop=stop)
    assert parts > 2
    assert run.table() == wanted.table()


def test_checkpoints_are_written_on_demand(tmp_path: Path) -> None:
    asked = [0]

    def when() -> bool:
        asked[0] += 1
        return asked[0] in {3, 5}

    where = et.checkpoints(tmp_path / "state", every=None, when=when, keep=9)
    assert where.describe() == f"checkpoints in {tmp_path / 'state'} on demand"
    run = stream().run(checkpoint=where)
    assert run.table() == undisturbed().table()
    # That of the job's name, the two, that of the end, and that its outputs are published.
    assert len(list((tmp_path / "state" / "manifests").iterdir())) == 5


def test_shards_change_from_life_to_life(tmp_path: Path) -> None:
    where, shards = every_step(tmp_path / "state"), 0
    while True:
        shards += 1
        try:
            watch = dies_at(4) if shards < 12 else None
            run = stream().run(checkpoint=where, shards=shards % 4 + 1, progress=watch)
        except KilledError:
            continue
        break
    assert run.table() == undisturbed().table()


# Refusals


def test_another_pipeline_is_refused_with_the_difference(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        stream().run(checkpoint=every_step(tmp_path), progress=dies_at(4))
    source = CutSource({name: batches(name) for name in "abc"})
    other = et.Stream.read(source).watermark(et.bounded_disorder("21s"))
    with pytest.raises(et.CheckpointError, match=r"watermark: bounded_disorder\('20s'\)"):
        other.window(et.tumbling("10s")).aggregate(
            n=et.count(), x=et.sum("x"), i=et.collect("i")
        ).run(checkpoint=tmp_path)


def test_a_partition_more_is_refused(tmp_path: Path) -> None:
    where = every_step(tmp_path)
    with pytest.raises(KilledError):
        stream("ab").run(checkpoint=where, progress=dies_at(4))
    with pytest.raises(et.CheckpointError, match="partition 'c' was not there"):
        stream("abc").run(checkpoint=where)
    with pytest.raises(et.SourceError, match="'b'"):
        stream("a").run(checkpoint=where)


def test_a_sink_taken_away_is_refused(tmp_path: Path) -> None:
    where = every_step(tmp_path / "state")
    sink = et.to_parquet(tmp_path / "parts", parts=True)
    with pytest.raises(KilledError):
        stream().run(sink, checkpoint=where, progress=dies_at(6))
    with pytest.raises(et.CheckpointError, match="went to Parquet folder"):
        stream().run(checkpoint=where)


def test_an_output_that_lost_its_epochs_is_refused(tmp_path: Path) -> None:
    where = every_step(tmp_path / "state")
    with pytest.raises(KilledError):
        stream().run(
            et.to_sqlite(tmp_path / "one", table="t"), checkpoint=where, progress=dies_at(8)
        )
    with pytest.raises(et.CheckpointError, match="has taken epoch 0 last"):
        stream().run(et.to_sqlite(tmp_path / "other", table="t"), checkpoint=where)


def test_an_output_ahead_of_the_checkpoint_is_refused(tmp_path: Path) -> None:
    sink = et.to_sqlite(tmp_path / "db", table="t")
    where = every_step(tmp_path / "state", keep=9)
    with pytest.raises(KilledError):
        stream().run(sink, checkpoint=where, progress=dies_at(8))
    with pytest.raises(et.CheckpointError, match="holds the older epoch"):
        stream().run(sink, checkpoint=et.checkpoints(tmp_path / "state", at=3))


def test_stopping_needs_checkpoints() -> None:
    with pytest.raises(et.PlanError, match="cannot be suspended"):
        stream().run(stop=lambda: True)


@pytest.mark.parametrize("wrong", [3, True, b"x", object()])
def test_what_is_no_folder_for_checkpoints_is_refused(wrong: object) -> None:
    with pytest.raises(et.PlanError, match="says of no folder"):
        stream().run(checkpoint=wrong)  # type: ignore[arg-type]


def test_a_checkpoint_is_due_by_rows_or_by_time() -> None:
    with pytest.raises(et.PlanError, match="none of every=, every_rows= and when="):
        et.checkpoints("x", every=None)


@pytest.mark.parametrize("kind", ["sqlite", "parts"])
def test_a_savepoint_goes_on_in_another_folder_with_the_same_output(
    tmp_path: Path, kind: str
) -> None:
    """The output knows the tokens of the first folder, and fences off no successor (S28)."""
    database, parts = tmp_path / "out.db", tmp_path / "out"
    sink: Any = et.to_parquet(parts, parts=True)
    if kind == "sqlite":
        sink = et.to_sqlite(database, table="out")
    for _ in range(3):
        steps = iter([False, True])
        stream().run(sink, checkpoint=every_step(tmp_path / "old"), stop=steps.__next__)
    et.savepoint_of(tmp_path / "old", tmp_path / "now")
    stream().run(sink, checkpoint=every_step(tmp_path / "new"), start_from=tmp_path / "now")
    if kind == "sqlite":
        with contextlib.closing(sqlite3.connect(database)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM out").fetchone()
    else:
        count = sum(pq.read_table(part).num_rows for part in parts.glob("part-*"))
    assert count == undisturbed().table().num_rows


def rows_of(path: Path) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as there:
        return there.execute("SELECT * FROM t ORDER BY rowid").fetchall()


@pytest.mark.parametrize("dies", [None, 1, 3])
def test_a_savepoint_is_gone_on_with_into_a_new_output(tmp_path: Path, dies: int | None) -> None:
    """S28: it has what comes from there on, the other one what came before; also after a crash."""
    whole = tmp_path / "whole"
    stream().run(et.to_sqlite(whole, table="t"))
    first, second = (et.to_sqlite(tmp_path / name, table="t") for name in ("first", "second"))
    with pytest.raises(KilledError):
        stream().run(first, checkpoint=every_step(tmp_path / "old"), progress=dies_at(8))
    point = tmp_path / "now"
    et.savepoint_of(tmp_path / "old", point)
    new = every_step(tmp_path / "new")
    if dies is not None:
        with pytest.raises(KilledError):
            stream().run(second, checkpoint=new, start_from=point, progress=dies_at(dies))
    stream().run(second, checkpoint=new, start_from=point)
    before, behind = rows_of(tmp_path / "first"), rows_of(tmp_path / "second")
    assert before
    assert behind
    assert before + behind == rows_of(whole)


def test_a_savepoint_whose_output_was_removed_is_refused(tmp_path: Path) -> None:
    sink = et.to_sqlite(tmp_path / "one", table="t")
    with pytest.raises(KilledError):
        stream().run(sink, checkpoint=every_step(tmp_path / "old"), progress=dies_at(8))
    et.savepoint_of(tmp_path / "old", tmp_path / "now")
    (tmp_path / "one").unlink()
    with pytest.raises(et.CheckpointError, match=r"another output, for what comes from there on"):
        stream().run(sink, checkpoint=tmp_path / "new", start_from=tmp_path / "now")
