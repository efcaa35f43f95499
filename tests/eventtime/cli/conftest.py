"""Calls of the command line in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from command_line import Ended
from eventtime.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Call


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call the command line."""
    monkeypatch.delenv("EVENTTIME_DEBUG", raising=False)

    def run(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Ended(code, told.out, told.err)

    return run
