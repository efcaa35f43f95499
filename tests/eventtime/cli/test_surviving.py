"""Runs with checkpoints from the command line: gone on with, suspended, stopped, drained."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

import eventtime as et
from command_line import FLIGHTS
from eventtime.cli.progress import describe
from eventtime.cli.session import Session
from eventtime.cli.termination import Suspension
from eventtime.report import ProgressReport, Resumed, WrittenCheckpoint
from tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Call

REPLAY = (
    "replay", FLIGHTS, "--time", "departed", "--key", "origin", "--window", "1h",
    "--agg", "count() as n", "--agg", "mean(dep_delay) as delay", "--max-disorder", "4h",
)  # fmt: skip
# The process sends the signal to itself when it hands over the n-th chunk, so no clock has to be
# guessed.
PROGRAM = """
import os, signal, sys
from unittest.mock import patch
from eventtime.stages import Stages
name, nth, times, *command = sys.argv[1:]
real, calls = Stages.submit, 0
def submit(self, chunk):
    global calls
    calls += 1
    if calls == int(nth):
        for _ in range(int(times)):
            os.kill(os.getpid(), signal.Signals[name])
    return real(self, chunk)
from eventtime.cli.main import main
chunks, batches = (patch(f"eventtime.{name}", n) for name, n in
    (("replay.CHUNK_ROWS", 2_000), ("execution._BATCH_ROWS", 500)))
with chunks, batches, patch.object(Stages, "submit", submit):
    sys.exit(main(command))
"""


def signalled(
    name: str, nth: int, *command: str | Path, times: int = 1
) -> subprocess.CompletedProcess[str]:
    told = [name, str(nth), str(times), *map(str, command)]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *told],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
    )  # fmt: skip


def to(folder: Path) -> tuple[str | Path, ...]:
    return (
        "--out", folder / "out.parquet", "--late", folder / "late.csv",
        "--quarantine", folder / "aside.csv",
    )  # fmt: skip


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = signalled("SIGTERM", 0, *REPLAY, *to(folder))
    assert done.returncode == 0, done.stderr
    return outputs(folder)


@pytest.mark.parametrize(("name", "code", "times"), [("SIGINT", 130, 1), ("SIGTERM", 143, 2)])
def test_a_signal_suspends_and_the_same_command_goes_on(
    name: str, code: int, times: int, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """S9, S28; `timeout` sends SIGTERM twice, to the process and to its group: one wish."""
    command = (*REPLAY, *to(tmp_path), "--checkpoint", tmp_path / "state")
    first = signalled(name, 4, *command, times=times)
    assert first.returncode == code, first.stderr
    assert "Traceback" not in first.stderr
    assert re.search(r"suspended at checkpoint \d+\n", first.stderr)
    assert "out.parquet appears at the end of all input" in first.stdout
    assert " -> " not in first.stdout  # no file is said to be there that is not
    assert "the same command goes on from there" in first.stderr
    assert outputs(tmp_path) == {}
    second = signalled(name, 4, *command, times=times)
    assert (second.returncode, outputs(tmp_path)) == (code, {})
    third = signalled(name, 0, *command)
    assert third.returncode == 0, third.stderr
    assert re.search(
        r"resumed from checkpoint \d+ of 20\d\d-\S+ \S+Z, [\d,]+ rows done", third.stdout
    )
    assert outputs(tmp_path) == undisturbed
    again = signalled(name, 0, *command)
    assert again.returncode == 0
    assert "finished already at checkpoint" in again.stdout
    assert outputs(tmp_path) == undisturbed


def test_a_second_signal_stops_at_once_and_nothing_is_lost(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    command = (*REPLAY, *to(tmp_path), "--checkpoint", tmp_path / "state")
    assert signalled("SIGINT", 4, *command).returncode == 130
    stopped = signalled("SIGINT", 3, *command, times=2)
    assert stopped.returncode == 130
    folder = str(tmp_path / "state")
    assert f"error: interrupted; the same command goes on from {folder!r}" in stopped.stderr
    assert "suspended" not in stopped.stderr
    assert outputs(tmp_path) == {}
    assert signalled("SIGINT", 0, *command).returncode == 0
    assert outputs(tmp_path) == undisturbed


def test_a_suspended_run_leaves_a_savepoint_that_begins_another(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    point, there = tmp_path / "now.savepoint", tmp_path / "there"
    there.mkdir()
    command = (*REPLAY, *to(tmp_path), "--checkpoint", tmp_path / "state")
    stopped = signalled("SIGTERM", 4, *command, "--stop-with-savepoint", point)
    assert stopped.returncode == 143, stopped.stderr
    assert f"savepoint -> {point}" in stopped.stderr
    shutil.rmtree(tmp_path / "state")
    begun = (*REPLAY, *to(there), "--from", point, "--overwrite")
    for more in ([], ["--checkpoint", str(tmp_path / "other"), "--shards", "2"]):
        done = signalled("SIGTERM", 0, *begun, *more)
        assert done.returncode == 0, done.stderr
        assert outputs(there) == undisturbed
        assert "resumed from checkpoint" in done.stdout
    assert point.exists()
    refused = signalled("SIGTERM", 0, *command, "--stop-with-savepoint", point)
    assert (refused.returncode, "is there already" in refused.stderr) == (4, True)


def test_draining_fires_every_window_and_balances(tmp_path: Path) -> None:
    """S9: what was read counts, and the rest of the input as if it were not there."""
    command = (*REPLAY, *to(tmp_path), "--checkpoint", tmp_path / "state", "--drain")
    done = signalled("SIGTERM", 4, *command, "--json")
    assert done.returncode == 143, done.stderr
    told = json.loads(done.stdout)
    total, first = told["ledger"]["total"], told["ledger"]["operators"][0]
    assert told["is_finished"] is True
    assert 0 < total["windowed"] < 24_128
    assert (total["waiting"], first["open"]) == (0, 0)
    counted = sum(v for name, v in total.items() if name != "rows_in")
    assert total["rows_in"] == counted
    aside = (tmp_path / "aside.csv").read_text().splitlines()
    assert len(aside) - 1 == total["null_time"]
    before = outputs(tmp_path)
    again = signalled("SIGTERM", 0, *command)
    assert (again.returncode, "finished already" in again.stdout) == (0, True)
    assert outputs(tmp_path) == before


def test_what_is_only_printed_does_not_wait_in_checkpoints(call: Call, tmp_path: Path) -> None:
    done = call(*REPLAY, "--checkpoint", tmp_path / "state", "--rows", "2")
    assert done.code == 0, done.err
    assert "The first 2 of 1,743 results" in done.out
    sizes = [path.stat().st_size for path in (tmp_path / "state" / "packs").iterdir()]
    assert sum(sizes) < 50_000
    told = json.loads(call(*REPLAY, "--checkpoint", tmp_path / "state", "--json").out)
    assert told["resumed"]["was_published"] is True
    assert told["resumed"]["rows"] == 26_661


def test_a_file_declares_what_is_run_with_checkpoints(call: Call, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(
        "import eventtime as et\n"
        f"flights = et.read_parquet({FLIGHTS!r}, time='departed')\n"
        "hourly = (flights.watermark(et.bounded_disorder('4h')).key_by('origin')\n"
        "          .window(et.tumbling('1h')).aggregate(n=et.count()))\n"
    )
    command = ("run", tmp_path / "p.py", "--checkpoint", tmp_path / "state")
    assert "1,743 results" in call(*command).out
    assert "finished already" in call(*command).out


def test_a_savepoint_of_the_end_gives_other_outputs_their_rows(call: Call, tmp_path: Path) -> None:
    first, other = tmp_path / "first.csv", tmp_path / "other.csv"
    assert call(*REPLAY, "--checkpoint", tmp_path / "a", "--out", first).code == 0
    et.savepoint_of(tmp_path / "a", tmp_path / "end")
    begun = (*REPLAY, "--checkpoint", tmp_path / "b", "--from", tmp_path / "end", "--out")
    refused = call(*begun, first)
    assert (refused.code, "exists already" in refused.err) == (4, True)
    assert call(*begun, other).code == 0
    assert other.read_bytes() == first.read_bytes()


# Bad input


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--keep", "2"], 2, "--keep has no meaning without checkpoints"),
        (["--drain"], 2, "add --checkpoint DIR"),
        (["--restart", "2"], 2, "at:  --restart"),
        (["--checkpoint", ""], 2, "'' names no folder"),
        (["--checkpoint", "{}", "--checkpoint-every", "soon"], 2, "'soon' is not a duration"),
        (["--checkpoint", "{}", "--checkpoint-every", "0s"], 2, "at:  --checkpoint-every\n"),
        (["--checkpoint", "{}", "--keep", "0"], 2, "--keep"),
        (["--checkpoint", "{}/not/there"], 6, "create the folder above"),
        (["--checkpoint", "{}/a-file"], 6, "name a folder"),
        (["--from", "{}/nothing"], 6, "cannot read the savepoint"),
        (["--from", "{}/a-file"], 6, "not as a savepoint does"),
        (["--checkpoint", "nowhere://x"], 6, "cannot open the file system"),
    ],
)
def test_bad_options_are_refused(
    call: Call, tmp_path: Path, options: list[str], code: int, told: str
) -> None:
    (tmp_path / "a-file").write_text("no savepoint at all")
    done = call(*REPLAY, *(option.format(tmp_path) for option in options))
    assert (done.code, told in done.err) == (code, True), done.err
    assert "  fix: " in done.err or "Usage" in done.err


def test_checkpoints_of_another_pipeline_are_refused(call: Call, tmp_path: Path) -> None:
    """S29: with the difference, as it was and as it is."""
    assert call(*REPLAY, "--checkpoint", tmp_path / "state").code == 0
    other = [arg if arg != "4h" else "5h" for arg in REPLAY]
    done = call(*other, "--checkpoint", tmp_path / "state")
    assert done.code == 6
    assert "watermark: bounded_disorder('4h')\n    now: bounded_disorder('5h')" in done.err
    assert f"checkpoint 3 in '{tmp_path}/state' is of another pipeline:\n" in done.err
    assert "\n  at:  --checkpoint\n  fix: take the pipeline that was saved, or begin" in done.err
    et.savepoint_of(tmp_path / "state", tmp_path / "end")
    done = call(*other, "--from", tmp_path / "end")
    assert f"the savepoint '{tmp_path}/end' is of another pipeline:\n" in done.err
    assert "\n  at:  --from\n" in done.err


def test_late_rows_that_had_an_output_are_not_dropped_in_silence(
    call: Call, tmp_path: Path
) -> None:
    """S29: what to give again is said, and of columns only those that differ."""
    begun = (*REPLAY, "--checkpoint", tmp_path / "state")
    assert call(*begun, "--late", tmp_path / "late.csv").code == 0
    done = call(*begun)
    assert done.code == 6
    assert "counted only; they have gone to an output until then: give --late PATH" in done.err
    assert "columns read: now without" in done.err
    assert "departed" not in done.err.partition("columns read:")[2].partition("\n")[0]


def test_an_output_that_would_miss_earlier_rows_is_refused(tmp_path: Path) -> None:
    """S28: it is named from the start or not at all, with checkpoints and from a savepoint."""
    names: list[str] = ["--out", "--late", "--quarantine"]
    outs = dict(zip(names, to(tmp_path)[1::2], strict=True))
    state, point = tmp_path / "state", tmp_path / "now.savepoint"
    late = ("--late", outs["--late"])
    first = signalled("SIGTERM", 4, *REPLAY, *late, "--checkpoint", state)
    assert first.returncode == 143, first.stderr
    assert "--quarantine PATH from the start keeps them" in first.stdout
    et.savepoint_of(state, point)
    for begun in (("--checkpoint", state), ("--from", point)):
        for option, tag in (("--quarantine", "quarantine"), ("--out", "results")):
            again = signalled("SIGTERM", 0, *REPLAY, *late, *begun, option, outs[option])
            assert again.returncode == 6
            assert re.search(f"no output kept the [\\d,]+ rows of '{tag}' that came", again.stderr)
            assert f"at:  {option if tag == 'results' else '--late, --quarantine'}" in again.stderr
    assert signalled("SIGTERM", 0, *REPLAY, *late, "--checkpoint", state).returncode == 0


def test_an_output_that_missed_nothing_may_come_later(call: Call, tmp_path: Path) -> None:
    rows = "t,k\n" + "".join(f"{second},a\n" for second in range(100))
    (tmp_path / "rows.csv").write_text(rows)
    command = (
        "replay", tmp_path / "rows.csv", "--time", "t", "--time-unit", "s", "--window", "10s",
        "--agg", "count()", "--max-disorder", "1s", "--checkpoint", tmp_path / "state",
    )  # fmt: skip
    assert call(*command, "--out", tmp_path / "out.csv").code == 0
    more = call(*command, "--out", tmp_path / "out.csv", "--quarantine", tmp_path / "aside.csv")
    assert (more.code, "finished already" in more.out) == (0, True), more.err
    assert (tmp_path / "aside.csv").read_text().startswith("t,")


def test_results_that_wait_for_their_file_are_not_let_go(tmp_path: Path) -> None:
    command = (*REPLAY, "--checkpoint", tmp_path / "state")
    assert signalled("SIGTERM", 4, *command, "--out", tmp_path / "out.csv").returncode == 143
    without = signalled("SIGTERM", 0, *command)
    assert without.returncode == 6
    assert f"'results' went to CSV file {tmp_path}/out.csv until the" in without.stderr
    assert "at:  --out\n  fix: name that output again" in without.stderr


def test_a_read_only_folder_is_refused(call: Call, tmp_path: Path) -> None:
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with patch("eventtime.state.storage.SystemDisk.create", side_effect=denied):
        done = call(*REPLAY, "--checkpoint", tmp_path / "state")
    assert (done.code, "allow reading and writing" in done.err) == (6, True)


# Signals and words, without a process


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_wish_and_then_another() -> None:
    session, clock = Session(), Clock()
    suspension = Suspension(session, clock)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with suspension.heard():
        assert not suspension.is_wanted
        signal.raise_signal(signal.SIGTERM)
        clock.now = 0.9
        signal.raise_signal(signal.SIGTERM)
        assert (suspension.is_wanted, session.is_terminated) == (True, True)
        clock.now = 1.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_signal_ends_the_wait_for_a_restart() -> None:
    suspension = Suspension(Session())
    with suspension.heard(), pytest.raises(KeyboardInterrupt):
        suspension.sleep(1.0, lambda seconds: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        suspension.sleep(1.0, lambda seconds: None)


def test_the_progress_line_says_from_where_and_of_which_checkpoint() -> None:
    report = ProgressReport(
        rows=2_500_000, waiting=0, total_rows=None, watermark_us=0, latest_us=0, held_by=None,
        open_windows=0, late=0, quarantined=0, results=0,
        resumed=Resumed(7, 1_763_716_440_000_000, 2_000_000),
        checkpoint=WrittenCheckpoint(9, 4_200_000, 250_000, 12_300_000), restarts=2,
    )  # fmt: skip
    assert describe(report, 2.0) == (
        "2.5 M rows · 250.0 k rows/s · watermark 1970-01-01 00:00 · 0 open windows · 0 late · "
        "checkpoint 9 4 s ago (12.3 MB in 0.2 s) · "
        "resumed from checkpoint 7 of 2025-11-21 09:14Z, 2,000,000 rows done · 2 restarts"
    )


def test_without_checkpoints_the_report_says_nothing_of_them() -> None:
    reports: list[ProgressReport] = []
    marked = et.read_parquet(FLIGHTS, time="departed").watermark(et.bounded_disorder("4h"))
    marked.window(et.tumbling("1h")).aggregate(n=et.count()).run(progress=reports.append)
    assert {(r.resumed, r.checkpoint, r.restarts) for r in reports} == {(None, None, 0)}
