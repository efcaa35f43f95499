"""`eventtime demo`: a month of real flights, from the files that come with the package."""

from __future__ import annotations

import json
import shlex
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa
import pyarrow.compute as pc

from eventtime.advise import advise as measure
from eventtime.cli.advise import tell_advice
from eventtime.cli.progress import ProgressLine
from eventtime.cli.session import Session, common_options, now_s
from eventtime.cli.show import json_rows, show_ledger, show_rows
from eventtime.readers import read_parquet
from eventtime.watermark import bounded_disorder
from eventtime.windows.aggregate import count, max_, mean
from eventtime.windows.assigner import tumbling

if TYPE_CHECKING:
    from eventtime.advise import Advice
    from eventtime.run import Run

__all__ = ("demo",)

_BOUND = "4h"
_HELP = """Replay a month of real flights: windows, late rows, the ledger, and advice on the bound.

26,661 departures of January 2013 from the three airports of New York, in the order in which they
were reported: on arrival, hours after take-off, so most of them out of order.

\b
Example:
  eventtime demo"""


@click.command(help=_HELP, short_help="Show all of it on a month of real flights.")
@common_options
@click.pass_obj
def demo(session: Session, /) -> None:
    """Run and print."""
    folder = str(files("eventtime") / "data" / "flights")
    flights = read_parquet(folder, time="departed")
    hourly = (
        flights.watermark(bounded_disorder(_BOUND))
        .key_by("origin")
        .window(tumbling("1h"), late_columns=["flight", "departed", "origin"])
        .aggregate(flights=count(), mean_delay=mean("dep_delay"), worst=max_("dep_delay"))
    )
    line = ProgressLine() if session.is_live else None
    with session.compiling(line.say if line else None):
        first = hourly.run(progress=line)
    if line is not None:
        line.clear()
    # The second time kernels are compiled and files are in memory: this is what is timed.
    start = now_s()
    run = hourly.run()
    seconds = now_s() - start
    assert run.ledger.to_dict() == first.ledger.to_dict()
    run.assert_balanced()
    advice = measure(flights)
    if session.json:
        click.echo(json.dumps(_document(run, advice, seconds), default=str))
        return
    _tell(hourly.explain(), run, advice, seconds, session)
    session.say()
    session.say("Go on with files of your own, or with these:")
    session.say(f"  eventtime advise {shlex.quote(folder)} --time departed")
    session.say(
        f"  eventtime replay {shlex.quote(folder)} --time departed --key origin --window 1h \\\n"
        "    --agg 'count() as flights' --agg 'mean(dep_delay) as mean_delay' \\\n"
        f"    --agg 'max(dep_delay) as worst' --max-disorder {_BOUND} "
        "--late late.parquet --out hourly.parquet"
    )


def _tell(plan: str, run: Run, advice: Advice, seconds: float, session: Session) -> None:
    total = run.ledger.total
    session.say("Flights from New York, January 2013, by the hour of departure\n")
    session.say(plan)
    session.say()
    table = run.table()
    show_rows(f"The first of {table.num_rows:,} windows", _results(table).slice(0, 6))
    session.say()
    show_rows("The busiest", _busiest(table))
    session.say()
    late = run.side("late")
    show_rows(
        f"Some of {late.num_rows:,} late rows: each with the window it missed, and by how much",
        _late(late),
    )
    session.say()
    show_ledger(run.ledger)
    session.say(
        f"\n{total.rows_in:,} rows = {total.windowed:,} in windows + {total.late:,} late + "
        f"{total.null_time:,} without a departure. The ledger balances."
    )
    speed = total.rows_in / max(seconds, 1e-9)
    session.say(f"Replayed in {seconds * 1000:.0f} ms: {speed:,.0f} rows/s.\n")
    tell_advice(advice, session)


def _results(table: pa.Table) -> pa.Table:
    return table.select(["origin", "window_start", "window_end", "flights", "mean_delay", "worst"])


def _busiest(table: pa.Table) -> pa.Table:
    order = [("flights", "descending"), ("window_start", "ascending"), ("origin", "ascending")]
    return _results(table.sort_by(order).slice(0, 6))


def _late(late: pa.Table) -> pa.Table:
    columns = ["flight", "origin", "departed", "window_end", "watermark", "late_by", "reason"]
    shown = late.select(columns)
    # The least and the most late say more than the first ones do.
    order = pc.sort_indices(shown["late_by"])
    return pa.concat_tables([shown.take(order[:3]), shown.take(order[-3:])])


def _document(run: Run, advice: Advice, seconds: float) -> dict[str, Any]:
    table = run.table()
    return {
        "results": {"rows": table.num_rows, "first": json_rows(_results(table).slice(0, 6))},
        "late": run.side("late").num_rows,
        "ledger": run.ledger.to_dict(),
        "seconds": round(seconds, 6),
        "advice": advice.to_dict(),
    }
