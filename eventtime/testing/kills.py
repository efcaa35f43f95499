"""Processes that are killed at a chosen line of a sink."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import traceback
from contextlib import suppress
from functools import cache
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from eventtime.testing.epochs import JOB, SCHEMA, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import FrameType

    from eventtime.sinks.epochs import EpochSink, EpochWriter

__all__ = ("KillPoint", "kill_points", "killed")

# What is not installed is passed over.
_DRIVERS: Final = ("adbc_driver_postgresql.dbapi", "deltalake", "duckdb", "eventtime.testing.sinks")


class KillPoint(NamedTuple):
    """Just before a line of a file runs for the n-th time."""

    file: str
    line: int
    turn: int


def kill_points(sink: EpochSink, method: str) -> list[KillPoint]:
    """Run a method in another process and list its lines, for the first and the last time each.

    Lines of the package or folder that the sink's writer is defined in, in the order they ran.
    """
    ran: list[tuple[str, int]] = _in_another_process(sink, method, None)
    times: dict[tuple[str, int], int] = {}
    points = []
    for file, line in ran:
        turn = times[file, line] = times.get((file, line), 0) + 1
        points.append(KillPoint(file, line, turn))
    return [point for point in points if point.turn in {1, times[point.file, point.line]}]


def killed(sink: EpochSink, method: str, point: KillPoint) -> None:
    """Run a method in another process that is killed at a point, with no chance to tidy up."""
    _in_another_process(sink, method, point)


def _in_another_process(sink: EpochSink, method: str, point: KillPoint | None) -> Any:
    ran, status = _nursery().act(sink, method, point)
    if ran is None and status != -signal.SIGKILL:
        msg = f"{method} in another process ended with {status}; see its traceback"
        raise AssertionError(msg)
    return ran


class _Nursery:
    """A process without threads that has the libraries loaded, and forks one for each act.

    Of its own: what a forkserver has loaded is up to whoever starts it first.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._asked, theirs = context.Pipe()
        context.Process(target=_fork_for_each, args=(theirs,), daemon=True).start()
        theirs.close()

    def act(self, *what: Any) -> tuple[Any, int]:
        """Return the answer, None if there is none, and how the process ended."""
        # Where the sink's module is found, and relative paths, may have changed meanwhile.
        self._asked.send((sys.path, Path.cwd(), bytes(ForkingPickler.dumps(what))))
        answer: tuple[Any, int] = self._asked.recv()
        return answer


@cache
def _nursery() -> _Nursery:
    return _Nursery()


def _fork_for_each(asked: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _DRIVERS:
        with suppress(ImportError):
            importlib.import_module(name)
    with suppress(EOFError):
        while True:
            asked.send(_forked(*asked.recv()))


def _forked(path: list[str], folder: Path, what: bytes) -> tuple[Any, int]:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        sys.path[:] = path
        os.chdir(folder)
        _act_and_end(what, theirs)
    theirs.close()
    with ours:
        try:
            ran = ours.recv()
        except EOFError:
            ran = None
    return ran, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _act_and_end(what: bytes, answer: Connection) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 1
    try:
        asked = ForkingPickler.loads(what)  # pyright: ignore[reportAttributeAccessIssue]
        answer.send(_act(*asked))
        status = 0
    except BaseException:  # noqa: BLE001 - the process ends here, whatever happened
        traceback.print_exc()
    finally:
        os._exit(status)


def _act(sink: EpochSink, method: str, point: KillPoint | None) -> list[tuple[str, int]]:
    writer = sink.open_epochs(SCHEMA, JOB)
    if method == "recover":
        trace = _Trace(writer, point)
        trace.run(lambda: writer.recover(2))
    else:
        # What is committed already, another process may have committed.
        if writer.recover(1) == 0:
            writer.commit(1, rows_of(1), 1)
        trace = _Trace(writer, point)
        trace.run(lambda: writer.commit(2, rows_of(2), 1))
    writer.close()
    return trace.ran


class _Trace:
    """Lists the lines that run, or kills the process at one of them."""

    def __init__(self, writer: EpochWriter, point: KillPoint | None) -> None:
        module = sys.modules[type(writer).__module__]
        self._folder = str(Path(module.__file__ or "").parent)
        self._point = point
        self._turns = 0
        self.ran: list[tuple[str, int]] = []

    def run(self, act: Callable[[], object]) -> None:
        sys.settrace(self._enter)
        try:
            act()
        finally:
            sys.settrace(None)

    def _enter(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._step if frame.f_code.co_filename.startswith(self._folder) else None

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        if event != "line":
            return self._step
        here = (frame.f_code.co_filename, frame.f_lineno)
        if self._point is None:
            self.ran.append(here)
        elif here == self._point[:2]:
            self._turns += 1
            if self._turns == self._point.turn:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._step
