"""Pipelines over topics, as a process runs them that may be killed."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

import eventtime as et
from live.kafka.topics import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

__all__ = ("Job", "Member", "run_job", "run_member", "started")

_ROW: Final = pa.schema(
    [("x", pa.int64()), ("window_start", pa.timestamp("us", "UTC")), ("n", pa.int64())]
)


class _Copied(et.ProcessFunction):
    """Sends each result to the output and to a side output."""

    def on_row(self, ctx: Any, row: dict[str, Any]) -> None:
        ctx.emit(**row)
        ctx.side("copy", **row)


@dataclass(frozen=True)
class Job:
    """From a topic to a topic, to a table, or to both.

    Args:
        servers: where the broker is.
        source: name of the topic that is read.
        target: name of the topic that is written; '': none is.
        dsn: of the database; table: name of the one that is written; '': none is.
        folder: for checkpoints.
    """

    servers: str
    source: str
    target: str
    dsn: str
    table: str
    folder: str

    def run(self) -> et.Run:
        """Run it from where it is to the end of the source."""
        rows = et.read_kafka(self.source, servers=self.servers, time="t", schema=SCHEMA, end="now")
        marked = rows.watermark(et.bounded_disorder("20s")).key_by("x")
        counted = marked.window(et.tumbling("10s")).aggregate(n=et.count())
        checkpoint = et.checkpoints(self.folder, every=None, every_rows=2_000, keep=2)
        if not self.table:
            return counted.select(*_ROW.names).run(self._topic, checkpoint=checkpoint)
        if not self.target:
            return counted.select(*_ROW.names).run(self._table, checkpoint=checkpoint)
        results = counted.key_by("x").process(
            _Copied(), output=_ROW, sides={"copy": _ROW}, columns=_ROW.names
        )
        return results.run(self._topic, sides={"copy": self._table}, checkpoint=checkpoint)

    @property
    def _topic(self) -> et.EpochSink:
        return et.to_kafka(self.target, servers=self.servers)

    @property
    def _table(self) -> et.EpochSink:
        return et.to_postgres(self.dsn, table=self.table)


def run_job(job: Job, tell: Connection) -> None:
    """Run it in a process of its own; says when it begins, and in the end its balance."""
    tell.send("begins")
    ran = job.run()
    ran.assert_balanced()
    tell.send(ran.ledger.to_dict())


@dataclass(frozen=True)
class Member:
    """One of a group, which is named as its topic.

    Args:
        servers: where the broker is.
        topic: its name.
        folder: for checkpoints.
        every: how often there is one.
    """

    servers: str
    topic: str
    folder: str
    every: str = "1h"

    def stream(self) -> et.Stream:
        """Count the rows of what the group gives it, and keep what is in them."""
        rows = et.read_kafka(
            self.topic,
            servers=self.servers,
            time="t",
            schema=SCHEMA,
            group=self.topic,
            options={"session.timeout.ms": 2_000, "heartbeat.interval.ms": 300},
        )
        marked = rows.watermark(et.bounded_disorder("1h"))
        return marked.window(et.tumbling("10s")).aggregate(n=et.count(), x=et.collect("x"))

    @property
    def checkpoints(self) -> et.Checkpoints:
        """Where and how often it is saved."""
        return et.checkpoints(self.folder, every=self.every)


def run_member(member: Member, tell: Connection) -> None:
    """Run it until it is killed; says how many rows it has."""
    tell.send("begins")
    member.stream().run(
        checkpoint=member.checkpoints,
        stop=lambda: False,
        progress=lambda report: tell.send(report.rows),
    )


def started(run: Callable[[Any, Connection], None], job: Any) -> tuple[BaseProcess, Connection]:
    """Start a process, and wait until it begins."""
    context = multiprocessing.get_context("forkserver")
    # Of what is installed: where tests are, it does not know.
    context.set_forkserver_preload(["eventtime", "confluent_kafka", "adbc_driver_postgresql.dbapi"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(job, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "begins"
    return process, ours
