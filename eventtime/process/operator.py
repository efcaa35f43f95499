"""The process operator: calls the user's function row by row or batch by batch, timers between.

A timer fires between the two rows between which the watermark passes it, whatever the batches (S4).
The function runs in one thread; other shards prepare its chunks.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eventtime.errors import PlanError, UserCodeError
from eventtime.process.broadcast import Changes
from eventtime.process.calls import Calls
from eventtime.process.rows import python_rows
from eventtime.state.timers import CHANGE, NEVER
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY, add
from eventtime.windows.look import Look
from eventtime.windows.operator import OperatorCounts, Produced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.clock import Clock
    from eventtime.errors import ScratchError
    from eventtime.process.plan import ProcessPlan
    from eventtime.state.blocks import Spill
    from eventtime.state.keys import KeyCodec
    from eventtime.state.parts import PartWriter, SavedPart
    from eventtime.windows.chunk import Chunk

__all__ = ("ProcessOperator",)

Ints = NDArray[np.int64]
BROADCAST: Final = "broadcast"
_MOST_AT_END: Final = 1_000_000
_SMALL_DICTIONARY: Final = 4096


class ProcessOperator:
    """Runs one process function over chunks; see `WindowOperator`, whose methods it has.

    Args:
        plan: what to do.
        codec: of the keys.
        clock: of processing time; None: a replay, which has none.
        threaded: whether the function runs in a thread of its own.
        spill: where keys go that have no room in memory; None: all stay.

    Raises:
        PlanError: the function goes by processing time, and there is no clock.
    """

    def __init__(
        self, plan: ProcessPlan, codec: KeyCodec, clock: Clock | None, *, threaded: bool,
        spill: Spill | None = None,
    ) -> None:  # fmt: skip
        self._plan, self._codec, self._clock = plan, codec, clock
        function = plan.function
        if clock is None and function.needs_clock:
            msg = f"{function.name} goes by processing time, and a replay has none"
            remedy = "drive it with et.Engine, which takes a clock; or go by event time"
            raise PlanError(msg, place="process(function)", remedy=remedy)
        self._calls = Calls(plan, codec, spill)
        self._context, self._held = self._calls.context, self._calls.held
        self._thread = ThreadPoolExecutor(1, "eventtime-process") if threaded else None
        self._changes = Changes(plan.broadcast)
        self._is_read = clock is not None or not plan.broadcast
        self._rows = self._live_keys = 0
        self._ahead_us = MINUS_INFINITY
        self.watermark_us = MINUS_INFINITY

    def process(self, chunk: Chunk) -> Produced:
        """Take rows in, and fire what the watermark passes, in this thread: it would only wait."""
        self._rows += len(chunk)
        return self._process(chunk)

    def submit(self, chunk: Chunk) -> Callable[[], Produced]:
        """Start on a chunk; what is returned waits for the results."""
        self._rows += len(chunk)
        if self._thread is None:
            produced = self._process(chunk)
            return lambda: produced
        return self._thread.submit(self._process, chunk).result

    def broadcast(self, name: str, batch: pa.RecordBatch) -> None:
        """Take rows of a broadcast stream; those whose time has come take effect now."""
        self._await(self._changes.push(name, batch))
        self._fire_to(self.watermark_us)
        if self.watermark_us == PLUS_INFINITY:
            self._finish()

    def advance(self, watermark_us: int) -> Produced:
        """Move the watermark without rows."""
        self._begin()
        self._fire_to(max(self.watermark_us, watermark_us))
        if self.watermark_us == PLUS_INFINITY:
            self._finish()
        return self._calls.produced(self.downstream_us)

    @property
    def downstream_us(self) -> int:
        """The next operator's watermark (S25): results lie so far behind at most."""
        return self.downstream_before(self.watermark_us)

    def downstream_before(self, point_us: int) -> int:
        """Return the downstream watermark of a row that came at a watermark."""
        time = self._plan.output_time
        return add(point_us, -time.behind_us) if time is not None else MINUS_INFINITY

    def downstream_after(self, point_us: int) -> int:
        """Return the same: it is the next row that raises it."""
        return self.downstream_before(point_us)

    @property
    def open_windows(self) -> int:
        """None: there are no windows."""
        return 0

    @property
    def blocked(self) -> ScratchError | None:
        """Why state above the limit could not leave memory; None: it could."""
        return self._held.blocked

    @property
    def is_empty(self) -> bool:
        """Whether no state is held (S30)."""
        return self._held.is_empty

    def counts(self) -> OperatorCounts:
        """Count rows: each was given to the function."""
        return OperatorCounts(self._rows, self._rows, 0, 0)

    def look(self, most: int) -> Look:
        """Look at what is held and done; there are no windows."""
        del most
        return Look(self._rows, self._rows, nbytes=self._held.nbytes)

    def keys_to_forget(self) -> bool:
        """Whether many more keys are known than were alive when that was last looked at."""
        if self._held.is_lent:
            return False
        known = len(self._codec) if self._codec.interned else 0
        return self._held.is_outgrown or known > 2 * self._live_keys + _SMALL_DICTIONARY

    def forget_keys(self, held: Sequence[Ints]) -> None:
        """Drop keys that no state refers to (S30); see `WindowOperator.forget_keys`."""
        self._held.sweep()
        if self._codec.interned:
            self._codec.keep_only([*self._held.live_words(), *held])
            self._live_keys = len(self._codec)

    def save(self, writer: PartWriter, **about: int) -> dict[str, int]:
        """Hand all state over, part by part; returns the rest: numbers."""
        version = self._held.save(writer, **about)
        for name, rows in self._changes.save().items():
            writer.add(rows, None, **about, kind=BROADCAST, stream=name)
        return {
            "watermark_us": self.watermark_us,
            "processing_us": self._context.processing_us,
            "rows": self._rows,
            "version": version,
        }

    def restore(self, numbers: Mapping[str, int], blocks: Sequence[SavedPart]) -> None:
        """Take over, while nothing is held, what another has saved."""
        self.watermark_us, self._rows = numbers["watermark_us"], numbers["rows"]
        self._context.watermark_us = self.watermark_us
        # Who goes on with a clock that is behind waits for it, as after a step back (S28).
        self._context.processing_us = numbers.get("processing_us", self._context.processing_us)
        self._held.restore(numbers["version"], blocks)
        waiting = [b for b in blocks if b.about["kind"] == BROADCAST]
        named = [(str(b.about["stream"]), b.batch()) for b in waiting]
        self._await(self._changes.restore(named))
        self._is_read = True
        self._live_keys = len(self._codec)

    def close(self) -> None:
        """Stop the thread."""
        if self._thread is not None:
            self._thread.shutdown()

    def _process(self, chunk: Chunk) -> Produced:
        self._begin()
        self._ahead_us = chunk.watermark_after_us
        watermarks_us = chunk.all_watermarks()
        before_end = int(np.searchsorted(watermarks_us, PLUS_INFINITY))
        if before_end == len(chunk):
            self._take(chunk, watermarks_us)
        else:
            # After the end nothing is held (S30): each row stands by itself.
            parts = np.split(np.arange(len(chunk)), np.arange(before_end, len(chunk)))
            for rows in parts:
                self._take(chunk.taken(rows), watermarks_us[rows])
                if len(rows) and watermarks_us[rows[-1]] == PLUS_INFINITY:
                    self._fire_to(PLUS_INFINITY)
                    self._finish()
        self._fire_to(max(self.watermark_us, chunk.watermark_after_us))
        return self._calls.produced(self.downstream_us)

    def _take(self, chunk: Chunk, watermarks_us: Ints) -> None:
        words, nulls = chunk.all_keys()
        times_us = chunk.all_times()
        columns = [chunk.column(i) for i in range(len(self._plan.columns))]
        run = self._run_batches if self._plan.function.is_batch else self._run_rows
        step = self._held.most_rows or max(1, len(chunk))
        for at in range(0, len(chunk), step):
            some = slice(at, at + step)
            self._calls.forget_slots()
            slots = self._held.enter(words[some], nulls[some])
            run(slots, times_us[some], watermarks_us[some], [c.slice(at, step) for c in columns])

    def _run_rows(
        self, slots: Ints, times_us: Ints, watermarks_us: Ints, columns: list[pa.Array]
    ) -> None:
        context, on_row, timers = (
            self._context,
            self._calls.function.on_row,
            self._held.timers["event"],
        )
        context.among = slots
        rows = python_rows(self._plan.columns, columns, len(slots))
        of_rows = zip(rows, slots.tolist(), times_us.tolist(), watermarks_us.tolist(), strict=True)
        with self._calls.naming("on_row"):
            for row, slot, time_us, watermark_us in of_rows:
                if watermark_us >= timers.next_us:
                    self._fire_to(watermark_us)
                    context.among = slots
                context.slot, context.time_us = slot, time_us
                context.watermark_us = watermark_us
                on_row(context, row)

    def _run_batches(
        self, slots: Ints, times_us: Ints, watermarks_us: Ints, columns: list[pa.Array]
    ) -> None:
        context, timers = self._context, self._held.timers["event"]
        batch = pa.RecordBatch.from_arrays(columns, list(self._plan.columns))
        has_timers, at, n = self._plan.function.has("on_timer"), 0, len(slots)
        # No timer set by these rows can be due among them.
        ahead_us = context.step_us if has_timers else PLUS_INFINITY - MINUS_INFINITY
        while at < n:
            reached = int(watermarks_us[at])
            if reached >= timers.next_us:
                self._fire_to(reached)
            limit = min(timers.next_us, reached + ahead_us, PLUS_INFINITY)
            end = at + max(1, int(np.searchsorted(watermarks_us[at:], limit)))
            some = slice(at, end)
            context.slots, context.times_us = slots[some], times_us[some]
            context.watermarks_us = watermarks_us[some]
            context.watermark_us = int(watermarks_us[end - 1])
            with self._calls.naming("on_batch"):
                self._calls.function.on_batch(context, batch.slice(at, end - at))
                self._calls.settle()
            at = end

    def _fire_to(self, watermark_us: int) -> None:
        """Fire the timers of event time up to a watermark, and move there."""
        timers, context = self._held.timers["event"], self._context
        context.is_final = watermark_us == PLUS_INFINITY
        before, most = context.watermark_us, _MOST_AT_END
        if context.is_final:
            most += len(timers) + self._held.timers_outside("event")
        # Changes of broadcast state come between timers of different times.
        step_us = 0 if self._plan.broadcast else getattr(context, "step_us", 0)
        while self._next_us("event", watermark_us) <= watermark_us:
            if context.is_final:
                most -= 1
                self._check_end(most)
            due = [self._popped(timers)]
            # Bringing keys in may put those out that are due.
            last_us = min(watermark_us, due[0][0] + step_us - 1, timers.outside_us - 1)
            while timers.next_us <= last_us:
                due.append(self._popped(timers))
            if any(len(slots) for _, slots, _ in due):
                self._calls.timers("on_timer", due, before)
            before = max(before, due[-1][0])
            context.watermark_us = before
        self.watermark_us = max(self.watermark_us, watermark_us)
        context.watermark_us = max(before, watermark_us)

    def _fire_by_clock(self, now_us: int) -> None:
        timers = self._held.timers["processing"]
        while self._next_us("processing", now_us) <= now_us:
            self._calls.timers(
                "on_processing_timer", [self._popped(timers)], self._context.watermark_us
            )

    def _next_us(self, kind: str, until_us: int) -> int:
        """Return when the next timer is due; if it is by then, its key is in memory."""
        timers = self._held.timers[kind]
        while timers.outside_us <= min(timers.next_us, until_us):
            self._calls.forget_slots()
            # While rows are taken in, look for all that will be due before the last of them.
            self._held.bring_due(
                kind, max(until_us, self._ahead_us) if kind == "event" else until_us
            )
        return timers.next_us

    def _popped(self, timers: Any) -> tuple[int, Ints, set[int]]:
        time_us, firing = timers.pop()
        if CHANGE in firing:
            firing.discard(CHANGE)
            self._calls.change(self._changes.due(time_us), time_us)
        slots = np.fromiter(firing, np.int64, len(firing))
        self._held.touch(slots)
        return time_us, self._held.ordered(np.sort(slots)), firing

    def _finish(self) -> None:
        """Let all timers fire, then hold nothing (S9, S30)."""
        most = _MOST_AT_END
        while (next_us := self._held.timers["processing"].next_us) != NEVER:
            self._context.processing_us = max(self._context.processing_us, next_us)
            self._fire_by_clock(self._context.processing_us)
            self._fire_to(PLUS_INFINITY)
            most -= 1
            self._check_end(most)
        self._held.clear()
        self._changes.clear()

    def _check_end(self, most: int) -> None:
        if most < 0:
            msg = f"{self._plan.function.name} sets timers without end after the end of the input"
            raise UserCodeError(msg, remedy="set none when context.is_final")

    def _await(self, times_us: Sequence[int]) -> None:
        for time_us in times_us:
            self._held.timers["event"].add(time_us, CHANGE)

    def _begin(self) -> None:
        if not self._is_read:
            # A replay: who is restored has read them before.
            self._is_read = True
            self._await(self._changes.read())
        self._read_clock()

    def _read_clock(self) -> None:
        if self._clock is not None:
            # A clock that was stepped back stands still until it is where it was.
            now_us = max(self._context.processing_us, self._clock.now_us())
            self._context.processing_us = now_us
            self._fire_by_clock(now_us)
