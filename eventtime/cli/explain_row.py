"""The command that says why a row or a window came out as it did."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from eventtime.cli.needless import refuse, was_typed
from eventtime.cli.options import declared_stream, pipeline_options
from eventtime.cli.pipeline_file import stream_in_file
from eventtime.cli.session import Session, common_options
from eventtime.cli.warned import warnings_shown
from eventtime.errors import PlanError
from eventtime.explaining.asking import explain_row, explain_window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventtime.explaining.row import RowExplained
    from eventtime.explaining.window import WindowExplained
    from eventtime.stream import Stream

__all__ = ("explain_row_command",)

_NO: Final = (None, ())
_HELP: Final = """Say what became of a row, or of a window, and why.

The pipeline of FILE.py, or of the options that replay takes, runs once more, row by row: a replay,
or a run as its journal tells it. Of a row are told: the watermark before it, what had set it, which
partition held it back, its windows, and the verdict. Of a window: what opened, extended and
fired it, and when it was gone. Rows and late rows count from 0.

\b
Examples:
  eventtime explain-row flights/*.parquet --time departed --window 1h --agg 'count()' \\
    --max-disorder 1h --late 0
  eventtime explain-row pipeline.py --partition a --row 17 --from-journal run.journal
  eventtime explain-row pipeline.py --window-at 2013-01-01T05:00:00Z --of JFK
  eventtime explain-row pipeline.py --operator 'window 2' --row 3"""


@click.command("explain-row", help=_HELP, short_help="Say why a row or window came out as it did.")
@click.argument("files", nargs=-1, required=True, metavar="FILE.py|FILES...")
@click.option("--name", metavar="VAR", help="Which stream of FILE.py.")
@click.option("--partition", metavar="P", help="The row's partition.")
@click.option("--row", type=click.IntRange(min=0), metavar="N", help="Its number there.")
@click.option("--late", type=click.IntRange(min=0), metavar="N", help="Instead, a late row.")
@click.option("--window-at", metavar="START", help="Instead, the window that starts there.")
@click.option("--of", "of", multiple=True, metavar="VALUE",
              help="Its key, a value for each key column.")  # fmt: skip
@click.option("--operator", metavar="NAME",
              help="Which operator is asked, such as 'window 2'; else the first.")  # fmt: skip
@click.option("--from-journal", metavar="FILE", help="A run that wrote this journal, not a replay.")
@pipeline_options
@common_options
@click.pass_obj
def explain_row_command(
    session: Session,
    /,
    files: tuple[str, ...],
    name: str | None,
    partition: str | None,
    row: int | None,
    late: int | None,
    window_at: str | None,
    of: tuple[str, ...],
    operator: str | None,
    from_journal: str | None,
    **given: Any,
) -> None:
    """Look for it, and print what became of it."""
    is_file = len(files) == 1 and files[0].endswith(".py")
    _check_needless(
        of_windows={"of": of},
        of_rows={"partition": partition, "row": row, "late": late},
        wants_window=window_at is not None,
        declared=list(given) if is_file else ["name"],
        what="a file declares the pipeline" if is_file else "options declare the pipeline",
    )
    _check_named(partition, row, late, window_at, operator)
    if is_file:
        stream = stream_in_file(files[0], name)
    else:
        stream = declared_stream(files, given, keeps_late=True)
    found: RowExplained | WindowExplained
    with session.compiling(), warnings_shown(session):
        if window_at is not None:
            start, key = _instant(window_at), _key(stream, of, operator)
            found = explain_window(stream, start, *key, operator=operator, journal=from_journal)
        else:
            whose: Any = {"partition": partition, "row": row, "late": late}
            found = explain_row(stream, **whose, operator=operator, journal=from_journal)
    click.echo(json.dumps(asdict(found), default=str) if session.json else str(found))


def _check_needless(
    *,
    of_windows: Mapping[str, object],
    of_rows: Mapping[str, object],
    wants_window: bool,
    declared: Sequence[str],
    what: str,
) -> None:
    """Refuse options that would be passed over.

    Args:
        of_windows, of_rows: options that name a window, and a row.
        wants_window: which of them it is.
        declared: options that have no meaning for this pipeline; what: why.
    """
    others, why = (of_rows, "a window is") if wants_window else (of_windows, "a row is")
    needless = [(name, f"{why} asked for") for name, value in others.items() if value not in _NO]
    if of_rows["late"] is not None:
        named = (name for name in ("partition", "row") if of_rows[name] is not None)
        needless += [(name, "--late names the row") for name in named]
    typed = filter(was_typed, declared)
    options = click.get_current_context().command.params
    flags = {name: option for option in options for name in [option.name]}
    for name, reason in [*needless, *((name, what) for name in typed)]:
        refuse(flags[name].opts[0], f"where {reason}")


def _check_named(
    partition: str | None,
    row: int | None,
    late: int | None,
    window_at: str | None,
    operator: str | None,
) -> None:
    """Refuse to look for nothing, in the words of the command line."""
    if row is None and late is None and window_at is None:
        msg = "neither a row nor a window is named"
        remedy = "add --partition P and --row N, or --late N, or --window-at START and --of KEY"
        raise PlanError(msg, place="eventtime explain-row", remedy=remedy)
    if row is not None and late is None and partition is None and operator is None:
        msg = f"of which partition is row {row}"
        raise PlanError(msg, place="--row", remedy="add --partition P")


def _instant(text: str) -> int:
    from datetime import UTC, datetime

    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is no time"
        remedy = "such as 2013-01-01T05:00:00Z"
        raise PlanError(msg, place="--window-at", remedy=remedy) from error
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _key(stream: Stream, values: tuple[str, ...], operator: str | None) -> list[Any]:
    """Read the key as its columns have it."""
    import pyarrow as pa

    from eventtime.compiled import compile_plan
    from eventtime.explaining.questions import number_of

    plan = compile_plan(stream.node)
    stage = plan.stages[number_of(plan, operator, "--operator")]
    if len(values) != len(stage.keys):
        names = ", ".join(stage.keys) or "none"
        msg = f"{len(values)} values are no key of the columns: {names}"
        raise PlanError(msg, place="--of", remedy="add --of VALUE for each, in their order")
    key = []
    for column, stored, value in zip(stage.keys, stage.key_types, values, strict=True):
        kind = stored.value_type if pa.types.is_dictionary(stored) else stored
        try:
            key.append(pa.scalar(value).cast(kind).as_py())
        except (pa.ArrowException, ValueError, OverflowError) as error:
            msg = f"{value!r} is no {kind}, the type of {column!r}"
            raise PlanError(msg, place="--of", remedy="write it as the column has it") from error
    return key
