"""One contender in a process of its own: loads its data, does a round when a line asks for it.

Kernels and data stay warm between rounds. Lines in: ``round`` or ``answer``; a line of JSON out for
each.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

from benchmarks import memory
from benchmarks.contender import Contender
from benchmarks.dataset import materialise
from benchmarks.workloads import WORKLOADS


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(one_round: Any) -> tuple[dict[str, float], Any]:
    """Do one round from settled memory; the peak is absolute, the loaded baseline still in it."""
    memory.settle()
    memory.reset_peak()
    cpu, wall = _cpu_seconds(), time.perf_counter()
    outcome = one_round()
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    return {"wall_s": wall, "cpu_s": cpu, "peak_bytes": memory.peak_bytes()}, outcome


def serve(workload_name: str, rows: int, contender: Contender, replies: Any) -> None:
    """Warm up on a few rows, load, report the baseline, then answer until the input ends."""

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    workload = contender.plays(WORKLOADS[workload_name].scaled(rows))
    few = workload.warm_up()
    contender.load(few, materialise(few.dataset))()
    one_round = contender.load(workload, materialise(workload.dataset))
    memory.settle()
    loaded_bytes = memory.resident_bytes()
    reply({"loaded_bytes": loaded_bytes})
    outcome: Any = None
    for line in sys.stdin:
        if line.strip() == "answer":
            reply(outcome().to_json())
            continue
        outcome = None  # the last result is not part of the next round's memory
        figures, outcome = measure(one_round)
        reply({**figures, "peak_bytes": max(figures["peak_bytes"] - loaded_bytes, 0)})


def main() -> None:
    """Run as ``python -m benchmarks.worker WORKLOAD ROWS CONTENDER``."""
    # Whatever an engine prints goes to stderr; the first stdout is for replies alone.
    with os.fdopen(os.dup(1), "w") as replies:
        os.dup2(2, 1)
        serve(sys.argv[1], int(sys.argv[2]), Contender.parse(sys.argv[3]), replies)


if __name__ == "__main__":
    main()
