"""Running a plan to its end: results and side outputs to sinks or tables, and the ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from eventtime.checks import check_callable, check_flag, check_whole, is_one_of, shown
from eventtime.errors import PlanError, SinkError
from eventtime.report import ProgressReport, told
from eventtime.restarting import Attempts, Restart
from eventtime.sources.filesource import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from eventtime.checkpoints import Checkpoints
    from eventtime.compiled import CompiledPlan
    from eventtime.execution import Execution
    from eventtime.ledger import Ledger
    from eventtime.memory import MemoryLimit
    from eventtime.outputs import Outputs
    from eventtime.sinks.base import Sink
    from eventtime.state.pack import Pack

__all__ = ("Run", "Surviving", "Targets", "run_plan")

Progress = Callable[[ProgressReport], None]
_RESULTS: Final = ""


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    Results: `table`. Side outputs: `side`, `tags`. Account: `ledger`. What a sink took is not kept
    here as well: `table` and `side` say where it is.

    Args:
        schema: of the results.
        batches: results kept in memory.
        sides: rows of side outputs kept in memory, by tag.
        side_schemas: schemas of all side outputs, by tag.
        ledger: where every row went.
        report: the last progress report.
        taken: what took rows, by tag; the results under ''.
        checkpoint: number of the last one; None: there is none.
        is_finished: whether all input was processed; otherwise it was suspended.
    """

    schema: pa.Schema
    batches: list[pa.RecordBatch]
    sides: dict[str, list[pa.RecordBatch]]
    side_schemas: dict[str, pa.Schema]
    ledger: Ledger
    report: ProgressReport
    taken: dict[str, str]
    checkpoint: int | None = None
    is_finished: bool = True

    def table(self) -> pa.Table:
        """Return the results as one table, in the order of S24.

        Raises:
            PlanError: a sink took them; says which.
        """
        self._check_kept(_RESULTS, "table()", "the results", "run it without a sink")
        return pa.Table.from_batches(self.batches, self.schema)

    def side(self, tag: str) -> pa.Table:
        """Return a side output, in replay order.

        Raises:
            PlanError: there is no such tag, and which there are; or a sink took the rows.
        """
        if not is_one_of(tag, self.tags):
            msg = f"there is no side output {shown(tag)}"
            raise PlanError(msg, place="side(...)", remedy=f"tags are {', '.join(self.tags)}")
        self._check_kept(tag, f"side({tag!r})", f"the rows of {tag!r}", "leave them out of sides=")
        return pa.Table.from_batches(self.sides.get(tag, []), self.side_schemas[tag])

    def _check_kept(self, tag: str, place: str, what: str, instead: str) -> None:
        if tag in self.taken:
            msg = f"{what} are not in memory: they went to {self.taken[tag]}"
            raise PlanError(msg, place=place, remedy=f"read them from there, or {instead}")

    def __repr__(self) -> str:
        """Say in a line what came of it; the rows are in `table`."""
        outcome = "finished" if self.is_finished else "suspended"
        report = self.report
        counts = f"{report.rows:,} rows, {report.results:,} results, {report.late:,} late"
        return f"<Run {outcome}: {counts}>"

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the results over as an Arrow stream: see `Stream.__arrow_c_stream__`."""
        return self.table().__arrow_c_stream__(requested_schema)

    @property
    def tags(self) -> list[str]:
        """Tags of the side outputs."""
        return sorted(self.side_schemas)

    def assert_balanced(self) -> None:
        """Check the ledger; see `Ledger.assert_balanced`."""
        self.ledger.assert_balanced()


@dataclass(frozen=True)
class Surviving:
    """How a run outlives its process.

    Args:
        checkpoints: where and how often it is saved; None: not at all.
        start_from: path of a savepoint to begin with.
        stop: asked after each step whether to suspend.
        drain: take all input as ended then, rather than suspend.
        restart: what is done when sources and sinks fail; None: it ends.
    """

    checkpoints: Checkpoints | None = None
    start_from: str | os.PathLike[str] | None = None
    stop: Callable[[], bool] | None = None
    drain: bool = False
    restart: Restart | None = None


@dataclass(frozen=True)
class Targets:
    """Where the rows of a run go.

    Args:
        sink: of the results; None: memory.
        sides: of side outputs, by tag; memory for the others.
        overwrite: whether outputs that exist are replaced.
    """

    sink: str | Path | Sink | None
    sides: Mapping[str, str | Path | Sink]
    overwrite: bool


def run_plan(
    plan: CompiledPlan,
    targets: Targets,
    *,
    shards: int,
    progress: Progress | None,
    surviving: Surviving,
    limit: MemoryLimit | None = None,
) -> Run:
    """Run to the end of input, or of patience, and publish; see `Stream.run`."""
    _check_arguments(targets, shards, progress, surviving)
    tell = None if progress is None else told(progress, place="run(progress=…)")
    if surviving.checkpoints is None:
        return _run_through(plan, targets, shards, tell, surviving.start_from, limit)
    attempts = Attempts(surviving.restart)
    on = partial(
        _run_on, plan, targets, shards, tell, surviving.checkpoints, surviving, limit, attempts
    )
    return attempts.run(on)


def _run_through(
    plan: CompiledPlan,
    targets: Targets,
    shards: int,
    tell: Progress | None,
    start_from: str | os.PathLike[str] | None,
    limit: MemoryLimit | None,
) -> Run:
    """Run without checkpoints: it is all or nothing."""
    from eventtime.execution import Execution
    from eventtime.outputs import RESULTS, Outputs
    from eventtime.savepoint import resumed_from

    saved = None if start_from is None else _savepoint(start_from, plan)
    resumed = None if saved is None else resumed_from(saved)
    watch = None if tell is None else lambda report: tell(replace(report, resumed=resumed))
    outputs = Outputs()
    execution = Execution(plan, outputs.take, shards=shards, saved=saved, limit=limit)
    try:
        _open_outputs(execution, plan, outputs, targets)
        if saved is not None:
            outputs.take_from(saved)
        for batch in execution.results(watch):
            outputs.take(RESULTS, batch)
        if watch is not None:
            # Before anything is published: it may raise, and a failed run leaves no output.
            watch(execution.report())
        outputs.publish()
    except BaseException:
        # Ctrl-C included: nothing half-written stays under any name.
        execution.close()
        outputs.abort()
        raise
    run = _finished(plan, execution, outputs)
    return replace(run, report=replace(run.report, resumed=resumed))


def _run_on(
    plan: CompiledPlan,
    targets: Targets,
    shards: int,
    tell: Progress | None,
    checkpoints: Checkpoints,
    surviving: Surviving,
    limit: MemoryLimit | None,
    attempts: Attempts,
) -> Run:
    """Run from the last checkpoint, if there is one, and write more."""
    from eventtime.checkpointing import Checkpointing
    from eventtime.execution import Execution
    from eventtime.outputs import RESULTS

    point = Checkpointing(
        checkpoints,
        plan,
        start_from=surviving.start_from,
        stop=surviving.stop,
        drain=surviving.drain,
    )
    outputs = point.outputs

    def told_more(report: ProgressReport) -> ProgressReport:
        return replace(point.told(report), restarts=attempts.restarts)

    watch = None if tell is None else lambda report: tell(told_more(report))
    execution = Execution(
        plan, outputs.take, shards=shards, pauses=point, saved=point.saved, limit=limit
    )
    try:
        # What the last process was about to publish may have its final name already.
        was_about_to = point.is_finished and not point.is_published
        again = replace(targets, overwrite=targets.overwrite or was_about_to)
        _open_outputs(execution, plan, outputs, again)
        point.begin(execution)
        for batch in execution.results(watch):
            outputs.take(RESULTS, batch)
        if watch is not None:
            watch(execution.report())
        if execution.is_suspended:
            point.suspend()
        else:
            point.publish()
        run = _finished(plan, execution, outputs, point.last)
        return replace(run, report=told_more(run.report))
    except KeyboardInterrupt:
        point.give_up()
        raise
    finally:
        execution.close()
        point.close()
        if point.has_written:
            attempts.made_progress()


def _savepoint(path: str | os.PathLike[str], plan: CompiledPlan) -> Pack:
    from eventtime.fingerprint import check_fingerprint
    from eventtime.savepoint import check_origin, read_savepoint

    saved = read_savepoint(path, None)
    what, place = f"the savepoint {str(path)!r}", "run(start_from=…)"
    check_origin(saved, "replay", what, place)
    check_fingerprint(saved.head["pipeline"], plan, what, place)
    return saved


def _finished(
    plan: CompiledPlan, execution: Execution, outputs: Outputs, checkpoint: int | None = None
) -> Run:
    from eventtime.outputs import RESULTS

    return Run(
        plan.schema,
        outputs.kept.pop(RESULTS, []),
        outputs.kept,
        execution.side_schemas,
        execution.ledger(),
        execution.report(),
        outputs.taken,
        checkpoint,
        is_finished=not execution.is_suspended,
    )


def _check_arguments(
    targets: Targets, shards: object, progress: object, surviving: Surviving
) -> None:
    sides: object = targets.sides
    if not isinstance(sides, Mapping):
        msg = f"{shown(sides)} does not say where side outputs go"
        remedy = "give a path or sink by tag, such as {'late': 'late.parquet'}"
        raise PlanError(msg, place="run(sides=…)", remedy=remedy)
    what, remedy = "a number above zero", "1, or the number of processor cores"
    check_whole(shards, least=1, what=what, place="run(shards=…)", remedy=remedy)
    check_flag(targets.overwrite, place="run(overwrite=…)")
    remedy = "give a function that takes an et.ProgressReport"
    check_callable(progress, place="run(progress=…)", remedy=remedy)
    _check_surviving(surviving)


def _check_surviving(surviving: Surviving) -> None:
    remedy = "give a function without arguments that returns True or False"
    check_callable(surviving.stop, place="run(stop=…)", remedy=remedy)
    if surviving.stop is not None and surviving.checkpoints is None:
        msg = "a run without checkpoints cannot be suspended: its work would be lost"
        raise PlanError(msg, place="run(stop=…)", remedy="give checkpoint= too")
    check_flag(surviving.drain, place="run(drain=…)")
    if surviving.drain and surviving.stop is None:
        msg = "drain=True says how to stop, and nothing says when"
        raise PlanError(msg, place="run(drain=…)", remedy="give stop= too, or leave it out")
    restart: object = surviving.restart
    if not isinstance(restart, Restart | None):
        msg = f"{shown(restart)} does not say how often to try again"
        raise PlanError(msg, place="run(restart=…)", remedy="such as et.restart(attempts=3)")
    if restart is not None and surviving.checkpoints is None:
        msg = "a run without checkpoints has nothing to go on from after a failure"
        raise PlanError(msg, place="run(restart=…)", remedy="give checkpoint= too")


def _open_outputs(
    execution: Execution, plan: CompiledPlan, outputs: Outputs, targets: Targets
) -> None:
    from eventtime.outputs import RESULTS
    from eventtime.sinks.base import check_apart, sink_for

    schemas = execution.side_schemas
    for tag in targets.sides:
        if not is_one_of(tag, list(schemas)):
            msg = f"there is no side output {shown(tag)}"
            raise PlanError(
                msg, place="run(sides=…)", remedy=f"tags are {', '.join(sorted(schemas))}"
            )
    sources = [b.source for b in plan.branches if isinstance(b.source, FileSource)]
    wanted = {} if targets.sink is None else {RESULTS: targets.sink}
    sinks = {
        tag: _checked(sink_for(target, overwrite=targets.overwrite), sources)
        for tag, target in {**wanted, **targets.sides}.items()
    }
    check_apart(sinks, hold_transactions=outputs.holds_transactions)
    for tag, sink in sinks.items():
        outputs.open(tag, sink, schemas.get(tag, plan.schema))


def _checked(sink: Sink, sources: list[FileSource]) -> Sink:
    """Refuse to write over what is being read, or to where the next run would read it."""
    named = str(getattr(sink, "path", "")).removeprefix("file://")
    if not named:
        return sink
    path, place = os.path.realpath(named), sink.describe()
    inputs = {os.path.realpath(path) for source in sources for path in source.local_paths()}
    if path in inputs or any(name.startswith(path + os.sep) for name in inputs):
        msg = f"output {named!r} is an input of the same run"
        raise SinkError(msg, place=place, remedy="write to another path")
    written = os.path.realpath(getattr(sink, "some_file", named).removeprefix("file://"))
    if any(source.would_read(written) for source in sources):
        msg = f"output {named!r} is among the inputs: the next run would read it as one of them"
        remedy = "write outside, or to a name that begins with '_', which inputs leave out"
        raise SinkError(msg, place=place, remedy=remedy)
    return sink
