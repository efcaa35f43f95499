"""Replay: bounded partitions read in event-time order of their watermarks, as chunks (S10).

Which partition the next row comes from depends on the rows alone, so neither batch cuts nor the speed
of files can show in any result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventtime.merged import merged_chunk
from eventtime.partition import PartitionIntake, Ready
from eventtime.progress import Progress
from eventtime.sources.base import MalformedRows, PartitionReader, Poll
from eventtime.time_kernels import merge_partitions
from eventtime.timestamp import MINUS_INFINITY
from eventtime.quarantine import Aside, QuarantineOrder
from eventtime.windows.chunk import Chunk

__all__ = ("Replay", "Step")

Ints = NDArray[np.int64]
_CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class Step:
    """One step of a replay.

    Args:
        chunk: rows taken; None when a partition ended.
        taken: (partition, rows) of the chunk.
        aside: quarantined rows whose place in the order was passed.
    """

    chunk: Chunk | None
    taken: list[tuple[int, int]]
    aside: list[Aside]


class Replay:
    """Merges the partitions of a run.

    Running: `steps`. Watching: `held_keys`.

    Args:
        readers: one for each partition.
        intakes: their doors, in the same order.
        progress: knows the same partitions by the same indices.
    """

    def __init__(
        self, readers: Sequence[PartitionReader], intakes: Sequence[PartitionIntake], progress: Progress
    ) -> None:
        self._readers, self._intakes, self._progress = list(readers), list(intakes), progress
        n = len(readers)
        self._ready: list[Ready | None] = [None] * n
        self._addresses, self._lengths, self._positions = (np.zeros(n, np.int64) for _ in range(3))
        self._afters, self._watermarks = (np.full(n, MINUS_INFINITY) for _ in range(2))
        self._active = np.ones(n, np.bool_)
        self._segments = np.empty((_CHUNK_ROWS, 3), np.int64)
        self._aside = QuarantineOrder(self._intakes)

    def steps(self) -> Iterator[Step]:
        """Yield all rows in replay order, as chunks with their watermarks."""
        while self._active.any():
            before = self._positions.copy()
            judged = np.empty(_CHUNK_ROWS, np.int64)
            n, n_segments, combined_us, needs = merge_partitions(
                self._addresses, self._lengths, self._positions, self._afters, self._watermarks, self._active,
                self._progress.combined_us, _CHUNK_ROWS, judged, self._segments,
            )  # fmt: skip
            self._progress.combined_us = int(combined_us)
            if n:
                yield self._step(before, self._segments[:n_segments].copy(), judged[:n], int(combined_us))
            if needs >= 0 and not self._read(int(needs)):
                yield Step(None, [], self._aside.rest(int(needs)))

    def held_keys(self) -> list[Ints]:
        """Return the key words of rows read but not yet taken."""
        return [r.keys[p:] for r, p in zip(self._ready, self._positions, strict=True) if r is not None]

    def _read(self, p: int) -> bool:
        """Get the next rows of a partition; false when it has ended."""
        intake = self._intakes[p]
        while True:
            answer = self._readers[p].read()
            if isinstance(answer, MalformedRows):
                intake.take_malformed(answer.rows)
                continue
            if isinstance(answer, Poll):
                ready = intake.drain()
                if ready is None or not len(ready):
                    self._finish(p)
                    return False
            else:
                ready = intake.take(answer)
            if ready is not None:
                self._enter(p, ready)
                return True

    def _enter(self, p: int, ready: Ready) -> None:
        self._ready[p] = ready
        self._addresses[p] = ready.own_before_us.ctypes.data
        self._lengths[p], self._positions[p], self._afters[p] = len(ready), 0, ready.after_us
        self._watermarks[p] = ready.own_before_us[0] if len(ready) else ready.after_us
        self._progress.partitions[p].watermark_us = int(self._watermarks[p])

    def _finish(self, p: int) -> None:
        self._active[p] = False
        self._ready[p] = None
        self._progress.finish(p)
        self._readers[p].close()

    def _step(self, before: Ints, segments: Ints, judged: Ints, combined_us: int) -> Step:
        parts = []
        for p in np.flatnonzero(self._positions > before):
            ready = self._ready[p]
            assert ready is not None
            parts.append((int(p), ready, int(before[p]), int(self._positions[p])))
            self._progress.partitions[p].watermark_us = int(self._watermarks[p])
        chunk = merged_chunk(parts, segments, judged, combined_us)
        aside = self._aside.passed(parts, segments)
        return Step(chunk, [(p, last - first) for p, _, first, last in parts], aside)
