"""Steps cut into turns, with another engine, or one that lost its work, behind them (S27, S28)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.sources.rebatch import one_by_one
from eventtime.testing.steps import AdvanceClock, Checkpoint, Crash, Restart, Survived

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventtime.testing.checking.runs import Laid

__all__ = ("crashing", "restarting", "turns_of")


def turns_of(steps: Iterable[Laid], *, by_row: bool) -> Iterator[list[Laid]]:
    """Cut steps behind each push; or behind each row and step.

    The clock alone changes nothing inside, and goes with what follows.
    """
    turn: list[Laid] = []
    for step, batch in steps:
        if isinstance(step, Survived):
            continue
        if batch is None:
            turn.append((step, None))
            if by_row and not isinstance(step, AdvanceClock):
                yield turn
                turn = []
            continue
        for piece in (by_row and list(one_by_one(batch))) or [batch]:
            yield [*turn, (step, piece)]
            turn = []
    if turn:
        yield turn


def restarting(turns: Iterable[list[Laid]]) -> Iterator[Laid]:
    """Another engine goes on behind each."""
    for turn in turns:
        yield from turn
        yield Restart(), None


def crashing(turns: Iterable[list[Laid]]) -> Iterator[Laid]:
    """Every fourth is lost; of the two checkpoints before it the second adds to the first."""
    for i, turn in enumerate(turns):
        yield from turn
        if i % 4 < 3:
            yield (Crash() if i % 4 == 1 else Checkpoint()), None
