"""The command that lets simulated runs fail and crash for a given time, seed after seed."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from eventtime.cli.needless import refuse, was_typed
from eventtime.cli.session import Session, common_options

if TYPE_CHECKING:
    from eventtime.testing.simulation import Soaked, Survived

__all__ = ("soak_command",)

_HELP: Final = """Simulate live runs through faults and crashes, seed after seed.

Each seed gives a pipeline, partitions that come, go and are silent, a clock that is stepped back at
times, a disk whose calls fail or are torn, a source and sinks that fail, and processes killed
anywhere. What comes out in the end must be what a run never disturbed gives, each row once. The
same seed does the same, to the last call: its trace says so.

\b
Examples:
  eventtime soak --seconds 600
  eventtime soak --seed 4711"""


@click.command("soak", help=_HELP, short_help="Simulate runs through faults and crashes.")
@click.option("--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True,
              help="How long; the last seed comes to its end.")  # fmt: skip
@click.option("--seed-from", type=click.IntRange(min=0), default=0, show_default=True,
              help="The first seed.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Only this seed.")
@common_options
@click.pass_obj
def soak_command(session: Session, /, seconds: float, seed_from: int, seed: int | None) -> None:
    """Run the seeds, and say what they went through."""
    _check_needless(seed)
    # What it stands on takes a second to load.
    from eventtime.testing.simulation import simulate, soak

    line = _Line(is_shown=sys.stderr.isatty() and not session.quiet)
    with session.compiling(line.say):
        if seed is not None:
            survived = simulate(seed)
            _tell(survived, f"seed {seed}: trace {survived.trace}, {survived}", session)
            return
        try:
            soak(seconds, seed_from=seed_from, progress=line)
        finally:  # what the seeds before an end by Ctrl-C, or by one that failed, went through too
            line.clear()
            if line.last is not None:
                _tell(line.last, str(line.last), session)


def _check_needless(seed: int | None) -> None:
    """Refuse options that would be passed over."""
    for name, flag in (("seconds", "--seconds"), ("seed_from", "--seed-from")):
        if seed is not None and was_typed(name):
            refuse(flag, "for one seed", remedy="leave it out, or --seed")


class _Line:
    """What the seeds went through so far: on a terminal one line, written again and again."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self.last: Soaked | None = None

    def __call__(self, soaked: Soaked) -> None:
        self.last = soaked
        if self._is_shown:
            click.echo(f"\r\x1b[K{soaked}", err=True, nl=False)

    def say(self, text: str) -> None:
        self.clear()
        click.echo(text, err=True)

    def clear(self) -> None:
        if self._is_shown:
            click.echo("\r\x1b[K", err=True, nl=False)


def _tell(found: Soaked | Survived, text: str, session: Session) -> None:
    if session.json:
        click.echo(json.dumps(asdict(found)))
    else:
        session.say(text)
