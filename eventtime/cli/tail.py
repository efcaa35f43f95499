"""The command that follows what goes on: files that grow, pipes, sockets, HTTP, Kafka."""

from __future__ import annotations

import os
from functools import partial
from glob import iglob
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from eventtime.cli.column_types import parse_types
from eventtime.cli.kafka_input import KAFKA_FORMATS, kafka_reader
from eventtime.cli.needless import refuse
from eventtime.cli.options import declared_stream, follow_options, live_options, tail_options
from eventtime.cli.running import late_tags, run_stream, tell
from eventtime.cli.session import Session, common_options
from eventtime.cli.targets import Targets
from eventtime.cli.watching import live_of
from eventtime.errors import PlanError
from eventtime.live_readers import generate
from eventtime.sources.globs import has_glob
from eventtime.wire_readers import read_http, read_socket, read_stdin
from eventtime.wording import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventtime.stream import Stream

__all__ = ("tail",)

_TAIL_HELP: Final = """Follow SOURCE, and print each result as soon as its window is complete.

The same as replay, for input that goes on: results, late rows and the ledger are those that a
replay of the same rows gives. It ends when the source does, or with Ctrl-C.

\b
SOURCE is one of:
  -                              standard input
  FILES...                       files that grow, folders and globs that get new ones
  tcp://HOST:PORT, unix:PATH     a socket to listen at; --connect connects to it instead
  http://HOST:PORT/PATH          POSTs to that address; --token asks for a bearer token
  kafka://HOST:PORT[,…]/TOPIC    a topic of Kafka, or several: TOPIC,TOPIC
  generate:RATE                  rows made up, so many a second: time, key, value, number
All but files and generate need the types of the columns: --type NAME=TYPE for each.
Values of Kafka are JSON, or as --format says: ipc, avro, protobuf (see --schema), raw; the time of
the message is --time timestamp, if its value has no such column.

\b
Examples:
  tail -F app.log | eventtime tail - --type ts=timestamp[us] --type level=string \\
    --time ts --key level --window 1m --agg 'count()' --max-disorder 10s
  eventtime tail logs/*.jsonl --time ts --window 1m --agg 'count()' --max-disorder 10s --ui :8080
  eventtime tail kafka://broker:9092/clicks --type t=timestamp[ms] --type page=string --time t \\
    --key page --window 10s --agg 'count() as n' --max-disorder 5s --idle-after 30s \\
    --checkpoint state --out clicks.jsonl

\b
Try it, and look at it:
  eventtime tail generate:1000 --time time --key key --window 5s --agg 'mean(value)' \\
    --max-disorder 1s --ui :8080"""

_JSON_HELP: Final = "Results as JSON lines on a terminal too; with --out: one object at the end."
_WIRE: Final = {"jsonl": "jsonl", "csv": "csv", "ipc": "arrow"}
_NO_FILES: Final = ("tcp", "unix", "http", "kafka", "generate")
_BY_FILE: Final = {
    "redis": "read_redis", "rediss": "read_redis", "postgresql": "read_sql",
    "postgres": "read_sql", "sqlite": "read_sql",
}  # fmt: skip


@click.command(help=_TAIL_HELP, short_help="Follow input that goes on.")
@click.argument("source", nargs=-1, required=True, metavar="SOURCE...")
@tail_options
@live_options
@click.option("--connect", is_flag=True, help="Connect to the socket, again and again.")
@click.option("--token", envvar="EVENTTIME_TOKEN", metavar="TOKEN", help="That POSTs must bear.")
@follow_options
@partial(common_options, json=_JSON_HELP)
@click.pass_obj
def tail(session: Session, /, source: tuple[str, ...], **given: Any) -> None:
    """Follow what the options declare."""
    given |= {"follow": True, "rows": 0}
    keeps_late = given["late"] is not None
    read = _reader(source, given)
    stream = declared_stream(source, given, keeps_late=keeps_late, read=read)
    targets = Targets.of(given, late_tags(stream))
    live = live_of(given, stream, session)
    if read is None and not session.quiet:
        _tell_missing(source, session, needs_one=not given["types"])
    tell(run_stream(stream, targets, session, live), session)


def _reader(source: tuple[str, ...], given: Mapping[str, Any]) -> Callable[[], Stream] | None:
    """Return what makes the stream of the source; None: it is files."""
    first, kind = source[0], source[0].partition(":")[0]
    is_files = first != "-" and (kind not in _NO_FILES or ":" not in first)
    if kind in _BY_FILE and ":" in first:
        msg = f"{without_secrets(first)!r} needs more words than the command line has"
        remedy = f"write et.{_BY_FILE[kind]}(…) into a file, and start it: eventtime run FILE.py"
        raise PlanError(msg, place="SOURCE", remedy=remedy)
    _check_needless(given, kind="files" if is_files else kind)
    if is_files:
        return None
    if len(source) > 1:
        msg = f"{first!r} is one source, and {source[1]!r} is another"
        raise PlanError(msg, place="SOURCE", remedy="follow one at a time")
    if kind == "generate":
        _check_made_up(given)
        return partial(_made_up, first)
    if kind == "kafka":
        return kafka_reader(first, given)
    if not given["types"]:
        msg = f"{first!r} does not say which columns its rows have"
        remedy = "add --type NAME=TYPE for each, such as --type ts=timestamp[us]"
        raise PlanError(msg, place="--type", remedy=remedy)
    columns: dict[str, Any] = {
        "schema": parse_types(given["types"]),
        "time": given["time"],
        "time_unit": given["time_unit"],
    }
    if given["on_malformed"]:
        columns["on_malformed"] = given["on_malformed"]
    columns["format"] = _WIRE[_format(given)]
    if first == "-":
        return partial(read_stdin, **columns)
    if kind == "http":
        url = urlsplit(first)
        path = url.path if url.path.strip("/") else "/events"
        return partial(read_http, url.netloc, path=path, token=given["token"], **columns)
    address = first.removeprefix("tcp://")
    return partial(read_socket, address, connect=given["connect"], **columns)


def _tell_missing(paths: Sequence[str], session: Session, *, needs_one: bool) -> None:
    """Say which files are waited for: a wrong path would be waited for without a word.

    Args:
        paths: files, folders and globs.
        session: of the command.
        needs_one: whether the run ends with an error if none is there.
    """
    absent = [path for path in paths if "://" not in path and not _is_there(path)]
    if needs_one and len(absent) == len(paths):
        return
    for path in absent:
        what = f"nothing matches {path!r}" if has_glob(path) else f"there is no file {path!r}"
        session.hint(f"{what} yet: waiting for it")


def _is_there(path: str) -> bool:
    return os.path.lexists(path) or (has_glob(path) and any(iglob(path, recursive=True)))


def _format(given: Mapping[str, Any]) -> str:
    chosen: str = given["file_format"] or "jsonl"
    if chosen not in _WIRE:
        msg = f"rows of this source do not come as {chosen}"
        raise PlanError(msg, place="--format", remedy=f"one of {', '.join(_WIRE)}")
    return chosen


def _made_up(text: str) -> Stream:
    rate = text.removeprefix("generate:")
    try:
        number = float(rate)
    except ValueError as error:
        msg = f"{rate!r} is no number of rows a second"
        raise PlanError(msg, place="SOURCE", remedy="such as generate:1000") from error
    return generate(number, partitions=4, disorder="500ms", late_share=0.001, late_by="30s")


def _check_made_up(given: Mapping[str, Any]) -> None:
    if given["types"] or given["time"] not in {None, "time"}:
        place, what = ("--type", "types") if given["types"] else ("--time", "a time")
        msg = f"rows that are made up have {what} of their own: time, key, value, number"
        raise PlanError(msg, place=place, remedy="leave it out, or write --time time")


def _check_needless(given: Mapping[str, Any], kind: str) -> None:
    sockets = ("tcp", "unix")
    of_kafka = ((name, ("kafka",)) for name in ("schema", "registry", "framed"))
    with_text = ("files", "-", *sockets, "kafka")
    of_text = (
        ("on_malformed", with_text),  # of HTTP the request is refused
        ("time_unit", (*with_text, "http")),
        ("file_format", (*with_text, "http")),
    )
    for name, kinds in (("connect", sockets), ("token", ("http",)), *of_kafka, *of_text):
        if given[name] and kind not in kinds:
            flag = "--" + name.removeprefix("file_").replace("_", "-")
            refuse(flag, "for this source")
    if given["file_format"] in KAFKA_FORMATS and kind != "kafka":
        msg = f"rows of this source do not come as {given['file_format']}"
        raise PlanError(msg, place="--format", remedy="leave it out; only those of Kafka do")
    if kind not in {"files"} and given["partition_by"] != "file":
        msg = f"--partition-by {given['partition_by']} is for files"
        raise PlanError(msg, place="--partition-by", remedy="leave it out")
