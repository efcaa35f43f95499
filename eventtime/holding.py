"""Who holds the watermark back, in words: the first thing that somebody on call wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventtime.timestamp import PLUS_INFINITY
from eventtime.wording import counted, span

if TYPE_CHECKING:
    from eventtime.status import PartitionStatus, Status

__all__ = ("holding", "shortened")

_LEVEL_US: Final = 1_000_000
_LETTERS: Final = 60


def holding(status: Status) -> str:
    """Say in a sentence what the combined watermark waits for."""
    partitions, held_by = status.partitions, status.held_by
    if status.report.watermark_us == PLUS_INFINITY:
        return "All partitions have ended, and every window has fired"
    if not partitions:
        return "Nothing to read yet: no partition has been found"
    if held_by is None:
        return _without_any(status)
    counting = [p for p in partitions if p.state in {"active", "held"}]
    unheard = [p for p in counting if p.watermark_us is None]
    if unheard:
        return _waiting_for(unheard, counting)
    return _held_by(partitions[held_by], counting, status)


def _held_by(holder: PartitionStatus, counting: list[PartitionStatus], status: Status) -> str:
    rest = _last_row(holder, status.at_us) + _that_wait(counting)
    name, own_us = shortened(holder.name), holder.watermark_us or 0
    combined_us = status.watermark_us
    if combined_us is not None and own_us < combined_us:
        behind = span(combined_us - own_us)
        return f"{name} is back, {behind} behind the watermark, which waits for it: {rest}"
    if len(counting) == 1:
        return f"{name} alone moves the watermark{_others(status.partitions)}: {rest}"
    _, second_us = sorted(p.watermark_us or 0 for p in counting)[:2]
    if second_us - own_us < _LEVEL_US:
        return f"{len(counting):,} partitions advance together; {name} is the last: {rest}"
    return f"{name} holds the watermark back: {span(second_us - own_us)} behind the next, {rest}"


def shortened(name: str) -> str:
    """Return a name in one line that leaves room for others.

    >>> shortened("a" * 100)
    'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'
    """
    line = " ".join(name.split())
    return line if len(line) <= _LETTERS else line[: _LETTERS - 1] + "…"


def _without_any(status: Status) -> str:
    """No partition counts: none is left, or all are idle or somebody else's (S7)."""
    states = [p.state for p in status.partitions]
    idle, left = states.count("idle"), states.count("left")
    heard = [p.heard_us for p in status.partitions if p.heard_us is not None]
    last = f", last row {span(status.at_us - max(heard))} ago" if heard else ""
    if left and not idle:
        return f"Others read all partitions: the watermark stands still{last}"
    return f"All partitions are idle: the watermark stands still{last}"


def _waiting_for(unheard: list[PartitionStatus], counting: list[PartitionStatus]) -> str:
    name = shortened(unheard[0].name)
    if len(unheard) == len(counting):
        whose = name if len(unheard) == 1 else f"{len(unheard):,} partitions"
        return f"Waiting for the first row of {whose}"
    if len(unheard) == 1:
        return f"{name} holds the watermark back: no row of it has come yet"
    others = counted(len(unheard) - 1, "other partition")
    return f"{name} and {others} hold the watermark back: no row of them has come yet"


def _last_row(partition: PartitionStatus, at_us: int) -> str:
    if partition.heard_us is None:
        return "no row since the start"
    return f"last row {span(max(0, at_us - partition.heard_us))} ago"


def _that_wait(counting: list[PartitionStatus]) -> str:
    held = sum(p.state == "held" for p in counting)
    if not held:
        return ""
    return f"; {counted(held, 'partition')} far ahead {'waits' if held == 1 else 'wait'} for it"


def _others(partitions: tuple[PartitionStatus, ...]) -> str:
    states = [p.state for p in partitions]
    told = [
        f"{states.count(state):,} {word}"
        for state, word in (("idle", "idle"), ("left", "read elsewhere"), ("ended", "ended"))
        if state in states
    ]
    return f" ({', '.join(told)})" if told else ""
