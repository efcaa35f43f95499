"""Rows that nobody sends again, until a checkpoint holds them: for the next attempt of a run.

put ──► [untaken] ── take ──► [taken] ── settled ──► dropped
            ▲                    │
            └── the next attempt ┘
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventtime.sources.base import Position
    from eventtime.sources.feed import Arrived, LiveSource
    from eventtime.sources.wire import Decoder

__all__ = ("Unrepeated", "Unsettled")

_MOST_BYTES: Final = 512 << 20
"""Taken and in no checkpoint yet; then nothing more is accepted."""

_ITEM_BYTES: Final = 1_024
"""What a batch costs besides its rows."""


@dataclass
class _Lane:
    """Rows of one partition, with the bytes of each batch."""

    taken: deque[tuple[Arrived, int]] = field(default_factory=deque)
    untaken: deque[tuple[Arrived, int]] = field(default_factory=deque)


class Unsettled:
    """Keeps what a source has accepted, beyond the feeds that it has one after another.

    Filling: `add`, `took`, `settle`. Bounds: `is_full`, `wants_cut`. The next feed: `resume`,
    `hand_back`; `decoder` and `has_ended` are those of a pipe. From any thread. Positions are
    numbers of rows, ``{"rows": n}``.
    """

    def __init__(self) -> None:
        self.decoder: Decoder | None = None
        self.has_ended = False
        self._lanes: dict[str, _Lane] = {}
        self._taken_bytes = self._uncut_bytes = 0
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether so much was taken and is in no checkpoint that nothing more fits."""
        return self._taken_bytes >= _MOST_BYTES

    def add(self, item: Arrived, size: int) -> None:
        """Note rows that were accepted, of so many bytes."""
        with self._lock:
            lane = self._lanes.setdefault(item.partition, _Lane())
            lane.untaken.append((item, size + _ITEM_BYTES))

    def took(self, name: str, items: int) -> None:
        """Note that the run has taken the next items of a partition."""
        with self._lock:
            lane = self._lanes[name]
            for _ in range(items):
                lane.taken.append(lane.untaken.popleft())
                self._taken_bytes += lane.taken[-1][1]
                self._uncut_bytes += lane.taken[-1][1]

    def settle(self, positions: Mapping[str, Position]) -> None:
        """Drop what is in front of these positions: a checkpoint holds it."""
        with self._lock:
            for name, position in positions.items():
                self._drop(self._lanes.get(name, _Lane()), position["rows"])
            self._uncut_bytes = min(self._uncut_bytes, self._taken_bytes)

    def wants_cut(self) -> bool:
        """Tell, once, that so much was taken that a checkpoint is due: else it would be full."""
        with self._lock:
            is_due = self._uncut_bytes >= _MOST_BYTES // 2
            if is_due:
                self._uncut_bytes = 0
            return is_due

    def resume(self, positions: Mapping[str, Position] | None) -> dict[str, int]:
        """Begin another attempt of the run, from these positions.

        Returns:
            How many rows of each partition were accepted so far.
        """
        known = dict(positions or {})
        self.settle(known)
        with self._lock:
            self._taken_bytes = self._uncut_bytes = 0
            rows = {name: int(position["rows"]) for name, position in known.items()}
            for name, lane in self._lanes.items():
                lane.untaken.extendleft(reversed(lane.taken))
                lane.taken.clear()
                if lane.untaken:
                    rows[name] = int(lane.untaken[-1][0].position["rows"])
        return rows

    def hand_back(self) -> dict[str, list[Arrived]]:
        """Return the rows that are to be taken once more, by partition."""
        with self._lock:
            lanes = self._lanes.items()
            return {name: [item for item, _ in it.untaken] for name, it in lanes if it.untaken}

    def _drop(self, lane: _Lane, rows: int) -> None:
        while lane.taken and lane.taken[0][0].position["rows"] <= rows:
            self._taken_bytes -= lane.taken.popleft()[1]
        while not lane.taken and lane.untaken and lane.untaken[0][0].position["rows"] <= rows:
            lane.untaken.popleft()


@runtime_checkable
class Unrepeated(Protocol):
    """A live source whose rows cannot be asked for again."""

    def keeping(self, unsettled: Unsettled) -> LiveSource:
        """Return one whose feeds keep there what no checkpoint holds, one after another."""
        ...
