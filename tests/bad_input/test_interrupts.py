"""Signals at several moments of a real process: it says so, and leaves nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from command_line import FLIGHTS
from tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

INTERRUPTED = 130
# The process stops itself at a moment that it can name, so no clock has to be guessed: at the n-th
# call of a method, the signal goes to the process itself; SIGTERM twice, as `timeout` sends it to a
# process and to its group.
PROGRAM = """
import importlib, os, signal, sys
module, owner, method, nth, name, flights, out = sys.argv[1:]
kind = getattr(importlib.import_module(module), owner)
real, calls = getattr(kind, method), 0
def stopped(*given, **named):
    global calls
    calls += 1
    if calls == int(nth):
        try:
            os.kill(os.getpid(), signal.Signals[name])
        finally:
            if name == "SIGTERM":
                os.kill(os.getpid(), signal.SIGTERM)
    return real(*given, **named)
setattr(kind, method, stopped)
from eventtime.cli.main import main
sys.exit(main(["replay", flights, "--time", "departed", "--key", "carrier", "--window", "1h",
    "--agg", "count() as n", "--max-disorder", "4h", "--out", out + "/out.parquet",
    "--late", out + "/late.csv"]))
"""


MOMENTS = (
    ("eventtime.execution", "Execution", "_open", 1),
    ("eventtime.partition", "PartitionIntake", "take", 2),
    ("eventtime.stages", "Stages", "submit", 1),
    ("eventtime.stages", "Stages", "flush", 1),
    ("eventtime.execution", "Execution", "ledger", 1),
)


def stopped_at(
    moment: tuple[str, str, str, int], name: str, out: Path
) -> subprocess.CompletedProcess[str]:
    module, owner, method, nth = moment
    told = [module, owner, method, str(nth), name, FLIGHTS, str(out)]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *told],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("SIGINT", INTERRUPTED, "interrupted"), ("SIGTERM", 143, "terminated")],
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_run_leaves_nothing(
    moment: tuple[str, str, str, int], name: str, code: int, said: str, tmp_path: Path
) -> None:
    done = stopped_at(moment, name, tmp_path)
    assert done.returncode == code, done.stderr
    assert f"{said}; nothing was written under the final name" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_leaves_is_no_obstacle(tmp_path: Path) -> None:
    done = stopped_at(MOMENTS[3], "SIGKILL", tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path)) == [".late.csv.partial", ".out.parquet.partial"]
    never = ("eventtime.stages", "Stages", "flush", 0)
    assert stopped_at(never, "SIGKILL", tmp_path).returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["late.csv", "out.parquet"]
    (tmp_path / "fresh").mkdir()
    assert stopped_at(never, "SIGKILL", tmp_path / "fresh").returncode == 0
    for written in ("late.csv", "out.parquet"):
        fresh = tmp_path / "fresh" / written
        assert (tmp_path / written).read_bytes() == fresh.read_bytes()


# An import stops the process at a moment that it can name: that of a module of ours.
WHILE_STARTING = """
import os, runpy, signal, sys
class Stopping:
    def find_spec(self, name, path=None, target=None):
        if name == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
_, stop_at, program = sys.argv
sys.meta_path.insert(0, Stopping())
# As the interpreter sets them for -m.
sys.argv, sys.orig_argv = ["-m"], [sys.executable, "-m", program]
try:
    runpy._run_module_as_main(program)
except KeyboardInterrupt:
    print("raised")
    sys.exit(1)
"""


@pytest.mark.parametrize("module", ["pyarrow", "eventtime.stream", "click", "eventtime.cli.replay"])
def test_ctrl_c_while_the_command_line_starts_is_quiet(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHILE_STARTING, module, "eventtime"],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "")


def test_a_program_that_imports_the_library_keeps_its_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import eventtime\n")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", WHILE_STARTING, "pyarrow", "program"],
        capture_output=True, text=True, check=False, cwd=tmp_path, env=env, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "raised\n")


def test_the_script_that_is_installed_is_known_by_what_it_imports(tmp_path: Path) -> None:
    code = "import sys; sys.argv[0] = {!r}; import eventtime, signal;"
    code += "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    for text, hears in (("from eventtime.cli.main import main", False), ("import eventtime", True)):
        script = tmp_path / "eventtime"
        script.write_text(f"#!/usr/bin/env python\n{text}\n")
        done = subprocess.run(
            [sys.executable, "-c", code.format(str(script))],
            capture_output=True, text=True, check=True, cwd=ROOT,
        )  # fmt: skip
        assert done.stdout == f"{hears}\n"


ENDLESS = """
import sys, time
import pyarrow as pa
import eventtime as et

def rows():
    second = 0
    while True:
        yield pa.record_batch({"t": pa.array(range(second, second + 1000), pa.timestamp("s"))})
        second += 1000

def told(report):
    if report.results > 100:
        print("ready", flush=True)

schema = pa.schema({"t": pa.timestamp("s")})
source = pa.RecordBatchReader.from_batches(schema, rows())
et.from_arrow(source, time="t").watermark(et.ascending()).window(et.tumbling("1m")).aggregate(
    n=et.count()).run(sys.argv[1] + "/out.csv", progress=told, shards=int(sys.argv[2]))
"""


@pytest.mark.parametrize("shards", [1, 2])
def test_ctrl_c_from_outside_while_results_are_written(shards: int, tmp_path: Path) -> None:
    """The library raises KeyboardInterrupt on; its threads do not keep the process alive."""
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path), str(shards)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert os.listdir(tmp_path) == [".out.csv.partial"]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in {-signal.SIGINT, 1}
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert os.listdir(tmp_path) == []
