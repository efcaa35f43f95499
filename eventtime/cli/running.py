"""A stream run for the command line: outputs, progress, and what is told of it afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from eventtime.cli.outputs import Discard, FirstRows
from eventtime.cli.progress import ProgressLine
from eventtime.cli.session import now_s
from eventtime.cli.show import json_rows, show_ledger, show_rows
from eventtime.plan import DROP, Windowed, walk
from eventtime.run_tags import QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventtime.cli.session import Session
    from eventtime.run import Run
    from eventtime.sinks.base import Sink
    from eventtime.stream import Stream

__all__ = ("Finished", "Targets", "run_stream", "tell")
