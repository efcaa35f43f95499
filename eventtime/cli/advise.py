"""`eventtime advise`: how disordered the rows are, and what each bound would cost."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import click

from eventtime.advise import advise as measure
from eventtime.cli.inputs import stream_of_files
from eventtime.cli.options import input_options
from eventtime.cli.plot import plot_costs
from eventtime.cli.progress import ProgressLine
from eventtime.cli.session import Session, common_options
from eventtime.cli.show import show_table
from eventtime.duration import format_us
from eventtime.errors import PlanError
from eventtime.wording import counted

if TYPE_CHECKING:
    from eventtime.advise import Advice

__all__ = ("advise", "tell_advice")

_PARTITIONS_SHOWN = 20
_HELP = """Show how disordered FILES are and what each bound would cost, in one pass over the times.

The disorder of a row is how far it is behind the latest row before it in its partition. A bound of
B makes rows late whose disorder is above B, and makes every result come B later.

\b
Examples:
  eventtime advise flights/*.parquet --time departed
  eventtime advise events.csv --time ts --partition-by column:device --on-time 0.999 --json"""


@click.command(help=_HELP, short_help="Find a bound on disorder that fits.")
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@input_options
@click.option(
    "--on-time", type=float, default=0.99, show_default=True, metavar="SHARE",
    help="Share of each partition's rows that the recommended bound keeps on time.",
)  # fmt: skip
@common_options
@click.pass_obj
def advise(session: Session, /, files: tuple[str, ...], on_time: float, **given: Any) -> None:
    """Measure and print."""
    if not given["time"]:
        msg = "no event-time column is given"
        raise PlanError(msg, place="--time", remedy="name it, such as --time departed")
    stream = stream_of_files(files, **given)
    line = ProgressLine() if session.is_live else None
    try:
        advice = measure(stream, on_time=on_time, progress=None if line is None else line.rows)
    finally:
        if line is not None:
            line.clear()
    if session.json:
        click.echo(json.dumps(advice.to_dict()))
        return
    if session.quiet:
        click.echo(advice.flag)
        return
    tell_advice(advice, session)
    paths = " ".join(map(shlex.quote, files))
    time = shlex.quote(given["time"])
    session.say(f"Use it:  eventtime replay {paths} --time {time} … {advice.flag}")


def tell_advice(advice: Advice, session: Session) -> None:
    """Print tables, plot and recommendation."""
    parts = list(advice.partitions.values())
    shown = [*parts[:_PARTITIONS_SHOWN], *([advice.total] if len(parts) > 1 else [])]
    shares = (0.5, 0.9, 0.99, 0.999, 1.0)
    show_table(
        "Disorder: how far rows are behind the latest before them",
        [
            "partition", "rows", "null times", "out of order",
            "median", "90 %", "99 %", "99.9 %", "max",
        ],
        [
            [
                part.partition, f"{part.rows:,}", f"{part.null_times:,}",
                f"{part.out_of_order / max(part.timed, 1):.2%}",
                *(_short(part.quantile_us(share)) for share in shares),
            ]
            for part in shown
        ],
    )  # fmt: skip
    if len(parts) > _PARTITIONS_SHOWN:
        more = counted(len(parts) - _PARTITIONS_SHOWN, "more partition")
        session.say(f"… and {more}, which total counts")
    if not advice.total.exact:
        session.say("Delays are rounded up by at most 0.1 %: very many different ones occur.")
    session.say()
    show_table(
        "What a bound costs",
        ["bound = added delay", "rows late", "share late", ""],
        [
            [
                format_us(cost.bound_us), f"{cost.late:,}", f"{cost.share:.2%}",
                "<- recommended" if cost.bound_us == advice.bound_us else "",
            ]
            for cost in advice.costs()
        ],
    )  # fmt: skip
    session.say()
    if advice.total.max_us:
        session.say(plot_costs(advice))
        session.say()
    session.say(
        "Late here means behind its partition's watermark; a row still counts while its window is "
        "open, so fewer miss one."
    )
    if advice.note:
        session.say(f"Note: {advice.note}")
    session.say(
        f"Recommended: {advice.flag}   (the least round bound that keeps {advice.on_time:.6g} of "
        "every partition's rows on time)"
    )


def _short(delay_us: int) -> str:
    """Show two units at most: delays are compared, not copied.

    >>> _short(5_400_000_123), _short(90_000), _short(0)
    ('1h30m', '90ms', '0s')
    """
    day, hour, minute, second = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000
    for limit, step in ((day, hour), (hour, minute), (minute, second), (second, 1_000)):
        if delay_us >= limit:
            return format_us(delay_us // step * step)
    return format_us(delay_us)
