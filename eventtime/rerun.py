"""A run once more, as its journal tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventtime.checks import shown
from eventtime.errors import PlanError
from eventtime.journal.opening import player_of
from eventtime.live import Live
from eventtime.memory import limit_of
from eventtime.running import Surviving, run_plan
from eventtime.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from eventtime.journal.file import JournalLike
    from eventtime.memory import MemoryLike
    from eventtime.run import Run
    from eventtime.sinks.base import AnySink
    from eventtime.stream import Stream

__all__ = ("replay_journal",)


def replay_journal(
    stream: Stream,
    journal: JournalLike,
    sink: str | Path | AnySink | None = None,
    *,
    sides: Mapping[str, str | Path | AnySink] | None = None,
    shards: int = 1,
    overwrite: bool = False,
    memory: MemoryLike | None = None,
) -> Run:
    """Run a pipeline as it once ran: the same bytes, lateness and idleness included.

    `Stream.run(journal=…)` writes which partition had how many rows when, what else the sources
    told, and the readings of the clock; not the rows, which are read again. So the source must be
    one that can be read again (files, also such as grow; Arrow data; Kafka), or its rows must have
    been kept: then give the same pipeline over them, in partitions of the same names.
    A journal over several processes of one run (suspended, killed, gone on with) is played as one
    run; one without an end is played as far as it goes, and its windows that are open stay so.

    Args:
        stream: the pipeline that wrote it.
        journal: its path.
        sink, sides, shards, overwrite, memory: see `Stream.run`; other than then, if you like.

    Raises:
        JournalError: the journal cannot be read, or is of another pipeline; rows are missing or
            are others than those it was written with; or the source cannot be read again.
        EventTimeError: as `Stream.run`.

    >>> import pathlib, tempfile, pyarrow as pa, eventtime as et
    >>> rows = pa.table({"t": pa.array([0, 70], pa.timestamp("s")), "x": [1, 2]})
    >>> marked = et.from_arrow(rows, time="t").watermark(et.ascending())
    >>> stream = marked.window(et.tumbling("1m")).aggregate(x=et.sum("x"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.journal")
    ...     ran = stream.run(live=et.live(), journal=path)
    ...     again = replay_journal(stream, path)
    >>> again.table().equals(ran.table())
    True
    """
    if not hasattr(stream, "node"):
        msg = f"{shown(stream)} is no stream"
        remedy = "give what .window(...).aggregate(...) returns"
        raise PlanError(msg, place="replay_journal(stream)", remedy=remedy)
    from eventtime.compiled import compile_plan
    from eventtime.journal.playing import NoAlarm
    from eventtime.recalled import with_columns

    player = player_of(journal, place="replay_journal(journal)")
    first = player.story.first
    live = Live(player.clock, NoAlarm(), latency_us=0)
    return run_plan(
        compile_plan(with_columns(stream.node, first.columns)),
        Targets(sink, {} if sides is None else sides, overwrite),
        shards=shards,
        progress=None,
        surviving=Surviving(),
        limit=limit_of(memory, place="replay_journal(memory=…)"),
        live=live if first.kind == "live" else None,
        journal=player,
    )
