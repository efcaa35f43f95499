"""The status page in the terminal: `eventtime top URL`."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from eventtime.cli.session import Session, common_options
from eventtime.cli.surviving import bytes_in_words
from eventtime.errors import PlanError, SourceError
from eventtime.holding import shortened
from eventtime.wording import counted, span

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ("drawn", "top")

_HELP: Final = """Show a live run in the terminal, as its status page does in a browser.

URL is that of a run with --ui or et.live(ui=…), such as http://localhost:8080 or :8080. Ctrl-C
ends the looking, not the run.

\b
Examples:
  eventtime top :8080
  eventtime top http://localhost:8080 --once --json | jq .lag_us"""

_WAIT_S: Final = 10
_BAR: Final = 28
_WIDE: Final = 110
_PIPE_COLUMNS: Final = 132
_ALWAYS_LEFT: Final = 14
"""Lines of the screen that are no partitions."""


@click.command(help=_HELP, short_help="Show a live run in the terminal.")
@click.argument("url", metavar="URL")
@click.option("--token", envvar="EVENTTIME_UI_TOKEN", metavar="TOKEN", help="That of the run.")
@click.option("--once", is_flag=True, help="Print it once and end.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2, max=60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="From one look to the next.",
)
@common_options
@click.pass_obj
def top(session: Session, /, url: str, token: str | None, *, once: bool, every: float) -> None:
    """Look at a run."""
    where = _address(url)
    told = _ask(where, token)
    if session.json:
        click.echo(json.dumps(told))
        return
    from rich.console import Console

    if once or not sys.stdout.isatty():
        console = Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
        console.print(drawn(told, 1_000, console.width))
        return
    console = Console()
    from rich.live import Live

    ended = ""
    # Ctrl-C ends the looking: that is how one leaves it.
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(drawn(told, console.height, console.width), console=console, screen=True) as screen,
    ):
        while not ended:
            time.sleep(every)
            try:
                told = _ask(where, token)
            except SourceError as error:
                ended = error.what
            else:
                screen.update(drawn(told, console.height, console.width), refresh=True)
    if ended:
        click.echo(f"{told['holding']}\nthe run has ended: {ended}")


def drawn(told: dict[str, Any], lines: int, columns: int) -> RenderableType:
    """Draw a status.

    Args:
        told: what /status.json says.
        lines, columns: that there are on the screen.
    """
    from rich.console import Group
    from rich.text import Text

    if told["at_us"] is None:
        return Text(told["holding"])
    head = Text(f"{told['life']['state']}", style="bold green")
    head.append(f"  {' · '.join(told['sources'])}", style="dim")
    return Group(
        head,
        Text(told["holding"], style="bold"),
        Text(_figures(told)),
        Text(_more_figures(told)),
        _partitions(told, max(3, lines - _ALWAYS_LEFT), is_wide=columns >= _WIDE),
        Text(_ledger(told), style="dim"),
    )


def _figures(told: dict[str, Any]) -> str:
    latency = told["latency"]
    parts = [
        f"watermark {_instant(told['watermark_us'])}",
        "" if told["lag_us"] is None else f"{span(told['lag_us'])} behind the clock",
        f"{told['rows_per_s']:,.0f} rows/s",
        f"{counted(told['results'], 'result')} ({told['results_per_s']:,.0f}/s)",
    ]
    if latency["p50_us"] is not None and latency["p99_us"] is not None:
        half, most = span(latency["p50_us"]), span(latency["p99_us"])
        parts.append(f"latency {half} median, {most} for 99 %")
    return " · ".join(part for part in parts if part)


def _more_figures(told: dict[str, Any]) -> str:
    aside = sum(told["quarantined"].values())
    parts = [
        counted(told["open_windows"], "open window"),
        f"{bytes_in_words(told['state_bytes'])} of state",
        f"{told['late']:,} late",
        f"{aside:,} set aside",
    ]
    if (written := told["checkpoint"]) is not None:
        age = span(written["age_us"])
        parts.append(f"checkpoint {written['number']} {age} ago")
    if told["life"]["failed_checkpoints"]:
        parts.append(counted(told["life"]["failed_checkpoints"], "failed checkpoint"))
    if told["restarts"]:
        parts.append(counted(told["restarts"], "restart"))
    return " · ".join(parts)


def _partitions(told: dict[str, Any], most: int, *, is_wide: bool) -> RenderableType:
    """Draw the slowest partitions first, each with a bar from the slowest to the fastest."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("partition", no_wrap=True, overflow="ellipsis", min_width=12)
    table.add_column("state", no_wrap=True)
    if is_wide:
        table.add_column("own watermark", no_wrap=True)
    for name in ("behind", "rows", "rows/s", "late", "last row"):
        table.add_column(name, justify="right", no_wrap=True)
    parts = sorted(enumerate(told["partitions"]), key=lambda item: item[1]["watermark_us"] or -1e30)
    own = [p["watermark_us"] for _, p in parts if p["watermark_us"] is not None]
    for i, p in parts[:most]:
        holds = i == told["held_by"] and len(parts) > 1
        style = "yellow" if holds else "dim" if p["state"] in {"idle", "left", "ended"} else ""
        behind = "–" if p["watermark_us"] is None else span(told["at_us"] - p["watermark_us"])
        last = "–" if p["heard_us"] is None else span(max(0, told["at_us"] - p["heard_us"]))
        cells = [shortened(p["name"]), "holds back" if holds else p["state"]]
        cells += [_bar(p["watermark_us"], own)] if is_wide else []
        cells += [behind, f"{p['rows']:,}", f"{p['rows_per_s']:,.0f}", f"{p['late']:,}", last]
        table.add_row(*(Text(cell, style=style) for cell in cells))
    if len(parts) > most:
        table.add_row(Text(f"… {len(parts) - most:,} more", style="dim"))
    return table


def _bar(own_us: int | None, all_us: list[int]) -> str:
    if own_us is None:
        return "·" * _BAR
    first, last = min(all_us), max(all_us)
    n = _BAR if first == last else 1 + round((own_us - first) / (last - first) * (_BAR - 1))
    return "━" * n + "·" * (_BAR - n)


def _ledger(told: dict[str, Any]) -> str:
    ledger = told["ledger"]
    fates = [f"{n:,} {name}" for name, n in ledger.items() if n and name != "rows_in"]
    return f"{counted(ledger['rows_in'], 'row')} = {' + '.join(fates) or '0'}"


def _instant(time_us: int | None) -> str:
    return (
        "–" if time_us is None else str(np.datetime64(time_us // 1_000_000, "s")).replace("T", " ")
    )


def _address(url: str) -> str:
    text = f"localhost{url}" if url.startswith(":") else url
    text = text if "://" in text else f"http://{text}"
    if not text.startswith(("http://", "https://")):
        msg = f"{url!r} is no address of a status page"
        raise PlanError(msg, place="URL", remedy="such as http://localhost:8080, or :8080")
    # As it stands in a browser's line: with the token behind a question mark, or the page's name.
    page, mark, query = text.partition("?")
    return page.rstrip("/").removesuffix("/status.json") + "/status.json" + mark + query


def _without_query(url: str) -> str:
    """Leave the token out of what is shown."""
    return url.partition("?")[0]


def _ask(url: str, token: str | None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=_WAIT_S) as answer:
            told: Any = json.load(answer)
        if not isinstance(told, dict) or not {"holding", "life", "at_us"} <= told.keys():
            msg = "it answers with something else"
            raise ValueError(msg)
    except urllib.error.HTTPError as error:
        remedy = "give --token" if error.code == 401 else "check the address"
        msg = f"{_without_query(url)} answered {error.code}"
        raise SourceError(msg, place="URL", remedy=remedy) from error
    except (OSError, ValueError, HTTPException) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())
        msg = f"nothing that eventtime shows is at {_without_query(url)}: {reason}"
        raise SourceError(msg, place="URL", remedy="start the run with --ui") from error
    status: dict[str, Any] = told
    return status
