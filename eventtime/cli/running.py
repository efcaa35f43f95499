"""A stream run for the command line: outputs, progress, and what is told of it afterwards."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventtime.cli.aside import TellsAside, aside_in_words
from eventtime.cli.outputs import Discard, FirstRows
from eventtime.cli.printed import PrintedTable
from eventtime.cli.progress import ProgressLine
from eventtime.cli.session import now_s
from eventtime.cli.show import json_rows, show_ledger, show_rows
from eventtime.cli.surviving import resumed_in_words
from eventtime.cli.targets import QUARANTINE, in_words
from eventtime.cli.termination import TERMINATED, Suspension
from eventtime.cli.warned import warnings_shown
from eventtime.plan import DROP, Windowed, walk
from eventtime.rerun import replay_journal
from eventtime.sinks.stdout import to_stdout
from eventtime.starting import INTERRUPTED
from eventtime.state_tools.savepoints import savepoint_of
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from eventtime.cli.session import Session
    from eventtime.cli.targets import Targets
    from eventtime.live import Live
    from eventtime.run import Run
    from eventtime.sinks.base import AnySink
    from eventtime.stream import Stream

__all__ = ("Finished", "late_tags", "run_stream", "tell")


@dataclass(frozen=True)
class Finished:
    """A run that has ended.

    Args:
        run: its ledger and report.
        first: the first results, where they were not written.
        targets: where rows went.
        late_tags: tags of the side outputs of late rows, by window; None: these are dropped.
        seconds: it took.
        exit_code: 0, or that of the signal that ended it early.
        is_live: whether results were printed as they came, so that stdout is theirs.
    """

    run: Run
    first: FirstRows
    targets: Targets
    late_tags: list[str | None]
    seconds: float
    exit_code: int = 0
    is_live: bool = False

    @property
    def rows(self) -> int:
        """Rows that this process has processed."""
        total, resumed = self.run.ledger.total, self.run.report.resumed
        return total.rows_in - total.waiting - (0 if resumed is None else resumed.rows)

    @property
    def had_nothing_to_do(self) -> bool:
        """Whether an earlier process had come to the end, and its outputs were complete."""
        resumed = self.run.report.resumed
        return resumed is not None and resumed.was_published


def late_tags(stream: Stream) -> list[str | None]:
    """List the tags of a stream's late side outputs, first window first; None: dropped."""
    windows = [node for node in walk(stream.node) if isinstance(node, Windowed)][::-1]
    usual = ["late", *(f"late_{i}" for i in range(2, len(windows) + 1))]
    named = [w.late or tag for w, tag in zip(windows, usual, strict=True)]
    return [None if tag == DROP else tag for tag in named]


def run_stream(
    stream: Stream, targets: Targets, session: Session, live: Live | None = None
) -> Finished:
    """Run to the end of input, or to a signal; rows that nobody asked for are let go.

    Args:
        stream: to run.
        targets: where its rows go.
        session: of the command.
        live: how it runs; None: it is a replay.
    """
    tags, survival = late_tags(stream), targets.survival
    first = FirstRows(targets.rows)
    sides: dict[str, str | Path | AnySink] = {tag: Discard() for tag in (*tags, QUARANTINE) if tag}
    sides.update(targets.sides)
    line = ProgressLine() if session.is_live else None
    say = line.say if line else session.hint
    shown: AnySink = first
    if live is not None:
        as_table = sys.stdout.isatty() and not session.json
        shown = PrintedTable(line.say if line else None) if as_table else to_stdout()
        if not session.quiet:
            tells = TellsAside(say, are_kept=QUARANTINE in targets.sides)
            live = replace(live, observe=(*live.observe, tells))
            _tell_files_at_end(targets, session)
    suspension = Suspension(session)
    survival.check_drain(is_live=live is not None)
    is_heard = survival.checkpoints is not None or survival.drain
    session.goes_on_from = None if survival.checkpoints is None else survival.checkpoints.path
    session.follows = live is not None
    session.has_outputs = bool(targets.out is not None or targets.sides)
    more: Any = {
        "progress": line,
        "stop": (lambda: suspension.is_wanted) if is_heard else None,
        "restart": survival.policy(suspension, say),
        "live": live,
    }
    start = now_s()
    try:
        with (
            session.compiling(line.say if line else None),
            warnings_shown(session, line.say if line else None),
            suspension.heard() if is_heard else contextlib.nullcontext(),
        ):
            run = _ran(stream, targets, shown if targets.out is None else targets.out, sides, more)
            session.is_published = session.has_outputs and run.is_finished
            if suspension.is_wanted and survival.savepoint is not None:
                assert survival.checkpoints is not None
                overwrite = targets.overwrite
                savepoint_of(survival.checkpoints.path, survival.savepoint, overwrite=overwrite)
    finally:
        if line is not None:
            line.clear()
    code = 0
    if suspension.is_wanted:
        code = TERMINATED if session.is_terminated else INTERRUPTED
    is_live = live is not None
    return Finished(run, first, targets, tags, now_s() - start, code, is_live)


def _ran(
    stream: Stream, targets: Targets, out: str | Path | AnySink, sides: Any, more: Mapping[str, Any]
) -> Run:
    survival = targets.survival
    both: Any = {"sides": sides, "shards": targets.shards, "memory": targets.memory}
    both["overwrite"] = targets.overwrite
    if survival.from_journal is not None:
        return replay_journal(stream, survival.from_journal, out, **both)
    return stream.run(
        out,
        checkpoint=survival.checkpoints,
        start_from=survival.start_from,
        drain=survival.drain,
        journal=survival.journal,
        **both,
        **more,
    )


def _tell_files_at_end(targets: Targets, session: Session) -> None:
    """Say of single files that they appear at the end, which few live runs come to.

    What a journal tells has an end, and can be done again.
    """
    named = [str(t) for t in (targets.out, *targets.sides.values()) if isinstance(t, str | Path)]
    survival = targets.survival
    if not named or survival.drain or survival.from_journal is not None:
        return
    they = "it is" if len(named) == 1 else "they are"
    text = f"{', '.join(named)}: written at the end of all input"
    if survival.checkpoints is None:
        text += f"; if the run is stopped before, {they} lost: add --checkpoint DIR or --drain"
    session.hint(text)


def tell(finished: Finished, session: Session) -> None:
    """Print what came out: results or their path, the ledger, and what to do about late rows.

    Raises:
        click.exceptions.Exit: with the code of the signal that ended it early.
    """
    if finished.is_live and finished.targets.out is None:
        _tell_counts(finished, session)
    elif session.json:
        click.echo(json.dumps(_document(finished), default=str))
    elif finished.had_nothing_to_do:
        session.say(_nothing_done(finished))
    else:
        _tell_results(finished, session)
    if finished.exit_code:
        if not session.json:
            session.hint(_how_it_ended(finished))
        raise click.exceptions.Exit(finished.exit_code)


def _tell_results(finished: Finished, session: Session) -> None:
    run, targets = finished.run, finished.targets
    total, report = run.ledger.total, run.report
    if targets.out is None:
        if finished.first.kept:
            show_rows("" if session.quiet else _heading(finished), finished.first.table())
        elif not report.results:
            session.say("no results: no row was in time for a window")
        session.say()
    if session.quiet:
        return
    if report.resumed is not None:
        session.say(f"resumed from {resumed_in_words(report.resumed)}")
    if report.restarts:
        session.say(f"started again {counted(report.restarts, 'time')} after failures")
    speed, is_resumed = finished.rows / max(finished.seconds, 1e-9), report.resumed is not None
    session.say(
        f"{counted(finished.rows, 'row')} in {finished.seconds:.2f} s ({speed:,.0f} rows/s)"
        f"{' in this run; of all runs:' if is_resumed else ''}"
    )
    session.say(f"{counted(report.results, 'result')}{_where(run, targets.out)}")
    for line in _late_lines(finished):
        session.say(line)
    if aside := aside_in_words(total):
        advice = f"; --quarantine PATH{_from_the_start(finished)} keeps them"
        kept = _where(run, targets.sides.get(QUARANTINE)) or advice
        session.say(f"{aside}{kept}")
    session.say()
    show_ledger(run.ledger)


def _tell_counts(finished: Finished, session: Session) -> None:
    """Say on stderr what came of a live run, whose results were printed."""
    if session.quiet or session.json:
        return
    report, total = finished.run.report, finished.run.ledger.total
    aside = aside_in_words(total)
    here = f"{counted(finished.rows, 'row')} in {finished.seconds:.1f} s"
    came = f"{counted(report.results, 'result')}, {report.late:,} late{aside and f', {aside}'}"
    if finished.had_nothing_to_do:
        session.hint(_nothing_done(finished))
    elif report.resumed is None:
        session.hint(f"{here}, {came}")
    else:
        session.hint(f"{here} in this run, from {resumed_in_words(report.resumed)}")
        session.hint(f"{counted(total.rows_in, 'row')}, {came} in all runs")


def _nothing_done(finished: Finished) -> str:
    report = finished.run.report
    assert report.resumed is not None
    return (
        f"finished already at {resumed_in_words(report.resumed)}; nothing was left to do\n"
        f"{counted(report.results, 'result')}{_where(finished.run, finished.targets.out)}\n"
        "to start over, name another folder with --checkpoint, or remove that one"
    )


def _how_it_ended(finished: Finished) -> str:
    """Say how a run ended that was told to, and how to go on."""
    run, survival = finished.run, finished.targets.survival
    lines = []
    if run.is_finished and survival.drain:
        lines.append("the input was taken as ended here, and all windows have fired")
    elif run.is_finished:
        lines.append("all input was processed by then, and all windows have fired")
    else:
        lines.append(f"suspended at checkpoint {run.checkpoint}")
        lines.append("the same command goes on from there")
    if survival.savepoint is not None:
        lines.append(f"savepoint -> {survival.savepoint}")
    return "\n".join(lines)


def _heading(finished: Finished) -> str:
    shown, results = finished.first.kept, finished.run.report.results
    if finished.run.report.resumed is not None:
        return f"The first{'' if shown == 1 else f' {shown:,}'} results since then"
    if shown == results:
        return "Results"
    return f"The first{'' if shown == 1 else f' {shown:,}'} of {results:,} results"


def _late_lines(finished: Finished) -> Iterator[str]:
    late, rows = finished.run.ledger.total.late, finished.run.ledger.total.rows_in
    first, *others = [
        (_keeps(tag, finished), finished.targets.sides.get(tag or "")) for tag in finished.late_tags
    ]
    if not late:
        yield "no row missed a window"
    else:
        are = "is" if late == 1 else "are"
        text = f"{counted(late, 'row')} ({late / rows:.2%}) missed a window and {are} not in these "
        lets_in = "allowed_lateness=" if finished.targets.of_file else "--allowed-lateness"
        advice = f": {first[0]}, {lets_in} or a larger bound lets them in"
        yield f"{text}results{_where(finished.run, first[1]) or advice}"
    for i, ((keeps, path), operator) in enumerate(
        zip(others, finished.run.ledger.operators[1:], strict=True), 2
    ):
        if operator.missed:
            pairs = counted(operator.missed, "(result, window) pair")
            kept = _where(finished.run, path) or f": {keeps}"
            yield f"{pairs} of window {i} came too late for it{kept}"


def _keeps(tag: str | None, finished: Finished) -> str:
    """Say what keeps late rows; of a pipeline that drops them --late is refused."""
    how = f"--late PATH{_from_the_start(finished)}"
    if tag is None and finished.targets.of_file:
        how = f"window(…) without late=DROP, and {how},"
    return f"{how} keeps them"


def _from_the_start(finished: Finished) -> str:
    """Say when an output has to be named: one with checkpoints is refused later on."""
    return "" if finished.targets.survival.checkpoints is None else " from the start"


def _where(run: Run, target: str | Path | AnySink | None) -> str:
    """Say where rows went; a file is not there before the end."""
    if target is None:
        return ""
    if isinstance(target, str | Path) and not run.is_finished:
        return f" so far; {target} appears at the end of all input"
    return f" -> {in_words(target)}"


def _document(finished: Finished) -> dict[str, Any]:
    run, targets = finished.run, finished.targets
    results: dict[str, Any] = {
        "rows": run.report.results,
        "columns": run.schema.names,
        "path": None if targets.out is None else in_words(targets.out),
    }
    if targets.out is None:
        results["first"] = json_rows(finished.first.table()) if finished.first.kept else []
    document = {
        "results": results,
        "sides": {tag: in_words(target) for tag, target in targets.sides.items()},
        "ledger": run.ledger.to_dict(),
        "seconds": round(finished.seconds, 6),
        "rows_per_second": round(finished.rows / max(finished.seconds, 1e-9)),
    }
    if targets.survival.checkpoints is not None:
        report = run.report
        document |= {
            "is_finished": run.is_finished,
            "checkpoint": run.checkpoint,
            "resumed": None if report.resumed is None else asdict(report.resumed),
            "restarts": report.restarts,
            "savepoint": targets.survival.savepoint if finished.exit_code else None,
        }
    return document
