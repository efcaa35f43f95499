"""`eventtime run` and `explain` find the stream that a Python file declares."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

import eventtime as et
from command_line import FLIGHTS

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Call

HOURLY = f"""
import eventtime as et
flights = et.read_parquet({FLIGHTS!r}, time="departed").watermark(et.bounded_disorder("4h"))
hourly = flights.key_by("origin").window(et.tumbling("1h")).aggregate(n=et.count())
"""
DAILY = HOURLY + 'daily = hourly.window(et.tumbling("1d")).aggregate(n=et.sum("n"))\n'


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "pipeline.py"


def test_the_only_stream_with_windows_is_run(call: Call, write: Path, tmp_path: Path) -> None:
    write.write_text(HOURLY + "again = hourly\n")
    out, late = tmp_path / "out.parquet", tmp_path / "late.csv"
    done = call("run", write, "--out", out, "--late", late, "--json")
    assert (done.code, json.loads(done.out)["ledger"]["total"]["late"]) == (0, 2_021)
    assert pq.read_table(out).num_rows == 1_743
    assert len(late.read_text().splitlines()) == 2_022


def test_of_several_one_is_named(call: Call, write: Path) -> None:
    write.write_text(DAILY)
    done = call("run", write)
    assert done.code == 2
    assert "2 streams with windows: hourly, daily" in done.err
    assert "--name daily" in done.err
    assert json.loads(call("run", write, "--name", "daily", "--json").out)["results"]["rows"] == 31
    assert "tumbling('1d')" in call("explain", write, "--name", "daily").out


def test_a_file_may_import_from_its_folder(call: Call, write: Path, tmp_path: Path) -> None:
    (tmp_path / "declared_beside.py").write_text(HOURLY)
    write.write_text("from declared_beside import hourly\n")
    assert "tumbling('1h')" in call("explain", write).out


@pytest.mark.parametrize(
    ("text", "options", "code", "told"),
    [
        ("x = 1\n", [], 2, "no stream with windows"),
        (HOURLY.replace(".aggregate(n=et.count())", ""), [], 2, "add .aggregate(…) to 'hourly'"),
        (HOURLY, ["--name", "x"], 2, "no variable 'x'"),
        (HOURLY, ["--name", "flights"], 2, "add .watermark(…).window(…)"),
        (HOURLY, ["--name", "et"], 2, "is a module"),
        ("x = 1\ny = 1 / 0\n", [], 5, "pipeline.py, line 2"),
        ("x = (\n", [], 5, "SyntaxError"),
        ("import sys\nsys.exit(3)\n", [], 5, "SystemExit"),
        ("import eventtime as et\net.tumbling('1x')\n", [], 2, "'1x' is not a duration"),
        (HOURLY.replace('1h")', '1h"), late=et.DROP'), ["--late", "x.csv"], 2, "late=DROP"),
    ],
)
def test_a_file_that_cannot_run_is_explained(
    call: Call, write: Path, text: str, options: list[str], code: int, told: str
) -> None:
    write.write_text(text)
    done = call("run", write, *options)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert "Traceback" not in done.err


def test_code_of_the_user_that_raises_while_running(call: Call, write: Path) -> None:
    write.write_text(
        "import eventtime as et\n"
        "class Broken:\n"
        "    def on_batch(self, times):\n"
        "        raise KeyError('lost')\n"
        f"s = et.read_parquet({FLIGHTS!r}, time='departed').watermark(et.custom(Broken))"
        ".window(et.tumbling('1h')).aggregate(n=et.count())\n"
    )
    done = call("run", write)
    assert done.code == 5
    assert "Broken.on_batch raised KeyError" in done.err


def test_no_such_file(call: Call, tmp_path: Path) -> None:
    done = call("run", tmp_path / "nope.py")
    assert (done.code, "nope.py" in done.err) == (3, True)


def test_a_name_goes_with_a_file(call: Call) -> None:
    done = call("explain", FLIGHTS, "--name", "x")
    assert (done.code, "--name 'x'" in done.err) == (2, True)


CHAIN = """
import pyarrow as pa
import eventtime as et
t = pa.array([0, 100_000, 1, 3_700, 200_000, 90_000], pa.timestamp("s"))
hourly = (et.from_arrow(pa.table({"t": t}), time="t").watermark(et.bounded_disorder("1h"))
    .window(et.tumbling("1h"), allowed_lateness="2d", mode="discarding"%s).aggregate(n=et.count()))
daily = hourly.window(et.tumbling("1d")%s).aggregate(n=et.sum("n"))
del hourly
"""


def test_late_rows_of_each_window_of_a_chain_are_kept(
    call: Call, write: Path, tmp_path: Path
) -> None:
    """A result corrected after its day has closed is late for the day (S20, S25)."""
    write.write_text(CHAIN % ("", ""))
    late = tmp_path / "late.csv.gz"
    done = call("run", write, "--late", late)
    beside = tmp_path / "late-late_2.csv.gz"
    assert done.code == 0, done.err
    assert "no row missed a window" in done.out
    assert f"of window 2 came too late for it -> {beside}" in done.out
    assert et.read_csv(late, time="t").schema.names[:1] == ["t"]
    rows = gzip.decompress(beside.read_bytes()).decode().splitlines()
    assert rows[0].startswith("row_window_start,")
    assert len(rows) > 1
    told = call("run", write, "--late", tmp_path / "again.jsonl", "--json")
    assert sorted(json.loads(told.out)["sides"]) == ["late", "late_2"]
    assert "of window 2 came too late for it: --late PATH keeps them" in call("run", write).out


def test_late_rows_of_the_window_that_keeps_them(call: Call, write: Path, tmp_path: Path) -> None:
    write.write_text(CHAIN % (", late=et.DROP", ', late="too/late"'))
    late = tmp_path / "late.jsonl"
    assert call("run", write, "--late", late).code == 0
    first = json.loads(late.read_text().splitlines()[0])
    assert "row_window_start" in first
    assert first["late_by"].startswith("P")
    write.write_text(CHAIN % ("", ', late="too/late"'))
    assert call("run", write, "--late", late, "--overwrite").code == 0
    assert (tmp_path / "late-too_late.jsonl").exists()


def test_a_file_says_where_its_rows_go(call: Call, write: Path, tmp_path: Path) -> None:
    """Sinks that no path names, such as tables, are declared beside the stream."""
    base, late, aside = tmp_path / "flights.db", tmp_path / "late.csv", tmp_path / "aside"
    write.write_text(
        f"{HOURLY}sink = et.to_sqlite({str(base)!r}, table='hourly')\n"
        f"aside = et.to_csv({str(aside)!r}, parts=True)\n"
        f"sides = {{'late': {str(late)!r}, 'quarantine': aside}}\n"
    )
    done = call("run", write, "--checkpoint", tmp_path / "state")
    assert (done.code, done.err) == (0, "")
    assert f"1,743 results -> SQLite table hourly in {base}" in done.out
    with contextlib.closing(sqlite3.connect(base)) as database:
        assert database.execute("SELECT count(*) FROM hourly").fetchone() == (1_743,)
    assert len(late.read_text().splitlines()) == 2_022
    assert list(aside.glob("*.csv"))


def test_options_go_before_what_the_file_says(call: Call, write: Path, tmp_path: Path) -> None:
    declared, out = tmp_path / "declared.csv", tmp_path / "out.csv"
    write.write_text(f"{HOURLY}sink = {str(declared)!r}\n")
    assert call("run", write, "--out", out).code == 0
    assert (out.exists(), declared.exists()) == (True, False)
    told = json.loads(call("run", write, "--json").out)["results"]
    assert (told["path"], declared.exists()) == (str(declared), True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("sink = 7", "7 is not a sink"),
        ("sides = ['late.csv']", "sides is a list"),
        ("sides = {'lat': 'late.csv'}", "'lat'"),
    ],
)
def test_what_is_no_sink_is_refused(call: Call, write: Path, line: str, told: str) -> None:
    write.write_text(f"{HOURLY}{line}\n")
    done = call("run", write)
    assert done.code in {2, 4}
    assert told in done.err
    assert "fix: " in done.err


def test_an_output_of_no_format_is_told_in_the_words_of_the_command_line(
    call: Call, write: Path, tmp_path: Path
) -> None:
    write.write_text(HOURLY)
    done = call("run", write, "--out", tmp_path / "out.txt")
    assert (done.code, "end the path in one of .parquet, " in done.err) == (4, True)
    assert "et." not in done.err
    assert "a FILE.py, sink = et.to_parquet('" in call("run", write, "--out", f"{tmp_path}/x/").err


def test_late_rows_that_the_file_drops_are_kept_by_changing_it(call: Call, write: Path) -> None:
    """What is advised is not refused: `--late` alone would be."""
    write.write_text(HOURLY.replace('1h")', '1h"), late=et.DROP'))
    told = call("run", write).out
    assert "results: window(…) without late=DROP, and --late PATH, keeps them" in told
    assert "allowed_lateness= or a larger bound" in told
    write.write_text(HOURLY)
    assert "results: --late PATH keeps them" in call("run", write).out
