"""What one call of the command line knows of itself: how much it says, and where."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from eventtime.cli.log import line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numba.core.event import Event

__all__ = ("Session", "common_options", "now_s")


@dataclass
class Session:
    """Options that every command takes.

    Args:
        traceback: errors come with one.
        quiet: nothing is said beside results and errors.
        json: one JSON object on stdout instead of text.
        has_outputs: there are outputs that a run is to write.
        is_published: they stand under their final names.
        is_terminated: what interrupts the command is SIGTERM.
        goes_on_from: folder of checkpoints from which the same command goes on; None: there is
            none.
        follows: the run is live: what it has committed stays, and is not gone on with.
        logs_json: every line on stderr is a JSON object.
    """

    traceback: bool = False
    quiet: bool = False
    json: bool = False
    has_outputs: bool = False
    is_published: bool = False
    is_terminated: bool = False
    goes_on_from: str | None = None
    follows: bool = False
    logs_json: bool = False

    def say(self, text: str = "") -> None:
        """Print a line for people on stdout; not with `--json` or `--quiet`."""
        if not (self.json or self.quiet):
            click.echo(text)

    def hint(self, text: str) -> None:
        """Print a line for people on stderr."""
        click.echo(line_of("note", text=text) if self.logs_json else text, err=True)

    @property
    def is_live(self) -> bool:
        """Whether progress can be shown."""
        return sys.stderr.isatty() and not (self.json or self.quiet or self.logs_json)

    @contextlib.contextmanager
    def compiling(self, say: Callable[[str], None] | None = None) -> Iterator[None]:
        """Say once if kernels are compiled inside the block, as in first runs.

        Args:
            say: prints a line on stderr; None: `hint`.
        """
        if self.quiet:
            yield
            return
        from numba.core.event import Listener, install_listener

        tell = say or self.hint

        class _FirstCompilation(Listener):  # type: ignore[misc]
            said = False

            def on_start(self, event: Event) -> None:
                if not self.said:
                    self.said = True
                    tell(
                        "eventtime: compiling kernels for this machine, which takes some seconds; "
                        "later runs find them on disk"
                    )

            def on_end(self, event: Event) -> None:
                pass

        # Fired only where the cache on disk has no kernel of that signature.
        with install_listener("numba:compile", _FirstCompilation()):
            yield


def common_options(command: Any, *, json: str = "Print one JSON object instead of text.") -> Any:
    """Add the options that every command takes; `json` says what that one does."""
    for option in (
        click.option(
            "--traceback", is_flag=True, expose_value=False, callback=_remember,
            envvar="EVENTTIME_DEBUG", help="Show where an error comes from (or EVENTTIME_DEBUG=1).",
        ),
        click.option(
            "--quiet", "-q", is_flag=True, expose_value=False, callback=_remember,
            help="Say nothing but results and errors.",
        ),
        click.option(
            "--json", is_flag=True, expose_value=False, callback=_remember,
            help=json,
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _remember(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value and option.name is not None:
        setattr(context.ensure_object(Session), option.name, True)


def now_s() -> float:
    """Return seconds for measuring spans."""
    return time.perf_counter()
