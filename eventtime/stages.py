"""Window operators one after another: the results of one are the rows of the next (S25)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from eventtime.errors import PlanError
from eventtime.lanes import lanes_of
from eventtime.ledger import OperatorLedger
from eventtime.once import once
from eventtime.process.operator import ProcessOperator
from eventtime.process.plan import ProcessPlan
from eventtime.state.blocks import Spill
from eventtime.state.keys import KeyCodec
from eventtime.state.schemas import schema_in_text
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY, to_us
from eventtime.transform import Transform
from eventtime.validity import NO_NULLS
from eventtime.windows.chunk import Block, Chunk, Source
from eventtime.windows.late import LateRows, LateShape
from eventtime.windows.operator import Produced, Results, WindowOperator
from eventtime.windows.rises import rises_of
from eventtime.windows.stored import in_memory

if TYPE_CHECKING:
    from eventtime.clock import Clock
    from eventtime.compiled import StagePlan
    from eventtime.memory import MemoryLimit
    from eventtime.state.blocks import BlockStore
    from eventtime.state.parts import PartWriter, Saved
    from eventtime.windows.look import Look
    from eventtime.windows.stored import Rows

__all__ = ("Handed", "Onlooker", "Stages", "names_of")

SideOutput = Callable[[str, pa.RecordBatch], None]
_NO_ROWS = np.empty(0, np.int64)


def names_of(plans: Sequence[StagePlan | ProcessPlan]) -> list[str]:
    """Return what operators are called, as late rows of results have it in `partition`."""
    return [
        f"{'process' if isinstance(plan, ProcessPlan) else 'window'} {i}"
        for i, plan in enumerate(plans, 1)
    ]


@dataclass(frozen=True)
class Handed:
    """Results of one operator on their way into the next.

    Args:
        rows: (n,) as the one before made them.
        time_us: (n,) int64 event times.
        judged_us: (n,) int64, the watermark before each.
        left: (m,) what is left of them behind the steps between the two.
        kept: (m,) places of those; None: all.
    """

    rows: pa.RecordBatch
    time_us: np.ndarray
    judged_us: np.ndarray
    left: pa.RecordBatch
    kept: np.ndarray | None


class Onlooker(Protocol):
    """Is shown what goes from operator to operator; these by their number, from 0."""

    def handed(self, operator: int, handed: Handed) -> None:
        """See what comes to an operator that is not the first, before it takes it."""
        ...

    def made(self, operator: int, produced: Produced) -> None:
        """See what came of a step of an operator."""
        ...


@dataclass
class _Stage:
    plan: StagePlan | ProcessPlan
    operator: WindowOperator | ProcessOperator
    codec: KeyCodec
    late: LateRows | None
    before: Transform | None
    watermark_us: int = MINUS_INFINITY


@dataclass
class Stages:
    """The operators of a run.

    Rows: `submit`, `process`. Time: `advance`. Late rows: `flush`. Looking: `ledgers`, `look`,
    `open_windows`, `blocked`, `is_empty`. Surviving: `save`, `restore`. Ending: `close`.

    Args:
        plans: of the stages.
        partitions: names of the partitions, by index; may grow.
        side: takes rows of side outputs as they come.
        shards: threads to work with; 1: only the caller's.
        clock: of processing time; None: a replay, which has none.
        limit: on the memory of state; None: all of it stays in memory.
        onlooker: is shown what goes between operators; None: nobody looks.
    """

    plans: Sequence[StagePlan | ProcessPlan]
    partitions: Sequence[str]
    side: SideOutput
    shards: int = 1
    clock: Clock | None = None
    limit: MemoryLimit | None = None
    stages: list[_Stage] = field(default_factory=list)
    onlooker: Onlooker | None = None

    def __post_init__(self) -> None:
        self._store: BlockStore | None = None
        operators = names_of(self.plans)
        for i, plan in enumerate(self.plans):
            codec, operator = KeyCodec(plan.key_types), operators[i - 1]
            before = None if i == 0 else Transform(plan.steps, plan.input, f"results of {operator}")
            # One thread prepares chunks, the others share the keys of the first operator. Those
            # that follow see results only, which are few.
            threaded = i == 0 and self.shards > 1
            if isinstance(plan, ProcessPlan):
                process = ProcessOperator(
                    plan, codec, self.clock, threaded=threaded, spill=self._spill()
                )
                self.stages.append(_Stage(plan, process, codec, None, before))
                continue
            if self.limit is not None:
                _check_spills(plan)
            names = self.partitions if i == 0 else [operator]
            spec = plan.spec
            shape = LateShape(
                spec.grid, spec.lateness_us, spec.shape.bounds_type, spec.shape.time_unit, names
            )
            late = LateRows(shape, plan.late_columns, plan.late_schema)
            shares = self._shares if i == 0 else 1
            spill = self._spill()
            window = WindowOperator(spec, codec, shape, shares, threaded=threaded, spill=spill)
            self.stages.append(_Stage(plan, window, codec, late, before))

    @property
    def _shares(self) -> int:
        return max(1, self.shards - 1)

    def _spill(self) -> Spill | None:
        """Say what one shard may hold: the same for all, whatever they are to hold."""
        if self.limit is None:
            return None
        self._store = self._store or self.limit.open()
        of_first = 1 if isinstance(self.plans[0], ProcessPlan) else self._shares
        holders = of_first + len(self.plans) - 1
        return Spill(self._store, self.limit.budget_bytes // holders)

    @property
    def codec(self) -> KeyCodec:
        """Encodes the keys of rows that come from partitions."""
        return self.stages[0].codec

    @property
    def overlaps(self) -> bool:
        """Whether the next chunk may be prepared while this one is processed."""
        return self.shards > 1

    def submit(self, chunk: Chunk) -> Callable[[], tuple[Iterator[pa.RecordBatch], np.ndarray]]:
        """Start on a chunk; the call returned gives final results and late rows' partitions."""
        wait = self.stages[0].operator.submit(chunk)
        return lambda: self._out(wait())

    def process(self, chunk: Chunk) -> tuple[Iterator[pa.RecordBatch], np.ndarray]:
        """Do what `submit` starts, where nothing else is to be done meanwhile."""
        return self._out(self.stages[0].operator.process(chunk))

    def _out(self, produced: Produced) -> tuple[Iterator[pa.RecordBatch], np.ndarray]:
        late = _NO_ROWS if produced.late is None else produced.late.partitions
        return map(in_memory, self._onwards(0, produced)), late

    def told(self, name: str) -> pa.Schema | None:
        """Return the schema of a broadcast source; None: there is none of that name."""
        plans = [plan for plan in self.plans if isinstance(plan, ProcessPlan)]
        found = [plan.broadcast[name].source.schema() for plan in plans if name in plan.broadcast]
        return found[0] if found else None

    def broadcast(self, name: str, batch: pa.RecordBatch) -> None:
        """Hand rows of a broadcast stream to who listens."""
        for stage in self.stages:
            operator, plan = stage.operator, stage.plan
            listens = isinstance(plan, ProcessPlan) and name in plan.broadcast
            if listens and isinstance(operator, ProcessOperator):
                operator.broadcast(name, batch)

    def advance(self, watermark_us: int) -> Iterator[pa.RecordBatch]:
        """Move the watermark without rows, while final results are taken."""
        operator = self.stages[0].operator
        if watermark_us == PLUS_INFINITY and isinstance(operator, WindowOperator):
            for end in operator.ends_to_stop_at():
                yield from map(in_memory, self._onwards(0, operator.advance(end, at_end=True)))
        yield from map(in_memory, self._onwards(0, operator.advance(watermark_us)))
        if watermark_us == PLUS_INFINITY and self._store is not None:
            self._store.flush()

    @property
    def keys_to_forget(self) -> bool:
        """Whether a key dictionary has outgrown the keys that were alive at the last sweep."""
        return any(stage.operator.keys_to_forget() for stage in self.stages)

    def forget_keys(self, held: Sequence[np.ndarray]) -> None:
        """Sweep key dictionaries that have grown; `held`: key words read but not processed."""
        for i, stage in enumerate(self.stages):
            if stage.operator.keys_to_forget():
                stage.operator.forget_keys(held if i == 0 else [])

    def ledgers(self) -> list[OperatorLedger]:
        """Return the balance of each operator, `open` recounted from its state."""
        counts = [stage.operator.counts() for stage in self.stages]
        return [OperatorLedger(c.assigned, c.emitted, c.open, c.missed) for c in counts]

    def flush(self) -> None:
        """Hand over late rows that were gathered."""
        for stage in self.stages:
            self._flush(stage)

    def _flush(self, stage: _Stage) -> None:
        if stage.late is None or isinstance(stage.plan, ProcessPlan):
            return
        rows = stage.late.flush()
        if rows is not None and stage.plan.late_tag is not None:
            self.side(stage.plan.late_tag, rows)

    def look(self, most_slices: int) -> list[Look]:
        """Look at the operators; cheaper than `ledgers`, for nothing is recounted."""
        return [stage.operator.look(most_slices) for stage in self.stages]

    @property
    def open_windows(self) -> int:
        """Slices of time that hold rows, in the first operator."""
        return self.stages[0].operator.open_windows

    @property
    def blocked(self) -> str:
        """Why state above the limit could not leave memory; empty: it could."""
        errors = (stage.operator.blocked for stage in self.stages)
        return next((error.what for error in errors if error is not None), "")

    @property
    def is_empty(self) -> bool:
        """Whether no operator holds state (S30)."""
        return all(stage.operator.is_empty for stage in self.stages)

    def save(self, writer: PartWriter) -> list[dict[str, Any]]:
        """Hand over the state of all operators, late rows flushed; returns the rest of each."""
        heads = []
        for i, stage in enumerate(self.stages):
            numbers = stage.operator.save(writer, operator=i)
            steps = 0 if stage.before is None else stage.before.rows
            plan = stage.plan
            window = {} if isinstance(plan, ProcessPlan) else {"window": _shape(plan)}
            places = {"judged_us": stage.watermark_us, "rows_before_steps": steps}
            heads.append({**numbers, **places, **window})
        return heads

    def restore(self, pack: Saved) -> None:
        """Go on from what was saved, while nothing is held."""
        for i, stage in enumerate(self.stages):
            numbers = pack.head["operators"][i]
            stage.watermark_us = numbers["judged_us"]
            if stage.before is not None:
                stage.before.rows = numbers["rows_before_steps"]
            stage.operator.restore(numbers, pack.about(operator=i))

    def close(self) -> None:
        """Stop threads, and remove the scratch folder."""
        for stage in self.stages:
            stage.operator.close()
        if self._store is not None:
            self._store.close()

    def _onwards(self, i: int, produced: Produced) -> list[Rows]:
        stage = self.stages[i]
        if self.onlooker is not None:
            self.onlooker.made(i, produced)
        for tag, batch in produced.sides:
            self.side(tag, batch)
        # Late rows that nobody is to see are counted by the operator.
        if produced.late is not None and stage.late is not None and stage.plan.side_schemas:
            stage.late.add(produced.late)
            if stage.late.is_due:
                self._flush(stage)
        if i + 1 == len(self.stages):
            return [r.batch for r in produced.results if r.batch.num_rows]
        following, operator = self._chunk(i + 1, produced), self.stages[i + 1].operator
        if following is None:
            return self._onwards(i + 1, operator.advance(produced.downstream_us))
        results = self._onwards(i + 1, operator.process(following))
        # Behind the last point that fired: at plus infinity it makes a difference to `is_final`.
        return results + self._onwards(i + 1, operator.advance(produced.downstream_us))

    def _chunk(self, i: int, produced: Produced) -> Chunk | None:
        """Make rows of the results of the operator before, each judged as of its firing."""
        stage, upstream = self.stages[i], self.stages[i - 1].operator
        results = [r for r in produced.results if r.batch.num_rows]
        before = stage.watermark_us
        stage.watermark_us = max(before, produced.downstream_us)
        if not results:
            return None
        batch = pa.concat_batches([in_memory(r.batch) for r in results])
        watermark_us = _judged(results, upstream, before)
        after_us = max(before, upstream.downstream_after(results[-1].points[-1][0]))
        assert stage.before is not None
        # The first window of all may start before the first time admitted.
        time_us, _ = to_us(
            batch.column(stage.plan.time), stage.plan.time_unit, latest=PLUS_INFINITY
        )
        rows, (batch, kept) = batch, stage.before.apply_keeping_places(batch)
        if self.onlooker is not None:
            self.onlooker.handed(i, Handed(rows, time_us, watermark_us, batch, kept))
        if kept is not None:
            time_us, watermark_us = time_us[kept], watermark_us[kept]
        keys, nulls = _keys(stage, batch)
        columns = [batch.column(c) for c in stage.plan.columns]
        lanes = lanes_of(columns, stage.plan.lanes)
        source = Source(batch, columns)
        block = Block(time_us, rises_of(watermark_us), keys, nulls, lanes, source)
        return Chunk.of_block(block, after_us)


def _check_spills(plan: StagePlan) -> None:
    """Refuse what is in order of arrival across slices: one that came back would have lost it."""
    functions = {output.name: output.aggregate.function for output in plan.spec.outputs}
    if plan.spec.grid.slices > 1 and "collect" in functions.values():
        name = next(name for name, function in functions.items() if function == "collect")
        msg = f"{name}=et.collect(…) over sliding windows cannot leave memory"
        remedy = "leave memory=… out, or collect in tumbling windows"
        raise PlanError(msg, place="memory=…", remedy=remedy)


def _judged(
    results: Sequence[Results], upstream: WindowOperator | ProcessOperator, before_us: int
) -> np.ndarray:
    points = [p for r in results for p in r.points]
    judged = np.array([upstream.downstream_before(p) for p, _ in points], np.int64)
    judged = np.maximum.accumulate(np.maximum(judged, before_us))
    return np.repeat(judged, np.array([n for _, n in points]))


def _keys(stage: _Stage, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    if not stage.plan.keys:
        return stage.codec.no_key(batch.num_rows), NO_NULLS
    return stage.codec.encode([batch.column(name) for name in stage.plan.keys])


@once
def _shape(plan: StagePlan) -> dict[str, Any]:
    """Say for JSON what one must know to read the state of a window: bounds, names and types."""
    grid, spec = plan.spec.grid, plan.spec
    keys = pa.schema(list(zip(plan.keys, plan.key_types, strict=True)))
    inputs = pa.schema(list(zip(plan.columns, spec.types, strict=True)))
    return {
        "size_us": grid.size_us,
        "slide_us": grid.slide_us,
        "offset_us": grid.offset_us,
        "keys": schema_in_text(keys),
        "inputs": schema_in_text(inputs),
        "outputs": [output.name for output in spec.outputs],
    }
