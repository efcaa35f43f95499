"""State that is damaged, missing, of a newer format, or changed to what it cannot be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import eventtime as et
from eventtime import state_tools
from lives import steps_of
from saved_states import changed, stream, suspended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def small_chunks() -> Iterator[None]:
    with steps_of(64):
        yield


def flip(path: Path, at: int = -40) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    suspended(tmp_path / "state", stream())
    et.savepoint_of(tmp_path / "state", tmp_path / "now")
    newest = max((tmp_path / "state" / "packs").iterdir(), key=lambda p: p.stat().st_mtime_ns)
    flip(newest, 100)
    found = state_tools.verify_state(tmp_path / "state")
    assert [bool(v.damage) for v in found] == [True, False, False]
    assert "does not have its checksum" in found[0].damage[0].what
    flip(tmp_path / "now", 100)
    [file] = state_tools.verify_state(tmp_path / "now")
    assert len(file.damage) == 1
    for tool, out in ((state_tools.export_state, "out"), (et.savepoint_of, "file")):
        with pytest.raises(et.CheckpointError, match="does not have its checksum"):
            tool(tmp_path / "state", tmp_path / out)
        assert not (tmp_path / out).exists()


def test_a_damaged_manifest_is_listed_as_such(tmp_path: Path) -> None:
    suspended(tmp_path / "state", stream())
    newest = max((tmp_path / "state" / "manifests").iterdir(), key=lambda p: p.name)
    flip(newest)
    listed = state_tools.list_states(tmp_path / "state")
    assert [it.damage is None for it in listed] == [False, True, True]
    with pytest.raises(et.CheckpointError, match="cut short or changed"):
        state_tools.describe_state(tmp_path / "state")


@pytest.mark.parametrize(
    "tool",
    [state_tools.list_states, state_tools.describe_state, state_tools.verify_state],
)
def test_where_nothing_is_nothing_is_shown(tool: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(
        et.CheckpointError, match=r"holds no checkpoints\n.*\n  fix: name the folder"
    ):
        tool(tmp_path)
    with pytest.raises(et.CheckpointError, match="there is no folder or file"):
        tool(tmp_path / "nothing")


def test_a_number_that_is_not_there(tmp_path: Path) -> None:
    suspended(tmp_path / "state", stream())
    with pytest.raises(et.CheckpointError, match="holds no checkpoint 99; there are: 3, 4, 5"):
        state_tools.describe_state(tmp_path / "state", at=99)
    with pytest.raises(et.PlanError, match="'3' is not the number"):
        state_tools.describe_state(tmp_path / "state", at="3")  # type: ignore[arg-type]


def exported(tmp_path: Path) -> Path:
    suspended(tmp_path / "state", stream(size="10s"))
    state_tools.export_state(tmp_path / "state", tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop_columns(["x.sum"]), "no column 'x.sum'"),
        (lambda t: t.append_column("more", t["_at"]), "a column 'more' too many"),
        (lambda t: pa.concat_tables([t, t.slice(2, 1)]), "a key that is there already"),
        (lambda t: t.set_column(0, "_at", pc.add(t["_at"], 1)), "are not those of _at"),
        (lambda t: t.set_column(3, "s", pa.nulls(len(t), pa.bool_())), None),
        (
            lambda t: t.set_column(
                t.column_names.index("x.sum"), "x.sum", pa.nulls(len(t), pa.float64())
            ),
            "values of 'x.sum' are null",
        ),
        (
            lambda t: t.set_column(
                t.column_names.index("_rows"), "_rows", pa.array(["many"] * len(t))
            ),
            "other types than before",
        ),
    ],
)
def test_a_change_that_cannot_be_taken_back_is_refused(
    change: Callable[[pa.Table], pa.Table], told: str | None, tmp_path: Path
) -> None:
    file = exported(tmp_path) / "window-1-slice.parquet"
    changed(file, change)
    with pytest.raises(et.CheckpointError, match=told) as caught:
        state_tools.import_state(tmp_path / "out", tmp_path / "again")
    assert caught.value.place == str(file)
    assert not (tmp_path / "again").exists()


def test_an_export_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(et.CheckpointError, match="holds no export"):
        state_tools.import_state(tmp_path, tmp_path / "again")
    folder = exported(tmp_path)
    with pytest.raises(et.OutputExistsError, match="holds files already"):
        state_tools.export_state(tmp_path / "state", folder)
    (folder / "window-1-slice.parquet").unlink()
    with pytest.raises(et.CheckpointError, match="cannot read"):
        state_tools.import_state(folder, tmp_path / "again")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "eventtime_export": 2}))
    with pytest.raises(et.CheckpointError, match="is of format 2"):
        state_tools.import_state(folder, tmp_path / "again")
