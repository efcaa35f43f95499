"""Savepoints as files (S27): readable, whole or not there, refused when damaged, anywhere."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import fs

import eventtime as et
from engine_runs import ipc_bytes
from eventtime.engine import Engine
from eventtime.savepoint import read_savepoint
from windowing import pipeline, rows

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.stream import Stream


def outputs(engine: Engine) -> list[bytes]:
    """All that can be taken of an engine that has ended."""
    engine.finish_all()
    assert engine.is_empty
    return [ipc_bytes(t) for t in (engine.results(), engine.side("late"))]


def saved(path: Path) -> Stream:
    """A pipeline with a savepoint of it that holds one open window."""
    stream = pipeline(rows([], k=pa.array([], pa.string())), keys=["k"])
    engine = Engine(stream, ["a"])
    engine.push("a", rows([0, 1], k=["x", None]))
    engine.savepoint(path)
    return stream


def test_plain_arrow_reads_the_accumulators(tmp_path: Path) -> None:
    """As in docs/state-format.md, without a line of ours."""
    saved(tmp_path / "state")
    data = (tmp_path / "state").read_bytes()
    (length,) = struct.unpack("<I", data[-16:-12])
    footer = json.loads(data[-16 - length : -16])
    tables = {
        block["kind"]: pa.ipc.open_stream(data[block["offset"] :][: block["length"]]).read_all()
        for block in footer["blocks"]
    }
    assert [block["kind"] for block in footer["blocks"]] == ["keys", "slice"]
    ids = {r["id"]: r["key_0"] for r in tables["keys"].to_pylist()}
    found = tables["slice"].to_pylist()
    assert [(None if r["is_null"] else ids[r["key"]], r["rows"]) for r in found] == [
        ("x", 1),
        (None, 1),
    ]
    assert footer["pipeline"]["window 1, aggregates"] == "n=count()"
    assert footer["partitions"][0]["name"] == "a"


def test_a_savepoint_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "state"
    stream = saved(path)
    before = path.read_bytes()
    engine = Engine.restore(stream, path)
    with pytest.raises(et.OutputExistsError, match="exists already"):
        engine.savepoint(path)
    assert path.read_bytes() == before
    engine.push("a", rows([2], k=["y"]))
    engine.savepoint(path, overwrite=True)
    assert path.read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    engine = Engine(pipeline(rows([])), ["a"])
    with pytest.raises(et.SinkError, match=r"folder .* does not exist"):
        engine.savepoint(tmp_path / "no" / "state")
    with pytest.raises(et.PlanError, match="7 is no path"):
        engine.savepoint(7)  # type: ignore[arg-type]
    with pytest.raises(et.PlanError, match="neither True nor False"):
        engine.savepoint(tmp_path / "state", overwrite="yes")  # type: ignore[arg-type]


def test_what_is_no_savepoint_is_refused_by_name(tmp_path: Path) -> None:
    stream = pipeline(rows([]))
    with pytest.raises(et.CheckpointError, match="cannot read the savepoint"):
        Engine.restore(stream, tmp_path / "none")
    with pytest.raises(et.CheckpointError, match="is a folder, and a savepoint is one") as refused:
        Engine.restore(stream, tmp_path)
    assert f"eventtime checkpoint savepoint {tmp_path} OUT" in refused.value.remedy
    (tmp_path / "text").write_text("id,name\n1,a\n")
    with pytest.raises(et.CheckpointError, match="not as a savepoint does"):
        Engine.restore(stream, tmp_path / "text")


def test_a_damaged_savepoint_is_never_restored(tmp_path: Path) -> None:
    path = tmp_path / "state"
    stream = saved(path)
    data = path.read_bytes()
    for i in range(0, len(data), 7):
        path.write_bytes(data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :])
        with pytest.raises(et.CheckpointError):
            Engine.restore(stream, path)
        path.write_bytes(data[:i])
        with pytest.raises(et.CheckpointError):
            Engine.restore(stream, path)


def test_any_file_system_of_arrow_holds_it(tmp_path: Path) -> None:
    stream = saved(tmp_path / "state")
    engine = Engine.restore(stream, f"file://{tmp_path}/state")
    # Not the local one as such, so that it takes the way of remote ones.
    below = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    engine.savepoint("other", filesystem=below)
    with pytest.raises(et.OutputExistsError):
        engine.savepoint("other", filesystem=below)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "state"]
    blocks, copied = (
        [block.data for block in read_savepoint(tmp_path / name, None).blocks]
        for name in ("state", "other")
    )
    assert copied == blocks
    again = Engine.restore(stream, "other", filesystem=below)
    assert outputs(again) == outputs(engine)
