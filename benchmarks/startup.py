"""How long until something happens: import, a first result in process, and the command line.

``python -m benchmarks.startup --runs 9``. Every run is a fresh interpreter with a warm kernel cache
(the first run, which fills it, is thrown away); the times of the first two are taken inside it,
after the interpreter itself has started.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import machine
from benchmarks.dataset import Dataset, materialise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESULTS = Path(__file__).resolve().parent / "results"
ROWS = Dataset(rows=1_000, keys=10, partitions=1)
GOALS_S = {"import": 0.6, "replay_1000_rows": 1.2}

_IMPORT = """
import time
start = time.perf_counter()
import eventtime
print(time.perf_counter() - start)
"""
_PEER_IMPORT = _IMPORT.replace("eventtime", "{}")
_FIRST_RESULT = """
import time
start = time.perf_counter()
import eventtime as et
stream = et.read_parquet({path!r}, time="time").watermark(et.bounded_disorder("60s")).key_by("key")
hourly = stream.window(et.tumbling("1h")).aggregate(count=et.count(), mean=et.mean("value"))
next(iter(hourly))
print(time.perf_counter() - start)
"""


def _inside(code: str) -> Callable[[], float]:
    """A measurement that the fresh interpreter takes and prints itself."""

    def run() -> float:
        return float(_python("-c", code).splitlines()[-1])

    return run


def _replay(path: str) -> Callable[[], float]:
    """The wall time of the whole command, interpreter included."""

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            _python(
                *("-m", "eventtime", "replay", path, "--time", "time", "--key", "key"),
                *("--window", "1h", "--agg", "count() as count", "--agg", "mean(value) as mean"),
                *("--max-disorder", "60s", "--out", str(Path(folder) / "hourly.parquet")),
            )
            return time.perf_counter() - start

    return run


def _python(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["no message"]
        msg = f"{' '.join(arguments[:3])} … ended with {done.returncode}: {told[-1]}"
        raise RuntimeError(msg)
    return done.stdout


def measurements() -> dict[str, Callable[[], float]]:
    """What is measured, by name; peers' imports for orientation."""
    path = materialise(ROWS).parquet_paths[0]
    return {
        "import": _inside(_IMPORT),
        "first_result_1000_rows": _inside(_FIRST_RESULT.format(path=path)),
        "replay_1000_rows": _replay(path),
        "import_pyarrow": _inside(_PEER_IMPORT.format("pyarrow")),
        "import_polars": _inside(_PEER_IMPORT.format("polars")),
        "interpreter_alone": _interpreter,
    }


def _interpreter() -> float:
    start = time.perf_counter()
    _python("-c", "pass")
    return time.perf_counter() - start


def measure(runs: int) -> dict[str, list[float]]:
    """Take every measurement ``runs`` times in turn, after one run that is thrown away."""
    taken = measurements()
    for take in taken.values():
        take()
    seconds: dict[str, list[float]] = {name: [] for name in taken}
    for _ in range(runs):
        for name, take in taken.items():
            seconds[name].append(take())
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Print medians with their spread and goals; write them unless told not to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS / "startup.json")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    seconds = measure(options.runs)
    for name, times in seconds.items():
        goal = f"  goal {GOALS_S[name]} s" if name in GOALS_S else ""
        print(f"{name:<24}{median(times):7.3f} s  {min(times):.3f}-{max(times):.3f}{goal}")
    if not options.no_write:
        medians = {name: median(times) for name, times in seconds.items()}
        document = {"machine": machine.describe(), "medians_s": medians, "seconds": seconds}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
