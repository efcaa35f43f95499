"""What the commands of live runs say on stderr: JSON lines, what is waited for, what came of it."""

from __future__ import annotations

import json
import re
import runpy
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import eventtime as et
from command_line import process
from eventtime.cli.aside import TellsAside
from eventtime.cli.main import main
from eventtime.ledger import PartitionLedger
from eventtime.report import ProgressReport
from eventtime.status import Status
from live.seeing.test_commands import BOUND_S, GENERATE, LINES, OF_LINES, line_of
from tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

OF_FEW = ("--time", "t", "--window", "10s", "--agg", "count() as n", "--ascending")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("tail", "-", "--window", "1m"), 2, "does not say which columns"),
        (("tail", "nope.jsonl", *OF_FEW), 3, "no row yet that tells the columns"),
        (("tail", "-", "--no-such-option"), 2, "No such option"),
        (("run", "nope.py"), 3, "nope.py"),
    ],
)
def test_errors_before_the_first_turn_are_json_lines_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--log", "json"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told["event"] == "error"
    assert says in told["error"]
    assert told["at"].endswith("Z")


def test_every_line_of_stderr_is_json(tmp_path: Path) -> None:
    """How it was stopped, what came of it, and what a failure says at the end."""
    command = (*GENERATE, "--checkpoint", str(tmp_path / "state"), "--log", "json")
    running = process(*command)
    line_of(running, '"event": "started"')
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=BOUND_S)
    told = [json.loads(line) for line in err.splitlines()]
    assert [event["event"] for event in told][-2:] == ["note", "note"]
    assert "the same command goes on from there" in told[-1]["text"]


def test_every_line_of_stderr_is_json_where_a_run_just_ends() -> None:
    """Neither is a line begun for a terminal's sake."""
    running = process(*GENERATE, "--log", "json")
    line_of(running, '"event": "started"')
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=BOUND_S)
    told = [json.loads(line) for line in err.splitlines()]
    assert told[-1]["error"].startswith("terminated; with --checkpoint DIR")


def test_a_file_that_is_not_there_yet_is_waited_for_and_told(tmp_path: Path) -> None:
    """Of a glob that matches nothing too."""
    path = tmp_path / "later.jsonl"
    running = process("tail", path, tmp_path / "no*.jsonl", *OF_LINES)
    try:
        line_of(running, rf"there is no file '{re.escape(str(path))}' yet: waiting for it")
        line_of(running, r"nothing matches '\S+/no\*\.jsonl' yet: waiting for it")
        path.write_text(LINES)
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["k"] == "a"
    finally:
        running.kill()
        running.communicate()


def test_what_a_run_that_went_on_did_is_told_apart_from_all_its_lives(tmp_path: Path) -> None:
    """S26, S28: rows and seconds of this process; results and late rows of all."""
    path, more = tmp_path / "in.jsonl", ("--checkpoint", tmp_path / "state")
    path.write_text(LINES)
    running = process("tail", path, *OF_LINES, *more)
    assert running.stdout is not None
    for _ in range(3):
        running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    assert "4 rows in" in running.communicate(timeout=BOUND_S)[1]
    with path.open("a") as file:
        file.write('{"t":45,"k":"z"}\n{"t":1,"k":"z"}\n')
    again = process("tail", path, *OF_LINES, *more)
    assert again.stdout is not None
    assert json.loads(again.stdout.readline())["window_start"] == 30
    again.send_signal(signal.SIGTERM)
    _, err = again.communicate(timeout=BOUND_S)
    assert re.search(r"2 rows in \d+\.\d s in this run, from checkpoint \d+", err)
    assert "6 rows, 4 results, 1 late in all runs" in err


@pytest.mark.parametrize("log", [(), ("--log", "json")])
def test_what_the_library_warns_of_is_told(tmp_path: Path, log: tuple[str, ...]) -> None:
    """In the form of the other lines; a client that talks in its own words is not heard."""
    (tmp_path / "warns.py").write_text(
        "import logging\n"
        "import eventtime as et\n"
        "def warns(rows):\n"
        "    if not rows.num_rows: return rows\n"
        "    logging.getLogger('eventtime.kafka.librdkafka').error('FAIL [thrd:bootstrap]')\n"
        "    logging.getLogger('eventtime.kafka').info('a trifle')\n"
        "    logging.getLogger('eventtime.kafka').warning('%s: no broker answers', 'topic')\n"
        "    return rows\n"
        "one = et.generate(1000, partitions=1, rows=1).map_batches(warns)\n"
        "counts = one.watermark(et.ascending()).window(et.tumbling('1s')).aggregate(n=et.count())\n"
    )
    running = process("run", tmp_path / "warns.py", *log)
    _, err = running.communicate(timeout=BOUND_S)
    assert running.returncode == 0, err
    if not log:
        assert "warning: topic: no broker answers\n" in err
    else:
        told = [json.loads(line) for line in err.splitlines()]
        (warned,) = [event for event in told if event["event"] == "warning"]
        assert warned["text"] == "topic: no broker answers"
        assert warned["logger"] == "eventtime.kafka"
    assert "FAIL" not in err
    assert "a trifle" not in err


@pytest.fixture
def playing(tmp_path: Path) -> tuple[str, ...]:
    """A command that plays a journal without its last bytes."""
    path, pipeline, journal = (tmp_path / name for name in ("in.jsonl", "lines.py", "run.journal"))
    path.write_text(LINES)
    pipeline.write_text(
        "import eventtime as et\n"
        f"read = et.read_json_lines({str(path)!r}, time='t', time_unit='s', follow=True)\n"
        "one = read.watermark(et.ascending()).window(et.tumbling('10s'))\n"
        "counts = one.aggregate(n=et.count())\n"
    )
    stream = runpy.run_path(str(pipeline))["counts"]
    stream.run(live=et.live(), stop=lambda: True, drain=True, journal=journal)
    journal.write_bytes(journal.read_bytes()[:-3])
    return "run", str(pipeline), "--from-journal", str(journal), "--out", str(tmp_path / "out.csv")


@pytest.mark.filterwarnings("always:the last .* of the journal")
def test_what_python_warns_of_is_told_as_other_warnings_are(
    playing: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*playing, "--log", "json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (warned,) = [event["text"] for event in told if event["event"] == "warning"]
    assert re.match(r"the last \d+ bytes of the journal", warned)
    assert main([*playing, "--overwrite"]) == 0
    said = capsys.readouterr().err
    assert f"warning: {warned}\n" in said
    assert "RuntimeWarning" not in said
    assert "add --checkpoint" not in said  # which is refused beside --from-journal
    assert main([*playing, "--overwrite", "--quiet"]) == 0
    assert not capsys.readouterr().err


def test_rows_that_cannot_be_read_are_told_while_it_goes_on() -> None:
    """S12: where all are such, nothing else would come; the first one says why."""
    running = subprocess.Popen(
        [sys.executable, "-m", "eventtime", "tail", "-", *OF_LINES],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert running.stdin is not None
        running.stdin.write('{"t":"soon","k":"a"}\n')
        running.stdin.flush()
        said = line_of(running, "1 row set aside .*so far").string
        assert "(1 malformed) so far, the first for: " in said
        assert "line 1: JSON parse error" in said
        assert said.endswith("; --quarantine PATH keeps them\n")
    finally:
        running.kill()
        running.communicate()


def test_rows_set_aside_are_told_at_a_bounded_rate() -> None:
    """Once a minute, and only if there are more."""
    said: list[str] = []
    tells = TellsAside(said.append, are_kept=True)
    for second in range(200):
        rows = min(second, 100)
        report = ProgressReport(rows, 0, None, 0, 0, None, 0, 0, rows, 0)
        balance = PartitionLedger(rows_in=rows, malformed=rows)
        why = "line 1: bad" if rows else ""
        tells(Status(second * 1_000_000, report, (), None, balance, (), first_aside=why))
    assert said == [
        "1 row set aside (1 malformed) so far, the first for: line 1: bad",
        "61 rows set aside (61 malformed) so far, the first for: line 1: bad",
        "100 rows set aside (100 malformed) so far, the first for: line 1: bad",
    ]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "; if the run is stopped before, they are lost: add --checkpoint DIR or --drain"),
        (("--checkpoint", "state"), ""),
    ],
)
def test_files_that_appear_at_the_end_are_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], says: str
) -> None:
    command = [sys.executable, "-m", "eventtime", "tail", "-", *OF_LINES, "--out", "o.csv"]
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [*command, "--late", "late.csv", *more],
        input=LINES, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.startswith(f"o.csv, late.csv: written at the end of all input{says}\n")
