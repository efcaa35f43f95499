"""One run of a plan over bounded sources: chunks in replay order, and results (S9, S10, S26)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa

from eventtime.bookmarks import Bookmarks
from eventtime.doors import door
from eventtime.errors import CheckpointError, TimeColumnError
from eventtime.fingerprint import fingerprint
from eventtime.ledger import Ledger
from eventtime.naming import NamingPartitions
from eventtime.pieces import CHUNKS_AHEAD
from eventtime.progress import Progress
from eventtime.quarantine import Aside, quarantine_batch, quarantine_schema
from eventtime.replay import Replay, Step
from eventtime.report import ProgressReport
from eventtime.sources.feed import reports_malformed
from eventtime.sources.seeking import open_source
from eventtime.stages import Stages
from eventtime.transform import Transform
from eventtime.wording import counted

if TYPE_CHECKING:
    from eventtime.clock import Clock
    from eventtime.compiled import Branch, CompiledPlan
    from eventtime.ledger import PartitionLedger
    from eventtime.memory import MemoryLimit
    from eventtime.partition import PartitionIntake
    from eventtime.sources.base import PartitionReader
    from eventtime.state.parts import PartWriter, Saved

__all__ = ("QUARANTINE", "Execution", "Pauses", "SideOutput")

QUARANTINE = "quarantine"
_HELD: Final = "held"
_BATCH_ROWS = 131_072
"""Half of it costs 3 % more CPU for integer keys and 10 % for string keys (measured, Parquet)."""


class Pauses(Protocol):
    """Decides when a run is saved, and does it."""

    def is_due(self, rows: int) -> bool:
        """Note that `rows` more were processed; return whether to pause behind them."""
        ...

    @property
    def saves(self) -> bool:
        """Whether it saves the run, rather than only ends it."""
        ...

    @property
    def clock(self) -> Clock:
        """Of the machine's time: says when a step has lasted so long that it ends early."""
        ...

    def pause(self, *, is_end: bool) -> None:
        """Save the run: nothing is under way, and all results so far were taken.

        Args:
            is_end: whether this is the end of all input.
        """
        ...

    @property
    def stops(self) -> bool:
        """Whether the run ends with this pause (S9: suspend)."""
        ...


SideOutput = Callable[[str, pa.RecordBatch], None]


class Execution:
    """A run.

    Running: `results`, `end_input`. Looking, between two results: `ledger`, `report`, `is_empty`.
    Surviving: `save`, when a pause asks for it; `is_suspended`. Ending: `close`. Reading ends, and
    threads stop, when `results` is exhausted, closed or raises.

    Args:
        plan: compiled.
        side: takes rows of side outputs as they come, by tag.
        shards: threads: one prepares chunks, the others share the keys; results are the same.
        pauses: asked after each step whether it wants a cut; None: it cannot be saved.
        saved: what another run of the same plan saved, to go on from; None: from the beginning.
        limit: on the memory of windows; None: all of their state stays in memory.
        step_rows: rows of a step; None: as many as are worth one. Results are the same.
        observe: called after each step, when nothing is under way and its results were taken.
    """

    def __init__(
        self,
        plan: CompiledPlan,
        side: SideOutput,
        *,
        shards: int = 1,
        pauses: Pauses | None = None,
        saved: Saved | None = None,
        limit: MemoryLimit | None = None,
        step_rows: int | None = None,
        observe: Callable[[Step], None] | None = None,
    ) -> None:
        self._plan, self._side = plan, side
        self._step_rows, self._observe = step_rows, observe
        self._pauses, self._saved = pauses, saved
        self.is_suspended = False
        self.progress = Progress()
        self._replay: Replay | None = None
        self._readers: list[PartitionReader] = []
        self._intakes: list[PartitionIntake] = []
        self.names: list[str] = []
        self._branches: list[int] = []
        self._results = 0
        # Chunks that shards work on while the next one is prepared, in order.
        self._pending: deque[Callable[[], Iterator[pa.RecordBatch]]] = deque()
        self.stages = Stages(plan.stages, self.names, side, shards, limit=limit)
        self._final = Transform(plan.final_steps, plan.stages[-1].schema)
        text = any(reports_malformed(b.source) for b in plan.branches)
        self._quarantine = quarantine_schema(plan.aside_schema, text=text)

    @property
    def side_schemas(self) -> dict[str, pa.Schema]:
        """Schemas of the side outputs by tag."""
        return {**self._plan.side_schemas, QUARANTINE: self._quarantine}

    def results(
        self, watch: Callable[[ProgressReport], None] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield results in the order of S24.

        Args:
            watch: called after each step, some hundred times a second at most.
        """
        try:
            self._open()
            bookmarks, clock = None, None
            if self._pauses is not None:
                pairs = zip(self._readers, self._intakes, strict=True)
                bookmarks = [Bookmarks(reader, intake) for reader, intake in pairs]
                clock = self._pauses.clock
            parts = self._readers, self._intakes, self.progress
            self._replay = Replay(*parts, bookmarks, clock, self._step_rows)
            yield from self._loop(self._replay, watch)
            if self.is_suspended:
                return
            self._check_times()
            if self._pauses is not None:
                self._pauses.pause(is_end=True)
        finally:
            self.close()

    def balances(self) -> list[PartitionLedger]:
        """Return the balance of each partition. Cost: O(partitions)."""
        return [intake.balance for intake in self._intakes]

    def ledger(self) -> Ledger:
        """Return the balance as of now. Cost: O(keys held), for `open` is recounted."""
        for settle in self._pending:
            settle()
        partitions = {
            name: intake.balance for name, intake in zip(self.names, self._intakes, strict=True)
        }
        return Ledger(partitions, self.stages.ledgers())

    def report(self) -> ProgressReport:
        """Return where the run is. Cost: O(partitions)."""
        ledgers = [intake.balance for intake in self._intakes]
        totals = [b.bounded.total_rows() for b in self._plan.branches]
        return ProgressReport(
            rows=sum(part.rows_in for part in ledgers),
            waiting=sum(part.waiting for part in ledgers),
            total_rows=None if None in totals else sum(t for t in totals if t is not None),
            watermark_us=self.progress.combined_us,
            latest_us=max(
                (intake.watermark_us for intake in self._intakes),
                default=self.progress.combined_us,
            ),
            held_by=self.progress.held_by,
            open_windows=self.stages.open_windows,
            late=sum(part.late for part in ledgers),
            quarantined=sum(part.null_time + part.future + part.malformed for part in ledgers),
            results=self._results,
            blocked=self.stages.blocked,
        )

    @property
    def is_empty(self) -> bool:
        """Whether no state is held (S30)."""
        return self.stages.is_empty

    def end_input(self) -> None:
        """Take all input as ended where reading is (S9: finish); only between two steps."""
        if self._replay is not None:
            self._replay.end()

    def close(self) -> None:
        """Stop reading and the shards' threads; may be called more than once."""
        for reader in self._readers:
            reader.close()
        self.stages.close()

    def save(self, writer: PartWriter) -> dict[str, Any]:
        """Write all state but what has come out; only while a pause lasts (S27).

        Args:
            writer: takes the parts.

        Returns:
            The rest, for JSON.
        """
        assert self._replay is not None
        places = zip(self._replay.save(), self.progress.save(0), self._intakes, strict=True)
        partitions = []
        for i, ((bookmark, next_row), known, intake) in enumerate(places):
            balance = intake.processed(bookmark.intake["ledger"])
            partitions.append(
                {
                    **known,
                    "branch": self._branches[i],
                    "reader": self._readers[i].name,
                    "position": bookmark.position,
                    "next_row": next_row,
                    "intake": {**bookmark.intake, **balance},
                }
            )
            if bookmark.held is not None:
                writer.add(bookmark.held, kind=_HELD, partition=i)
        return {
            "kind": "replay",
            "pipeline": fingerprint(self._plan),
            "combined_us": self.progress.combined_us,
            "partitions": partitions,
            "operators": self.stages.save(writer),
            "rows_before_final_steps": self._final.rows,
            "results": self._results,
        }

    def settled(self, head: dict[str, Any]) -> None:
        """Note that a checkpoint is durable: files need not know."""

    def _restore(self, saved: Saved) -> None:
        """Go on from what was saved, with readers that are already where they were."""
        head = saved.head
        self.progress.restore(head["combined_us"], head["partitions"], 0)
        for i, (intake, known) in enumerate(zip(self._intakes, head["partitions"], strict=True)):
            held = [block.batch() for block in saved.about(kind=_HELD, partition=i)]
            intake.restore(known["intake"], *held)
            intake.resume_at = known["next_row"]
        self.stages.restore(saved)
        self._final.rows, self._results = head["rows_before_final_steps"], head["results"]

    def _open(self) -> None:
        found = [
            (branch, i, reader)
            for i, branch in enumerate(self._plan.branches)
            for reader in self._readers_of(i, branch)
        ]
        names = _unique([r.name for _, _, r in found])
        for name, (branch, i, reader) in sorted(
            zip(names, found, strict=True), key=lambda pair: pair[0]
        ):
            self.names.append(name)
            self._readers.append(reader)
            self._branches.append(i)
            self.progress.add(name)
            index, codec = len(self._intakes), self.stages.codec
            self._intakes.append(door(self._plan, branch, name, index, codec))
        if self._saved is not None:
            self._restore(self._saved)

    def _readers_of(self, i: int, branch: Branch) -> list[PartitionReader]:
        if self._saved is None:
            return open_source(branch.bounded, branch.columns, _BATCH_ROWS)
        saved = [p for p in self._saved.head["partitions"] if p["branch"] == i]
        positions = {p["reader"]: p["position"] for p in saved}
        readers = open_source(branch.bounded, branch.columns, _BATCH_ROWS, positions)
        # A replay's order is over all of its partitions: one more would have changed it (S10).
        new = [r.name for r in readers if r.name not in positions]
        if new:
            for reader in readers:
                reader.close()
            msg = f"partition {new[0]!r} was not there when the checkpoint was made"
            remedy = "take it away, or start over without the checkpoint"
            raise CheckpointError(msg, place=branch.source.describe(), remedy=remedy)
        return readers

    def _loop(
        self, replay: Replay, watch: Callable[[ProgressReport], None] | None
    ) -> Iterator[pa.RecordBatch]:
        pending = self._pending
        ahead = CHUNKS_AHEAD if self.stages.overlaps else 0
        for step in replay.steps():
            if watch is not None:
                watch(self.report())
            self._set_aside(step.aside)
            if step.chunk is not None:
                pending.append(self._submitted(step))
            is_pause = self._is_pause(step)
            sweep = self.stages.keys_to_forget
            while len(pending) > (0 if sweep or is_pause or step.chunk is None else ahead):
                yield from self._out(pending.popleft()())
            if step.chunk is None:
                yield from self._out(self.stages.advance(step.watermark_us))
            if sweep:
                # Nothing is under way now that refers to keys by number, but for rows still held.
                self.stages.forget_keys(replay.held_keys())
            if is_pause:
                self._pause(step)
                if self.is_suspended:
                    return
        while pending:
            yield from self._out(pending.popleft()())
        self.stages.flush()

    def _is_pause(self, step: Step) -> bool:
        is_due = self._pauses is not None and self._pauses.is_due(len(step))
        return is_due or self._observe is not None

    def _pause(self, step: Step) -> None:
        self.stages.flush()
        if self._observe is not None:
            self._observe(step)
        if self._pauses is not None:
            self._pauses.pause(is_end=False)
            self.is_suspended = self._pauses.stops

    def _submitted(self, step: Step) -> Callable[[], Iterator[pa.RecordBatch]]:
        chunk = step.chunk
        assert chunk is not None
        partitions = [self.names[p] for p, _ in step.taken]
        with NamingPartitions(partitions):
            finish = self.stages.submit(chunk)

        # Once only: who asks for the ledger waits for the chunks under way too.
        @cache
        def account() -> Iterator[pa.RecordBatch]:
            with NamingPartitions(partitions):
                results, late = finish()
            for p, n in step.taken:
                self._intakes[p].ledger.waiting -= n
                self._intakes[p].ledger.windowed += n
            if len(late):
                for p, n in enumerate(np.bincount(late).tolist()):
                    self._intakes[p].ledger.late += n
                    self._intakes[p].ledger.windowed -= n
            return results

        return account

    def _out(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            out, _ = self._final.apply(batch)
            self._results += out.num_rows
            if out.num_rows:
                yield out

    def _set_aside(self, aside: list[Aside]) -> None:
        if aside:
            self._side(QUARANTINE, quarantine_batch(self._quarantine, aside, self.names))

    def _check_times(self) -> None:
        """Refuse input in which no row has a time: nothing would come out, without a reason."""
        total = self.ledger().total
        if total.rows_in and total.null_time == total.rows_in:
            column = self._plan.stages[0].time
            msg = f"time column {column!r} is null in all {counted(total.rows_in, 'row')}"
            sources = "; ".join(b.source.describe() for b in self._plan.branches)
            raise TimeColumnError(
                msg, place=sources, remedy="name the column that holds the event time"
            )


def _unique(names: list[str]) -> list[str]:
    return (
        names if len(set(names)) == len(names) else [f"{i}/{name}" for i, name in enumerate(names)]
    )
