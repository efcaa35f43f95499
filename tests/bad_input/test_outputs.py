"""Outputs that cannot be written or exist, a full disk: an error, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import eventtime as et
from command_line import FLIGHTS
from eventtime.cli.main import main
from refusals import FORMATS, Refused, counted, seconds, write
from tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

EACH = pytest.mark.parametrize("suffix", FORMATS)


def stream() -> et.Stream:
    return counted(et.from_arrow(seconds(), time="t"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@EACH
def test_a_folder_that_is_missing(suffix: str, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "gone" / f"out.{suffix}"
    with refused(et.SinkError, repr(str(path.parent)), str(path), f"mkdir -p {path.parent}"):
        stream().run(path)
    assert names(tmp_path) == []


@EACH
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_that_is_a_folder(
    suffix: str, *, overwrite: bool, tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / f"out.{suffix}"
    path.mkdir()
    with refused(et.SinkError, f"{str(path)!r} is a folder", str(path), "name a file in it"):
        stream().run(path, overwrite=overwrite)
    assert names(tmp_path) == [path.name]


def test_a_folder_that_is_a_file(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "out.csv"
    with refused(et.SinkError, "is not a folder", str(path), "write elsewhere"):
        stream().run(path)


def test_a_suffix_that_names_no_format(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "out.xls"
    with refused(et.SinkError, repr(str(path)), str(path), ".parquet"):
        stream().run(path)


@EACH
def test_an_output_that_exists_stays_unless_it_may_be_replaced(
    suffix: str, tmp_path: Path, refused: Refused
) -> None:
    path = tmp_path / f"out.{suffix}"
    path.write_text("precious")
    with refused(
        et.OutputExistsError, f"{str(path)!r} exists already", str(path), "overwrite=True"
    ):
        stream().run(path)
    assert path.read_text() == "precious"
    stream().run(path, overwrite=True)
    assert path.read_bytes() != b"precious"
    assert names(tmp_path) == [path.name]


def test_a_side_output_that_exists_keeps_the_results_from_being_written(
    tmp_path: Path, refused: Refused
) -> None:
    late = tmp_path / "late.csv"
    late.write_text("precious")
    with refused(et.OutputExistsError, repr(str(late)), str(late), "overwrite=True"):
        stream().run(tmp_path / "out.csv", sides={"late": late})
    assert names(tmp_path) == ["late.csv"]


@pytest.mark.parametrize("checkpoint", [None, "state"])
@pytest.mark.parametrize(
    ("sink", "again"),
    [
        (et.to_csv("out.csv"), "./out.csv"),
        (et.to_csv("out", parts=True), et.to_parquet("../here/out", partition_by="day")),
        (et.to_sqlite("out", table="x"), et.to_sqlite("./out", table="X")),
        (et.to_duckdb("out", table="x"), et.to_duckdb("./out", table="x", delivery="at_most_once")),
        (et.to_delta("out"), et.to_delta("./out")),
        (
            et.to_postgres("a", table="out"),
            et.to_postgres("a", table="out", mode="upsert", key="k"),
        ),
    ],
    ids=["file", "folder", "sqlite", "duckdb", "delta", "postgres"],
)
def test_one_place_for_two_outputs(
    sink: Any,
    again: Any,
    checkpoint: str | None,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with refused(et.SinkError, "'results' and 'late' both go to", "out", "table of its own"):
        stream().run(sink, sides={"late": again}, checkpoint=checkpoint)
    assert [name for name in names(tmp_path / "here") if "state" not in name] == []


def test_one_sqlite_file_for_two_outputs(tmp_path: Path, refused: Refused) -> None:
    """Without checkpoints each would wait for the other's transaction; with them both fit."""
    path = tmp_path / "out.db"
    sink, late = et.to_sqlite(path, table="hours"), et.to_sqlite(path, table="late")
    with refused(et.SinkError, "a transaction each", "SQLite table late", "give checkpoint="):
        stream().run(sink, sides={"late": late})
    assert names(tmp_path) == []
    run = stream().run(sink, sides={"late": late}, checkpoint=tmp_path / "state")
    assert run.is_finished


def test_a_side_output_that_there_is_not(tmp_path: Path, refused: Refused) -> None:
    with refused(et.PlanError, "'lat'", "sides=", "late, quarantine"):
        stream().run(sides={"lat": tmp_path / "late.csv"})


def test_the_command_line_replaces_only_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(seconds(), source)
    out.write_text("precious")
    call = ["replay", str(source), "--time", "t", "--window", "10s", "--agg", "count() as n",
            "--ascending", "--out", str(out)]  # fmt: skip
    assert main(call) == 4
    message = capsys.readouterr().err
    assert all(text in message for text in (repr(str(out)), f"at:  {out}", "--overwrite"))
    assert out.read_text() == "precious"
    assert main([*call, "--overwrite"]) == 0
    assert pq.read_table(out)["n"].to_pylist() == [3]


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from eventtime.cli.main import main
import eventtime as et
# Kernels may be written to numba's cache; the limit stands from here on.
et.read_parquet(sys.argv[1], time="departed").watermark(et.ascending()).key_by("carrier").window(
    et.tumbling("1h")).aggregate(n=et.count("flight")).run()
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
sys.exit(main(["replay", sys.argv[1], "--time", "departed", "--key", "carrier", "--window", "1h",
    "--ascending", "--agg", "count(flight) as n", "--out", sys.argv[2], "--quiet"]))
"""


@EACH
def test_a_disk_that_is_full(suffix: str, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: writes fail in the same way."""
    out = tmp_path / f"out.{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", FULL, FLIGHTS, str(out)],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert f"writing {str(out)!r} failed" in done.stderr
    assert f"at:  {out}" in done.stderr
    assert "fix: " in done.stderr
    assert names(tmp_path) == []


def test_results_of_no_rows_are_a_file_all_the_same(tmp_path: Path) -> None:
    counted(et.from_arrow(seconds(0), time="t")).run(tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 0
    assert table.schema.field("n").type == pa.int64()


def test_an_output_that_the_next_run_would_read(tmp_path: Path, refused: Refused) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(seconds(), folder / "a.parquet")
    for paths in (folder, folder / "*", folder / "*.parquet"):
        rows = counted(et.read_parquet(paths, time="t"))
        with refused(et.SinkError, "would read it", "Parquet file", "begins with '_'"):
            rows.run(folder / "out.parquet")
    rows = counted(et.read_parquet(folder, time="t"))
    with refused(et.SinkError, "would read it", "Parquet folder", "begins with '_'"):
        rows.run(et.to_parquet(folder / "out", partition_by="day"))
    with refused(et.SinkError, "would read it", "Parquet file", "begins with '_'"):
        rows.run(sides={"late": folder / "late.parquet"})
    assert [path.name for path in folder.iterdir()] == ["a.parquet"]
    for out in ("out.csv", "_out.parquet", "../out.parquet"):
        rows.run(folder / out)
    counted(et.read_parquet(folder / "a.parquet", time="t")).run(folder / "out.parquet")
