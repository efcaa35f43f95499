"""Starts processes that can be killed: each is a fork of one that has everything loaded.

Lines of JSON in: {"job": …} starts a process, which waits; {"go": pid} lets it run. Lines out: its
pid; then how it ended. What it says goes into files beside its job.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kills.jobs import Job

__all__ = ("Ended", "Life", "Nursery")

SECONDS: Final = 60


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Args:
        status: 0, -9 if it was killed, 1 after an error.
        said: of a run that came through, what it knows; of others the error, kind and text.
    """

    status: int
    said: Any

    @property
    def is_killed(self) -> bool:
        """Whether it was killed."""
        return self.status == -signal.SIGKILL

    @property
    def is_done(self) -> bool:
        """Whether the run came through."""
        return self.status == 0


class Life:
    """One process, which waits until it may `go`."""

    def __init__(self, nursery: Nursery, pid: int, says: Path) -> None:
        self._nursery = nursery
        self.pid = pid
        self._says = says
        # Names the process for good, also when it has ended and the number is used again.
        self._handle: int | None = os.pidfd_open(pid)
        self._lock = threading.Lock()

    def go(self) -> None:
        """Let it run."""
        self._nursery.tell({"go": self.pid})

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with self._lock, suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)

    def ended(self) -> Ended:
        """Wait for its end."""
        status = self._nursery.status_of(self.pid)
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
            self._handle = None
        text = self._says.read_text() if self._says.exists() else ""
        self._says.unlink(missing_ok=True)
        return Ended(status, json.loads(text) if text else None)


class Nursery:
    """The process that all are forks of; a context manager."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._ended: dict[int, int] = {}

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def tell(self, message: dict[str, Any]) -> None:
        """Say something to the process."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def start(self, job: Job, says: Path, *, limit: int | None = None) -> Life:
        """Start a process.

        Args:
            job: it is to run.
            says: file for what it says at its end.
            limit: bytes that a file can have at most (RLIMIT_FSIZE).
        """
        self.tell({"job": asdict(job), "says": str(says), "limit": limit})
        return Life(self, self._hear("pid"), says)

    def status_of(self, pid: int) -> int:
        """Wait for the end of a process."""
        while pid not in self._ended:
            self._hear("ended")
        return self._ended.pop(pid)

    def _hear(self, wanted: str) -> int:
        assert self._process.stdout
        while True:
            heard = json.loads(self._process.stdout.readline())
            if "ended" in heard:
                self._ended[heard["ended"]] = heard["status"]
            if wanted in heard:
                return int(heard[wanted])


# In the process itself


def _serve() -> None:
    lock = threading.Lock()
    gates: dict[int, int] = {}
    _warm_up()
    for message in _messages():
        if "go" in message:
            os.close(gates.pop(message["go"]))
            continue
        waits, gate = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(gate)
            for other in gates.values():
                os.close(other)
            # At once: opening it may not be possible any more when there is something to say.
            says = os.open(message["says"], os.O_CREAT | os.O_WRONLY)
            os.read(waits, 1)
            _live(message, says)
        os.close(waits)
        gates[pid] = gate
        _say(lock, {"pid": pid})
        threading.Thread(target=_reap, args=(lock, pid), daemon=True).start()


def _messages() -> Iterator[dict[str, Any]]:
    for line in iter(sys.stdin.readline, ""):
        yield json.loads(line)


def _say(lock: threading.Lock, message: dict[str, Any]) -> None:
    with lock:
        os.write(1, (json.dumps(message) + "\n").encode())


def _reap(lock: threading.Lock, pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    _say(lock, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def _warm_up() -> None:
    """Load and compile what a job needs, so that a life takes a fraction of a second.

    No database is opened, RocksDB neither: some have threads, which a fork has not.
    """
    import tempfile

    import deltalake
    import duckdb
    import psycopg
    import rocksdict

    from kills.jobs import BUDGETS, Job, run_job

    assert all((deltalake, duckdb, psycopg, rocksdict))
    for reads in ("flights", "generated", "keyed"):
        for sink in ("parquet", "csv", "parts", "days"):
            with tempfile.TemporaryDirectory() as folder:
                run_job(Job(folder, sink, reads, backend="files" if reads in BUDGETS else ""))


def _live(message: dict[str, Any], says: int) -> None:
    """Run a job in a process of its own; does not return."""
    said: Any = None
    status = 1
    try:
        from kills.jobs import Job, run_job

        if message["limit"] is not None:
            import resource

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (message["limit"], resource.RLIM_INFINITY))
        said = run_job(Job(**message["job"]))
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
        said = [type(error).__name__, str(error)]
    finally:
        with suppress(BaseException):
            os.write(says, json.dumps(said).encode())
        os._exit(status)


if __name__ == "__main__":
    _serve()
