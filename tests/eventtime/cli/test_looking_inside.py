"""Checkpoints of live runs and of engines: shown, compared, verified, exported, taken back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import eventtime as et
from eventtime import state_tools
from eventtime.engine import Engine
from eventtime.sources.feed import Ended, Found, Left, Silent
from live.script import Alarm, Script, rows

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Call

EVENTS: list[Any] = [
    (0, "a", rows(1, 5)),
    (0, "b", rows(3)),
    (0, Silent(["c"])),
    (1, "a", rows(12)),
    (2, "a", rows(25)),
    (3, "b", rows(24)),
    (4, Found("d")),
    (5, Left("b")),
    (6, "a", rows(40, 41, 3)),
    (7, "d", rows(41)),
    (20, "a", rows(50)),
    (21, Ended("a")),
    (22, Ended("b")),
    (22, Ended("c")),
    (22, Ended("d")),
]


def stream(script: Script) -> et.Stream:
    marked = et.Stream.read(script).watermark(et.ascending(), idle_after="1s")
    windows = marked.window(et.tumbling("10s"), allowed_lateness="5s")
    return windows.aggregate(n=et.count(), x=et.sum("x"))


def run(**more: Any) -> et.Run:
    script = Script(EVENTS, ("a", "b", "c"))
    return stream(script).run(live=et.live(clock=script.clock, alarm=Alarm(script.clock)), **more)


@pytest.fixture
def suspended(tmp_path: Path) -> Path:
    """A folder of checkpoints of a live run: `c` is silent, `b` somebody else's."""
    script = Script(EVENTS, ("a", "b", "c"))
    stream(script).run(
        live=et.live(clock=script.clock, alarm=Alarm(script.clock)),
        checkpoint=et.checkpoints(tmp_path / "state", every="2s"),
        stop=lambda: script.clock.now_us() >= 8_000_000,
    )
    return tmp_path / "state"


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A folder of checkpoints of an engine."""
    made = Engine(stream(Script([], ())), ["a", "b"], checkpoint=tmp_path / "engine")
    made.push("a", rows(1, 5))
    made.checkpoint({"next": 1})
    made.push("a", rows(12))
    made.push("b", rows(31))
    made.checkpoint({"next": 2})
    made.suspend()
    return tmp_path / "engine"


def test_a_live_run_is_shown_as_one(suspended: Path, call: Call) -> None:
    state = state_tools.describe_state(suspended)
    assert (state.origin, state.rows, state.results, state.is_finished) == ("live", 10, 3, False)
    told = [(p.name, p.is_idle, p.is_finished, p.position) for p in state.partitions]
    assert told == [
        ("a", False, False, {"rows": 7}),
        ("b", True, False, {"rows": 2}),
        ("c", True, False, None),
        ("d", False, False, {"rows": 1}),
    ]
    shown = call("checkpoint", "show", suspended)
    assert shown.code == 0, shown.err
    assert "ago), of a live run, " in shown.out
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["c", "idle", "-infinity"] in lines
    assert ["d", "open", "1970-01-01", "00:00:41Z", "rows", "1"] in lines


def test_an_engine_is_shown_with_its_notes(engine: Path, call: Call) -> None:
    state = state_tools.describe_state(engine)
    assert (state.origin, state.rows, state.notes) == ("engine", 4, {"next": 2})
    shown = call("checkpoint", "show", engine)
    assert "ago), of an engine, " in shown.out
    assert 'more may be pushed\nnotes: {"next": 2}\n' in shown.out
    assert json.loads(call("checkpoint", "show", engine, "--json").out)["notes"] == {"next": 2}


@pytest.mark.parametrize("of", ["suspended", "engine"])
def test_all_checkpoints_are_listed_whole_and_compared(
    of: str, call: Call, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(of)
    listed = json.loads(call("checkpoint", "list", folder, "--json").out)["checkpoints"]
    numbers = [it["number"] for it in listed]
    assert len(numbers) >= 2
    assert all(it["damage"] is None for it in listed)
    assert call("checkpoint", "verify", folder).out.count("whole") == len(numbers)
    # Between which rows the one before was begun depends on how quickly that before it was written.
    differing = call("checkpoint", "diff", folder, folder, "--at", str(numbers[-1]))
    assert "a, position" in differing.out if of == "suspended" else "a, rows" in differing.out


def test_the_origins_of_two_states_differ(suspended: Path, engine: Path) -> None:
    found = {d.name: (d.left, d.right) for d in state_tools.compare_states(suspended, engine)}
    assert found["origin"] == ("live", "engine")
    assert found["b, is_idle"] == (True, False)


@pytest.mark.parametrize("checkpoint", [None, "again"])
def test_a_live_run_goes_on_from_a_savepoint_and_from_an_export(
    suspended: Path, tmp_path: Path, checkpoint: str | None
) -> None:
    """S9, S28: what comes out cannot be told from what one run gives."""
    whole = run()
    state_tools.savepoint_of(suspended, tmp_path / "point")
    state_tools.export_state(suspended, tmp_path / "tables")
    state_tools.import_state(tmp_path / "tables", tmp_path / "taken")
    assert state_tools.compare_states(suspended, tmp_path / "point") == []
    assert state_tools.compare_states(suspended, tmp_path / "taken") == []
    for file in ("point", "taken"):
        where = None if checkpoint is None else tmp_path / checkpoint / file
        if where is not None:
            where.mkdir(parents=True)
        again = run(start_from=tmp_path / file, checkpoint=where)
        assert again.table().equals(whole.table())
        assert again.side("late").equals(whole.side("late"))
        assert again.ledger == whole.ledger


def test_an_engine_goes_on_from_a_savepoint_and_from_an_export(
    engine: Path, tmp_path: Path
) -> None:
    state_tools.savepoint_of(engine, tmp_path / "point")
    state_tools.export_state(engine, tmp_path / "tables")
    state_tools.import_state(tmp_path / "tables", tmp_path / "taken")
    assert state_tools.compare_states(engine, tmp_path / "taken") == []
    for file in ("point", "taken"):
        made = Engine.restore(stream(Script([], ())), tmp_path / file)
        assert made.notes == {"next": 2}
        made.finish_all()
        assert made.results().column("n").to_pylist() == [2, 1, 1]


def test_a_run_does_not_take_what_is_not_its_own(suspended: Path, engine: Path) -> None:
    for folder in (suspended, engine):
        state_tools.savepoint_of(folder, folder.parent / f"{folder.name}.savepoint")
    point = suspended.parent / "state.savepoint"
    with pytest.raises(et.CheckpointError, match="is of a live run, not of an engine"):
        Engine.restore(stream(Script([], ())), point)
    with pytest.raises(et.CheckpointError, match="is of a live run, not of an engine"):
        Engine(stream(Script([], ())), ["a"], checkpoint=suspended)
    with pytest.raises(et.CheckpointError, match="is of an engine, not of a live run") as refused:
        run(start_from=engine.parent / "engine.savepoint")
    assert "et.Engine.restore(stream, path)" in refused.value.remedy
    with pytest.raises(et.CheckpointError, match="is of an engine, not of a live run"):
        run(checkpoint=engine)


class Deaf(et.ProcessFunction):
    """Is told, and does nothing."""

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        pass

    def on_broadcast(self, ctx: Any, name: str, row: dict[str, Any]) -> None:
        pass


def test_where_a_followed_broadcast_stream_is_shows(tmp_path: Path, call: Call) -> None:
    script = Script([(0, "a", rows(1)), (9, Ended("a"))], ("a",))
    limits = et.Stream.read(Script([(1, "r", rows(2, 3))], ("r",), script.clock))
    keyed = et.Stream.read(script).watermark(et.ascending()).key_by("x")
    output = pa.schema([("x", pa.int64())])
    keyed.process(Deaf(), output=output, broadcast={"limits": limits}).run(
        live=et.live(clock=script.clock, alarm=Alarm(script.clock)),
        checkpoint=tmp_path,
        stop=lambda: script.clock.now_us() >= 3_000_000,
    )
    assert state_tools.describe_state(tmp_path).told == {"limits": {"r": {"rows": 2}}}
    lines = [line.split() for line in call("checkpoint", "show", tmp_path).out.splitlines()]
    assert ["limits", "r", "rows", "2"] in lines
    (number, *_) = (it.number for it in state_tools.list_states(tmp_path))
    found = state_tools.compare_states(tmp_path, tmp_path, left_at=number - 1)
    assert ("broadcast", "limits, r, position") in {(d.what, d.name) for d in found}
