"""What a sink is, how a plain path becomes one, and how several commit together."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeGuard

from eventtime.checks import shown
from eventtime.errors import SinkError
from eventtime.sinks.csv import to_csv
from eventtime.sinks.epochs import takes_epochs
from eventtime.sinks.files import FileSink
from eventtime.sinks.ipc import to_ipc
from eventtime.sinks.json_lines import to_json_lines
from eventtime.sinks.parquet import to_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from eventtime.sinks.epochs import EpochSink

__all__ = (
    "AnySink",
    "Sink",
    "SinkWriter",
    "check_apart",
    "commit_all",
    "opens",
    "sink_for",
    "suffix_of",
)

_BY_SUFFIX: Final = {
    ".parquet": to_parquet,
    ".pq": to_parquet,
    ".csv": to_csv,
    ".csv.gz": to_csv,
    ".csv.zst": to_csv,
    ".jsonl": to_json_lines,
    ".ndjson": to_json_lines,
    ".jsonl.gz": to_json_lines,
    ".jsonl.zst": to_json_lines,
    ".ndjson.gz": to_json_lines,
    ".ndjson.zst": to_json_lines,
    ".arrow": to_ipc,
    ".ipc": to_ipc,
    ".feather": to_ipc,
}


class SinkWriter(Protocol):
    """An output being written. Nothing is visible under its final name before `commit`."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the next rows; their schema is the one given to `open`.

        The batch is kept until it is written out: the caller does not change its buffers.
        """
        ...

    def commit(self) -> None:
        """Publish everything under the final name; with no rows, an output with the schema only."""
        ...

    def abort(self) -> None:
        """Leave nothing behind. Never raises; does nothing after `commit` or a second time."""
        ...


class Sink(Protocol):
    """Where rows go: a frozen description, comparable; `open` makes the writer.

    One that takes epochs only (`EpochSink`) needs no `open`.
    """

    def open(self, schema: pa.Schema) -> SinkWriter:
        """Check everything that can be checked before a row is computed, and start.

        Raises:
            OutputExistsError: the output is there already and is not to be overwritten.
            SinkError: the place cannot be written or the format cannot hold the schema.
        """
        ...

    def describe(self) -> str:
        """One line for `explain()`."""
        ...


AnySink: TypeAlias = "Sink | EpochSink"


def opens(sink: AnySink) -> TypeGuard[Sink]:
    """Tell whether a sink takes the rows of a whole run."""
    return callable(getattr(sink, "open", None))


def suffix_of(path: str) -> str:
    """Return the suffix of a path that names a format, as it is written; empty if none does.

    >>> suffix_of("out/late.csv.gz"), suffix_of("notes.txt")
    ('.csv.gz', '')
    """
    name = path.rsplit("/", 1)[-1]
    # The longest suffix wins, so that '.csv.gz' is not taken for an unknown '.gz'.
    for suffix in sorted(_BY_SUFFIX, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[-len(suffix) :]
    return ""


def sink_for(target: str | Path | AnySink, *, overwrite: bool = False) -> AnySink:
    """Turn a path into the sink its suffix names; a sink is returned as it is.

    Args:
        target: a path, a URI that pyarrow.fs opens, or a sink.
        overwrite: replace what is there; also turned on in a given sink of ours.

    Raises:
        SinkError: the suffix names no format, or the path is a folder.

    >>> sink_for("hourly.parquet").describe()
    'Parquet file hourly.parquet'
    """
    if isinstance(target, FileSink):
        return dataclasses.replace(target, overwrite=True) if overwrite else target
    if not isinstance(target, str | Path):
        opens = "open_epochs" if takes_epochs(target) else "open"
        lacking = [m for m in (opens, "describe") if not callable(getattr(target, m, None))]
        if not lacking and not isinstance(target, type):
            return target
        lacks = f": it has no {lacking[0]}()" if len(lacking) == 1 else ""
        msg = f"{shown(target)} is not a sink{lacks}"
        raise SinkError(msg, remedy="give a path, or et.to_parquet(path) and the like")
    text = str(target)
    if text.endswith("/"):
        msg = f"{text!r} is a folder; a plain path names one file"
        raise SinkError(
            msg,
            remedy=f"write {text.rstrip('/') + '.parquet'!r}, or for a folder for each day "
            f"to_parquet({text!r}, partition_by='day')",
        )
    suffix = suffix_of(text)
    if suffix:
        return _BY_SUFFIX[suffix.lower()](target, overwrite=overwrite)
    msg = f"the suffix of {text!r} names no format"
    raise SinkError(
        msg,
        remedy=f"end the path in one of {', '.join(_BY_SUFFIX)}, "
        "or name the format: et.to_parquet(path) and the like",
    )


def check_apart(sinks: Mapping[str, AnySink], *, hold_transactions: bool) -> None:
    """Refuse two outputs of one run that would be one, or that would wait for each other.

    Args:
        sinks: by tag, '' for the results; `occupies` and `locks` are looked at where there are any.
        hold_transactions: whether those of tables last all the run long.

    Raises:
        SinkError: names both.
    """
    seen: list[tuple[str, AnySink]] = []
    for tag, sink in sinks.items():
        for other, there in seen:
            both = f"{shown(other or 'results')} and {shown(tag or 'results')}"
            if _is_same("occupies", sink, there):
                msg = f"{both} both go to {sink.describe()}"
                remedy = "give each output a file, folder or table of its own"
                raise SinkError(msg, place=sink.describe(), remedy=remedy)
            if hold_transactions and _is_same("locks", sink, there):
                msg = f"{both} go to tables of one file, for a transaction each, all the run long"
                remedy = "write to two files, or give checkpoint=, which makes transactions short"
                raise SinkError(msg, place=sink.describe(), remedy=remedy)
        seen.append((tag, sink))


def _is_same(name: str, one: AnySink, other: AnySink) -> bool:
    found = getattr(one, name, None)
    return found is not None and found == getattr(other, name, None)


def commit_all(writers: Sequence[SinkWriter], *, check: Callable[[], None] | None = None) -> None:
    """Commit several outputs of one run: all are written out in full before the first is published.

    So a full disk shows before any final name is taken. If publishing one fails, those before it
    stay (a file system cannot rename several names at once) and those after it are aborted.

    Args:
        writers: those with a `prepare()` method are prepared first.
        check: called when all are written out and none is published; may raise.

    Raises:
        SinkError: one could not be written or published.
    """
    try:
        for writer in writers:
            prepare = getattr(writer, "prepare", None)
            if prepare is not None:
                prepare()
        if check is not None:
            check()
        for writer in writers:
            writer.commit()
    except BaseException:
        for writer in writers:
            writer.abort()
        raise
