"""The options by which a live run is watched: a status page, and logs for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from eventtime.cli.log import JsonLog
from eventtime.errors import PlanError
from eventtime.live import Live, live
from eventtime.plan import Read, walk
from eventtime.sources.feed import is_live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventtime.cli.session import Session
    from eventtime.status import Status
    from eventtime.stream import Stream

__all__ = ("WATCH_OPTIONS", "goes_on", "live_of")

_ENVIRONMENT: Final = click.core.ParameterSource.ENVIRONMENT

WATCH_OPTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    click.option(
        "--ui", metavar="ADDRESS",
        help="Serve a status page and metrics of a live run, such as :8080 (this machine only).",
    ),
    click.option(
        "--ui-token", metavar="TOKEN", envvar="EVENTTIME_UI_TOKEN",
        help="What who looks at it must know (or EVENTTIME_UI_TOKEN).",
    ),
    click.option(
        "--log", type=click.Choice(["json"]),
        help="What happens to a live run, as JSON lines on stderr.",
    ),
)  # fmt: skip


def goes_on(stream: Stream) -> bool:
    """Tell whether a source of the stream goes on."""
    return any(isinstance(node, Read) and is_live(node.source) for node in walk(stream.node))


def live_of(given: Mapping[str, Any], stream: Stream, session: Session) -> Live | None:
    """Read the values of `WATCH_OPTIONS`; None: the stream is replayed.

    Raises:
        PlanError: there is nothing to watch, for all sources end.
    """
    wanted = [name for name in ("ui", "ui_token", "log") if given[name]]
    context = click.get_current_context(silent=True)
    if context is not None and context.get_parameter_source("ui_token") is _ENVIRONMENT:
        wanted = [name for name in wanted if name != "ui_token"]  # it is there for others too
    if goes_on(stream) and wanted == ["ui_token"]:
        msg = "--ui-token is for a status page, and there is none"
        raise PlanError(msg, place="--ui-token", remedy="add --ui :8080, or leave it out")
    if not goes_on(stream):
        if wanted:
            flag = "--" + wanted[0].replace("_", "-")
            msg = f"{flag} is for live runs, and all sources of this one end"
            raise PlanError(msg, place=flag, remedy="leave it out; progress is shown on stderr")
        return None
    observers: list[Callable[[Status], None]] = [JsonLog()] if given["log"] else []
    if given["ui"] and not (session.quiet or given["log"]):
        observers.append(_SaysWhere())
    return live(ui=given["ui"], ui_token=given["ui_token"], observe=observers)


class _SaysWhere:
    """Says once where the status page is."""

    def __init__(self) -> None:
        self._is_said = False

    def __call__(self, status: Status) -> None:
        if not self._is_said:
            self._is_said = True
            click.echo(f"status page: {status.life.url}", err=True)
