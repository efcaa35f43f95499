"""What shows only in a process of its own: Ctrl-C, pipes, start-up, compilation."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from command_line import FLIGHTS, process
from tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

REPLAY = (
    "replay", FLIGHTS, "--time", "departed", "--key", "origin", "--window", "1h",
    "--agg", "count()", "--max-disorder", "4h",
)  # fmt: skip


@pytest.fixture
def long_input(tmp_path: Path) -> Path:
    """Rows for some seconds: a window for every few of them."""
    n = 3_000_000
    times = pa.array(np.arange(n, dtype=np.int64) * 1_000_000).cast(pa.timestamp("us"))
    rng = np.random.default_rng(7)
    table = pa.table({"t": times, "k": rng.integers(0, 50_000, n), "x": rng.random(n)})
    path = tmp_path / "in" / "long.parquet"
    path.parent.mkdir()
    pq.write_table(table, path, row_group_size=100_000)
    return path


def test_ctrl_c_leaves_no_output(long_input: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    started = process(
        "replay", long_input, "--time", "t", "--key", "k", "--window", "1m", "--slide", "1s",
        "--agg", "count()", "--agg", "mean(x)", "--ascending",
        "--out", out / "results.parquet", "--late", out / "late.csv",
    )  # fmt: skip
    # The run has begun once its hidden files are there.
    while not any(out.iterdir()):
        assert started.poll() is None, started.communicate()
        time.sleep(0.01)
    started.send_signal(signal.SIGINT)
    told, complaint = started.communicate(timeout=60)
    assert (started.returncode, told) == (130, "")
    assert "interrupted; nothing was written under the final name" in complaint
    assert "Traceback" not in complaint
    assert list(out.iterdir()) == []


WAITS_FOR_EVER = """
import ctypes
import signal
import sys
import pyarrow as pa
import eventtime as et

signal.signal(signal.SIGINT, lambda number, frame: None)  # one right before the call ends nothing

def waits(rows):
    if rows.num_rows:
        print("in the call", file=sys.stderr, flush=True)
        mutex = ctypes.create_string_buffer(64)  # zeros: one that nobody holds
        library = ctypes.CDLL(None)
        while True:  # the second time it waits for itself, and goes on after signals
            library.pthread_mutex_lock(mutex)
    return rows

class Waits:
    delivery = guarantee = "at_least_once"
    keeps_rows = False
    def open(self, schema): return self
    def write(self, batch): waits(batch)
    def commit(self): pass
    def abort(self): pass
    def describe(self): return "a sink that waits"

rows = pa.table({"t": pa.array([1, 2], pa.timestamp("s"))})
marked = et.from_arrow(rows, time="t").watermark(et.ascending())
counts = marked.window(et.tumbling("1s")).aggregate(n=et.count())
sink = Waits()
"""


def test_a_second_signal_ends_a_call_that_does_not_come_back(tmp_path: Path) -> None:
    """As of a library that waits for a database which says nothing: no handler of Python's runs."""
    (tmp_path / "waits.py").write_text(WAITS_FOR_EVER)
    started = process("run", tmp_path / "waits.py")
    assert started.stderr is not None
    while "in the call" not in started.stderr.readline():
        assert started.poll() is None
    for _ in range(300):
        started.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(timeout=0.2)
            break
    started.kill()
    _, complaint = started.communicate()
    assert (started.returncode, "Traceback" in complaint) == (130, False)
    assert "error: stopped at once by a second signal, in the midst of a call" in complaint


def test_a_reader_that_goes_away_is_no_failure() -> None:
    started = process(*REPLAY, "--rows", "1700")
    assert started.stdout is not None
    started.stdout.readline()
    started.stdout.close()
    started.stdout = None
    _, complaint = started.communicate(timeout=60)
    assert (started.returncode, complaint) == (0, "")


def test_stdout_that_cannot_be_written_is_an_output_error() -> None:
    if not os.path.exists("/dev/full"):
        return
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "eventtime", *REPLAY],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert "No space left" in done.stderr


def test_a_first_run_says_that_it_compiles_and_a_second_is_silent(tmp_path: Path) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first = process(*REPLAY, env=env)
    told, complaint = first.communicate(timeout=280)
    assert complaint.startswith("eventtime: compiling kernels for this machine")
    assert complaint.count("\n") == 1
    second = process(*REPLAY, env=env)
    assert second.communicate(timeout=60)[1] == ""
    assert (first.returncode, second.returncode) == (0, 0)
    assert "1,743 results" in told


def test_what_is_heavy_is_imported_where_it_is_used() -> None:
    code = (
        "import sys; sys.argv = ['eventtime', *{!r}]; from eventtime.cli.main import main; main();"
        "print(*{{'numba', 'rich', 'plotext', 'pandas', 'coverage'}} & set(sys.modules), sep=',')"
    )

    def loaded(*arguments: str) -> set[str]:
        # Not through coverage, whose own presence would be measured.
        env = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
        done = subprocess.run(
            [sys.executable, "-c", code.format(arguments)],
            capture_output=True, text=True, cwd=ROOT, env=env, check=True,
        )  # fmt: skip
        return set(done.stdout.splitlines()[-1].split(",")) - {""}

    assert loaded("--help") == set()
    assert loaded(*REPLAY) == {"numba"}
    assert loaded("advise", FLIGHTS, "--time", "departed", "--json") == set()


def test_a_terminal_gets_tables_and_a_pipe_gets_columns() -> None:
    main_end, other_end = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, "-m", "eventtime", *REPLAY],
        stdout=other_end, stderr=other_end, cwd=ROOT, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(other_end)
    told = b""
    while True:
        try:
            part = os.read(main_end, 65_536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        told += part
    os.close(main_end)
    assert started.wait(timeout=60) == 0
    assert "────" in told.decode()
    assert "1,743 results" in told.decode()
