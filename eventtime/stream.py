"""Streams: a pipeline declared step by step, then run, iterated, or handed on as Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventtime.checkpoints import Checkpoints, as_checkpoints
from eventtime.checks import check_names, shown
from eventtime.declaring import check_aggregate, check_named, mapped, processed, windowed
from eventtime.duration import DurationLike, parse_us
from eventtime.errors import PlanError
from eventtime.expressions import check_expression
from eventtime.memory import MemoryLike, limit_of
from eventtime.plan import (
    Aggregated,
    Keyed,
    Node,
    Read,
    Stepped,
    United,
    Watermarked,
    Windowed,
    check_node,
    check_source,
    describe,
    walk,
)
from eventtime.progress import AllIdle, check_all_idle
from eventtime.running import Surviving, results_of, run_plan
from eventtime.targets import Targets
from eventtime.transform import Filter, Select, WithColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Never

    import pyarrow.compute as pc

    from eventtime.compiled import CompiledPlan
    from eventtime.journal.file import JournalLike
    from eventtime.live import Live
    from eventtime.process.function import ProcessFunction
    from eventtime.report import ProgressReport
    from eventtime.restarting import Restart
    from eventtime.run import Run
    from eventtime.sinks.base import AnySink
    from eventtime.sources.feed import AnySource
    from eventtime.state.declared import Declared
    from eventtime.watermark import WatermarkGenerator
    from eventtime.windows.accumulation import AccumulationMode
    from eventtime.windows.aggregate import Aggregate
    from eventtime.windows.assigner import GridAssigner

__all__ = ("KeyedStream", "Stream", "WindowedStream", "union")


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows, lazily: each method returns a new stream; nothing is read before it is run.

    Shaping rows: `filter`, `select`, `with_columns`, `map_batches`, `union`. Time: `watermark`.
    Windows: `key_by`, `window`. Running: `run`, `to_table`, iteration, `__arrow_c_stream__`.
    Looking: `schema`, `explain`.
    A stream can be run any number of times if its sources can be read again.

    Args:
        node: the plan.
    """

    node: Node

    def __post_init__(self) -> None:
        check_node(self.node)

    @classmethod
    def read(cls, source: AnySource) -> Stream:
        """Make a stream of a source."""
        check_source(source, place="Stream.read(source)")
        return cls(Read(source))

    def filter(self, predicate: pc.Expression) -> Stream:
        """Keep rows for which `predicate` is true (not null); others are counted as filtered."""
        check_expression(predicate, place="filter(predicate)")
        return Stream(Stepped(self.node, Filter(predicate)))

    def select(self, *columns: str) -> Stream:
        """Keep only these columns; others are not even read."""
        remedy = "name each column once, such as select('x', 'y')"
        check_names(columns, place="select(...)", remedy=remedy)
        return Stream(Stepped(self.node, Select(columns)))

    def with_columns(self, *unnamed: Never, **columns: pc.Expression) -> Stream:
        """Add columns computed from others, or replace those of the same name."""
        check_named(unnamed, "with_columns(...)", "such as late=pc.field('delay') > 15")
        for name, expression in columns.items():
            check_expression(expression, place=f"with_columns({name}=…)")
        return Stream(Stepped(self.node, WithColumns(tuple(columns.items()))))

    def map_batches(
        self,
        function: Callable[[pa.RecordBatch], pa.RecordBatch | pa.Table],
        *,
        schema: pa.Schema | None = None,
    ) -> Stream:
        """Apply a function to whole batches, before the watermark or after the last window.

        Args:
            function: from one batch to one batch; it may drop, add and change rows. Batches are
                cut as the engine pleases, so what it does with a row must not depend on its
                neighbours.
            schema: of what it returns; without it the function is tried on a batch without rows.
        """
        return Stream(mapped(self.node, function, schema))

    def union(self, *others: Stream) -> Stream:
        """Read several streams of equal columns as one; each keeps its partitions.

        It stands before the watermark.
        """
        for stream in (self, *others):
            _check_stream(stream)
        return Stream(United((self.node, *(other.node for other in others))))

    def watermark(
        self,
        generator: WatermarkGenerator,
        *,
        idle_after: DurationLike | None = None,
        all_idle: AllIdle = "hold",
        max_future: DurationLike | None = None,
        max_ahead: DurationLike | None = None,
    ) -> Stream:
        """Declare how a partition's watermark follows its rows; the stream's is the least (S3–S8).

        Args:
            generator: `bounded_disorder`, `ascending`, `punctuated`, `percentile` or `custom`.
            idle_after: in live runs, silence after which a partition holds nobody back. Files are
                never idle.
            all_idle: when all are idle: 'hold' the watermark, or 'flush_max' to the furthest
                partition.
            max_future: rows further ahead than this (of the rows around them in replay, of the
                clock live) are quarantined and move no watermark.
            max_ahead: in live runs, a partition whose watermark is further ahead of the slowest one
                is not polled until the others come closer. A replay reads in order anyway (S10).
        """
        if not hasattr(generator, "build"):
            msg = f"{shown(generator)} is no watermark generator"
            raise PlanError(
                msg, place="watermark(generator)", remedy="such as et.bounded_disorder('1h')"
            )
        check_all_idle(all_idle)
        idle_us = None if idle_after is None else parse_us(idle_after, name="idle_after")
        future_us = None if max_future is None else parse_us(max_future, name="max_future")
        ahead_us = None if max_ahead is None else parse_us(max_ahead, name="max_ahead")
        return Stream(Watermarked(self.node, generator, idle_us, all_idle, future_us, ahead_us))

    def key_by(self, *columns: str) -> KeyedStream:
        """Group by columns; null is a group.

        Keys are integers, strings, binary, booleans, dates, times or dictionaries of those.
        """
        remedy = "name each key column once; leave key_by out for no key"
        check_names(columns, place="key_by(...)", remedy=remedy)
        return KeyedStream(Keyed(self.node, columns))

    def window(
        self,
        assigner: GridAssigner,
        *,
        allowed_lateness: DurationLike = "0s",
        mode: AccumulationMode = "accumulating",
        late: str | None = None,
        late_columns: Sequence[str] | None = None,
    ) -> WindowedStream:
        """Put rows in windows, all in one group; see `KeyedStream.window`."""
        return WindowedStream(
            windowed(self.node, assigner, allowed_lateness, mode, late, late_columns)
        )

    @property
    def schema(self) -> pa.Schema:
        """Columns of the rows that come out."""
        from eventtime.compiled import result_schema

        return result_schema(self.node)

    def explain(self) -> str:
        """Return the plan in words, sources first, with the columns that are read of each."""
        compiled = self._compiled()
        notes, reads = {}, [node for node in walk(self.node) if isinstance(node, Read)]
        for branch, read in zip(compiled.branches, reads, strict=True):
            notes[id(read)] = f"; reads {', '.join(branch.columns)}"
        return describe(self.node, notes=notes)

    def run(
        self,
        sink: str | Path | AnySink | None = None,
        *,
        sides: Mapping[str, str | Path | AnySink] | None = None,
        shards: int = 1,
        overwrite: bool = False,
        progress: Callable[[ProgressReport], None] | None = None,
        checkpoint: str | Path | Checkpoints | None = None,
        start_from: str | Path | None = None,
        stop: Callable[[], bool] | None = None,
        memory: MemoryLike | None = None,
        drain: bool = False,
        restart: Restart | None = None,
        live: Live | None = None,
        journal: JournalLike | None = None,
    ) -> Run:
        """Run over all input; at its end every window fires (S9).

        Sources that go on are followed until they end or are stopped; results go out as they come.

        Args:
            sink: where results go instead of memory, a path (by suffix) or a sink; see `Run.table`.
            sides: where side outputs go instead of memory, by tag ('late', 'quarantine').
            shards: threads; of several, one prepares rows and the others share the keys. The
                results are the same bytes for any number.
            overwrite: replace outputs that exist.
            progress: called with a `ProgressReport` after each step, the last time before outputs
                appear under their names.
            checkpoint: folder of checkpoints (see `checkpoints`); a run that finds one there goes
                on from it, and its outputs cannot be told from those of a run never disturbed
                (S28).
            start_from: savepoint to go on from, if there is no checkpoint yet.
            stop: asked after each step; when it says True the run is suspended with a checkpoint
                (S9): nothing fires, and files that are published at the end are not yet.
            memory: how much of the state may be in memory, such as '512MB'; the rest goes
                to files (or see `memory_limit`). The results are the same bytes. None: all.
            drain: with `stop`: all input is taken as ended there, and every window fires.
            restart: how to go on when sources or sinks fail for a while (see `restart`).
            live: how a live run runs (see `live`).
            journal: path of a file that is to tell what came when: see `replay_journal`.

        Returns:
            What stayed in memory, and the ledger.

        Raises:
            EventTimeError: see its subclasses; no output is left half-written, Ctrl-C included.
        """
        points = as_checkpoints(checkpoint, place="run(checkpoint=…)")
        surviving = Surviving(points, start_from, stop, drain, restart)
        return run_plan(
            surviving.compiled(self.node),
            Targets(sink, {} if sides is None else sides, overwrite),
            shards=shards,
            progress=progress,
            surviving=surviving,
            limit=limit_of(memory, place="run(memory=…)"),
            live=live,
            journal=journal,
        )

    def to_table(self) -> pa.Table:
        """Run and return the results; side outputs are dropped, so use `run` where they matter."""
        return pa.Table.from_batches(list(self), self.schema)

    def _compiled(self) -> CompiledPlan:
        # Kernels, and with them numba, are loaded when something runs, not on import.
        from eventtime.compiled import compile_plan

        return compile_plan(self.node)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Run and yield record batches as windows fire; leaving the loop stops the run."""
        return results_of(self._compiled())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Run as an Arrow stream, which other libraries read as it is.

        With `polars.DataFrame(stream)`, `duckdb.from_arrow(stream)` or its name in a query,
        `pandas.DataFrame.from_arrow(stream)` (pandas 3), `pyarrow.table(stream)`.
        """
        compiled = self._compiled()
        reader = pa.RecordBatchReader.from_batches(compiled.schema, results_of(compiled))
        return reader.__arrow_c_stream__(requested_schema)


@dataclass(frozen=True, eq=False)
class KeyedStream:
    """Rows grouped by key, waiting for windows or a process function."""

    node: Keyed

    def window(
        self,
        assigner: GridAssigner,
        *,
        allowed_lateness: DurationLike = "0s",
        mode: AccumulationMode = "accumulating",
        late: str | None = None,
        late_columns: Sequence[str] | None = None,
    ) -> WindowedStream:
        """Put the rows of each key in windows.

        Args:
            assigner: `tumbling`, `sliding` or `global_window`.
            allowed_lateness: how long after its end a window still takes rows and sends out
                corrections (S18–S21).
            mode: of corrections: 'accumulating' (everything again), 'discarding' (only what is
                new), or 'retracting' (the old row with diff -1, then the new one).
            late: tag of the side output of rows that missed a window; None: 'late'; `DROP`:
                counted only.
            late_columns: the own columns that late rows carry; None: all, which makes all of them
                be read.

        Raises:
            DurationError: malformed or negative lateness.
            PlanError: unknown mode, or something that is no assigner.
        """
        return WindowedStream(
            windowed(self.node, assigner, allowed_lateness, mode, late, late_columns)
        )

    def process(
        self,
        function: ProcessFunction | Callable[[Any, Any], object],
        *,
        output: pa.Schema,
        sides: Mapping[str, pa.Schema] | None = None,
        time: str | None = None,
        time_unit: str | None = None,
        behind: DurationLike = "0s",
        columns: Sequence[str] | None = None,
        states: Mapping[str, Declared] | None = None,
        broadcast: Mapping[str, Stream] | None = None,
    ) -> Stream:
        """Give the rows of each key to code of your own, which has state and timers.

        Args:
            function: a `ProcessFunction`, or a function of context and row.
            output: schema of the results.
            sides: schemas of side outputs, by tag.
            time: the column of the output that is its event time, so that windows can follow; None:
                results are final.
            time_unit: of a column of integers: 's', 'ms', 'us' or 'ns'.
            behind: how far behind the watermark results may lie without being late for those
                windows: their watermark is held back so much (S25).
            columns: that the function is given; None: all, which makes all of them be read.
            states: of a plain function, by name: attributes of ``ctx.states``.
            broadcast: small streams that change what all keys see, by name; see `broadcast_state`.

        Returns:
            The results: rows in replay order, those of timers where they fire.
        """
        times = time, time_unit, behind
        return Stream(
            processed(self.node, function, output, sides, times, columns, states, broadcast)
        )


@dataclass(frozen=True, eq=False)
class WindowedStream:
    """Rows in windows, waiting for aggregates."""

    node: Windowed

    def aggregate(self, *unnamed: Never, **aggregates: Aggregate) -> Stream:
        """Compute aggregates: one result row for each window and key that has rows.

        Args:
            unnamed: none: every aggregate has a name.
            aggregates: by name of the result column, such as `flights=et.count()`.

        Returns:
            Key columns, window_start, window_end, the aggregates, version, timing, is_final (and
            diff when retracting), in the order of S24; its event time is window_start, so it can
            be windowed again.
        """
        check_named(unnamed, "aggregate(...)", "such as n=et.count()")
        for name, aggregate in aggregates.items():
            check_aggregate(name, aggregate)
        if not aggregates:
            msg = "no aggregate is given"
            raise PlanError(msg, place="aggregate(...)", remedy="such as rows=et.count()")
        return Stream(Aggregated(self.node, tuple(aggregates.items())))


def union(*streams: Stream) -> Stream:
    """Read several streams of equal columns as one; each keeps its partitions."""
    if not streams:
        msg = "union of no streams"
        raise PlanError(msg, place="union(...)", remedy="give at least one")
    return Stream.union(*streams)


def _check_stream(value: object) -> None:
    if not isinstance(value, Stream):
        msg = f"{type(value).__name__} is not a stream"
        raise PlanError(msg, place="union(...)", remedy="make it one: et.from_arrow(...)")
