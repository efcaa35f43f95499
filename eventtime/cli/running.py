"""A stream run for the command line: outputs, progress, and what is told of it afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from eventtime.cli.outputs import Discard, FirstRows
from eventtime.cli.progress import ProgressLine
from eventtime.cli.session import now_s
from eventtime.cli.show import json_rows, show_ledger, show_rows
from eventtime.errors import PlanError
from eventtime.plan import DROP, Windowed, walk
from eventtime.sinks.base import suffix_of
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventtime.cli.session import Session
    from eventtime.ledger import PartitionLedger
    from eventtime.run import Run
    from eventtime.sinks.base import Sink
    from eventtime.stream import Stream

__all__ = ("Finished", "Targets", "late_tags", "run_stream", "tell")

QUARANTINE: Final = "quarantine"


@dataclass(frozen=True)
class Targets:
    """Where a run's rows go.

    Args:
        out: path of the results; None: the first ones are printed.
        sides: paths of side outputs by tag; others are counted only.
        overwrite: replace what is there.
        shards: threads that share the keys.
        rows: to print when there is no `out`.
    """

    out: str | None = None
    sides: Mapping[str, str] = field(default_factory=dict)
    overwrite: bool = False
    shards: int = 1
    rows: int = 10

    @classmethod
    def of(cls, given: Mapping[str, Any], late_tags: Sequence[str | None]) -> Targets:
        """Read the values of `run_options`.

        Raises:
            PlanError: `--late` is given, but no late rows are kept; or two outputs have one path.
        """
        sides = {}
        if given["late"]:
            kept = [tag for tag in late_tags if tag is not None]
            if not kept:
                msg = "the pipeline keeps no late rows: its windows say late=DROP"
                raise PlanError(msg, place="--late", remedy="leave out --late, or late=DROP")
            sides.update(_late_paths(given["late"], kept))
        if given["quarantine"]:
            sides[QUARANTINE] = given["quarantine"]
        paths = [path for path in (given["out"], *sides.values()) if path]
        if len(set(paths)) < len(paths):
            msg = f"two outputs have the path {max(paths, key=paths.count)!r}"
            raise PlanError(msg, place="--out, --late, --quarantine", remedy="give each its own")
        return cls(given["out"], sides, given["overwrite"], given["shards"], given["rows"])


@dataclass(frozen=True)
class Finished:
    """A run that has ended.

    Args:
        run: its ledger and report.
        first: the first results, where they were not written.
        targets: where rows went.
        late_tags: tags of the side outputs of late rows, by window; None: these are dropped.
        seconds: it took.
    """

    run: Run
    first: FirstRows
    targets: Targets
    late_tags: list[str | None]
    seconds: float


def _late_paths(path: str, tags: Sequence[str]) -> dict[str, str]:
    """Choose a path for each tag: late rows of another window are of other columns.

    >>> _late_paths("out/late.csv.gz", ["late", "late_2"])
    {'late': 'out/late.csv.gz', 'late_2': 'out/late-late_2.csv.gz'}
    """
    suffix = suffix_of(path)
    stem = path[: len(path) - len(suffix)]
    beside = {tag: f"{stem}-{tag.replace('/', '_')}{suffix}" for tag in tags[1:]}
    return {tags[0]: path, **beside}


def late_tags(stream: Stream) -> list[str | None]:
    """List the tags of a stream's late side outputs, first window first; None: dropped."""
    windows = [node for node in walk(stream.node) if isinstance(node, Windowed)][::-1]
    usual = ["late", *(f"late_{i}" for i in range(2, len(windows) + 1))]
    named = [w.late or tag for w, tag in zip(windows, usual, strict=True)]
    return [None if tag == DROP else tag for tag in named]


def run_stream(stream: Stream, targets: Targets, session: Session) -> Finished:
    """Run to the end of input; rows that nobody asked for are counted and let go."""
    tags = late_tags(stream)
    first = FirstRows(targets.rows)
    sides: dict[str, str | Sink] = {tag: Discard() for tag in (*tags, QUARANTINE) if tag}
    sides.update(targets.sides)
    line = ProgressLine() if session.is_live else None
    start = now_s()
    try:
        with session.compiling(line.say if line else None):
            run = stream.run(
                targets.out or first,
                sides=sides,
                shards=targets.shards,
                overwrite=targets.overwrite,
                progress=line,
            )
            session.is_published = bool(targets.out or targets.sides)
    finally:
        if line is not None:
            line.clear()
    return Finished(run, first, targets, tags, now_s() - start)


def tell(finished: Finished, session: Session) -> None:
    """Print what came out: results or their path, the ledger, and what to do about late rows."""
    if session.json:
        click.echo(json.dumps(_document(finished), default=str))
        return
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
    speed = total.rows_in / max(finished.seconds, 1e-9)
    session.say(
        f"{counted(total.rows_in, 'row')} in {finished.seconds:.2f} s ({speed:,.0f} rows/s)"
    )
    session.say(f"{counted(report.results, 'result')}{_where(targets.out)}")
    for line in _late_lines(finished):
        session.say(line)
    if aside := _aside(total):
        kept = _where(targets.sides.get(QUARANTINE)) or "; --quarantine PATH keeps them"
        session.say(f"{aside}{kept}")
    session.say()
    show_ledger(run.ledger)


def _heading(finished: Finished) -> str:
    shown, results = finished.first.kept, finished.run.report.results
    if shown == results:
        return "Results"
    return f"The first{'' if shown == 1 else f' {shown:,}'} of {results:,} results"


def _late_lines(finished: Finished) -> Iterator[str]:
    late, rows = finished.run.ledger.total.late, finished.run.ledger.total.rows_in
    first, *others = [finished.targets.sides.get(tag or "") for tag in finished.late_tags]
    if not late:
        yield "no row missed a window"
    else:
        are = "is" if late == 1 else "are"
        text = f"{counted(late, 'row')} ({late / rows:.2%}) missed a window and {are} not in these "
        advice = ": --late PATH keeps them, --allowed-lateness or a larger bound lets them in"
        yield f"{text}results{_where(first) or advice}"
    for i, (path, operator) in enumerate(
        zip(others, finished.run.ledger.operators[1:], strict=True), 2
    ):
        if operator.missed:
            pairs = counted(operator.missed, "(result, window) pair")
            kept = _where(path) or ": --late PATH keeps them"
            yield f"{pairs} of window {i} came too late for it{kept}"


def _aside(total: PartitionLedger) -> str:
    """Say how many rows are quarantined, and why; empty if none is."""
    reasons = {
        "without a time": total.null_time,
        "too far ahead": total.future,
        "malformed": total.malformed,
    }
    told = ", ".join(f"{rows:,} {reason}" for reason, rows in reasons.items() if rows)
    return f"{counted(sum(reasons.values()), 'row')} set aside ({told})" if told else ""


def _where(path: str | None) -> str:
    return f" -> {path}" if path else ""


def _document(finished: Finished) -> dict[str, Any]:
    run, targets = finished.run, finished.targets
    results: dict[str, Any] = {
        "rows": run.report.results,
        "columns": run.schema.names,
        "path": targets.out,
    }
    if targets.out is None:
        results["first"] = json_rows(finished.first.table()) if finished.first.kept else []
    return {
        "results": results,
        "sides": dict(targets.sides),
        "ledger": run.ledger.to_dict(),
        "seconds": round(finished.seconds, 6),
        "rows_per_second": round(run.ledger.total.rows_in / max(finished.seconds, 1e-9)),
    }
