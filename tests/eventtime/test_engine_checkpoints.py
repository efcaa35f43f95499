"""Checkpoints of an engine: on demand and when due, incremental, fenced, with notes (S27, S28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime import state_tools
from eventtime.engine import Engine
from windowing import pipeline, rows

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.stream import Stream

DATA = rows([], k=pa.array([], pa.string()), x=pa.array([], pa.float64()))


def stream(size: str = "10s") -> Stream:
    assigner = et.tumbling(size)
    return pipeline(DATA, assigner, generator=et.bounded_disorder("1m"), keys=["k"], x=et.sum("x"))


def at(second: int, x: float = 1.0) -> pa.RecordBatch:
    return rows([second], k=["a"], x=[x])


def engine(folder: Path, names: tuple[str, ...] = ("a",), **arguments: Any) -> Engine:
    return Engine(stream(), names, **{"checkpoint": folder / "state", **arguments})


def test_an_engine_goes_on_with_what_was_open_and_what_was_not_taken(tmp_path: Path) -> None:
    first = engine(tmp_path)
    assert (first.resumed, first.notes) == (None, None)
    first.push("a", at(5, 0.1))
    first.push("a", at(75, 0.2))
    notes: dict[str, Any] = {"offset": [2]}
    assert first.checkpoint(notes) == 1
    notes["offset"].append(3)
    first.push("a", at(200))  # lost with the process
    second = engine(tmp_path, ("a", "b"))
    assert second.notes == {"offset": [2]}
    assert second.resumed is not None
    assert (second.resumed.number, second.resumed.rows) == (1, 2)
    assert second.results()["x"].to_pylist() == [0.1]
    second.push("a", at(80, 0.4))
    # One that is new begins where the others are, and holds nobody back by being heard never.
    second.push("b", at(150, 1.0))
    second.finish_all()
    assert second.results()["x"].to_pylist() == [0.2, 0.4, 1.0]
    second.ledger.assert_balanced()


def test_what_did_not_change_is_named_again(tmp_path: Path) -> None:
    made = engine(tmp_path)
    for second in range(0, 60, 10):
        made.push("a", at(second))
    made.checkpoint()
    made.push("a", at(55))
    made.checkpoint()
    newest, first = state_tools.list_states(tmp_path / "state")
    assert newest.new_size < first.size / 3
    assert newest.size > first.size / 2
    told = state_tools.describe_state(tmp_path / "state")
    assert (told.rows, len(told.slices)) == (7, 6)
    et.savepoint_of(tmp_path / "state", tmp_path / "now")
    again = Engine.restore(stream(), tmp_path / "now")
    again.finish_all()
    assert again.results()["x"].to_pylist() == [1.0] * 5 + [2.0]


def test_checkpoints_are_due_by_rows_by_time_and_on_demand(tmp_path: Path) -> None:
    clock, wanted = et.ManualClock(), [False]
    where = et.checkpoints(tmp_path / "state", every="10s", every_rows=3, when=lambda: wanted[0])
    made = engine(tmp_path, checkpoint=where, clock=clock)
    due = []
    for i in range(7):
        made.push("a", at(i))
        due.append(made.checkpoint_if_due(i))
    assert due == [False, False, True, False, False, True, False]
    made.checkpoint()  # by time none begins while another is under way
    clock.advance(10_000_000)
    assert made.checkpoint_if_due("by time")
    assert not made.checkpoint_if_due()
    wanted[0] = True
    assert made.checkpoint_if_due("asked")
    made.suspend()
    assert engine(tmp_path).notes == "asked"


def test_an_engine_that_was_forgotten_is_fenced_off(tmp_path: Path) -> None:
    old = engine(tmp_path)
    old.push("a", at(1))
    old.checkpoint("old")
    new = engine(tmp_path)
    with pytest.raises(et.FencedError):
        old.checkpoint("too late")
    new.checkpoint("new")
    always = et.checkpoints(tmp_path / "state", every=None, when=lambda: True)
    older, newest = engine(tmp_path, checkpoint=always), engine(tmp_path)
    assert older.checkpoint_if_due()
    with pytest.raises(et.FencedError):
        older.suspend()
    assert newest.notes == "new"


def test_one_that_cannot_be_written_is_told_and_the_engine_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = engine(tmp_path)
    made.push("a", at(1, 0.5))
    made.checkpoint(1)
    made.push("a", at(2, 0.25))
    with monkeypatch.context() as broken:
        full = OSError(28, "No space left on device")
        broken.setattr("eventtime.state.storage.SystemDisk.create", lambda *_: _raise(full))
        with pytest.raises(et.CheckpointError, match="No space left"):
            made.checkpoint(2)
    made.push("a", at(3, 0.125))
    made.checkpoint(3)
    again = engine(tmp_path)
    again.finish_all()
    assert (again.notes, again.results()["x"].to_pylist()) == (3, [0.875])


def _raise(error: Exception) -> None:
    raise error


# Refusals


def test_a_folder_of_another_pipeline_or_of_a_run_is_refused(tmp_path: Path) -> None:
    made = engine(tmp_path)
    made.checkpoint()
    with pytest.raises(et.CheckpointError, match="is of another pipeline") as refused:
        Engine(stream("20s"), ["a"], checkpoint=tmp_path / "state")
    assert refused.value.place == "Engine(checkpoint=…)"
    with pytest.raises(et.CheckpointError, match="is of an engine, not of a replay") as refused:
        stream().run(checkpoint=tmp_path / "state")
    assert "et.Engine(stream, [], checkpoint=…)" in refused.value.remedy
    data = rows([5], k=["a"], x=[1.0])
    pipeline(
        data, et.tumbling("10s"), generator=et.bounded_disorder("1m"), keys=["k"], x=et.sum("x")
    ).run(checkpoint=tmp_path / "run")
    with pytest.raises(et.CheckpointError, match="is of a replay, not of an engine") as refused:
        Engine(stream(), ["a"], checkpoint=tmp_path / "run")
    assert refused.value.remedy == "restore it with run(checkpoint=…) over bounded sources"


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    without = Engine(stream(), ["a"])
    for call in (without.checkpoint, without.checkpoint_if_due):
        with pytest.raises(et.PlanError, match="no folder for checkpoints"):
            call()
    made = engine(tmp_path)
    with pytest.raises(et.PlanError, match=r"JSON cannot hold \{'a': <object"):
        made.checkpoint({"a": object()})
    with pytest.raises(et.PlanError, match="JSON cannot hold nan"):
        made.checkpoint(float("nan"))
    with pytest.raises(et.PlanError, match=r"7 says of no folder(.|\n)*Engine\(checkpoint=…\)"):
        engine(tmp_path, checkpoint=7)
    made.suspend()
    with pytest.raises(et.PlanError, match="was suspended"):
        made.checkpoint()
