"""The command line's way in: commands, errors as text, exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import click

from eventtime.cli.advise import advise
from eventtime.cli.checkpoint import checkpoint
from eventtime.cli.demo import demo
from eventtime.cli.explain_row import explain_row_command
from eventtime.cli.light import lighten
from eventtime.cli.log import line_of
from eventtime.cli.replay import explain, replay, run
from eventtime.cli.session import Session
from eventtime.cli.soak import soak_command
from eventtime.cli.tail import tail
from eventtime.cli.termination import TERMINATED, hear_sigterm
from eventtime.cli.top import top
from eventtime.errors import (
    AggregateOverflowError,
    CheckpointError,
    EventTimeError,
    JournalError,
    PlanError,
    SinkError,
    SourceError,
    UserCodeError,
)
from eventtime.sinks.stdout import STDOUT
from eventtime.starting import INTERRUPTED, hear_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ("EXIT_CODES", "cli", "main")

EXIT_CODES: Final[tuple[tuple[type[EventTimeError], int], ...]] = (
    (PlanError, 2),
    (SourceError, 3),
    (AggregateOverflowError, 3),
    (SinkError, 4),
    (UserCodeError, 5),
    (CheckpointError, 6),
    (JournalError, 6),
)
"""Exit codes by class of error; others end with 1."""

_HELP: Final = """Event-time windows over files of rows, in one process.

Rows seldom lie in the order of the times they speak of. Aggregates by key and window come out once
their window is complete; rows that come too late for theirs are shown, and every row is accounted
for.

\b
Start here; demo prints commands that you can repeat on its data:
  eventtime demo                                        a month of real flights
  eventtime advise flights/*.parquet --time departed    which bound on disorder?
  eventtime replay flights/*.parquet --time departed --key origin --window 1h \\
    --agg 'mean(dep_delay) as delay' --max-disorder 4h --out hourly.parquet

\b
Exit codes:
  0  done (also if the reader of stdout went away)
  1  unexpected: a fault of eventtime
  2  usage or plan: a bad option, an unknown column, a malformed duration
  3  input: not found, cut short, schemas that differ, a sum that leaves its type
  4  output: exists already, not writable, disk full
  5  code of yours raised or returned something else
  6  checkpoint, savepoint or journal: damaged, not writable, of another pipeline or input;
     another process took over
  130  interrupted by Ctrl-C; nothing is left half-written; with --checkpoint suspended
  143  terminated by SIGTERM; the same"""


_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _version(context: click.Context, option: click.Parameter, value: object) -> None:
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"eventtime {version('eventtime')}")
        except PackageNotFoundError:
            click.echo("eventtime, from a folder where it is not installed")
        context.exit()


class _ReaderGone(Exception):  # noqa: N818 - no error
    """Raised when nobody reads stdout any more."""


class _Commands(click.Group):
    """The commands; click itself would end with 1 when the reader of stdout goes away."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was chosen."""
        try:
            result: object = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt as error:
            # Otherwise click begins a new line, behind a terminal's ^C.
            if ctx.obj.logs_json:
                raise click.Abort from error
            raise
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except SinkError as error:
            if error.place == STDOUT and isinstance(error.__cause__, BrokenPipeError):
                raise _ReaderGone from error
            raise
        return result


@click.group(cls=_Commands, help=_HELP, context_settings=_SETTINGS)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
def cli() -> None:
    """Hold the commands together."""


for _command in (
    *(replay, run, tail, top, explain, explain_row_command),
    *(advise, demo, checkpoint, soak_command),
):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None: those of this process.

    Returns:
        The exit code.
    """
    session = Session()
    if arguments is None:
        arguments = sys.argv[1:]
        lighten(arguments[0] if arguments else "")
    session.logs_json = _logs_json(arguments)
    try:
        hear_ctrl_c()
        with hear_sigterm(session):
            given = list(arguments)
            code = cli.main(given, prog_name="eventtime", obj=session, standalone_mode=False)
            # At exit it would be too late to say that stdout takes nothing.
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - nobody is above
        return _ended(error, session)
    # Of a command that says how it ended, by click's `Exit`.
    return code if isinstance(code, int) else 0


def _ended(error: BaseException, session: Session) -> int:
    """Tell why a command ended early; returns the exit code."""
    if isinstance(error, _ReaderGone):
        # It has seen enough. What is left in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _interrupted(session)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        if session.logs_json:
            _complain(error.format_message(), session)
        else:
            error.show()
        return error.exit_code
    if isinstance(error, EventTimeError):
        _complain(_in_words_of_the_command_line(error), session)
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
    code, fix = 1, "this is a fault of eventtime: report it with what --traceback shows"
    if isinstance(error, OSError):
        # Sources and sinks say what they met; what is left is stdout.
        code, fix = 4, "check the space and the permissions where stdout goes"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    elif isinstance(error, SystemExit):
        code, fix = 5, "let no function of the pipeline call sys.exit"
    _complain(f"{type(error).__name__}: {error}\n  fix: {fix}", session)
    return code


def _interrupted(session: Session) -> int:
    how, code = "interrupted", INTERRUPTED
    if session.is_terminated:
        how, code = "terminated", TERMINATED
    if session.is_published:
        _complain(f"{how} after the outputs were complete", session)
    elif session.goes_on_from is not None:
        _complain(f"{how}; the same command goes on from {session.goes_on_from!r}", session)
    elif session.follows:
        _complain(f"{how}; with --checkpoint DIR the same command would go on from here", session)
    elif session.has_outputs:
        _complain(f"{how}; nothing was written under the final name", session)
    else:
        _complain(how, session)
    return code


_WORDS: Final = (
    ("advise(on_time=…)", "--on-time"),
    ("run(checkpoint=…)", "--checkpoint"),
    ("run(start_from=…)", "--from"),
    ("run(sink=…)", "--out"),
    ("run(journal=…)", "--journal"),
    ("replay_journal(journal)", "--from-journal"),
    ("soak(seconds)", "--seconds"),
    ("run(sides=…)", "--late, --quarantine"),
    ("give late=… again", "give --late PATH again"),
    ("engine.savepoint(...)", "eventtime checkpoint savepoint"),
    (
        "start from an older checkpoint that is whole: at=",
        "make a savepoint of an older one: --at ",
    ),
    (" or at=", " or --at "),
    ("leave out at=", "leave out --at"),
    ("--checkpoint-every=", "--checkpoint-every"),
    (" every=", " --checkpoint-every"),
    ("time=…", "--time"),
    ("time_unit='s', 'ms', 'us' or 'ns'", "--time-unit s, ms, us or ns"),
    *((f"time_unit={unit!r}", f"--time-unit {unit}") for unit in ("s", "ms", "us", "ns")),
    (", or name the format: et.to_parquet(path) and the like", ""),
    ("for each day to_parquet(", "for each day, in a FILE.py, sink = et.to_parquet("),
    ("key_by(...)", "--key"),
    ("percentile(share=…)", "--percentile"),
    ("on_malformed='quarantine'", "--on-malformed quarantine"),
    ("schema=", "--type NAME=TYPE"),
    ("live(ui=…)", "--ui"),
    ("live(ui_token=…)", "--ui-token"),
    ("idle_after=", "--idle-after"),
    ("max_ahead=", "--max-ahead"),
    ("--offset=", "--offset"),
    ("--window=", "--window"),
    ("--slide=", "--slide"),
    ("--max-disorder=", "--max-disorder"),
    ("--allowed-lateness=", "--allowed-lateness"),
    ("--max-future=", "--max-future"),
)


def _in_words_of_the_command_line(error: EventTimeError) -> str:
    """Name options where the library, which knows none, names arguments."""
    text = str(error)
    for argument, option in _WORDS:
        text = text.replace(argument, option)
    return text


def _logs_json(arguments: Sequence[str]) -> bool:
    """Tell whether `--log json` is given; of arguments as they are, for reading them may fail."""
    return "--log=json" in arguments or ("--log", "json") in pairwise(arguments)


def _complain(text: str, session: Session) -> None:
    if session.logs_json:
        more = {"traceback": traceback.format_exc()} if session.traceback else {}
        click.echo(line_of("error", error=text, **more), err=True)
        return
    if session.traceback:
        traceback.print_exc()
    click.secho("error: ", fg="red", bold=True, err=True, nl=False)
    click.echo(text, err=True)
