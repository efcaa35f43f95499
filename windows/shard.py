"""One shard of the window operator: slices, what has fired, what is to be corrected.

Rows come in, slots are found, windows fire as the watermark passes their ends, corrections as it
passes the next tick, and slices retire. A shard owns the keys whose hash falls to it and shares
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sortedcontainers import SortedDict

from eventtime.state.kernels import row_counts
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY, add
from eventtime.windows import assign_kernel as k
from eventtime.windows.accumulators import Accumulators, words_of
from eventtime.windows.buffers import Buffers
from eventtime.windows.chunk import Scratch
from eventtime.windows.closed import ClosedWindow
from eventtime.windows.contents import Contents
from eventtime.windows.emission import Emission, Firing, Segment
from eventtime.windows.slices import Slices
from eventtime.windows.stored import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventtime.errors import ScratchError
    from eventtime.state.blocks import Spill
    from eventtime.state.keys import KeyCodec
    from eventtime.windows.chunk import Chunk
    from eventtime.windows.spec import WindowSpec

__all__ = ("Counts", "Fired", "Shard")

Ints = NDArray[np.int64]
Fired = tuple[Rows, list[Segment]]


@dataclass
class Counts:
    """(row, window) pairs: `assigned = emitted + open + missed` (S26)."""

    emitted: int = 0
    open: int = 0


class Shard:
    """State and progress of one shard.

    Rows: `process`. Time: `advance`. Looking: `counts`, `live_words`, `is_empty`.
    Surviving: `contents`, `emitted`, `restore`.
    It does not guarantee that results come out while rows are processed: only at the latest when
    `process` returns.

    Args:
        spec: what to compute.
        codec: of the keys, shared by the shards and only read here.
        index: of this shard among `shards`.
        shards: how many there are.
        spill: where state goes that has no room; None: all stays in memory.
    """

    def __init__(
        self,
        spec: WindowSpec,
        codec: KeyCodec,
        index: int = 0,
        shards: int = 1,
        spill: Spill | None = None,
    ) -> None:
        # Configuration.
        self._spec, self._grid = spec, spec.grid
        self._index, self._shards = index, shards
        grid = spec.grid
        self._config = np.array(
            [grid.slice_us or 1, grid.offset_us, grid.size_us, grid.slide_us or 1, spec.lateness_us,
             grid.everything, MINUS_INFINITY], np.int64,
        )  # fmt: skip
        # State that is rebuilt: scratch, caches of partial merges.
        self._acc = Accumulators(words_of(spec))
        alone = shards == 1
        self._emission = Emission(self._acc, codec, spec.shape, spec.schema, spill, is_alone=alone)
        self._buffers, self._scratch = Buffers(), Scratch()
        self._control = np.zeros(k.CONTROL_WIDTH, np.int64)
        # State that a checkpoint holds.
        self._slices = Slices(self._acc, grid, codec, spill)
        self._deltas: SortedDict[int, int] = SortedDict()
        self._closed: SortedDict[int, ClosedWindow] = SortedDict()
        self._watermark_us = MINUS_INFINITY
        self._emitted = 0
        self._control[k.NEXT_TICK] = MINUS_INFINITY
        # Rows of objects are not kept for later: their values lie in the batches they came in.
        self._control[k.LOADS] = self._acc.has_objects

    # Rows

    def process(self, chunk: Chunk) -> tuple[list[Fired], Ints]:
        """Fold a chunk and fire all that its watermark lets fire.

        Returns:
            Results in order, and the positions of rows that missed a window.
        """
        if self._shards == 1:
            return self._process(chunk)
        share = chunk.share(self._index, self._shards, self._scratch)
        assert share.chosen is not None
        fired, late = self._process(share)
        return fired, share.chosen[late]

    def _process(self, chunk: Chunk) -> tuple[list[Fired], Ints]:
        control, buffers = self._control, self._buffers
        buffers.fit(len(chunk))
        control[k.POSITION] = control[k.N_LATE] = 0
        folded, status = 0, None
        fired: list[Fired] = []
        while status != k.DONE:
            status = self._assign(chunk)
            if status in {k.DONE, k.FIRE, k.LOAD}:
                self._fold(chunk, folded)
                folded = int(control[k.POSITION])
            if status == k.FIRE:
                fired += self._advance(int(control[k.WHICH]))
            elif status == k.NEW_SLICE:
                self._slices.new(int(control[k.WHICH]))
            elif status == k.GROW:
                self._acc.tables.grow(int(control[k.WHICH]))
            elif status == k.PAGES:
                self._acc.tables.add_pages(1)
            elif status == k.LOAD:
                self._slices.relieve()
                self._slices.bring_back(int(control[k.WHICH]))
        control[k.NOW] += 1
        fired += self.advance(chunk.watermark_after_us)
        return fired, buffers.late[: control[k.N_LATE]].astype(np.int64)

    def advance(self, watermark_us: int, *, at_end: bool = False) -> list[Fired]:
        """Fire what ends up to the watermark, in order of the points passed; then retire slices.

        Args:
            watermark_us: to move to.
            at_end: it is on its way to plus infinity, and stops here so that not all that fires is
                in memory together: no row follows.
        """
        fired = self._advance(watermark_us, at_end=at_end or watermark_us == PLUS_INFINITY)
        last = self._emission.build()
        self._slices.relieve(self._closed.values())
        return fired if last is None else [*fired, last]

    def _advance(self, watermark_us: int, *, at_end: bool = False) -> list[Fired]:
        if watermark_us <= self._watermark_us:
            return []
        if watermark_us < self._control[k.NEXT_TICK]:
            # Between two points of the grid nothing fires and nothing expires.
            self._watermark_us = watermark_us
            return []
        if (end := self._next_end(self._watermark_us)) is not None and end <= watermark_us:
            self._slices.relieve(self._closed.values(), self._first_slice(end))
        built: list[Fired | None] = []
        for firings, scratch in self._due(watermark_us, at_end=at_end):
            self._emitted += self._emission.add(firings)
            if self._emission.must_build:
                built.append(self._emission.build())
            self._acc.release(*scratch)
            scratch.clear()
        self._watermark_us, lateness_us = watermark_us, self._spec.lateness_us
        self._control[k.NEXT_TICK] = self._grid.tick_after(watermark_us, lateness_us)
        self._slices.retire(watermark_us, 0 if at_end else lateness_us)
        # Expired windows are forgotten (S18, S30).
        while self._closed and add(self._closed.keys()[0], lateness_us) <= watermark_us:
            self._closed.popitem(0)
        return [batch for batch in built if batch is not None]

    def _assign(self, chunk: Chunk) -> int:
        tables, b = self._acc.tables, self._buffers
        self._control[k.N_FREE] = tables.n_free
        status = k.assign(
            chunk.spans, chunk.starts, chunk.addresses, self._config, self._control,
            tables.dirs, self._slices.map, tables.page_next, tables.free_pages, tables.words,
            tables.neutral,
            b.slots, b.late, b.corrections, b.fresh, b.aside,
        )  # fmt: skip
        tables.n_free = int(self._control[k.N_FREE])
        return int(status)

    def _fold(self, chunk: Chunk, first: int) -> None:
        control, b = self._control, self._buffers
        n_corrections, n_aside = int(control[k.N_CORRECTIONS]), int(control[k.N_ASIDE])
        self._acc.reset(b.fresh[: control[k.N_FRESH]])
        self._acc.fold(chunk, first, b.slots[first : control[k.POSITION]])
        if n_aside:
            self._slices.keep(chunk, b.aside[:n_aside].astype(np.int64))
        if n_corrections:
            self._correct(chunk.taken(b.corrections[:n_corrections].astype(np.int64)))
        control[k.N_CORRECTIONS] = control[k.N_FRESH] = control[k.N_ASIDE] = 0

    def _correct(self, rows: Chunk) -> None:
        """Note rows of closed windows: merges are stale, and within L corrections are due."""
        indices, block = self._grid.slice_of(rows.all_times()), rows.blocks[0]
        into = np.empty(len(rows), np.int32)
        for index in np.unique(indices):
            self._slices.merge.forget(int(index))
            if self._spec.lateness_us == 0:
                continue
            if index not in self._deltas:
                self._deltas[int(index)] = self._acc.tables.create(0)
            mine = indices == index
            nulls = block.key_nulls[mine] if block.key_nulls.size else block.key_nulls
            delta = self._deltas[int(index)]
            targets, fresh = self._acc.tables.take(delta, block.keys[mine], nulls)
            self._acc.reset(targets[fresh])
            into[mine] = targets
        if self._spec.lateness_us:
            # All slices at once: in the order of rows, which `collect` shows.
            self._acc.fold(rows, 0, into)

    # Time

    def _due(self, watermark_us: int, *, at_end: bool) -> Iterator[tuple[list[Firing], list[int]]]:
        """Yield what fires, and the tables to release when it was read, as much as has room."""
        firings: list[Firing] = []
        scratch: list[int] = []
        # Invariant: corrections pending were judged in one step of the grid; they come out at its
        # end.
        due = PLUS_INFINITY
        if self._deltas:
            due = self._grid.tick_after(self._watermark_us, self._spec.lateness_us)
        if self._deltas and due <= watermark_us:
            firings += [
                self._correction(end, due, scratch, at_end=at_end)
                for end in self._corrected_ends(due)
            ]
            if firings:
                scratch += self._deltas.values()
            else:  # their windows have all expired
                self._acc.release(*self._deltas.values())
            self._deltas.clear()
        fired_us = self._watermark_us
        while (end := self._next_end(fired_us)) is not None and end <= watermark_us:
            for firing in self._on_time(end, scratch, at_end=at_end):
                firings.append(firing)
                if self._slices.fill_memory:
                    yield sorted(firings, key=_place), scratch
                    firings = []
            fired_us = end
        if firings:
            yield sorted(firings, key=_place), scratch

    def _next_end(self, fired_us: int) -> int | None:
        """Return the first window end after `fired_us` that has rows."""
        grid, slices = self._grid, self._slices.rows
        if not slices or fired_us == PLUS_INFINITY:
            return None
        if grid.everything:
            return PLUS_INFINITY
        if fired_us == MINUS_INFINITY:
            index, _ = slices.peekitem(0)
            return grid.first_end_at(grid.slice_start(index))
        after = grid.end_from(fired_us + 1)
        first_slice = (after - grid.size_us - grid.offset_us) // grid.slice_us
        place = slices.bisect_left(first_slice)
        if place == len(slices):
            return None
        start = grid.slice_start(slices.peekitem(place)[0])
        return max(after, grid.first_end_at(start))

    def _on_time(self, end: int, scratch: list[int], *, at_end: bool) -> Iterator[Firing]:
        closed = None
        if self._spec.lateness_us and not at_end:
            closed = self._closed.setdefault(end, ClosedWindow())
        final = at_end or self._spec.lateness_us == 0
        start = self._grid.start_of(end)
        for part in self._slices.window(self._first_slice(end), scratch):
            yield Firing(
                end, start, end, late=False, is_final=final, slots=part.slots, closed=closed,
                by_key=part.by_key, is_whole=part.is_whole,
            )  # fmt: skip

    def _correction(self, end: int, due: int, scratch: list[int], *, at_end: bool) -> Firing:
        first = self._first_slice(end)
        touched = [
            self._deltas[i] for i in self._deltas.irange(first, first + self._grid.slices - 1)
        ]
        table = touched[0]
        if len(touched) > 1:
            table = self._acc.tables.create(0)
            scratch.append(table)
            for other in touched:
                self._acc.absorb(table, self._acc.tables.slots(other))
        slots = self._acc.tables.slots(table)
        self._emitted += int(row_counts(slots, self._acc.tables.words))
        if self._spec.mode != "discarding":
            slots = self._slices.window_of_keys(first, slots, scratch)
        closed = self._closed.setdefault(end, ClosedWindow())
        final = at_end or add(end, self._spec.lateness_us) <= due
        start = self._grid.start_of(end)
        return Firing(due, start, end, late=True, is_final=final, slots=slots, closed=closed)

    def _corrected_ends(self, due: int) -> list[int]:
        """Return ends of closed windows with a pending correction, not expired before `due`."""
        ends: set[int] = set()
        for index in self._deltas:
            first, last = self._closed_ends(index, due)
            ends.update(range(first, last + 1, self._grid.slide_us))
        return sorted(ends)

    def _closed_ends(self, index: int, due: int) -> tuple[int, int]:
        """Return first and last end of a slice's windows closed and not expired before `due`."""
        start = self._grid.slice_start(index)
        after_floor = int(self._config[k.FLOOR]) + 1
        alive = self._grid.end_from(max(due - self._spec.lateness_us, after_floor))
        closed = self._grid.end_from(self._watermark_us + 1) - self._grid.slide_us
        first, last = self._grid.first_end_at(start), self._grid.last_end_at(start)
        return max(first, alive), min(last, closed)

    def _first_slice(self, end: int) -> int:
        return (
            0
            if self._grid.everything
            else (end - self._grid.size_us - self._grid.offset_us) // self._grid.slice_us
        )

    # Surviving

    @property
    def contents(self) -> Contents:
        """What is held, to be saved or, in a new shard, to be filled."""
        return Contents(self._acc, self._slices, self._deltas, self._closed)

    @property
    def emitted(self) -> int:
        """(row, window) pairs emitted."""
        return self._emitted

    def restore(self, watermark_us: int, emitted: int, floor_us: int) -> None:
        """Go on from there, once the contents are filled; what ends up to `floor_us` is expired."""
        self._watermark_us, self._emitted = watermark_us, emitted
        self._config[k.FLOOR] = floor_us
        if watermark_us != MINUS_INFINITY:
            self._control[k.NEXT_TICK] = self._grid.tick_after(watermark_us, self._spec.lateness_us)

    # Looking

    def counts(self) -> Counts:
        """Count (row, window) pairs emitted, and open: these are recounted from the state."""
        n_open = 0
        for index in self._slices.rows:
            start = self._grid.slice_start(index)
            first, last = self._grid.first_end_at(start), self._grid.last_end_at(start)
            if self._watermark_us != MINUS_INFINITY and not self._grid.everything:
                first = max(first, self._grid.end_from(self._watermark_us + 1))
            n_open += self._slices.row_count(index) * self._n_ends(first, last)
        due = self._grid.tick_after(self._watermark_us, self._spec.lateness_us)
        for index, table in self._deltas.items():
            rows = int(row_counts(self._acc.tables.slots(table), self._acc.tables.words))
            n_open += rows * self._n_ends(*self._closed_ends(index, due))
        return Counts(self._emitted, n_open)

    def live_words(self) -> Ints:
        """Return the key words that state still refers to; repeats allowed."""
        tables = self._acc.tables
        parts = [tables.words[tables.slots(row), 0] for row in tables.live]
        parts += [window.words for window in self._closed.values()]
        parts += self._slices.words()
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def end_to_stop_at(self) -> int:
        """Return the next end on the way to plus infinity that is too much to fire with others."""
        end = self._next_end(self._watermark_us) if self._slices.fill_memory else None
        return PLUS_INFINITY if end is None else end

    @property
    def blocked(self) -> ScratchError | None:
        """Why state above the budget could not leave memory, if it could not."""
        return self._slices.blocked

    @property
    def open_windows(self) -> int:
        """Slices that hold rows."""
        return len(self._slices.rows)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held: no table, no closed window."""
        return not self._acc.tables.live and not self._closed

    def _n_ends(self, first: int, last: int) -> int:
        if self._grid.everything:
            return 1
        return max(0, (last - first) // self._grid.slide_us + 1)


def _place(firing: Firing) -> tuple[int, int]:
    """Order firings: corrections at P precede what is on time at P, and follow what was before."""
    return firing.point_us, firing.end_us
