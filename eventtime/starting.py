"""Ctrl-C while the command line is still importing what it needs; works by being imported first."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

__all__ = ("INTERRUPTED", "hear_ctrl_c")

INTERRUPTED: Final = 130
"""Exit code of a command that Ctrl-C ended."""


def _mute_ctrl_c() -> None:
    """Until `hear_ctrl_c`, let Ctrl-C end this process without a word, if it is our command line.

    Nothing has begun then, and a traceback out of the midst of imports tells nobody anything. Of a
    program that only imports the library nothing is changed.
    """
    if _is_command_line() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def hear_ctrl_c() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    # Not by an exception: what imports extension modules turns it into others, or swallows it.
    os._exit(INTERRUPTED)


def _is_command_line() -> bool:
    program = sys.argv[0] if sys.argv else ""
    if program == "-m":  # as it is called while the package is imported
        return sys.orig_argv[sys.orig_argv.index("-m") :][1:2] == ["eventtime"]
    if os.path.basename(program) != "eventtime":
        return False
    try:
        with open(program, "rb") as script:
            return b"eventtime.cli.main" in script.read(1_000)
    except OSError:
        return False


_mute_ctrl_c()
