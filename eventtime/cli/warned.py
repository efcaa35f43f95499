"""What the library's loggers warn of, on stderr while a command runs."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

import click

from eventtime.cli.log import line_of
from eventtime.kafka_client import CLIENT_LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventtime.cli.session import Session

__all__ = ("warnings_shown",)

_LIBRARY: Final = logging.getLogger("eventtime")


class _Shown(logging.Handler):
    """Hands warnings over as lines; what a client says in its own words is told in ours."""

    def __init__(self, write: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        if record.name != CLIENT_LOG.name:
            self._write(record)


@contextlib.contextmanager
def warnings_shown(session: Session, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Show warnings of the loggers `eventtime.*` on stderr inside the block; not with `--quiet`.

    Args:
        session: of the command.
        say: prints a line on stderr; None: `click.echo`.
    """
    if session.quiet:
        yield
        return
    tell = say or (lambda line: click.echo(line, err=True))

    def write(record: logging.LogRecord) -> None:
        text = record.getMessage()
        is_json = session.logs_json
        tell(line_of("warning", logger=record.name, text=text) if is_json else f"warning: {text}")

    handler = _Shown(write)
    _LIBRARY.addHandler(handler)
    try:
        yield
    finally:
        _LIBRARY.removeHandler(handler)
