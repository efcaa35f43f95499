"""Live runs that are looked at: a script that is played while a status is taken at some seconds."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import eventtime as et
from eventtime.board import Board
from live.script import Alarm, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass
class Seen:
    """Takes each status of a run.

    Args:
        statuses: as they came.
        then: called with each.
    """

    statuses: list[et.Status] = field(default_factory=list)
    then: Callable[[et.Status], None] = lambda status: None

    def __call__(self, status: et.Status) -> None:
        self.statuses.append(status)
        self.then(status)

    def at(self, second: float) -> et.Status:
        """Return the last one up to a second of the clock."""
        return [s for s in self.statuses if s.at_us <= second * 1_000_000][-1]


def counted(script: Script, **watermark: Any) -> et.Stream:
    marked = et.Stream.read(script).watermark(et.ascending(), **watermark)
    return marked.window(et.tumbling("10s")).aggregate(n=et.count())


def run(script: Script, *observers: Callable[[et.Status], None], **more: Any) -> et.Run:
    """Run a script while somebody looks; `stream`, `ui` and `ui_token` may be given."""
    stream = more.pop("stream", None) or counted(script)
    looking = {name: more.pop(name) for name in ("ui", "ui_token") if name in more}
    live = et.live(clock=script.clock, alarm=Alarm(script.clock), observe=observers, **looking)
    # How long a status takes to make is no concern of the script's: it spaces them.
    with patch("eventtime.observing.Board", partial(Board, stopwatch_ns=lambda: 0)):
        ran: et.Run = stream.run(live=live, **more)
    return ran


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str, Mapping[str, str]]:
    """Ask a server on this machine; returns status, text and headers."""
    request = urllib.request.Request(url, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)


def get_json(url: str) -> Any:
    return json.loads(get(url)[1])
