"""The command line as its users call it, for the tests of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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


def process(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "eventtime", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=env,
    )
