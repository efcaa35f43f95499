"""`eventtime checkpoint`: what it shows, checked by content, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from threading import Event
from typing import TYPE_CHECKING
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import eventtime as et
from command_line import FLIGHTS, Call
from lives import steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPLAY = (
    "replay", FLIGHTS, "--time", "departed", "--key", "origin", "--window", "1h",
    "--agg", "count() as n", "--agg", "mean(dep_delay) as delay", "--max-disorder", "4h",
)  # fmt: skip
COMMANDS = ("list", "show", "verify", "diff", "savepoint", "export", "import")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints of a run that was suspended, and a savepoint."""
    folder = tmp_path_factory.mktemp("saved")
    marked = et.read_parquet(FLIGHTS, time="departed").watermark(et.bounded_disorder("4h"))
    hourly = marked.key_by("origin").window(et.tumbling("1h"), late=et.DROP)
    job = hourly.aggregate(n=et.count(), delay=et.mean("dep_delay"))
    left = iter([False] * 4 + [True])
    with steps_of(2_000), patch("eventtime.execution._BATCH_ROWS", 500):
        kept = et.checkpoints(folder / "state", every=None, every_rows=1)
        job.run(checkpoint=kept, stop=left.__next__)
    et.savepoint_of(folder / "state", folder / "file")
    return folder


def test_checkpoints_are_listed_the_newest_first(call: Call, saved: Path) -> None:
    done = call("checkpoint", "list", saved / "state")
    lines = done.out.splitlines()
    assert (done.code, len(lines)) == (0, 4)
    assert lines[0].split()[:2] == ["checkpoint", "begun"]
    assert [line.split()[0] for line in lines[1:]] == ["6", "5", "4"]
    assert "10,063  2013-01-" in lines[1]
    told = json.loads(call("checkpoint", "list", saved / "state", "--json").out)
    assert [it["rows"] for it in told["checkpoints"]] == [10_063, 8_046, 6_035]


@pytest.mark.parametrize("which", ["state", "file"])
def test_a_state_is_shown(call: Call, saved: Path, which: str) -> None:
    done = call("checkpoint", "show", saved / which)
    assert done.code == 0, done.err
    for part in (
        "checkpoint 6, begun", "10,063 rows done", "more is to be read", "bounded_disorder('4h')",
        " kB by eventtime", "EWR.parquet, row 3,500 of ", "Open slices of time",
        "2013-01-12 14:00Z", "slice", "results", "held until the end", "windowed",
    ):  # fmt: skip
        assert part in done.out, part
    told = json.loads(call("checkpoint", "show", saved / which, "--json").out)
    assert told["rows"] == 10_063
    assert 0 < told["partitions"][0]["share"] < 1
    assert (
        json.loads(call("checkpoint", "show", saved / "state", "--at", "4", "--json").out)["rows"]
        == 6_035
    )


def test_what_is_whole_is_verified(call: Call, saved: Path) -> None:
    done = call("checkpoint", "verify", saved / "state")
    assert (done.code, done.out.count("whole")) == (0, 3)
    assert "savepoint" in call("checkpoint", "verify", saved / "file").out


def test_damage_is_named_and_ends_with_6(call: Call, saved: Path, tmp_path: Path) -> None:
    data = bytearray((saved / "file").read_bytes())
    data[200] ^= 4
    (tmp_path / "file").write_bytes(bytes(data))
    done = call("checkpoint", "verify", tmp_path / "file")
    assert (done.code, "unusable: block 0" in done.out) == (6, True)
    assert "does not have its checksum\n  at:  " in done.err
    told = call("checkpoint", "verify", tmp_path / "file", "--json")
    assert (told.code, json.loads(told.out)["is_whole"]) == (6, False)


def test_of_an_older_checkpoint_that_is_whole_the_number_is_said(
    call: Call, saved: Path, tmp_path: Path
) -> None:
    shutil.copytree(saved / "state", tmp_path / "state")
    newest = max((tmp_path / "state" / "manifests").iterdir(), key=lambda path: path.name)
    newest.write_bytes(newest.read_bytes()[:500])
    assert "unusable: the manifest" in call("checkpoint", "list", tmp_path / "state").out
    done = call("checkpoint", "show", tmp_path / "state")
    assert done.code == 6
    assert "make a savepoint of an older one: --at 5 or --at 4" in done.err
    assert call("checkpoint", "show", tmp_path / "state", "--at", "5").code == 0


def test_a_newer_format_is_refused(call: Call, saved: Path, tmp_path: Path) -> None:
    with patch("eventtime.state.pack.MAJOR", 2):
        et.savepoint_of(saved / "state", tmp_path / "newer")
    done = call("checkpoint", "show", tmp_path / "newer")
    assert (done.code, "is of format 2; this version" in done.err) == (6, True)


def test_differences_are_shown(call: Call, saved: Path) -> None:
    state = saved / "state"
    assert call("checkpoint", "diff", state, state).out == "no difference\n"
    done = call("checkpoint", "diff", state, state, "--at", "5")
    assert "EWR.parquet, rows" in done.out
    assert "EWR.parquet, row " in done.out
    assert re.search(r"slice, window 1, from 2013-01-\S+Z, shard 0", done.out)
    assert "watermark_us" in done.out
    told = json.loads(call("checkpoint", "diff", state, state, "--at-b", "4", "--json").out)
    assert {it["what"] for it in told["differences"]} == {"progress", "partition", "part"}


def test_state_is_exported_changed_and_begun_with(call: Call, saved: Path, tmp_path: Path) -> None:
    tables, point, out = tmp_path / "tables", tmp_path / "changed", tmp_path / "out.parquet"
    done = call("checkpoint", "export", saved / "state", "--to", tables)
    assert (done.code, "window-1-slice.parquet" in done.out) == (0, True)
    file = tables / "window-1-slice.parquet"
    table = pq.read_table(file)
    at = table.column_names.index("dep_delay.sum")
    sums = pa.array([1e9] * table.num_rows)
    pq.write_table(table.set_column(at, "dep_delay.sum", sums), file)
    assert call("checkpoint", "import", tables, "--to", point).code == 0
    assert call("checkpoint", "import", tables, "--to", point).code == 4
    assert call("checkpoint", "import", tables, "--to", point, "--overwrite").code == 0
    done = call(*REPLAY, "--from", point, "--out", out)
    assert done.code == 0, done.err
    assert max(pq.read_table(out)["delay"].to_pylist()) > 1e6


def test_a_savepoint_is_made(call: Call, saved: Path, tmp_path: Path) -> None:
    made = call("checkpoint", "savepoint", saved / "state", tmp_path / "now", "--at", "5")
    assert (made.code, made.out) == (0, f"checkpoint 5 -> {tmp_path / 'now'}\n")
    again = call("checkpoint", "savepoint", saved / "state", tmp_path / "now")
    assert (again.code, "exists already" in again.err) == (4, True)
    assert call("checkpoint", "show", tmp_path / "now").out.startswith(
        "savepoint of checkpoint 5, begun"
    )


def test_rows_that_an_output_may_lack_are_told_with_a_savepoint(call: Call, tmp_path: Path) -> None:
    """Whether it does is not to be seen from the checkpoints: this run was suspended."""
    rows, is_over = pa.record_batch({"t": [0, 15, 30]}), Event()

    def unended(first: int) -> Iterator[pa.RecordBatch]:
        yield rows[first:]
        is_over.wait()

    known = {"schema": rows.schema, "time": "t", "time_unit": "s"}
    marked = et.from_batches(unended, **known).watermark(et.ascending())
    counts = marked.window(et.tumbling("10s")).aggregate(n=et.count())
    table, seen = et.to_sqlite(tmp_path / "out.db", table="t"), list[int]()
    counts.run(
        table,
        checkpoint=tmp_path / "state",
        progress=lambda report: seen.append(report.rows),
        stop=lambda: any(seen),
    )
    is_over.set()
    told = call("checkpoint", "savepoint", tmp_path / "state", tmp_path / "now").out
    assert f"its last epoch, 1, has 2 rows for SQLite table t in {tmp_path}/out.db. If " in told
    more = ("--overwrite", "--json")
    told = call("checkpoint", "savepoint", tmp_path / "state", tmp_path / "now", *more).out
    assert json.loads(told)["promised"][0]["rows"] == 2


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (("list", "{}/nothing"), 6, "there is no folder or file"),
        (("list", "{}/file"), 6, "is a file, not a folder of checkpoints"),
        (("list", "{}"), 6, "holds no checkpoints"),
        (("show", "{}"), 6, "holds no checkpoints"),
        (("show", "{}/state", "--at", "99"), 6, "there are: 4, 5, 6"),
        (("show", "{}/file", "--at", "1"), 6, "is a savepoint, of which there is one only"),
        (("verify", "{}/state", "--at", "99"), 6, "there are: 4, 5, 6"),
        (("diff", "{}/state", "{}/nothing"), 6, "there is no folder or file"),
        (("savepoint", "{}/file", "{}/out"), 6, "is a savepoint already"),
        (("savepoint", "{}/state", "{}/no/folder/out"), 4, "does not exist"),
        (("export", "{}/state", "--to", "{}/file"), 4, "is a file"),
        (("export", "{}/state", "--to", "{}/state"), 4, "holds files already"),
        (("export", "{}/state", "--to", "s3://bucket/x"), 4, "no folder on this machine"),
        (("import", "{}", "--to", "{}/out"), 6, "holds no export"),
        (("show", "nowhere://x"), 6, "cannot open the file system"),
    ],
)
def test_bad_input_is_refused(
    call: Call, saved: Path, command: tuple[str, ...], code: int, told: str
) -> None:
    done = call("checkpoint", *(part.format(saved) for part in command))
    assert (done.code, told in done.err) == (code, True), done.err
    assert "  at:  " in done.err
    assert "  fix: " in done.err


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(call: Call, command: str) -> None:
    assert "--traceback" in call("checkpoint", command, "--help").out
    assert f"eventtime checkpoint {command} " in call("checkpoint", "--help").out
