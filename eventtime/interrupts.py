"""Moments in which Ctrl-C and SIGTERM wait, for they would leave something half begun for good."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ("interrupts_wait",)

_NUMBERS: Final[tuple[int, ...]] = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """Let the handler of a first Ctrl-C or SIGTERM run behind the block; of a second one, at once.

    A handler that raises may do so between the making of a file and the note that it was made:
    nobody would remove it. For blocks that take no time to speak of. Signals without a handler of
    Python's are left as they are; outside the main thread, where handlers do not run, so are all.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Callable[[int, FrameType | None], object]] = {}
    waiting: dict[int, FrameType | None] = {}
    is_over = False

    def wait(number: int, frame: FrameType | None) -> None:
        if is_over or number in waiting:
            before[number](number, frame)
        else:
            waiting[number] = frame

    try:
        for number in _NUMBERS:
            handler = signal.getsignal(number)
            if callable(handler):
                before[number] = handler
                signal.signal(number, wait)
        yield
    finally:
        try:
            for number, handler in before.items():
                if signal.getsignal(number) is wait:  # a handler may have put another in its place
                    signal.signal(number, handler)
        finally:
            is_over = True
            for number, frame in waiting.items():
                before[number](number, frame)
