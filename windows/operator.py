"""The window operator: shards, one total order of results, late rows and a ledger (S24, S26)."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.state.parts import hand_over
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY
from eventtime.windows.contents import KEYS, restored_parts, share_of
from eventtime.windows.late import LateShape, MissedPairs
from eventtime.windows.look import Look, look_into
from eventtime.windows.shard import Fired, Shard
from eventtime.windows.stored import Rows, in_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from eventtime.errors import ScratchError
    from eventtime.state.blocks import Spill
    from eventtime.state.keys import KeyCodec
    from eventtime.state.parts import PartWriter, SavedPart
    from eventtime.windows.chunk import Chunk, Found
    from eventtime.windows.emission import Segment
    from eventtime.windows.spec import WindowSpec

__all__ = ("OperatorCounts", "Produced", "Results", "WindowOperator")

Ints = NDArray[np.int64]
_SMALL_DICTIONARY = 4096
# To hand so few rows to another thread, and wait for it, takes longer than to fold them.
_FEW_ROWS = 4096


@dataclass(frozen=True)
class OperatorCounts:
    """(row, window) pairs of one operator: `assigned = emitted + open + missed` (S26)."""

    assigned: int
    emitted: int
    open: int
    missed: int


@dataclass(frozen=True)
class Results:
    """Result rows in the order of S24.

    Args:
        batch: the rows; those of a large window are outside of memory.
        points: (point in microseconds, rows) of the firings they came from, in order.
    """

    batch: Rows
    points: list[tuple[int, int]]


@dataclass(frozen=True)
class Produced:
    """What came of one step.

    Args:
        results: in the order of S24.
        late: the rows of the chunk that missed a window, in its order; None: there are none.
        downstream_us: the watermark that the next operator may take (S25).
        sides: rows of side outputs, by tag.
    """

    results: list[Results]
    late: Found | None
    downstream_us: int
    sides: Sequence[tuple[str, pa.RecordBatch]] = ()


class WindowOperator:
    """Runs windows over chunks.

    Rows: `submit`, then the call it returns; `process` does both. Time alone: `advance`. Looking:
    `counts`, `look`, `open_windows`, `is_empty`. Surviving: `save`, `restore`. Ending: `close`.
    Kernels release the GIL, so that shards in threads of their own run side by side with each other
    and with the caller.

    Args:
        spec: what to compute.
        codec: of the keys.
        late: the shape of late rows (for counting what they missed; knows what has expired).
        shards: in how many shares keys are divided; results do not depend on it.
        threaded: whether shards have threads of their own; None: if there are several.
        spill: where a shard puts state that has no room; None: all stays in memory.
    """

    def __init__(
        self,
        spec: WindowSpec,
        codec: KeyCodec,
        late: LateShape,
        shards: int = 1,
        *,
        threaded: bool | None = None,
        spill: Spill | None = None,
    ) -> None:
        self._spec, self._codec, self._missed = spec, codec, MissedPairs(late)
        self._expiry = late.expiry
        self._shards = [Shard(spec, codec, i, shards, spill) for i in range(shards)]
        # One thread for each shard: its chunks are processed in order, and it waits for no other.
        self._threads = [
            ThreadPoolExecutor(1, f"eventtime-shard-{i}")
            for i in range(shards if (shards > 1 if threaded is None else threaded) else 0)
        ]
        self._assigned = self._live_keys = self._cuts = 0
        self.watermark_us = MINUS_INFINITY

    def process(self, chunk: Chunk) -> Produced:
        """Fold a chunk and fire what its watermark lets fire; in this thread if no other helps."""
        if len(self._threads) > 1 and len(chunk) > _FEW_ROWS:
            return self.submit(chunk)()
        self._assigned += self._pairs(chunk)
        return self._finish(chunk, [shard.process(chunk) for shard in self._shards])

    def submit(self, chunk: Chunk) -> Callable[[], Produced]:
        """Start on a chunk.

        Returns:
            What waits for the results; to be called before the next `submit`.
        """
        self._assigned += self._pairs(chunk)
        if not self._threads:
            outcome = self._shards[0].process(chunk)
            return lambda: self._finish(chunk, [outcome])
        futures: list[Future[tuple[list[Fired], Ints]]] = [
            thread.submit(s.process, chunk)
            for thread, s in zip(self._threads, self._shards, strict=True)
        ]
        return lambda: self._finish(chunk, [f.result() for f in futures])

    def advance(self, watermark_us: int, *, at_end: bool = False) -> Produced:
        """Move the watermark without rows.

        Args:
            watermark_us: to move to.
            at_end: see `ends_to_stop_at`.
        """
        self.watermark_us = max(self.watermark_us, watermark_us)
        fired = [shard.advance(watermark_us, at_end=at_end) for shard in self._shards]
        return Produced(self._in_order(fired), None, self.downstream_us)

    def ends_to_stop_at(self) -> Iterator[int]:
        """Yield the ends to advance to, `at_end`, before plus infinity.

        There is one for each window where results of all of them may have no room together.
        """
        while (end := min(shard.end_to_stop_at() for shard in self._shards)) < PLUS_INFINITY:
            yield end

    @property
    def blocked(self) -> ScratchError | None:
        """Why state above the budget could not leave memory, if it could not."""
        return next((s.blocked for s in self._shards if s.blocked is not None), None)

    @property
    def downstream_us(self) -> int:
        """The next operator's watermark (S25, D12).

        That is the start of the earliest window that may still fire on time.
        """
        watermark_us, grid = self.watermark_us, self._spec.grid
        if watermark_us in {MINUS_INFINITY, PLUS_INFINITY} or grid.everything:
            return (
                watermark_us
                if not grid.everything or watermark_us == PLUS_INFINITY
                else MINUS_INFINITY
            )
        return max(MINUS_INFINITY, grid.end_from(watermark_us + 1) - grid.size_us)

    @property
    def open_windows(self) -> int:
        """Slices of time that hold rows now."""
        return max(shard.open_windows for shard in self._shards)

    @property
    def is_empty(self) -> bool:
        """Whether no state is held (S30)."""
        return all(shard.is_empty for shard in self._shards)

    def counts(self) -> OperatorCounts:
        """Count pairs; `open` is recounted from the state. Cost: O(keys held)."""
        parts = [shard.counts() for shard in self._shards]
        emitted, held = sum(p.emitted for p in parts), sum(p.open for p in parts)
        return OperatorCounts(self._assigned, emitted, held, self._missed.count())

    def look(self, most: int) -> Look:
        """Look at what is held and done, at `most` slices of it. Cost: see `look_into`."""
        contents = [shard.contents for shard in self._shards]
        slices, n_slices = look_into(contents, self._spec.grid, most)
        missed = self._missed.count()
        return Look(
            self._assigned,
            sum(shard.emitted for shard in self._shards),
            missed,
            self._missed.by_idleness,
            sum(held.slices.nbytes for held in contents),
            tuple(slices),
            n_slices,
        )

    def keys_to_forget(self) -> bool:
        """Whether the key dictionary has outgrown the keys alive when it was last swept."""
        return self._codec.interned and len(self._codec) > 2 * self._live_keys + _SMALL_DICTIONARY

    def forget_keys(self, held: Sequence[Ints]) -> None:
        """Drop keys that no state refers to (S30).

        Args:
            held: words of rows read but not yet processed; they refer to keys too.
        """
        self._codec.keep_only([*(s.live_words() for s in self._shards), *held])
        self._live_keys = len(self._codec)

    def save(self, writer: PartWriter, **about: str | int) -> dict[str, Any]:
        """Hand over all state as it is now. Cost: copies of what changed since the last time.

        Args:
            writer: takes the parts.
            about: said of each part.

        Returns:
            The rest: numbers, for JSON.
        """
        self._cuts += 1
        if self._codec.interned:
            hand_over(self._codec.save(self._cuts), writer, kind=KEYS, **about)
        for i, shard in enumerate(self._shards):
            hand_over(shard.contents.save(self._cuts), writer, shard=i, **about)
        return {
            "cuts": self._cuts,
            "watermark_us": self.watermark_us,
            "assigned": self._assigned,
            "emitted": sum(shard.emitted for shard in self._shards),
            "missed": self._missed.count(),
            **self._expiry.save(),
        }

    def restore(self, numbers: Mapping[str, Any], blocks: Sequence[SavedPart]) -> None:
        """Take over, while nothing is held, what an operator with any number of shards has saved.

        Raises:
            CheckpointError: a block has other columns than this operator would save.
        """
        # All parts are new to the next cut: keys were numbered and shared out anew.
        self._cuts = numbers["cuts"]
        self.watermark_us = numbers["watermark_us"]
        self._assigned = numbers["assigned"]
        self._missed = MissedPairs(self._missed.shape, numbers["missed"])
        self._expiry.restore(numbers, self.watermark_us)
        parts = restored_parts(blocks, self._codec)
        n = len(self._shards)

        def fill(i: int) -> None:
            mine = parts if n == 1 else share_of(parts, n, i)
            self._shards[i].contents.fill(mine, self._spec.schema)
            emitted, floor_us = 0 if i else numbers["emitted"], self._expiry.floor_us
            self._shards[i].restore(self.watermark_us, emitted, floor_us)

        if n == 1 or sum(part.rows.num_rows for part in parts) <= _FEW_ROWS:
            for i in range(n):
                fill(i)
        else:
            for done in [thread.submit(fill, i) for i, thread in enumerate(self._threads)]:
                done.result()
        self._live_keys = len(self._codec)

    def close(self) -> None:
        """Stop the shards' threads."""
        for thread in self._threads:
            thread.shutdown()

    def _finish(self, chunk: Chunk, outcomes: list[tuple[list[Fired], Ints]]) -> Produced:
        positions = outcomes[0][1]
        if len(outcomes) > 1:
            positions = np.sort(np.concatenate([rows for _, rows in outcomes]))
        late = chunk.found(positions) if len(positions) else None
        if late is not None:
            self._missed.add(late)
        self.watermark_us = max(self.watermark_us, chunk.watermark_after_us)
        return Produced(self._in_order([fired for fired, _ in outcomes]), late, self.downstream_us)

    def _pairs(self, chunk: Chunk) -> int:
        grid = self._spec.grid
        if grid.everything or grid.size_us % grid.slide_us == 0:
            return len(chunk) * (1 if grid.everything else grid.size_us // grid.slide_us)
        time_us = chunk.all_times()
        return int(grid.ends_in(grid.first_end(time_us), grid.last_end(time_us)).sum())

    def downstream_before(self, point_us: int) -> int:
        """Return the downstream watermark just before the watermark passed `point_us`."""
        grid = self._spec.grid
        if grid.everything:
            return MINUS_INFINITY
        return grid.end_from(point_us) - grid.size_us

    def downstream_after(self, point_us: int) -> int:
        """Return the downstream watermark just after the watermark passed `point_us`."""
        return self.downstream_before(point_us + 1)

    def _in_order(self, fired: list[list[Fired]]) -> list[Results]:
        if len(fired) == 1 or sum(1 for f in fired if f) < 2:
            return [_results(batch, segments) for f in fired for batch, segments in f]
        groups: dict[tuple[int, int, int], list[tuple[pa.RecordBatch, Segment]]] = {}
        for shard in fired:
            for batch, segments in shard:
                whole = in_memory(batch)
                for segment in segments:
                    groups.setdefault(segment.order, []).append((whole, segment))
        ordered = sorted(groups)
        pieces = [self._merged(groups[order]) for order in ordered]
        points = [(order[0], piece.num_rows) for order, piece in zip(ordered, pieces, strict=True)]
        return [Results(pa.concat_batches(pieces), points)]

    def _merged(self, parts: list[tuple[pa.RecordBatch, Segment]]) -> pa.RecordBatch:
        pieces = [batch.slice(segment.start, len(segment.words)) for batch, segment in parts]
        if len(pieces) == 1:
            return pieces[0]
        words = np.concatenate([segment.words for _, segment in parts])
        nulls = np.concatenate([segment.nulls for _, segment in parts])
        return pa.concat_batches(pieces).take(pa.array(self._codec.order(words, nulls)))


def _results(batch: Rows, segments: Sequence[Segment]) -> Results:
    return Results(batch, [(segment.order[0], len(segment.words)) for segment in segments])
