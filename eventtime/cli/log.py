"""What happens to a live run as JSON lines: the difference between one status and the next."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from eventtime.clock import SystemClock
from eventtime.holding import holding
from eventtime.status import finite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eventtime.status import Status

__all__ = ("JsonLog", "events", "line_of")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class JsonLog:
    """Writes a line for each event; something short that is over before the next look is missed.

    Args:
        write: takes a line; None: stderr.
    """

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = write or (lambda line: click.echo(line, err=True))
        self._before: Status | None = None

    def __call__(self, status: Status) -> None:
        """Take a status."""
        for event in events(self._before, status):
            self._write(json.dumps(event))
        self._before = status


def line_of(event: str, **more: str) -> str:
    """Return what the command itself has to say, as a line of the log."""
    return json.dumps({"at": _iso(SystemClock().now_us()), "event": event, **more})


def events(before: Status | None, status: Status) -> Iterator[dict[str, Any]]:
    """Yield what has happened from one status to the next.

    Args:
        before: None: the run has begun.
        status: of now.
    """
    at = {"at": _iso(status.at_us)}
    if before is None:
        yield {**at, "event": "started", "ui": status.life.url or None}
        if (resumed := status.report.resumed) is not None:
            yield {
                **at,
                "event": "resumed",
                "checkpoint": resumed.number,
                "rows": resumed.rows,
            }
    yield from ({**at, **event} for event in _of_partitions(before, status))
    yield from ({**at, **event} for event in _of_checkpoints(before, status))
    state = status.life.state
    if before is not None and state not in {before.life.state, "running"}:
        report = status.report
        yield {
            **at,
            "event": state,
            **({"error": status.life.error} if status.life.error else {}),
            "rows": report.rows,
            "results": report.results,
            "late": report.late,
            "watermark": _time(status.watermark_us),
            "holding": holding(status),
        }


_CHANGES = {
    "idle": "partition idle",
    "held": "partition held",
    "left": "partition left",
    "ended": "partition ended",
}


def _of_partitions(before: Status | None, status: Status) -> Iterator[dict[str, Any]]:
    known = [] if before is None else [p.state for p in before.partitions]
    for i, partition in enumerate(status.partitions):
        was = known[i] if i < len(known) else None
        told = {"partition": partition.name, "watermark": _time(partition.watermark_us)}
        if was is None:
            yield {"event": "partition found", **told}
        if partition.state == "active":
            if was is not None and was != "active":
                yield {"event": "partition back", **told}
        elif partition.state != was:
            yield {"event": _CHANGES[partition.state], **told}


def _of_checkpoints(before: Status | None, status: Status) -> Iterator[dict[str, Any]]:
    written = status.report.checkpoint
    last = None if before is None else before.report.checkpoint
    if written is not None and (last is None or written.number != last.number):
        yield {
            "event": "checkpoint written",
            "checkpoint": written.number,
            "duration_s": written.duration_us / 1e6,
            "bytes": written.new_bytes,
        }
    failed = status.life.failed_checkpoints
    if failed > (0 if before is None else before.life.failed_checkpoints):
        yield {"event": "checkpoint failed", "failures": failed, "error": status.life.error}


def _time(time_us: int | None) -> str | None:
    return None if time_us is None or finite(time_us) is None else _iso(time_us)


def _iso(time_us: int) -> str:
    """Write an instant; of one that no calendar of Python's has, the number."""
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{time_us}us"
