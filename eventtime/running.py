"""Running a plan to its end: results and side outputs to sinks or tables, and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from eventtime.checks import check_callable, check_flag, check_whole, shown
from eventtime.errors import PlanError
from eventtime.journal.opening import journalled
from eventtime.journal.wrapped import wrapped
from eventtime.live import Live
from eventtime.observing import observed, watched
from eventtime.process.plan import ProcessPlan
from eventtime.report import ProgressReport, told
from eventtime.restarting import Attempts, Restart
from eventtime.run import Run
from eventtime.sources.feed import is_live
from eventtime.sources.unsettled import Unrepeated, Unsettled

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import pyarrow as pa

    from eventtime.board import Board
    from eventtime.checkpoints import Checkpoints
    from eventtime.compiled import CompiledPlan
    from eventtime.execution import Execution, Pauses, SideOutput
    from eventtime.following import Following
    from eventtime.journal.file import JournalLike
    from eventtime.journal.playing import Player
    from eventtime.journal.recording import Recorder
    from eventtime.memory import MemoryLimit
    from eventtime.outputs import Outputs
    from eventtime.plan import Node
    from eventtime.savepoint import Origin
    from eventtime.sources.feed import AnySource
    from eventtime.state.pack import Pack
    from eventtime.state.parts import Saved
    from eventtime.targets import Targets

__all__ = ("Surviving", "results_of", "run_plan")

Progress = Callable[[ProgressReport], None]


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

    def compiled(self, node: Node) -> CompiledPlan:
        """Compile a plan; one that was saved has the columns that it had then."""
        from eventtime.compiled import compile_plan
        from eventtime.recalled import as_saved

        return compile_plan(as_saved(node, self.checkpoints, self.start_from))


def run_plan(
    plan: CompiledPlan,
    targets: Targets,
    *,
    shards: int,
    progress: Progress | None,
    surviving: Surviving,
    limit: MemoryLimit | None = None,
    live: Live | None = None,
    journal: JournalLike | Player | None = None,
) -> Run:
    """Run to the end of input, or of patience, and publish; see `Stream.run`."""
    _check_arguments(targets, shards, progress)
    given: object = live
    if not isinstance(given, Live | None):
        msg = f"{shown(given)} does not say how a live run runs"
        raise PlanError(msg, place="run(live=…)", remedy="such as et.live(clock=…)")
    if live is None and _goes_on(plan):
        live = Live()
    _check_surviving(surviving, is_live=live is not None)
    tell = None if progress is None else told(progress, place="run(progress=…)")
    with observed(plan, live) as board, journalled(journal) as noted:
        how = _How(shards, tell, limit, live, board, noted)
        attempts = Attempts(surviving.restart)
        if surviving.checkpoints is None:
            through = partial(_run_through, plan, targets, surviving, how)
            return watched(board, through, attempts.are_left)
        points = surviving.checkpoints
        if surviving.restart is not None:
            plan, points = _keeping(plan, points)
        attempt = partial(_run_on, plan, targets, points, surviving, attempts, how)
        return attempts.run(partial(watched, board, attempt, attempts.are_left))


def _keeping(plan: CompiledPlan, points: Checkpoints) -> tuple[CompiledPlan, Checkpoints]:
    """Let what nobody sends again be kept until a checkpoint holds it: for the next attempt.

    Returns:
        The plan, and checkpoints that are also due when too much is kept.
    """
    kept: list[Unsettled] = []

    def keeping(source: AnySource, number: int) -> AnySource:
        del number
        if not isinstance(source, Unrepeated):
            return source
        kept.append(Unsettled())
        return source.keeping(kept[-1])

    def is_due() -> bool:
        is_asked = points.when is not None and points.when()
        return any(each.wants_cut() for each in kept) or is_asked

    plan = wrapped(plan, keeping)
    return plan, replace(points, when=is_due) if kept else points


@dataclass(frozen=True)
class _How:
    """What all runs of a plan are given."""

    shards: int
    tell: Progress | None
    limit: MemoryLimit | None
    live: Live | None
    board: Board | None = None
    journal: Recorder | Player | None = None

    @property
    def origin(self) -> Origin:
        return "replay" if self.live is None else "live"


def results_of(plan: CompiledPlan) -> Iterator[pa.RecordBatch]:
    """Run, and yield results as windows fire; side outputs are dropped."""
    how = _How(1, None, None, Live() if _goes_on(plan) else None)
    return _execution(plan, lambda tag, batch: None, how).results()


def _execution(
    plan: CompiledPlan,
    side: SideOutput,
    how: _How,
    *,
    pauses: Pauses | None = None,
    saved: Saved | None = None,
    after_turn: Callable[[], bool] | None = None,
    epoch: Callable[[], int] | None = None,
) -> Execution | Following:
    """Make what runs a plan: a replay, or a live run where a source goes on.

    Args:
        plan: compiled.
        side: takes rows of side outputs as they come.
        how: see `Execution`, and `Following`.
        pauses, saved, after_turn: see there.
        epoch: number of the epoch that the next pause ends.
    """
    from eventtime.execution import Execution
    from eventtime.following import Following

    live, journal = how.live, how.journal
    clock = None if live is None else live.clock
    if journal is not None:
        plan, clock = journal.begin(plan, saved, clock)
        pauses, after_turn = journal.pausing(pauses, epoch), journal.noting(after_turn)
    both: Any = {"shards": how.shards, "pauses": pauses, "saved": saved, "limit": how.limit}
    if live is None or clock is None:
        return Execution(plan, side, **both)
    following = Following(
        plan,
        side,
        clock=clock,
        alarm=live.alarm,
        latency_us=live.latency_us,
        after_turn=after_turn,
        board=how.board,
        **both,
    )
    if journal is not None:
        journal.runs(following)
    return following


def _run_through(
    plan: CompiledPlan,
    targets: Targets,
    surviving: Surviving,
    how: _How,
) -> Run:
    """Run without checkpoints: a replay is all or nothing."""
    from eventtime.draining import Draining
    from eventtime.outputs import RESULTS, Outputs
    from eventtime.prompt_outputs import PromptOutputs
    from eventtime.savepoint import resumed_from

    tell, live, start_from = how.tell, how.live, surviving.start_from
    saved = None if start_from is None else _savepoint(start_from, plan, how.origin)
    resumed = None if saved is None else resumed_from(saved)
    watch = None if tell is None else lambda report: tell(replace(report, resumed=resumed))
    if how.board is not None:
        how.board.complete = lambda report: replace(report, resumed=resumed)
    outputs = Outputs() if live is None else PromptOutputs(live.clock, live.commit_every_us)
    drains = None
    if live is not None and surviving.stop is not None:
        drains = Draining(surviving.stop, live.clock)
    execution = _execution(
        plan, outputs.take, how, pauses=drains, saved=saved, after_turn=outputs.turn
    )
    try:
        if drains is not None:
            drains.begin(execution)
        targets.open(outputs, plan, execution.side_schemas)
        if saved is not None:
            outputs.take_from(saved)
        for batch in execution.results(watch):
            outputs.take(RESULTS, batch)
        if watch is not None:
            # Before anything is published: it may raise, and a failed run leaves no output.
            watch(execution.report())
        _note_end(how, execution)
        outputs.publish()
    except BaseException:
        # Ctrl-C included: nothing half-written stays under any name.
        execution.close()
        outputs.abort()
        raise
    run = _finished(plan, execution, outputs, how.board)
    return replace(run, report=replace(run.report, resumed=resumed))


def _run_on(
    plan: CompiledPlan,
    targets: Targets,
    checkpoints: Checkpoints,
    surviving: Surviving,
    attempts: Attempts,
    how: _How,
) -> Run:
    """Run from the last checkpoint, if there is one, and write more."""
    from eventtime.checkpointing import Checkpointing
    from eventtime.outputs import RESULTS

    tell = how.tell
    point = Checkpointing(
        checkpoints,
        plan,
        start_from=surviving.start_from,
        stop=surviving.stop,
        drain=surviving.drain,
        clock=None if how.live is None else how.live.clock,
        commit_every_us=None if how.live is None else how.live.commit_every_us,
        origin=how.origin,
    )
    outputs = point.outputs

    def told_more(report: ProgressReport) -> ProgressReport:
        return replace(point.told(report), restarts=attempts.restarts)

    watch = None if tell is None else lambda report: tell(told_more(report))
    if how.board is not None:
        how.board.complete = told_more
    execution = _execution(
        plan,
        outputs.take,
        how,
        pauses=point,
        saved=point.saved,
        after_turn=outputs.turn,
        epoch=lambda: outputs.epoch.number,
    )
    try:
        # What the last process was about to publish may have its final name already.
        was_about_to = point.is_finished and not point.is_published
        again = replace(targets, overwrite=targets.overwrite or was_about_to)
        again.open(outputs, plan, execution.side_schemas)
        point.begin(execution)
        for batch in execution.results(watch):
            outputs.take(RESULTS, batch)
        if watch is not None:
            watch(execution.report())
        _note_end(how, execution)
        if execution.is_suspended:
            point.suspend()
        else:
            point.publish()
        run = _finished(plan, execution, outputs, how.board, point.last)
        return replace(run, report=told_more(run.report))
    except KeyboardInterrupt:
        point.give_up()
        raise
    finally:
        execution.close()
        point.close()
        if point.has_failed and how.board is not None:
            how.board.checkpoint_failed()
        if point.has_written:
            attempts.made_progress()


def _note_end(how: _How, execution: Execution | Following) -> None:
    if how.journal is not None:
        how.journal.end(is_finished=not execution.is_suspended)


def _goes_on(plan: CompiledPlan) -> bool:
    """Tell whether a source goes on, so that the plan cannot be replayed."""
    of_stages = [s.broadcast.values() for s in plan.stages if isinstance(s, ProcessPlan)]
    told = [stream.source for streams in of_stages for stream in streams]
    return any(map(is_live, [*(branch.source for branch in plan.branches), *told]))


def _savepoint(path: str | os.PathLike[str], plan: CompiledPlan, origin: Origin) -> Pack:
    from eventtime.fingerprint import check_fingerprint
    from eventtime.savepoint import check_origin, read_savepoint

    saved = read_savepoint(path, None)
    what, place = f"the savepoint {str(path)!r}", "run(start_from=…)"
    check_origin(saved, origin, what, place)
    check_fingerprint(saved.head["pipeline"], plan, what, place)
    return saved


def _finished(
    plan: CompiledPlan,
    execution: Execution | Following,
    outputs: Outputs,
    board: Board | None,
    checkpoint: int | None = None,
) -> Run:
    from eventtime.following import Following
    from eventtime.outputs import RESULTS

    if board is not None and isinstance(execution, Following):
        board.show(execution.status())
        board.end("suspended" if execution.is_suspended else "finished")
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


def _check_arguments(targets: Targets, shards: object, progress: object) -> None:
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


def _check_surviving(surviving: Surviving, *, is_live: bool) -> None:
    remedy = "give a function without arguments that returns True or False"
    check_callable(surviving.stop, place="run(stop=…)", remedy=remedy)
    drains = is_live and surviving.drain
    if surviving.stop is not None and surviving.checkpoints is None and not drains:
        msg = "a run without checkpoints cannot be suspended: its work would be lost"
        remedy = "give checkpoint= too; or, in a live run, drain=True, which ends the input"
        raise PlanError(msg, place="run(stop=…)", remedy=remedy)
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
