"""Run workloads: every contender in its own process, in turn, round after round.

``python -m benchmarks.harness --only hourly --rows 2e6 --rounds 5``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks import machine, report
from benchmarks.answer import Answer, disagreements
from benchmarks.contender import Contender
from benchmarks.dataset import materialise
from benchmarks.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).resolve().parent / "results"


class WorkerDiedError(Exception):
    """Raised when a contender's process ends before it has answered; carries its last line."""


class Worker:
    """A contender's process; a context manager that ends it."""

    def __init__(self, workload: Workload, contender: Contender) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.worker",
                workload.name,
                str(workload.dataset.rows),
                str(contender),
            ],
            cwd=machine.ROOT,
            env={**os.environ, **_thread_limits(contender.threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def hear(self) -> dict[str, Any]:
        """Wait for the next reply."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            told = self._errors.read().strip().splitlines() or ["no message"]
            msg = f"{told[-1]} (exit {self._process.returncode})"
            raise WorkerDiedError(msg)
        reply: dict[str, Any] = json.loads(line)
        return reply

    def ask(self, what: str) -> dict[str, Any]:
        """Send a request and wait for its reply."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(what + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # hear() says why
        return self.hear()


def _thread_limits(threads: int) -> dict[str, str]:
    names = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "ARROW_IO_THREADS")
    return dict.fromkeys(names, str(threads))


def run_workload(
    workload: Workload, contenders: Sequence[Contender], rounds: int
) -> report.Outcome:
    """Load all contenders, one warm-up and answer each, then rounds in turn: A B C A B C."""
    for played in {c.plays(workload) for c in contenders}:
        materialise(played.dataset)
        materialise(played.warm_up().dataset)
    outcome = report.Outcome(workload.name, workload.what, workload.rows)
    answers: dict[str, Answer] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for contender in contenders:
            name = str(contender)
            outcome.rows_of[name] = contender.plays(workload).rows
            worker = stack.enter_context(Worker(workload, contender))
            try:
                outcome.loaded_bytes[name] = worker.hear()["loaded_bytes"]
                worker.ask("round")
                if contender.workload is None:
                    answers[name] = Answer.from_json(worker.ask("answer"))
            except WorkerDiedError as died:
                outcome.failures[name] = str(died)
                continue
            workers[name] = worker
            outcome.rounds[name] = []
        outcome.disagreements = list(disagreements(answers))
        for _ in range(rounds):
            for name in list(workers):
                try:
                    outcome.rounds[name].append(report.Round(**workers[name].ask("round")))
                except WorkerDiedError as died:
                    outcome.failures[name] = str(died)
                    del workers[name]
    return outcome


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness", description=__doc__)
    parser.add_argument(
        "--only", metavar="A,B", help=f"workloads, of {', '.join(WORKLOADS)} (default: all)"
    )
    parser.add_argument(
        "--rows", type=float, help="rows for each workload (default: its own, mostly 20e6)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="timed rounds after the warm-up (default 5)"
    )
    parser.add_argument(
        "--contenders", metavar="A,B", help="e.g. ours,duckdb@2,floor (default: the workload's)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="NAME.json",
        help="where results go (default: results/WORKLOADS.json)",
    )
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"), help="two result files"
    )
    options = parser.parse_args(arguments)
    unknown = [n for n in (options.only or "").split(",") if n and n not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {unknown[0]!r}; there are {', '.join(WORKLOADS)}")
    if options.rounds < 1 or (options.rows is not None and options.rows < 1):
        parser.error("--rounds and --rows have to be at least 1")
    return options


def _prepared(options: argparse.Namespace) -> list[tuple[Workload, list[Contender]]]:
    chosen = (
        [WORKLOADS[n] for n in options.only.split(",")]
        if options.only
        else list(WORKLOADS.values())
    )
    if options.rows is not None:
        chosen = [w.scaled(int(options.rows)) for w in chosen]
    return [
        (
            w,
            [
                Contender.parse(c)
                for c in (options.contenders.split(",") if options.contenders else w.contenders)
            ],
        )
        for w in chosen
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; exit code 1 if a contender failed or contenders disagree."""
    options = _options(arguments)
    if options.compare:
        print(report.compare(*options.compare))
        return 0
    where = machine.describe()
    outcomes = []
    for workload, contenders in _prepared(options):
        outcome = run_workload(workload, contenders, options.rounds)
        print(report.table(outcome), end="\n\n", flush=True)
        outcomes.append(outcome)
    if not options.no_write:
        path = (
            options.out
            or RESULTS / f"{'+'.join(options.only.split(',')) if options.only else 'all'}.json"
        )
        report.write(path, outcomes, where, {"rows": options.rows, "rounds": options.rounds})
        print(f"written to {path}")
    return 1 if any(o.failures or o.disagreements for o in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
