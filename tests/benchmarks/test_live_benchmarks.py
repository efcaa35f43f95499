"""The live benchmarks run small: every row is counted. Nothing here looks at time."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from benchmarks import many_partitions


@pytest.mark.parametrize("partitions", [10, 40])
def test_silent_partitions_hold_nothing_back(partitions: int) -> None:
    """The rows are counted in it."""
    assert many_partitions.once(partitions, many_partitions.batches_of(20_000)) > 0


def test_rows_come_over_sockets_and_windows_are_measured() -> None:
    short = ["--warm", "1", "--seconds", "3", "--rate", "4000"]
    kind = ["--over", "socket", "--windows", "1s", "--values", "arrow"]
    command = [sys.executable, "-m", "benchmarks.live_latency", *short, *kind]
    done = subprocess.run([*command, "--no-write"], check=True, capture_output=True, text=True)
    assert re.match(r"socket arrow +1s +[\d,]+ rows/s, [1-9]\d* windows: median_ms", done.stdout)
