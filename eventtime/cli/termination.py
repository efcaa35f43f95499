"""SIGTERM, as supervisors and ``timeout`` send it, and Ctrl-C: they end or suspend a command."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Final

from eventtime.cli.session import now_s
from eventtime.cli.unheard import ONE_SIGNAL_S, ends_at_second_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from eventtime.cli.session import Session

__all__ = ("TERMINATED", "Suspension", "hear_sigterm")

TERMINATED: Final = 143
"""Exit code of a command that SIGTERM ended."""


@contextlib.contextmanager
def hear_sigterm(session: Session) -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt inside the block, so that nothing half-written stays.

    A program that has its own way with SIGTERM, or ignores it, keeps that. The session remembers
    what it was.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        del frame
        # It may come twice, to a process and to its group; the second must not stop the tidying up.
        signal.signal(number, signal.SIG_IGN)
        session.is_terminated = True
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        with ends_at_second_signal(session):
            yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Suspension:
    """Takes SIGTERM and Ctrl-C as a wish to suspend, and a second one as a wish to stop at once.

    Inside `heard`, a signal is noted and the work goes on to where it can be suspended; the next
    one raises KeyboardInterrupt. While `sleep` waits, the first one does.

    Args:
        session: remembers which signal it was.
        clock: seconds.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = now_s) -> None:
        self._session, self._clock = session, clock
        self._asked_at: float | None = None
        self._is_waiting = False

    @property
    def is_wanted(self) -> bool:
        """Whether a signal has come."""
        return self._asked_at is not None

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Hear signals inside the block; those that the program ignores stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]
        before = {number: signal.signal(number, self._heard) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def sleep(self, seconds: float, pause: Callable[[float], None]) -> None:
        """Wait, unless a signal comes.

        Raises:
            KeyboardInterrupt: one has come.
        """
        if self.is_wanted:
            raise KeyboardInterrupt
        self._is_waiting = True
        try:
            pause(seconds)
        finally:
            self._is_waiting = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        del frame
        now = self._clock()
        if self._asked_at is None:
            self._asked_at = now
            self._session.is_terminated = number == signal.SIGTERM
            if self._is_waiting:
                raise KeyboardInterrupt
            return
        # SIGTERM goes to a process and to its group: that is one wish.
        if number == signal.SIGTERM and now - self._asked_at < ONE_SIGNAL_S:
            return
        raise KeyboardInterrupt
