"""What an engine drives: partitions and their doors, the watermark, operators, what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from eventtime.compiled import CompiledPlan, compile_plan
from eventtime.doors import door
from eventtime.execution import QUARANTINE
from eventtime.fingerprint import fingerprint
from eventtime.kept import Kept
from eventtime.ledger import Ledger
from eventtime.naming import NamingPartitions
from eventtime.once import once
from eventtime.process.plan import ProcessPlan
from eventtime.progress import Progress
from eventtime.quarantine import Aside, quarantine_batch, quarantine_schema
from eventtime.report import ProgressReport
from eventtime.stages import Stages
from eventtime.transform import Transform
from eventtime.windows.chunk import Block, Chunk, Scratch, Source
from eventtime.windows.rises import raised

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from eventtime.clock import Clock
    from eventtime.ledger import PartitionLedger
    from eventtime.memory import MemoryLimit
    from eventtime.partition import PartitionIntake, Ready
    from eventtime.plan import Node
    from eventtime.state.parts import PartWriter, Saved

__all__ = ("Core", "compiled")

_MOST_GATHERED: Final = 65_536
"""Rows: a chunk of so many is long enough that another one costs nothing beside it."""


def compiled(node: Node | CompiledPlan) -> CompiledPlan:
    """Return a plan compiled: one that is already, for many engines, stays as it is."""
    return node if isinstance(node, CompiledPlan) else compile_plan(node)


@once
def _side_schemas(plan: CompiledPlan) -> dict[bool, dict[str, pa.Schema]]:
    """Return the schemas of side outputs by tag, by whether rows may come that do not parse."""
    asides = {text: quarantine_schema(plan.aside_schema, text=text) for text in (False, True)}
    return {text: {**plan.side_schemas, QUARANTINE: kind} for text, kind in asides.items()}


class Core:
    """A plan at work on rows as they come; asks no questions about what it is given.

    Partitions: `add`, `leave`, `finish`. Rows: `take`, `take_malformed`; `gather`, then `advance`.
    Without: `advance_to`, `poll_empty`; or `progress` and `advance`. Taking: `kept`. Looking:
    `ledger`. Surviving: `save`, `restore`. If a call raises, part of its rows is inside and part is
    not.

    Args:
        plan: compiled.
        clock: of processing time.
        shards: threads that share the keys.
        limit: on the memory of windows; None: all of their state stays in memory.
        text: whether rows may come that do not parse.
    """

    def __init__(
        self,
        plan: CompiledPlan,
        clock: Clock,
        shards: int,
        limit: MemoryLimit | None,
        *,
        text: bool = False,
    ) -> None:
        self.plan, self._clock = plan, clock
        self.progress = Progress(plan.watermark.idle_after_us, plan.watermark.all_idle)
        self.kept = Kept()
        self.names: list[str] = []
        self.branches: list[int] = []
        self.results = 0
        self.first_aside = ""
        self._intakes: list[PartitionIntake] = []
        # Judged, and not processed yet: a chunk of many small batches costs what one of them does.
        self._gathered: list[tuple[int, Block]] = []
        self._n_gathered, self._scratch = 0, Scratch()
        # Process functions read the clock with each chunk, and may not see another order of that.
        self._gathers = not any(isinstance(stage, ProcessPlan) for stage in plan.stages)
        self.stages = Stages(plan.stages, self.names, self.kept.add_side, shards, clock, limit)
        self._final = Transform(plan.final_steps, plan.stages[-1].schema)
        self.side_schemas = _side_schemas(plan)[text]

    def add(
        self, name: str, *, known_at_start: bool, historical: bool = False, branch: int = 0
    ) -> int:
        """Take in a partition of one of the plan's sources; returns its index."""
        p = self.progress.add(name, known_at_start=known_at_start, historical=historical)
        start_us = self.progress.partitions[p].watermark_us
        codec, clock = self.stages.codec, self._clock
        self.names.append(name)
        self.branches.append(branch)
        self._intakes.append(
            door(
                self.plan,
                self.plan.branches[branch],
                name,
                p,
                codec,
                clock=clock,
                watermark_us=start_us,
            )
        )
        return p

    def take(self, p: int, batch: pa.RecordBatch) -> None:
        """Process rows of a partition."""
        self._let_in(p, batch)
        self.advance()

    def gather(self, p: int, batch: pa.RecordBatch) -> None:
        """Let rows of a partition in; they are processed by `advance` at the latest (S4)."""
        self._let_in(p, batch)
        if not self._gathers or self._n_gathered >= _MOST_GATHERED:
            self.advance()

    def take_malformed(self, p: int, rows: pa.RecordBatch) -> None:
        """Set aside rows of a partition that do not parse; see `MalformedRows`."""
        self.progress.heard(p)
        self._intakes[p].take_malformed(rows)
        self._set_aside(p)
        self.advance()

    def advance_to(self, p: int, time_us: int) -> None:
        """Note that all rows of a partition before a time have been seen."""
        self.progress.heard(p)
        self.progress.moved(p, self._intakes[p].raise_to(time_us))
        self.advance()

    def advance(self) -> None:
        """Let timers and windows follow the clock and the watermark, which `progress` moved."""
        if self._gathered:
            self._process()
        else:
            self._keep(self.stages.advance(self.progress.combined_us))

    def poll_empty(self, p: int) -> None:
        """Note that a partition was polled and had nothing."""
        self.progress.polled_empty(p, self._clock.now_us())
        self.advance()

    def finish(self, p: int) -> None:
        """Note the end of a partition."""
        ready = self._intakes[p].drain()
        self._set_aside(p)
        if ready is not None:
            self._enter(p, ready)
        # What fires before the end is not final yet.
        if self._gathered:
            self._process()
        self.progress.finish(p)
        self.advance()

    def balances(self) -> list[PartitionLedger]:
        """Return the balance of each partition. Cost: O(partitions)."""
        return [intake.balance for intake in self._intakes]

    def ledger(self) -> Ledger:
        """Return the balance as of now. Cost: O(keys held), for `open` is recounted."""
        intakes = zip(self.names, self._intakes, strict=True)
        return Ledger({name: intake.balance for name, intake in intakes}, self.stages.ledgers())

    def report(self) -> ProgressReport:
        """Return where the run is. Cost: O(partitions)."""
        balances, progress = self.balances(), self.progress
        return ProgressReport(
            rows=sum(part.rows_in for part in balances),
            waiting=sum(part.waiting for part in balances),
            total_rows=None,
            watermark_us=progress.combined_us,
            latest_us=max(
                (p.watermark_us for p in progress.partitions), default=progress.combined_us
            ),
            held_by=progress.held_by,
            open_windows=self.stages.open_windows,
            late=sum(part.late for part in balances),
            quarantined=sum(part.null_time + part.future + part.malformed for part in balances),
            results=self.results,
            blocked=self.stages.blocked,
        )

    @property
    def is_finished(self) -> bool:
        """Whether all partitions have ended, and there is one."""
        states = self.progress.partitions
        return bool(states) and all(state.finished for state in states)

    def save(self, writer: PartWriter) -> dict[str, Any]:
        """Write the parts; returns the rest, for JSON."""
        assert not self._gathered
        self.stages.flush()
        progress = self.progress.save(self._clock.now_us())
        head = {
            "pipeline": fingerprint(self.plan),
            "combined_us": self.progress.combined_us,
            "partitions": [
                {**known, "branch": branch, "intake": intake.save()}
                for known, branch, intake in zip(
                    progress, self.branches, self._intakes, strict=True
                )
            ],
            "operators": self.stages.save(writer),
            "rows_before_final_steps": self._final.rows,
            "results": self.results,
        }
        self.kept.save(writer)
        return head

    def restore(self, saved: Saved) -> None:
        """Go on from what was saved, while there is nothing yet."""
        head = saved.head
        for partition in head["partitions"]:
            self.add(partition["name"], known_at_start=True, branch=partition["branch"])
        self.progress.restore(head["combined_us"], head["partitions"], self._clock.now_us())
        for intake, partition in zip(self._intakes, head["partitions"], strict=True):
            intake.restore(partition["intake"])
        self.stages.restore(saved)
        self._final.rows, self.results = head["rows_before_final_steps"], head["results"]
        self.kept.restore(saved)

    def _let_in(self, p: int, batch: pa.RecordBatch) -> None:
        """Judge rows of a partition; those for the windows are gathered."""
        self.progress.heard(p)
        ready = self._intakes[p].take(batch)
        self._set_aside(p)
        if ready is not None:
            self._enter(p, ready)
        if ready is None or not len(ready):
            self.progress.combine()

    def _enter(self, p: int, ready: Ready) -> None:
        own = ready.block.rises
        judged = raised(own, self.progress.combined_us, self.progress.others_us(p))
        self.progress.moved(p, ready.after_us)
        rows, source = ready.block, ready.block.source
        assert source is not None
        source = Source(source.batch, source.columns, own, source.partition)
        block = Block(rows.time_us, judged, rows.keys, rows.key_nulls, rows.lanes, source)
        if len(block):
            self._gathered.append((p, block))
            self._n_gathered += len(block)

    def _process(self) -> None:
        """Take what was gathered through the operators, as one chunk."""
        taken = [(p, len(block)) for p, block in self._gathered]
        blocks = [block for _, block in self._gathered]
        self._gathered, self._n_gathered = [], 0
        chunk = Chunk.of_blocks(blocks, self.progress.combined_us).together(self._scratch)
        with NamingPartitions(list(dict.fromkeys(self.names[p] for p, _ in taken))):
            results, late = self.stages.process(chunk)
        for p, n in taken:
            ledger = self._intakes[p].ledger
            ledger.waiting -= n
            ledger.windowed += n
        if len(late):
            for p, n in enumerate(np.bincount(late).tolist()):
                self._intakes[p].ledger.late += n
                self._intakes[p].ledger.windowed -= n
        self._keep(results)
        self.stages.forget_keys([])

    def _keep(self, results: Iterable[pa.RecordBatch]) -> None:
        for batch in results:
            out, _ = self._final.apply(batch)
            if out.num_rows:
                self.results += out.num_rows
                self.kept.results.append(out)

    def _set_aside(self, p: int) -> None:
        rows, self._intakes[p].quarantined = self._intakes[p].quarantined, []
        if rows:
            self.first_aside = self.first_aside or rows[0].detail[0]
            asides = [Aside(p, r, np.zeros(len(r.numbers), np.int64)) for r in rows]
            batch = quarantine_batch(self.side_schemas[QUARANTINE], asides, self.names)
            self.kept.add_side(QUARANTINE, batch)
