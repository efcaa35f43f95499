"""The commands that run or explain a pipeline: declared by options, or found in a file."""

from __future__ import annotations

from typing import Any

import click

from eventtime.cli.options import (
    declared_stream,
    pipeline_options,
    run_options,
    watch_options,
)
from eventtime.cli.pipeline_file import declared_in_file, stream_in_file
from eventtime.cli.running import late_tags, run_stream, tell
from eventtime.cli.session import Session, common_options
from eventtime.cli.targets import Targets
from eventtime.cli.watching import live_of
from eventtime.errors import PlanError

__all__ = ("explain", "replay", "run")

_REPLAY_HELP = """Aggregate FILES by key and event-time window, and account for every row.

FILES are Parquet, CSV, JSON lines or Arrow IPC: paths, globs, folders, URIs. Results are in the
order of their windows; late rows are reported, never lost silently.

\b
Needed are:
  --time        the column that says when it happened
  --window      how long a window is, or --global
  --agg         what to compute in it
  a watermark   how far out of order rows may be, for a window is complete once the
                watermark has passed its end: --max-disorder (`eventtime advise` finds
                one that fits), --ascending, --percentile or --punctuated

\b
Examples:
  eventtime replay flights/*.parquet --time departed --key origin --window 1h \\
    --agg 'count() as flights' --agg 'mean(dep_delay) as delay' --max-disorder 4h
  eventtime replay logs/ --format csv --time ts --time-unit ms --window 1h --slide 5m \\
    --agg 'count_distinct(user)' --percentile 0.99 --late late.parquet --out hourly.parquet

\b
Aggregates are FUNCTION(COLUMN) [as NAME]:
  count() count(c) sum min max mean var stddev first last any all count_distinct collect
Durations are written 90s, 15m, 1h30m, 7d (units us ms s m h d w).
A correction (--mode) says, when rows come within --allowed-lateness of a closed window:
  accumulating   everything again, with a higher version
  discarding     only what is new
  retracting     the row sent before with diff -1, then everything with diff 1"""

_EXPLAIN_HELP = """Print the plan of a FILE.py, or of the options that replay takes; run nothing.

A line for each step, sources first, with the columns that are read. The files are looked at only
for their columns.

\b
Examples:
  eventtime explain pipeline.py
  eventtime explain flights/*.parquet --time departed --window 1h --agg 'count()' --ascending"""

_RUN_HELP = """Run the pipeline that FILE.py declares: a module-level stream with windows.

The file is imported, as `python FILE.py` would do, under another name than __main__.

\b
Such a file:
  import eventtime as et
  flights = et.read_parquet("flights/*.parquet", time="departed")
  hourly = (flights.watermark(et.bounded_disorder("4h")).key_by("origin")
            .window(et.tumbling("1h")).aggregate(delay=et.mean("dep_delay")))

\b
Where rows go, if not to --out, --late and --quarantine:
  sink = et.to_postgres("postgresql://db.example/weather", table="hourly")
  sides = {"late": et.to_parquet("late", parts=True)}

\b
Examples:
  eventtime run pipeline.py --out hourly.parquet --late late.parquet
  eventtime run live.py --checkpoint state --ui :8080 --log json
  eventtime run pipelines.py --name daily"""


@click.command(help=_REPLAY_HELP, short_help="Aggregate files by event-time window.")
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@pipeline_options
@run_options
@common_options
@click.pass_obj
def replay(session: Session, /, files: tuple[str, ...], **given: Any) -> None:
    """Run what the options declare."""
    stream = declared_stream(files, given, keeps_late=given["late"] is not None)
    targets = Targets.of(given, late_tags(stream))
    tell(run_stream(stream, targets, session), session)


@click.command(help=_EXPLAIN_HELP, short_help="Print the plan, run nothing.")
@click.argument("files", nargs=-1, required=True, metavar="FILE.py|FILES...")
@click.option("--name", metavar="VAR", help="Which stream of FILE.py.")
@pipeline_options
@run_options
@common_options
@click.pass_obj
def explain(session: Session, /, files: tuple[str, ...], name: str | None, **given: Any) -> None:
    """Print the plan."""
    if len(files) == 1 and files[0].endswith(".py"):
        plan = stream_in_file(files[0], name).explain()
    else:
        if name is not None:
            msg = f"--name {name!r} chooses a stream of a FILE.py, and none is given"
            raise PlanError(msg, place="--name", remedy="name the file, or leave out --name")
        plan = declared_stream(files, given, keeps_late=given["late"] is not None).explain()
    if session.json:
        import json

        click.echo(json.dumps({"plan": plan.splitlines()}))
    else:
        click.echo(plan)


@click.command(help=_RUN_HELP, short_help="Run the pipeline that a Python file declares.")
@click.argument("file", metavar="FILE.py")
@click.option("--name", metavar="VAR", help="Which stream of the file, if it has several.")
@run_options
@watch_options
@common_options
@click.pass_obj
def run(session: Session, /, file: str, name: str | None, **given: Any) -> None:
    """Run the pipeline of a file."""
    stream, sink, sides = declared_in_file(file, name)
    targets = Targets.of(given, late_tags(stream), sink, sides)
    live = live_of(given, stream, session)
    tell(run_stream(stream, targets, session, live), session)
