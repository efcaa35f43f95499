"""The commands of live runs: tail, run, top, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from command_line import process
from eventtime.cli.main import main
from eventtime.sinks.base import suffix_of
from eventtime.sources.feed import Ended
from live.script import Script, rows
from live.seeing.watching import Seen, run
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import eventtime as et

BOUND_S = 120
GENERATE = (
    "tail", "generate:500", "--time", "time", "--key", "key", "--window", "1s",
    "--agg", "count() as n", "--max-disorder", "1s",
)  # fmt: skip
LINES = "".join(f'{{"t":{t},"k":"{k}"}}\n' for t, k in [(1, "a"), (2, "b"), (11, "a"), (31, "a")])
OF_LINES = (
    "--time", "t", "--time-unit", "s", "--type", "t=int64", "--type", "k=string", "--key", "k",
    "--window", "10s", "--agg", "count() as n", "--ascending",
)  # fmt: skip


def ended(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eventtime", *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, cwd=ROOT, check=False, timeout=BOUND_S
    )


def line_of(running: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read stderr up to a line that matches."""
    assert running.stderr is not None
    timer = threading.Timer(BOUND_S, running.kill)
    timer.start()
    try:
        for line in running.stderr:
            if match := re.search(pattern, line):
                return match
    finally:
        timer.cancel()
    pytest.fail(f"it ended, or {BOUND_S} s were over, before it said {pattern}")


def test_tail_of_standard_input_prints_json_lines_into_a_pipe() -> None:
    """S9: its end lets every window fire; the summary goes to stderr."""
    told = ended("tail", "-", *OF_LINES, stdin=LINES)
    assert told.returncode == 0, told.stderr
    found = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(row["k"], row["window_start"], row["n"]) for row in found] == [
        ("a", 0, 1), ("b", 0, 1), ("a", 10, 1), ("a", 30, 1),
    ]  # fmt: skip
    assert "4 rows in" in told.stderr


def test_a_reader_that_goes_away_is_no_failure_of_a_live_run() -> None:
    """As `head` does: it has seen enough, and nothing is said."""
    command = [sys.executable, "-m", "eventtime", *GENERATE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as running:
        assert running.stdout is not None
        json.loads(running.stdout.readline())
        running.stdout.close()
        assert running.wait(timeout=BOUND_S) == 0
        assert running.stderr is not None
        assert running.stderr.read() == ""


def test_tail_says_how_many_rows_were_set_aside() -> None:
    """S26: standard input sets aside what does not parse, rather than stop."""
    ran = ended("tail", "-", *OF_LINES, stdin=LINES + "rubbish\n")
    assert ran.returncode == 0
    assert "1 row set aside (1 malformed)" in ran.stderr


def test_tail_gives_what_replay_gives(tmp_path: Path) -> None:
    """The same options, the same rows: once followed, once read to their end."""
    (tmp_path / "in.jsonl").write_text(LINES)
    replayed = ended("replay", tmp_path / "in.jsonl", *OF_LINES, "--out", tmp_path / "replay.jsonl")
    assert replayed.returncode == 0, replayed.stderr
    followed = ended("tail", "-", *OF_LINES, "--out", tmp_path / "tail.jsonl", stdin=LINES)
    assert followed.returncode == 0, followed.stderr
    assert (tmp_path / "tail.jsonl").read_text() == (tmp_path / "replay.jsonl").read_text()


def test_tail_follows_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(LINES)
    running = process("tail", path, *OF_LINES)
    try:
        assert running.stdout is not None
        first = [json.loads(running.stdout.readline()) for _ in range(3)]
        assert [row["k"] for row in first] == ["a", "b", "a"]
        with path.open("a") as file:
            file.write('{"t":45,"k":"z"}\n')
        assert json.loads(running.stdout.readline())["window_start"] == 30
    finally:
        running.kill()
        running.communicate()


def test_a_live_run_is_suspended_by_sigterm_and_goes_on(tmp_path: Path) -> None:
    """S9, S28: within a bound, with a checkpoint; the same command goes on from there."""
    command = (*GENERATE, "--checkpoint", str(tmp_path / "state"), "--log", "json")
    running = process(*command)
    line_of(running, '"event": "started"')
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=BOUND_S)
    assert running.returncode == 143, err
    assert '"event": "suspended"' in err
    assert "the same command goes on from there" in err
    # What fell due since comes at once.
    with (tmp_path / "again").open("w") as results:
        again = process(*command, out=results)
        try:
            line_of(again, '"event": "resumed".*"checkpoint": [0-9]+')
        finally:
            again.send_signal(signal.SIGTERM)
            again.communicate(timeout=BOUND_S)
    assert again.returncode == 143
    assert out == "" or json.loads(out.splitlines()[0])["n"] > 0


def test_a_live_run_of_a_file_writes_to_the_sinks_that_it_declares(tmp_path: Path) -> None:
    """S9, S28: those that no path names, too; what is open stays in the checkpoint."""
    base = tmp_path / "counts.db"
    (tmp_path / "live.py").write_text(
        "import eventtime as et\n"
        "marked = et.generate(500, partitions=3).watermark(et.ascending())\n"
        "counts = marked.window(et.tumbling('100ms')).aggregate(n=et.count())\n"
        f"sink = et.to_sqlite({str(base)!r}, table='counts')\n"
    )
    declared = ("run", tmp_path / "live.py", "--checkpoint", tmp_path / "state")
    running = process(*declared, "--checkpoint-every", "50ms", "--log", "json")
    line_of(running, '"event": "checkpoint written"')
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=BOUND_S)
    assert running.returncode == 143, err
    told = re.search(r"([\d,]+) results? -> SQLite table counts in ", out)
    assert told is not None, out
    with contextlib.closing(sqlite3.connect(base)) as database:
        written = database.execute("SELECT count(*) FROM counts").fetchone()
    assert written == (int(told[1].replace(",", "")),)


def test_a_live_run_without_checkpoints_can_be_drained(tmp_path: Path) -> None:
    """S9: its file is complete; without --drain nothing of it would be left."""
    path = tmp_path / "out.jsonl"
    running = process(*GENERATE, "--log", "json", "--out", path, "--drain")
    line_of(running, '"event": "started"')
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=BOUND_S)
    assert running.returncode == 143, err
    assert path.exists(), err
    assert "all windows have fired" in err


def test_a_live_run_that_was_drained_is_finished(tmp_path: Path) -> None:
    """S9: the same command says so and ends, though rows go on being made."""
    command = (*GENERATE, "--checkpoint", str(tmp_path / "state"), "--log", "json", "--drain")
    running = process(*command)
    line_of(running, '"event": "started"')
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=BOUND_S)
    again = process(*command)
    out, err = again.communicate(timeout=BOUND_S)
    assert (again.returncode, out) == (0, ""), err
    assert "nothing was left to do" in err


def test_run_of_a_file_shows_its_page_and_top_reads_it(tmp_path: Path) -> None:
    """`eventtime run FILE.py --ui :0`, and `eventtime top URL --once` beside it."""
    (tmp_path / "live.py").write_text(
        "import eventtime as et\n"
        "made = et.generate(500, partitions=3)\n"
        "marked = made.watermark(et.ascending())\n"
        "counts = marked.window(et.tumbling('1s')).aggregate(n=et.count())\n"
    )
    running = process("run", tmp_path / "live.py", "--ui", ":0", "--ui-token", "s3cret")
    try:
        url = line_of(running, r"status page: (http://\S+)")[1]
        refused = ended("top", url, "--once")
        assert refused.returncode == 3
        assert "give --token" in refused.stderr
        told = ended("top", url, "--once", "--token", "s3cret")
        assert told.returncode == 0, told.stderr
        assert "generated-2" in told.stdout
        assert "rows/s" in told.stdout
        figures = ended("top", url, "--once", "--token", "s3cret", "--json")
        assert len(json.loads(figures.stdout)["partitions"]) == 3
    finally:
        running.kill()
        running.communicate()


def test_top_shows_who_holds_back(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script(
        [(0, "JFK", rows(1)), (0, "E[b]W", rows(800)), (9, Ended("JFK")), (9, Ended("E[b]W"))],
        ("JFK", "E[b]W"),
    )
    codes: list[int] = []

    def look(status: et.Status) -> None:
        if not codes:
            codes.append(main(["top", status.life.url, "--once"]))

    run(script, Seen(then=look), ui=":0")
    assert codes == [0]
    out = capsys.readouterr().out
    assert "JFK holds the watermark back: 13 min behind the next" in out
    assert re.search(r"JFK +holds back +━·+ ", out)
    assert re.search(r"E\[b\]W +active +━{28} ", out)
    assert "2 rows = 2 windowed" in out


@pytest.mark.parametrize("behind", ["?token=a+b", "status.json?token=a%20b"])
def test_top_takes_the_address_as_a_browser_has_it(
    behind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []

    def look(status: et.Status) -> None:
        if not codes:
            codes.append(main(["top", status.life.url + behind, "--once"]))

    script = Script([(0, "a", rows(1)), (9, Ended("a"))], ("a",))
    run(script, Seen(then=look), ui=":0", ui_token="a b")
    assert (codes, "1 row" in capsys.readouterr().out) == ([0], True)


@pytest.mark.parametrize(
    "answer",
    [
        b"-ERR unknown command\r\n",
        *(b"HTTP/1.0 200 OK\r\n\r\n" + body for body in (b"{}", b"[1]", b"null", b"NaN", b"<p>")),
    ],
    ids=["no HTTP", "object", "list", "null", "number", "page"],
)
def test_top_says_that_it_is_not_eventtime_which_answers(
    answer: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def serve() -> None:
            with server.accept()[0] as client:
                client.recv(65_536)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert main(["top", f"127.0.0.1:{server.getsockname()[1]}?token=secret", "--once"]) == 3
        thread.join()
    told = capsys.readouterr().err
    assert "nothing that eventtime shows is at http://127.0.0.1:" in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["top", "localhost:1"], 3, "nothing that eventtime shows is at http://localhost:1/"),
        (["top", "ftp://host"], 2, "is no address of a status page"),
        (["tail", "-", "--time", "t", "--window", "1s", "--agg", "count()", "--ascending"], 2,
         "does not say which columns"),
        (["tail", "generate:many", *GENERATE[2:]], 2, "is no number of rows a second"),
        (["tail", "generate:5", "--time", "when", *GENERATE[4:]], 2, "time, key, value, number"),
        (["tail", "generate:5", *GENERATE[2:], "--type", "key=int64"], 2, "types of their own"),
        (["tail", "kafka://localhost:1", *OF_LINES], 2, "names no topic"),
        (["tail", "generate:5", *GENERATE[2:], "--ui", "80"], 2, "is no address of a status"),
        (["tail", "-", "more", *OF_LINES], 2, "follow one at a time"),
        (["tail", "-", *OF_LINES, "--connect"], 2, "--connect has no meaning"),
        (["tail", "-", *OF_LINES, "--format", "parquet"], 2, "do not come as parquet"),
        (["tail", "-", *OF_LINES, "--idle-after", "soon"], 2, "is not a duration"),
        (["tail", "generate:5", *GENERATE[2:-2]], 2, "such as --max-disorder 10s"),
        (["tail", "-", *OF_LINES, "--partition-by", "folder"], 2, "is for files"),
        (["tail", "http://127.0.0.1:1", *OF_LINES, "--on-malformed", "quarantine"], 2,
         "--on-malformed has no meaning"),
        (["tail", "generate:5", *GENERATE[2:], "--on-malformed", "error"], 2,
         "--on-malformed has no meaning"),
        (["tail", "generate:5", *GENERATE[2:], "--time-unit", "s"], 2,
         "--time-unit has no meaning"),
        (["tail", "generate:5", *GENERATE[2:], "--format", "csv"], 2, "--format has no meaning"),
        (["tail", "redis://localhost/clicks", *OF_LINES], 2, "et.read_redis"),
        (["tail", "postgresql://localhost/shop", *OF_LINES], 2, "et.read_sql"),
        (["tail", "sqlite:shop.db", *OF_LINES], 2, "et.read_sql"),
        (["tail", "generate:5", *GENERATE[2:], "--ui-token", "x"], 2, "there is none"),
        (["soak", "--seconds", "nan"], 2, "is no number of seconds"),
        (["soak", "--seed", "5", "--seconds", "600"], 2, "--seconds has no meaning"),
        (["soak", "--seed", "5", "--seed-from", "2"], 2, "--seed-from has no meaning"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_a_remedy(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    told = capsys.readouterr().err
    assert words in told
    assert "fix:" in told


def test_the_help_of_tail_is_not_that_of_replay(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "print them as they come" in told
    assert "Results as JSON lines" in told
    assert "--rows" not in told


def test_outputs_in_examples_have_a_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tail", "--help"]) == 0
    outs = re.findall(r"--out (\S+\.\S+)", capsys.readouterr().out)
    assert outs
    assert all(map(suffix_of, outs))


def test_a_journal_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text(LINES)
    journal = str(tmp_path / "none.journal")
    path = str(tmp_path / "in.jsonl")
    assert main(["replay", path, *OF_LINES, "--from-journal", journal]) == 6
    told = capsys.readouterr().err
    assert f"there is no file '{journal}'\n  at:  --from-journal\n" in told
    assert "name one that --journal has written" in told


def test_a_replay_has_no_status_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_text(LINES)
    (tmp_path / "bounded.py").write_text(
        "import eventtime as et\n"
        f"read = et.read_json_lines({str(tmp_path / 'in.jsonl')!r}, time='t', time_unit='s')\n"
        "n = read.watermark(et.ascending()).window(et.tumbling('1s')).aggregate(n=et.count())\n"
    )
    assert main(["run", str(tmp_path / "bounded.py"), "--ui", ":0"]) == 2
    assert "--ui is for live runs" in capsys.readouterr().err
    monkeypatch.setenv("EVENTTIME_UI_TOKEN", "for other runs")
    assert main(["run", str(tmp_path / "bounded.py")]) == 0


def test_results_are_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are aligned, and stay so from one commit to the next."""
    from eventtime.cli.printed import PrintedTable

    script = Script([(0, "a", rows(1, 12)), (5, "a", rows(25)), (9, Ended("a"))], ("a",))
    said: list[str] = []
    say: Callable[[str], None] = said.append
    run(script, sink=PrintedTable(say=say))
    lines = "\n".join(said).splitlines()
    assert lines[0].split()[:3] == ["window_start", "window_end", "n"]
    assert [line.split()[-3:] for line in lines[1:]] == [["1", "on_time", "yes"]] * 3
    assert len({line.index("on_time") for line in lines[1:]}) == 1
