"""Ctrl-C and SIGTERM wait while files begin: what is begun is known, and can be removed."""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pytest

from eventtime.errors import SinkError
from eventtime.interrupts import interrupts_wait
from eventtime.outputs import Outputs
from eventtime.savepoint import write_savepoint
from eventtime.sinks.csv import to_csv
from eventtime.sinks.parquet import to_parquet
from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from eventtime.state.pack import PackWriter

SCHEMA = pa.schema([("t", pa.timestamp("us"))])


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that handlers of a program were told of."""
    told: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        told.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    yield told
    assert {signal.getsignal(number) for number in before} == {hear}
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_first_signal_waits_and_a_second_does_not(heard: list[int]) -> None:
    with interrupts_wait():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert heard == []
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    assert heard == [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]


def test_what_fails_meanwhile_loses_no_signal(heard: list[int]) -> None:
    def fails() -> None:
        with interrupts_wait():
            signal.raise_signal(signal.SIGINT)
            msg = "no room"
            raise SinkError(msg, place="here", remedy="there")

    with pytest.raises(SinkError, match="no room"):
        fails()
    assert heard == [signal.SIGINT]


def test_another_thread_has_nothing_to_wait_for(heard: list[int]) -> None:
    done: list[bool] = []

    def work() -> None:
        with interrupts_wait():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert (done, heard) == ([True], [])


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_wait():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


OURS = (str(ROOT / "eventtime"), contextlib.__file__)


def interrupted_at(step: int, work: Callable[[], None]) -> bool:
    """Call `work` with a Ctrl-C before one of our steps of the interpreter; tells if it came.

    Steps of others are left out: what the garbage collector calls swallows all that is raised.
    """
    steps = itertools.count()
    is_sent = False

    def trace(frame: FrameType, event: str, given: Any) -> Any:
        nonlocal is_sent
        del given
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(steps) == step:
            is_sent = True
            signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return is_sent


class Begun(NamedTuple):
    """What begins an output, and what gives it up."""

    work: Callable[[], None]
    gives_up: Callable[[], None]


def begins_csv(place: Path) -> Begun:
    outputs = Outputs()
    sink = to_csv(place / "out.csv")
    return Begun(lambda: outputs.open("late", sink, SCHEMA), outputs.abort)


def begins_folder(place: Path) -> Begun:
    outputs = Outputs()
    sink = to_parquet(place / "out", parts=True)
    return Begun(lambda: outputs.open("late", sink, SCHEMA), outputs.abort)


def begins_savepoint(place: Path) -> Begun:
    path = place / "point"

    def fill(pack: PackWriter) -> dict[str, Any]:
        del pack
        return {}

    def removes() -> None:
        path.unlink(missing_ok=True)

    return Begun(lambda: write_savepoint(path, None, fill, overwrite=False), removes)


@pytest.mark.parametrize("begins", [begins_csv, begins_folder, begins_savepoint])
def test_ctrl_c_at_any_step_while_an_output_begins_leaves_nothing(
    begins: Callable[[Path], Begun], tmp_path: Path
) -> None:
    """What is known to have begun can be given up; what was published stays whole."""
    handler = signal.getsignal(signal.SIGINT)

    def comes(step: int) -> bool:
        work, gives_up = begins(tmp_path)
        is_sent = True
        with contextlib.suppress(KeyboardInterrupt):
            is_sent = interrupted_at(step, work)
        gives_up()
        left = list(tmp_path.iterdir()), signal.getsignal(signal.SIGINT)
        assert left == ([], handler), step
        return is_sent

    assert not comes(-1)  # what is imported on the way is whole from here on
    assert sum(itertools.takewhile(bool, map(comes, itertools.count()))) > 500
