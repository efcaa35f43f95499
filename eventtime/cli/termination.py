"""SIGTERM, as supervisors and ``timeout`` send it: it ends a command as Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from eventtime.cli.session import Session

__all__ = ("TERMINATED", "hear_sigterm")

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
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
