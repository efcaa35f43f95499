"""`eventtime checkpoint`: what is in checkpoints and savepoints, and changing it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from eventtime.cli.session import Session, common_options
from eventtime.cli.show import show_ledger, show_table
from eventtime.cli.surviving import bytes_in_words, instant
from eventtime.clock import SystemClock
from eventtime.duration import format_us
from eventtime.timestamp import MINUS_INFINITY, PLUS_INFINITY
from eventtime.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventtime.state_tools import Listed, StateDescription, Verified

__all__ = ("checkpoint",)

_SLICES_SHOWN = 20
_DIFFERENCES_SHOWN = 100
_ORIGINS: Final = {"replay": "a replay", "live": "a live run", "engine": "an engine"}
_HELP = """Look into checkpoints and savepoints: progress, open windows, sizes, damage.

A folder of checkpoints is only read, also while a run writes there; a savepoint is one file. Both
may be URIs.

\b
Examples:
  eventtime checkpoint list state
  eventtime checkpoint show state --at 7
  eventtime checkpoint verify state
  eventtime checkpoint diff state state --at 6
  eventtime checkpoint savepoint state before-upgrade.savepoint
  eventtime checkpoint export state --to tables
  eventtime checkpoint import tables --to changed.savepoint"""


@click.group(help=_HELP, short_help="Look into checkpoints and savepoints, and change them.")
def checkpoint() -> None:
    """Hold the commands together."""


def _command(name: str, text: str, *arguments: str) -> Callable[[Any], Any]:
    """Declare a command with its arguments."""

    def declare(function: Any) -> Any:
        function = common_options(click.pass_obj(function))
        for argument in reversed(arguments):
            function = click.argument(argument.lower(), metavar=argument)(function)
        return checkpoint.command(name, help=text)(function)

    return declare


def _at(text: str = "Number of the checkpoint; default: the newest.") -> Callable[[Any], Any]:
    return click.option("--at", type=click.IntRange(min=0), metavar="N", help=text)


def _overwrite(function: Any) -> Any:
    return click.option("--overwrite", is_flag=True, help="Replace a file that is there.")(function)


@_command("list", "List the checkpoints in a folder, the newest first.", "DIR")
def _list(session: Session, /, dir: str) -> None:  # noqa: A002 - as it is shown
    """List checkpoints."""
    from eventtime.state_tools import list_states

    listed = list_states(dir)
    if session.json:
        click.echo(json.dumps({"checkpoints": [asdict(it) for it in listed]}))
        return
    now_us = SystemClock().now_us()
    columns = ["checkpoint", "begun", "state", "age", "rows", "watermark", "size", "new", "share"]
    show_table("", columns, [_row(it, now_us) for it in listed], left=3)


@_command("show", "Show what is in a checkpoint or savepoint.", "DIR|FILE")
@_at()
def _show(session: Session, /, at: int | None, **given: str) -> None:
    """Show a checkpoint or savepoint."""
    from eventtime.state_tools import describe_state

    state = describe_state(given["dir|file"], at=at)
    if session.json:
        click.echo(json.dumps({**asdict(state), "ledger": state.ledger.to_dict()}))
        return
    _show_head(state, session)
    rows = [
        [
            p.name, "ended" if p.is_finished else "idle" if p.is_idle else "open",
            _time(p.watermark_us), "" if p.share is None else f"{p.share:.0%}", p.place,
        ]
        for p in state.partitions
    ]  # fmt: skip
    columns = ["partition", "state", "watermark", "read", "position"]
    show_table("Partitions", columns, rows, left=5)
    session.say()
    _show_told(state, session)
    _show_slices(state, session)
    kinds = [
        [
            "" if b.operator is None else str(b.operator + 1), b.kind, f"{b.blocks:,}",
            f"{b.rows:,}", bytes_in_words(b.size), bytes_in_words(b.new_size),
        ]
        for b in state.blocks
    ]  # fmt: skip
    show_table("Blocks", ["window", "kind", "blocks", "rows", "size", "new"], kinds, left=2)
    session.say()
    if state.outputs:
        show_table(
            "Outputs", ["output", "goes to"], [list(o) for o in state.outputs.items()], left=2
        )
        session.say()
    show_ledger(state.ledger)


@_command("verify", "Read every byte; exit code 6 if one is not as it was written.", "DIR|FILE")
@_at("Number of the only checkpoint to read; default: all.")
def _verify(session: Session, /, at: int | None, **given: str) -> None:
    """Verify checkpoints or a savepoint."""
    from eventtime.state_tools import verify_state

    path = given["dir|file"]
    verified = verify_state(path, at=at)
    damage = [error for it in verified for error in it.damage]
    if session.json:
        told = [{**asdict(it), "damage": list(map(str, it.damage))} for it in verified]
        click.echo(json.dumps({"is_whole": not damage, "verified": told}))
    else:
        columns = ["checkpoint", "found", "blocks", "size"]
        show_table("", columns, list(map(_verdict, verified)), left=2)
    if damage:
        for error in damage[1:]:
            click.echo(f"{error}\n", err=True)
        raise damage[0]


@_command("diff", "Show in what two states differ.", "A", "B")
@_at("Number of the checkpoint in A; default: the newest.")
@click.option(
    "--at-b", type=click.IntRange(min=0), metavar="N",
    help="Number of the checkpoint in B; default: the newest.",
)  # fmt: skip
def _diff(session: Session, /, a: str, b: str, at: int | None, at_b: int | None) -> None:
    """Compare two states."""
    from eventtime.state_tools import compare_states

    found = compare_states(a, b, left_at=at, right_at=at_b)
    if session.json:
        click.echo(json.dumps({"differences": [asdict(it) for it in found]}, default=str))
        return
    if not found:
        session.say("no difference")
        return
    rows = [
        [it.what, it.name, _shown(it.name, it.left), _shown(it.name, it.right)]
        for it in found[:_DIFFERENCES_SHOWN]
    ]
    show_table("", ["what", "name", "a", "b"], rows, left=4)
    if len(found) > _DIFFERENCES_SHOWN:
        session.say(f"… {len(found) - _DIFFERENCES_SHOWN:,} more; --json shows all")


@_command("savepoint", "Write a checkpoint as one file that stands by itself.", "DIR", "OUT")
@_at()
@_overwrite
def _savepoint(session: Session, /, dir: str, out: str, at: int | None, *, overwrite: bool) -> None:  # noqa: A002
    """Make a savepoint of a checkpoint."""
    from eventtime.state_tools import promised_by, savepoint_of

    number = savepoint_of(dir, out, at=at, overwrite=overwrite)
    promised = promised_by(dir, at=number)
    if session.json:
        rows = [it._asdict() for it in promised]
        click.echo(json.dumps({"checkpoint": number, "savepoint": out, "promised": rows}))
    session.say(f"checkpoint {number} -> {out}")
    for it in promised:
        session.say(
            f"its last epoch, {it.epoch}, has {counted(it.rows, 'row')} for {it.sink}. If the run"
            " was killed they may not be there, and another output would not get them: then run it"
            " again with its checkpoints, which completes its outputs, stop it, and make the"
            " savepoint from there"
        )


@_command("export", "Write state as Parquet files, for reading and changing.", "DIR|FILE")
@click.option("--to", required=True, metavar="FOLDER", help="A new or empty folder.")
@_at()
def _export(session: Session, /, to: str, at: int | None, **given: str) -> None:
    """Export state."""
    from eventtime.state_tools import export_state

    files = export_state(given["dir|file"], to, at=at)
    if session.json:
        click.echo(json.dumps({"folder": to, "files": [asdict(file) for file in files]}))
        return
    show_table(
        "", ["file", "rows", "blocks"], [[f.name, f"{f.rows:,}", f"{f.blocks:,}"] for f in files]
    )
    session.say(f"-> {to}; import takes it back, changed or not")


@_command("import", "Make a savepoint of an export, changed or not.", "FOLDER")
@click.option("--to", required=True, metavar="SAVEPOINT", help="The file to write.")
@_overwrite
def _import(session: Session, /, folder: str, to: str, *, overwrite: bool) -> None:
    """Import an export."""
    from eventtime.state_tools import import_state

    rows = import_state(folder, to, overwrite=overwrite)
    if session.json:
        click.echo(json.dumps({"savepoint": to, "rows": rows}))
    begin = f"begin with it: --from {to}, or et.Engine.restore where it was an engine's"
    session.say(f"{counted(rows, 'row')} -> {to}; {begin}")


def _row(it: Listed, now_us: int) -> list[str]:
    if it.damage is not None or it.created_at_us is None:
        return [str(it.number), "", f"unusable: {it.damage}", *[""] * 6]
    how = "finished" if it.is_finished else "open"
    share = f"{it.new_size / it.size:.0%}" if it.size else ""
    return [
        str(it.number), instant(it.created_at_us), "not begun" if it.watermark_us is None else how,
        _age(now_us - it.created_at_us), f"{it.rows:,}",
        "" if it.watermark_us is None else _time(it.watermark_us),
        bytes_in_words(it.size), bytes_in_words(it.new_size), share,
    ]  # fmt: skip


def _show_head(state: StateDescription, session: Session) -> None:
    number = "" if state.number is None else f" {state.number}"
    name = f"{state.kind}{number}" if state.kind == "checkpoint" else "savepoint"
    if state.kind == "savepoint" and state.number is not None:
        name += f" of checkpoint {state.number}"
    if state.created_at_us is not None:
        age = _age(SystemClock().now_us() - state.created_at_us)
        name += f", begun {instant(state.created_at_us)} ({age} ago)"
    name += f", of {_ORIGINS[state.origin]}"
    name += f", {bytes_in_words(sum(kind.size for kind in state.blocks))}"
    session.say(name + (f" by {state.writer}" if state.writer else ""))
    more = "more may be pushed" if state.origin == "engine" else "more is to be read"
    done = "all input was processed" if state.is_finished else more
    session.say(
        f"{counted(state.rows, 'row')} done, {counted(state.results, 'result')}, watermark"
        f" {_time(state.watermark_us)}; {done}"
    )
    if state.notes is not None:
        session.say(f"notes: {json.dumps(state.notes)}")
    session.say()
    show_table("Pipeline", ["what", "is"], [list(p) for p in state.pipeline.items()], left=2)
    session.say()


def _show_told(state: StateDescription, session: Session) -> None:
    from eventtime.sources.reached import position_in_words

    rows = [
        [stream, partition, position_in_words(position)]
        for stream, positions in state.told.items()
        for partition, position in positions.items()
    ]
    if rows:
        columns = ["stream", "partition", "position"]
        show_table("Broadcast streams that are followed", columns, rows, left=3)
        session.say()


def _show_slices(state: StateDescription, session: Session) -> None:
    if not state.slices:
        session.say("no window is open")
        session.say()
        return
    rows = [
        [
            str(s.operator + 1),
            "all time" if s.start_us is None else _time(s.start_us),
            "" if s.end_us is None else _time(s.end_us),
            f"{s.keys:,}",
        ]
        for s in state.slices
    ]
    hidden = len(rows) - _SLICES_SHOWN
    if hidden > 0:
        rest = sum(s.keys for s in state.slices[_SLICES_SHOWN:])
        rows[_SLICES_SHOWN:] = [["…", f"{hidden:,} more", "", f"{rest:,}"]]
    show_table("Open slices of time", ["window", "start", "end", "keys"], rows, left=3)
    session.say()


def _verdict(it: Verified) -> list[str]:
    what = "whole" if not it.damage else f"unusable: {it.damage[0].what}"
    number = "savepoint" if it.number is None else str(it.number)
    return [number, what, f"{it.blocks:,}", bytes_in_words(it.size)]


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("watermark_us"):
        return _time(value)
    if name.endswith(", position"):
        from eventtime.sources.reached import position_in_words

        return position_in_words(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _age(us: int) -> str:
    return format_us(max(0, us) // 1_000_000 * 1_000_000)


def _time(us: int) -> str:
    """Show an instant of event time; the ends of time by name."""
    if us in {MINUS_INFINITY, PLUS_INFINITY}:
        return "-infinity" if us == MINUS_INFINITY else "+infinity"
    import numpy as np

    text = str(np.datetime64(us, "us")).replace("T", " ")
    return text.removesuffix(".000000").removesuffix(":00") + "Z"
