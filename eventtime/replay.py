"""Replay: bounded partitions read in event-time order of their watermarks, as chunks (S10).

Which partition the next row comes from depends on the rows alone, so neither batch cuts nor the
speed of files can show in any result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from eventtime.bookmarks import Needed
from eventtime.errors import SourceError
from eventtime.pieces import CHUNK_ROWS, CHUNKS_AHEAD, Piece
from eventtime.quarantine import Aside, QuarantineOrder
from eventtime.sources.base import MalformedRows, PartitionReader, Poll
from eventtime.time_kernels import merge_partitions
from eventtime.timestamp import PLUS_INFINITY
from eventtime.windows.chunk import Chunk, Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventtime.bookmarks import Bookmark, Bookmarks
    from eventtime.clock import Clock
    from eventtime.partition import PartitionIntake, Ready
    from eventtime.progress import Progress

__all__ = ("Replay", "Step")

Ints = NDArray[np.int64]
_STEP_US: Final = 250_000
"""A step lasts no longer, but for one read, so that slow sources keep no signal waiting."""


@dataclass(frozen=True)
class Step:
    """One step of a replay.

    Args:
        chunk: rows taken, at least one; None when all that was left of the partitions was their
            end.
        pieces: the stretches of buffers that are in the chunk.
        aside: quarantined rows whose place in the order was passed.
        watermark_us: the combined one after all of this.
    """

    chunk: Chunk | None
    pieces: list[Piece]
    aside: list[Aside]
    watermark_us: int

    def __len__(self) -> int:
        return 0 if self.chunk is None else len(self.chunk)

    @property
    def taken(self) -> list[tuple[int, int]]:
        """Partition and rows of each piece."""
        return [(piece.partition, piece.last - piece.first) for piece in self.pieces]


class Replay:
    """Merges the partitions of a run.

    Running: `steps`, and `end` to read no more. Watching: `held_keys`. Surviving: `save`. The
    arrays of a chunk are written again two steps later.

    Args:
        readers: one for each partition.
        intakes: their doors, in the same order.
        progress: knows the same partitions by the same indices.
        bookmarks: of the places where readers can be taken up again; None: nobody will ask.
        clock: by which a step ends behind the read in which it became too long; None: it ends when
            it is full. Where steps end does not show in any result (S4).
        step_rows: a step is full with so many; None: as many as are worth one.
    """

    def __init__(
        self,
        readers: Sequence[PartitionReader],
        intakes: Sequence[PartitionIntake],
        progress: Progress,
        bookmarks: Sequence[Bookmarks] | None = None,
        clock: Clock | None = None,
        step_rows: int | None = None,
    ) -> None:
        self._readers, self._intakes, self._progress = list(readers), list(intakes), progress
        n = len(readers)
        self._ready: list[Ready | None] = [None] * n
        self._addresses, self._positions, self._rises_taken = (
            np.zeros(n, np.int64) for _ in range(3)
        )
        self._lengths = np.zeros((n, 2), np.int64)
        self._watermarks = np.array([p.watermark_us for p in progress.partitions], np.int64)
        self._afters = self._watermarks.copy()
        self._active = np.array([not p.finished for p in progress.partitions], np.bool_)
        self._numbers = np.zeros(n, np.int64)
        self._last_rows = np.array([intake.resume_at - 1 for intake in intakes], np.int64)
        self._bookmarks, self._clock = bookmarks, clock
        self._step_rows = CHUNK_ROWS if step_rows is None else step_rows
        self._spans = np.empty((self._step_rows, 5), np.int64)
        self._scratch = [Scratch() for _ in range(CHUNKS_AHEAD + 2)]
        self._aside = QuarantineOrder(self._intakes)
        self._pieces: list[Piece] = []
        self._reads_no_more = False

    def steps(self) -> Iterator[Step]:
        """Yield all rows in replay order, as chunks with their watermarks."""
        while self._active.any():
            yield self._step()
        # Plus infinity is a step of its own: what fires below it is not final yet, wherever
        # chunks were cut.
        yield Step(None, [], [], PLUS_INFINITY)

    def end(self) -> None:
        """Take every partition as ended where reading is; rows read by then have their turn."""
        self._reads_no_more = True

    def held_keys(self) -> list[Ints]:
        """Return the key words of rows read but not yet taken."""
        return [
            r.block.keys[p:]
            for r, p in zip(self._ready, self._positions, strict=True)
            if r is not None
        ]

    def save(self) -> list[tuple[Bookmark, int]]:
        """Return where each partition is to be taken up: a bookmark, and the next row's number.

        To be called between two steps.
        """
        assert self._bookmarks is not None
        places = []
        for p, bookmarks in enumerate(self._bookmarks):
            next_row = self._next_row(p)
            places.append((bookmarks.before(self._needed(p)), next_row))
        return places

    def _next_row(self, p: int) -> int:
        """Return the number of the row behind the last one taken."""
        ready, at = self._ready[p], int(self._positions[p])
        return int(self._last_rows[p] if ready is None or not at else ready.numbers[at - 1]) + 1

    def _needed(self, p: int) -> Needed:
        ready, at, door = self._ready[p], int(self._positions[p]), self._intakes[p]
        row, aside = door.first_held, door.next_number
        if ready is not None and at < len(ready):
            row = int(ready.numbers[at])
        for rows in door.quarantined:
            # Rows from the future were held back before they were set aside.
            if rows.reason == "future":
                row = min(row, int(rows.numbers[0]))
            else:
                aside = min(aside, int(rows.numbers[0]))
        return Needed(row, aside)

    def _step(self) -> Step:
        asides: list[Aside] = []
        self._begin_pieces()
        n = n_spans = 0
        reached_us = self._progress.combined_us
        begun_us = self._clock.now_us() if self._clock else 0
        while n < self._step_rows and self._active.any():
            n, n_spans, combined_us, needs = merge_partitions(
                self._addresses, self._lengths, self._positions, self._rises_taken, self._afters,
                self._watermarks, self._active,
                self._numbers, self._progress.combined_us, n, self._step_rows, self._spans,
                n_spans,
            )  # fmt: skip
            self._progress.combined_us = reached_us = int(combined_us)
            if needs < 0:
                break
            if not self._read(int(needs)):
                asides += self._aside.rest(int(needs), n, int(self._last_rows[needs]))
            # A clock that was stepped back ends the step too.
            if self._clock and not 0 <= self._clock.now_us() - begun_us < _STEP_US:
                break
        return self._cut(self._spans[:n_spans].copy(), reached_us, asides)

    def _cut(self, spans: Ints, reached_us: int, asides: list[Aside]) -> Step:
        self._progress.place(np.flatnonzero(self._active), self._watermarks)
        if not len(spans):
            return Step(None, [], asides, reached_us)
        taken = [piece for piece in self._ended_pieces() if piece.last > piece.first]
        asides += self._aside.passed(taken, spans)
        scratch = self._scratch.pop(0)
        self._scratch.append(scratch)
        blocks = [piece.ready.block for piece in self._pieces]
        return Step(
            Chunk(blocks, spans, reached_us).together(scratch),
            taken,
            asides,
            reached_us,
        )

    def _begin_pieces(self) -> None:
        self._pieces = []
        for p, ready in enumerate(self._ready):
            if ready is not None and self._active[p]:
                self._numbers[p] = len(self._pieces)
                first = int(self._positions[p])
                self._pieces.append(Piece(len(self._pieces), p, ready, first, first))

    def _ended_pieces(self) -> list[Piece]:
        """Say of the buffers still in use how far they were taken."""
        for p, ready in enumerate(self._ready):
            if ready is not None and self._active[p]:
                self._pieces[self._numbers[p]].last = int(self._positions[p])
        return self._pieces

    def _read(self, p: int) -> bool:
        """Get the next rows of a partition; false when it has ended."""
        intake = self._intakes[p]
        if self._ready[p] is not None:
            self._pieces[self._numbers[p]].last = int(self._positions[p])
        passed = self._ready[p]
        if passed is not None and len(passed):
            self._last_rows[p] = passed.numbers[-1]
        while True:
            if self._bookmarks is not None:
                self._bookmarks[p].add(self._needed(p))
            answer = Poll.END if self._reads_no_more else self._readers[p].read()
            if isinstance(answer, MalformedRows):
                intake.take_malformed(answer.rows)
                continue
            if answer is Poll.PAUSE:
                msg = f"partition {intake.name!r} has nothing for now, and replay does not wait"
                raise SourceError(
                    msg, remedy="replay sources that end; drive live ones with et.Engine"
                )
            if isinstance(answer, Poll):
                ready = intake.drain()
                if ready is None:
                    self._finish(p)
                    return False
            else:
                ready = intake.take(answer)
            if ready is not None:
                self._enter(p, ready)
                return True

    def _enter(self, p: int, ready: Ready) -> None:
        self._ready[p] = ready
        rises = ready.block.rises
        self._addresses[p], self._lengths[p] = rises.ctypes.data, (len(ready), len(rises))
        # The first rise is that of row 0.
        self._positions[p], self._rises_taken[p] = 0, 1
        self._afters[p] = ready.after_us
        before_us = rises[0, 1] if len(ready) else ready.after_us
        # Rows read again after a restart begin with watermarks that were passed before.
        self._watermarks[p] = max(self._watermarks[p], before_us)
        self._progress.place([p], self._watermarks)
        self._numbers[p] = len(self._pieces)
        self._pieces.append(Piece(len(self._pieces), p, ready, 0, 0))

    def _finish(self, p: int) -> None:
        self._progress.place(np.flatnonzero(self._active), self._watermarks)
        self._active[p] = False
        self._ready[p] = None
        self._progress.finish(p)
        self._readers[p].close()
