"""What the library's loggers and Python's warnings say, on stderr while a command runs."""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click

from eventtime.cli.log import line_of
from eventtime.kafka_client import CLIENT_LOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventtime.cli.session import Session

__all__ = ("warnings_shown",)

_LIBRARY: Final = logging.getLogger("eventtime")
_FOLDER: Final = Path(__file__).parents[1]


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
    """Show warnings on stderr inside the block; none with `--quiet`.

    Those of the loggers `eventtime.*`, and Python's: the library's, and of functions of the user's.

    Args:
        session: of the command.
        say: prints a line on stderr; None: `click.echo`.
    """
    tell = say or (lambda line: click.echo(line, err=True))

    def write(text: str, **more: str) -> None:
        if not session.quiet:
            is_json = session.logs_json
            tell(line_of("warning", **more, text=text) if is_json else f"warning: {text}")

    handler = _Shown(lambda record: write(record.getMessage(), logger=record.name))
    _LIBRARY.addHandler(handler)
    try:
        with _pythons_told(write):
            yield
    finally:
        _LIBRARY.removeHandler(handler)


@contextlib.contextmanager
def _pythons_told(write: Callable[[str], None]) -> Iterator[None]:
    """Hand over the text of Python's warnings; of such as are not the library's, with the place."""

    def shown(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del file, line
        is_own = Path(filename).is_relative_to(_FOLDER)
        write(str(message) if is_own else f"{filename}:{lineno}: {category.__name__}: {message}")

    before = warnings.showwarning
    warnings.showwarning = shown
    try:
        yield
    finally:
        warnings.showwarning = before
