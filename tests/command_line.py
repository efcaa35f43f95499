"""The command line as its users call it, for the tests of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from subprocess import PIPE
from typing import IO, TYPE_CHECKING, Final

from tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ("FLIGHTS", "Call", "Ended", "process")

FLIGHTS: Final = str(ROOT / "eventtime" / "data" / "flights")


@dataclass(frozen=True)
class Ended:
    """A call that has ended: exit code, and what was said on stdout and stderr."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


def process(
    *arguments: str | Path, env: Mapping[str, str] | None = None, out: IO[str] | int = PIPE
) -> subprocess.Popen[str]:
    """Start the command line in a process of its own.

    Args:
        arguments, env: of it.
        out: where its results go: a pipe that nobody reads along is full at 64 KiB, and stops it.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "eventtime", *map(str, arguments)],
        stdout=out,
        stderr=PIPE,
        text=True,
        cwd=ROOT,
        env=env,
    )
