"""Processes that are killed at a chosen line of a sink."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventtime.testing.epochs import JOB, SCHEMA, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import FrameType

    from eventtime.sinks.epochs import EpochSink, EpochWriter

__all__ = ("KillPoint", "kill_points", "killed")

_WAIT_S: Final = 60


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
    # Forked from a process without threads, which libraries with threads survive.
    context = multiprocessing.get_context("forkserver")
    # What is not installed is passed over.
    drivers = ["adbc_driver_postgresql.dbapi", "deltalake", "duckdb"]
    context.set_forkserver_preload(["eventtime.testing.sinks", *drivers])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_act, args=(sink, method, point, theirs))
    process.start()
    theirs.close()
    try:
        ran = ours.recv()
    except EOFError:
        ran = None
    process.join(_WAIT_S)
    if ran is None and process.exitcode != -signal.SIGKILL:
        msg = f"{method} in another process ended with {process.exitcode}; see its traceback"
        raise AssertionError(msg)
    return ran


def _act(sink: EpochSink, method: str, point: KillPoint | None, answer: Connection) -> None:
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
    answer.send(trace.ran)


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
