"""Signals that the main thread does not hear: it is in a call outside of Python."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from eventtime.cli.log import line_of
from eventtime.cli.session import now_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.cli.session import Session

__all__ = ("ONE_SIGNAL_S", "ends_at_second_signal")

ONE_SIGNAL_S: Final = 1.0
"""SIGTERM goes to a process and to its group: within this time that is one wish."""

_REACTS_WITHIN_S: Final = 1.0
_STDERR: Final = 2
_OVER: Final = b"\0"


@contextlib.contextmanager
def ends_at_second_signal(session: Session) -> Iterator[None]:
    """End the process at a second SIGINT or SIGTERM that the main thread cannot hear.

    Python's handlers run in the main thread, between two steps of it. While that waits in a library
    for a database that says nothing, they do not; then a thread ends the process. Call it in the
    main thread.

    Args:
        session: of the command.
    """
    if sys.platform == "win32":  # it has no signal to ask with
        yield
        return
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    answers: SimpleQueue[None] = SimpleQueue()
    # Urgent data of sockets: ignored by default, and nobody here asks for it.
    before = signal.signal(signal.SIGURG, lambda number, frame: answers.put(None))
    woken = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    watching = threading.Thread(
        target=_watch, args=(reads, answers, session), name="eventtime-signals", daemon=True
    )
    watching.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGURG, before)
        os.write(writes, _OVER)  # a process that was forked off may hold this end open
        watching.join()
        os.close(writes)
        os.close(reads)


def _watch(reads: int, answers: SimpleQueue[None], session: Session) -> None:
    """Take the number of each signal as it comes, to the end."""
    first_s: float | None = None
    while (number := os.read(reads, 1)) != _OVER:
        if number[0] not in {signal.SIGINT, signal.SIGTERM}:
            continue
        now = now_s()
        if first_s is None:
            first_s = now
        elif number[0] == signal.SIGINT or now - first_s >= ONE_SIGNAL_S:
            _end_if_unheard(number[0], answers, session)


def _end_if_unheard(number: int, answers: SimpleQueue[None], session: Session) -> None:
    """Ask the main thread to run a handler; if it does not, nothing else will stop it."""
    assert sys.platform != "win32"
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGURG)
    try:
        answers.get(timeout=_REACTS_WITHIN_S)
    except Empty:
        # Not by the stream, whose lock may be taken; and nothing if nobody reads.
        if select.select([], [_STDERR], [], 0)[1]:
            with contextlib.suppress(OSError):
                os.write(_STDERR, _last_words(session).encode())
        os._exit(128 + number)


def _last_words(session: Session) -> str:
    text = "stopped at once by a second signal, in the midst of a call that does not come back"
    if session.goes_on_from is not None:
        text += f"; the same command goes on from {session.goes_on_from!r}"
    return f"{line_of('error', error=text) if session.logs_json else f'error: {text}'}\n"
